// Mouse, touch and keys. `desk` is what render() shares: the state, the view and what can be done.

const CLICK = 3; // screen pixels that a click may wander

function attachMouse(desk) {
  const { root, surface, state, input } = desk;
  const fingers = new Map();
  let pinch = null;

  const at = (event) => {
    const box = surface.getBoundingClientRect();
    const x = event.clientX - box.left;
    return [state.split && x > desk.canvas.width ? x - desk.canvas.width : x, event.clientY - box.top];
  };
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { size: Math.hypot(a[0] - b[0], a[1] - b[1]), x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 };
  };

  surface.addEventListener("pointerdown", (event) => {
    if (!state.scene) return;
    root.focus({ preventScroll: true });
    surface.setPointerCapture(event.pointerId);
    const [sx, sy] = at(event);
    fingers.set(event.pointerId, [sx, sy]);
    if (fingers.size === 2) { input.drag = null; state.ghost = null; pinch = spread(); return; }
    const [x, y] = toPicture(desk.view, desk.canvas, sx, sy);
    // A box that was just moved is where it was let go, answered or not.
    const boxes = state.boxes.map((box) => (state.ghost && state.ghost.id === box.id ? state.ghost : box));
    const chosen = boxes.find((box) => box.id === state.selected);
    const movable = (box) => box && box.source !== "truth";
    const edges = movable(chosen) ? edgesAt(chosen, desk.view, desk.canvas, sx, sy) : null;
    const stack = state.marks ? boxesAt(boxes, x, y) : [];
    // The selected box first: it is the one to be dragged. A click without a drag goes on to the next.
    const again = stack.indexOf(chosen), under = edges || again >= 0 ? chosen : stack[0];
    input.drag = { sx, sy, x, y, view: desk.view, moved: false };
    if (again >= 0) input.drag.next = stack[(again + 1) % stack.length];
    if (event.shiftKey) input.drag.draws = true;
    else if (under && event.button === 0) {
      if (movable(under)) Object.assign(input.drag, { box: under, edges });
      desk.select(under);
    } else if (event.button === 0) input.drag.unselect = true;
  });

  surface.addEventListener("pointermove", (event) => {
    if (!state.scene) return;
    const [sx, sy] = at(event), [x, y] = toPicture(desk.view, desk.canvas, sx, sy);
    desk.pointer = [x, y];
    showPointer(desk, x, y);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, [sx, sy]);
    if (pinch && fingers.size === 2) {
      const now = spread();
      desk.view = zoomAt(desk.view, desk.canvas, now.x, now.y, now.size / pinch.size);
      pinch = now;
      desk.plan();
      return;
    }
    const drag = input.drag;
    if (!drag) { showCursor(desk, sx, sy, x, y); return; }
    drag.moved = drag.moved || Math.hypot(sx - drag.sx, sy - drag.sy) > CLICK;
    if (!drag.moved) return;
    if (drag.draws) state.ghost = { id: "", label: 1, x1: Math.min(x, drag.x), y1: Math.min(y, drag.y), x2: Math.max(x, drag.x), y2: Math.max(y, drag.y) };
    else if (drag.box) {
      const [x1, y1, x2, y2] = dragged(drag.box, drag.edges, x - drag.x, y - drag.y);
      state.ghost = { ...drag.box, x1: Math.min(x1, x2), y1: Math.min(y1, y2), x2: Math.max(x1, x2), y2: Math.max(y1, y2) };
    } else {
      const { view } = drag;
      desk.view = { zoom: view.zoom, x: view.x - (sx - drag.sx) / view.zoom, y: view.y - (sy - drag.sy) / view.zoom };
    }
    desk.plan();
  });

  const end = (event) => {
    fingers.delete(event.pointerId);
    if (fingers.size < 2) pinch = null;
    const drag = input.drag, ghost = state.ghost;
    input.drag = null;
    if (!drag || event.type === "pointercancel") { state.ghost = null; desk.plan(); return; }
    if (!drag.moved) {
      if (drag.unselect) desk.select(null);
      else if (drag.next) desk.select(drag.next);
      return;
    }
    if (!ghost) return;
    const to = [ghost.x1, ghost.y1, ghost.x2, ghost.y2];
    // The ghost stays where it was let go until the answer comes.
    if (drag.draws) desk.act({ kind: "add", to, box: desk.fresh() });
    else desk.act({ kind: drag.edges ? "resize" : "move", box: drag.box.id, to });
  };
  surface.addEventListener("pointerup", end);
  surface.addEventListener("pointercancel", end);

  surface.addEventListener("dblclick", (event) => {
    if (!state.scene || event.shiftKey) return;
    const [x, y] = toPicture(desk.view, desk.canvas, ...at(event));
    if (!boxesAt(state.boxes, x, y).length) desk.addBox([x, y]);
  });

  surface.addEventListener("wheel", (event) => {
    if (!state.scene) return;
    event.preventDefault();
    const [sx, sy] = at(event);
    const factor = Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : event.deltaMode ? 0.05 : 0.0015));
    desk.view = zoomAt(desk.view, desk.canvas, sx, sy, factor);
    desk.plan();
  }, { passive: false });
}

function showPointer(desk, x, y) {
  const { scene } = desk.state;
  const inside = x >= -0.5 && y >= -0.5 && x <= scene.width - 0.5 && y <= scene.height - 0.5;
  if (!inside) { desk.panel.cursor.textContent = ""; return; }
  const pixels = `x ${x.toFixed(1)}  y ${y.toFixed(1)}`;
  if (!scene.sky) { desk.panel.cursor.textContent = pixels; return; }
  const [ra, dec] = skyAt(scene.sky, x, y);
  Object.assign(desk.root.dataset, { ra: ra.toFixed(7), dec: dec.toFixed(7) });
  desk.panel.cursor.textContent = `${pixels}\n${sexagesimal(ra, dec)}`;
}

function showCursor(desk, sx, sy, x, y) {
  const { state, surface } = desk;
  const chosen = state.boxes.find((box) => box.id === state.selected && box.source !== "truth");
  const edges = chosen && edgesAt(chosen, desk.view, desk.canvas, sx, sy);
  if (edges) surface.style.cursor = edges[0] === 0 ? "ns-resize" : edges[1] === 0 ? "ew-resize" : edges[0] === edges[1] ? "nwse-resize" : "nesw-resize";
  else surface.style.cursor = boxesAt(state.boxes, x, y).length ? "move" : "crosshair";
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function attachKeys(desk) {
  const { root, state, input, help } = desk;
  const plain = {
    a: () => desk.decide("accept"), r: () => desk.decide("reject"), c: () => desk.decide("clear"),
    1: () => desk.decide("label", { label: 1 }), 2: () => desk.decide("label", { label: 2 }),
    b: () => desk.addBox(desk.pointer), Delete: () => desk.decide("delete"), Backspace: () => desk.decide("delete"),
    A: () => desk.act({ kind: "accept_all", threshold: desk.model.get("threshold") }),
    R: () => desk.act({ kind: "reject_all" }),
    z: () => desk.act({ kind: "undo" }), y: () => desk.act({ kind: "redo" }), Z: () => desk.act({ kind: "redo" }),
    Enter: desk.finish, n: () => desk.go(1), p: () => desk.go(-1),
    d: () => desk.act({ kind: state.scene && state.scene.done ? "reopen" : "done" }),
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: desk.fit,
    g: () => desk.setGamma(state.gamma + 0.2), G: () => desk.setGamma(state.gamma - 0.2),
    ",": () => desk.setThreshold(desk.model.get("threshold") - desk.span / 50),
    ".": () => desk.setThreshold(desk.model.get("threshold") + desk.span / 50),
    t: () => { state.truth = !state.truth; desk.refresh(); }, o: () => { state.second = !state.second; desk.refresh(); },
    l: () => desk.toggleHistory(), f: desk.fitBoxes, s: () => desk.toggleSplit(),
    h: () => { state.marks = !state.marks; desk.plan(); }, "?": () => desk.toggleHelp(),
    "[": () => grow(-1), "]": () => grow(1),
  };
  let pressed = null; // a held arrow key is one action: sent when the key is let go

  function zoom(factor) {
    const box = state.boxes.find((one) => one.id === state.selected); // stays where it is, if any
    const [x, y] = box ? toScreen(desk.view, desk.canvas, (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2) : [desk.canvas.width / 2, desk.canvas.height / 2];
    desk.view = zoomAt(desk.view, desk.canvas, x, y, factor);
    desk.plan();
  }

  function grow(by) {
    shift("resize", (box) => ({ ...box, x1: box.x1 - by, y1: box.y1 - by, x2: box.x2 + by, y2: box.y2 + by }));
  }

  function shift(kind, change) {
    const chosen = state.boxes.find((box) => box.id === state.selected);
    if (!chosen) return;
    if (chosen.source === "truth") { desk.act({ kind, box: chosen.id, to: [0, 0, 0, 0] }); return; } // Python says why not
    if (pressed && pressed.kind !== kind) flush();
    const box = change(state.ghost && state.ghost.id === chosen.id ? state.ghost : chosen);
    if (box.x2 - box.x1 < 2 || box.y2 - box.y1 < 2) return;
    state.ghost = box;
    pressed = { kind, box };
    input.held = true;
    desk.plan();
  }

  function flush() {
    if (!pressed) return;
    const { kind, box } = pressed;
    pressed = null;
    input.held = false;
    desk.act({ kind, box: box.id, to: [box.x1, box.y1, box.x2, box.y2] });
  }

  function arrow([dx, dy], event) {
    const step = event.altKey ? 0.25 : 1;
    if (!state.selected) {
      const { view } = desk;
      desk.view = { ...view, x: view.x + dx * 40 / view.zoom, y: view.y + dy * 40 / view.zoom };
      desk.plan();
    } else if (event.shiftKey) shift("resize", (box) => ({ ...box, x2: box.x2 + dx * step, y2: box.y2 + dy * step }));
    else shift("move", (box) => ({ ...box, x1: box.x1 + dx * step, x2: box.x2 + dx * step, y1: box.y1 + dy * step, y2: box.y2 + dy * step }));
  }

  function press(event) {
    const control = event.ctrlKey || event.metaKey;
    if (event.key === "Escape") {
      if (!help.hidden) desk.toggleHelp(false);
      else if (!desk.past.hidden) desk.toggleHistory(false);
      else if (state.selected || state.ghost) { pressed = null; input.held = false; state.ghost = null; desk.select(null); }
      else root.blur();
      return true;
    }
    if (!state.scene || (event.altKey && !(event.key in ARROWS))) return false;
    if (!(event.key in ARROWS) && event.key !== "[" && event.key !== "]") flush();
    if (event.key === "Tab") { desk.selectStep(event.shiftKey ? -1 : 1); return true; }
    if (event.key in ARROWS && !control) { arrow(ARROWS[event.key], event); return true; }
    const key = event.key.length === 1 && !(event.key in plain) ? event.key.toLowerCase() : event.key;
    if (control && key === "s") { desk.say("Every action is saved already."); return true; }
    if (control && !["z", "Z", "y"].includes(key)) return false; // the browser's own: copy, reload, search
    if (!(key in plain)) return false;
    plain[key]();
    return true;
  }

  root.addEventListener("keydown", (event) => {
    // JupyterLab must not see these: A, B, D D, X, Z are commands of its notebook.
    event.stopPropagation();
    if (event.target.matches("input[type=number]") && event.key !== "Escape") return; // digits are theirs
    const control = event.target !== root && event.target.matches("input, button");
    const own = control && (event.key.startsWith("Arrow") || ["Tab", "Enter", " ", "Home", "End"].includes(event.key));
    if (own && !(event.key === "Escape")) return; // sliders and buttons keep their own keys
    if (press(event)) event.preventDefault();
  });
  root.addEventListener("keyup", (event) => { event.stopPropagation(); if (event.key in ARROWS || event.key === "[" || event.key === "]") flush(); });
  root.addEventListener("focusin", () => root.classList.add("ca-active"));
  root.addEventListener("focusout", () => { flush(); root.classList.remove("ca-active"); });
}
