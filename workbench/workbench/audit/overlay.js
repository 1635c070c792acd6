// Input and messages. Python decides what an action does; here it is only asked for, and what comes
// back is drawn. `data-*` attributes of the root tell what is on the screen.

const KEPT_PICTURES = 12;
const SILENCE = 3000; // ms without an answer after which the auditor is told

function render({ model, el }) {
  const state = {
    scene: null, shown: null, selected: null, ghost: null, marks: true, truth: true, second: true, split: false,
    boxes: [], others: [], gamma: 1,
  };
  const pictures = new Map(), ahead = new Map();
  const waiting = new Map(); // ticket -> time sent
  let ticket = 0, view = null, canvas = { width: 1, height: 1 }, pointer = null, planned = false;
  const input = { drag: null, held: false }; // a drag or an arrow key that has not ended
  let asked = 0;

  const root = make("div", { class: "ca-root", tabindex: 0, role: "application", "aria-label": "Audit of clump detections; press ? for the keys", "data-lm-suppress-shortcuts": "true" });
  const surface = make("canvas", { class: "ca-canvas" });
  const pen = surface.getContext("2d", { alpha: false });
  const doIt = {
    previous: () => go(-1), next: () => go(1), finish, accept: () => decide("accept"), reject: () => decide("reject"),
    clump: () => decide("label", { label: 1 }), odd: () => decide("label", { label: 2 }), add: () => addBox(pointer),
    delete: () => decide("delete"), undo: () => act({ kind: "undo" }), redo: () => act({ kind: "redo" }), fit,
    help: () => toggleHelp(), history: () => toggleHistory(), threshold: () => setThreshold(Number(panel.threshold.input.value)),
    stretch: () => ask({ kind: "stretch", stretch: panel.fits.read() }),
    gamma: () => setGamma(Number(panel.gamma.input.value)),
  };
  const panel = makePanel(doIt);
  const help = helpPanel(() => toggleHelp(false));
  const past = historyPanel((seq) => { act({ kind: "revert", seq }); root.focus({ preventScroll: true }); }, (id) => { if (id && state.boxes.some((box) => box.id === id)) { state.selected = id; plan(); } }, () => toggleHistory(false));
  root.append(panel.bar, make("div", { class: "ca-body" }, surface, panel.side), help, past.element);
  el.append(root);
  const [low, high] = model.get("scores");
  Object.assign(panel.threshold.input, { min: low, max: high, step: (high - low) / 200, value: model.get("threshold") });

  // ---- drawing ----------------------------------------------------------------------------------
  function plan() {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => { planned = false; draw(); });
  }

  function draw() {
    if (!state.scene || !view) return;
    const began = performance.now();
    const ratio = window.devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawAll(pen, canvas, view, state);
    root.dataset.ms = (performance.now() - began).toFixed(2);
    root.dataset.view = [view.zoom, view.x, view.y].join(" ");
    root.dataset.split = state.split;
  }

  function resize() {
    const width = surface.clientWidth || 640, height = model.get("height");
    const ratio = window.devicePixelRatio || 1, before = canvas;
    canvas = { width: state.split ? width / 2 : width, height };
    Object.assign(surface, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    surface.style.height = `${height}px`;
    if (state.scene && (!view || before.width !== canvas.width)) {
      const fitted = fitView(canvas, state.scene);
      view = view ? { ...view, zoom: fitted.zoom * view.zoom / fitView(before, state.scene).zoom } : fitted;
    }
    draw();
  }

  function refresh() {
    const { scene } = state;
    if (!scene) return;
    const least = model.get("threshold");
    state.boxes = scene.boxes.filter((box) =>
      box.status !== "pending" ? true : box.source === "truth" ? state.truth : box.score === null || box.score >= least);
    state.others = state.second ? scene.other.filter((box) => box.score >= least) : [];
    if (!state.boxes.some((box) => box.id === state.selected)) state.selected = null;
    tell();
    plan();
  }

  function tell() {
    const { scene } = state;
    const count = (status) => scene.boxes.filter((box) => box.status === status && !(box.source === "truth" && status !== "accepted")).length;
    const place = scene.index < 0 ? "not in the queue" : `${scene.index + 1} of ${scene.total}`;
    panel.title.textContent = scene.name;
    panel.progress.textContent = `${place} · ${scene.auditor} · done ${scene.progress}`;
    const seen = state.boxes.filter((box) => box.source !== "truth").length;
    panel.counts.replaceChildren(`${seen} shown · ${count("accepted")} ✓ · ${count("rejected")} ✕ · ${count("pending")} undecided`);
    if (scene.done) panel.counts.append(make("div", { class: "ca-done" }, "✓ galaxy done"));
    panel.threshold.value.textContent = model.get("threshold").toFixed(2);
    panel.gamma.value.textContent = state.gamma.toFixed(1);
    const chosen = state.boxes.find((box) => box.id === state.selected);
    showFacts(panel.facts, chosen ? factsOf(chosen, scene) : [["", "none: press Tab, or click one"]]);
    panel.fits.show(scene.stretch);
    past.show(scene.history);
    showLegend(panel.legend, scene, { truth: scene.boxes.some((box) => box.source === "truth") });
    const enable = (name, on) => { panel.bar.querySelector(`[data-do=${name}]`).disabled = !on; };
    for (const name of ["accept", "reject", "clump", "odd", "delete"]) enable(name, chosen);
    enable("undo", scene.undo > 0);
    enable("redo", scene.redo > 0);
    enable("previous", scene.index > 0);
    enable("next", scene.index + 1 < scene.total);
    Object.assign(root.dataset, { name: scene.name, shown: seen, selected: state.selected || "", done: scene.done, unsaved: waiting.size });
  }

  function say(text, wrong = false) {
    panel.status.textContent = text;
    panel.status.classList.toggle("ca-error", wrong);
  }

  // ---- talking to Python ------------------------------------------------------------------------
  function ask(message) {
    ticket += 1;
    waiting.set(ticket, performance.now());
    root.dataset.unsaved = waiting.size;
    const mine = ticket;
    const lost = () => { if (waiting.has(mine)) say(`The kernel does not answer: ${waiting.size} actions are not saved yet. If it was restarted, run the cell again.`, true); };
    try {
      model.send({ ...message, ticket });
      setTimeout(lost, SILENCE);
    } catch {
      lost(); // the kernel is gone
    }
  }

  function act(action) {
    if (state.scene) ask({ kind: "act", galaxy: state.scene.name, action });
  }

  function decide(kind, more = {}) {
    const box = state.selected;
    if (!box) { say("Select a box first: Tab, or click one."); return; }
    act({ kind, box, ...more });
    if (kind === "accept" || kind === "reject") selectStep(1, true);
  }

  function go(to) {
    asked = performance.now();
    ask({ kind: "go", to });
    const near = [...ahead.values()].find((scene) => state.scene && scene.index === state.scene.index + to);
    if (near && pictures.has(near.name)) show(near);
  }

  function finish() {
    if (!state.scene) return;
    asked = performance.now();
    ask({ kind: "finish", galaxy: state.scene.name });
  }

  function show(scene) {
    const before = state.scene, other = !before || before.name !== scene.name;
    state.scene = scene;
    // What is being moved stays where the auditor has it until the last answer has come.
    if (other || (!waiting.size && !input.drag && !input.held)) state.ghost = null;
    if (other) {
      state.selected = null;
      const magnified = before ? view.zoom / fitView(canvas, before).zoom : 1;
      view = fitView(canvas, scene);
      view.zoom *= magnified; // who zooms in on one galaxy does so on the next
    }
    ahead.set(scene.name, scene);
    const bitmap = pictures.get(scene.name);
    if (other || !state.shown) state.shown = bitmap ? brighten(bitmap, state.gamma) : null;
    refresh();
    if (asked && bitmap && other) {
      root.dataset.openedMs = (performance.now() - asked).toFixed(0);
      asked = 0;
    }
    if (state.shown) root.dataset.ready = scene.name;
  }

  async function receive(message, buffers) {
    if (message.kind === "picture") {
      const bitmap = await createImageBitmap(new Blob([buffers[0]], { type: "image/png" }));
      pictures.set(message.name, bitmap);
      root.dataset.pictures = Number(root.dataset.pictures || 0) + 1;
      if (state.scene && state.scene.name === message.name) {
        state.shown = brighten(bitmap, state.gamma);
        root.dataset.ready = message.name;
        if (asked) { root.dataset.openedMs = (performance.now() - asked).toFixed(0); asked = 0; }
        plan();
      }
    } else if (message.kind === "forget") {
      pictures.clear();
    } else if (message.kind === "ahead") {
      if (!state.scene || state.scene.name !== message.scene.name) ahead.set(message.scene.name, message.scene);
      if (ahead.size > 4 * KEPT_PICTURES) ahead.clear();
    } else if (message.kind === "scene") {
      answered(message.ticket);
      ahead.set(message.scene.name, message.scene);
      // While later requests are on their way, this answer is of the past for another galaxy.
      if (!waiting.size || !state.scene || state.scene.name === message.scene.name) show(message.scene);
      if (!waiting.size && message.ticket) say("All saved.");
    } else if (message.kind === "error") {
      answered(message.ticket);
      state.ghost = null;
      say(message.message, true);
      plan();
    }
  }

  function answered(number) {
    waiting.delete(number);
    root.dataset.unsaved = waiting.size;
    if (number) root.dataset.saved = number;
  }

  // ---- what does not concern Python -------------------------------------------------------------
  function setThreshold(value) {
    const kept = Math.min(high, Math.max(low, value));
    panel.threshold.input.value = kept;
    model.set("threshold", kept);
    model.save_changes();
    refresh();
  }

  function setGamma(value) {
    state.gamma = Math.min(4, Math.max(0.4, value));
    panel.gamma.input.value = state.gamma;
    const bitmap = state.scene && pictures.get(state.scene.name);
    if (bitmap) state.shown = brighten(bitmap, state.gamma);
    refresh();
  }

  function fit() {
    if (state.scene) view = fitView(canvas, state.scene);
    plan();
  }

  // All boxes, with as much around them as they take themselves.
  function fitBoxes() {
    const list = state.boxes;
    if (!list.length) { fit(); return; }
    const x1 = Math.min(...list.map((b) => b.x1)), x2 = Math.max(...list.map((b) => b.x2));
    const y1 = Math.min(...list.map((b) => b.y1)), y2 = Math.max(...list.map((b) => b.y2));
    const zoom = Math.min(canvas.width / (x2 - x1), canvas.height / (y2 - y1)) / 2;
    view = { zoom: Math.min(16, Math.max(zoom, fitView(canvas, state.scene).zoom)), x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
    plan();
  }

  function select(box) {
    state.selected = box ? box.id : null;
    tell();
    plan();
  }

  // On to the next box; after a decision, to the next that is undecided, if any.
  function selectStep(step, undecided = false) {
    const list = state.boxes;
    if (!list.length) return;
    const from = list.findIndex((box) => box.id === state.selected);
    for (let k = 1; k <= list.length; k++) {
      const index = (((from < 0 && step < 0 ? 0 : from) + step * k) % list.length + list.length) % list.length;
      const box = list[index];
      if (!undecided || (box.status === "pending" && box.source !== "truth" && box.id !== state.selected)) { reveal(box); select(box); return; }
    }
  }

  // A box that is out of sight comes to the middle.
  function reveal(box) {
    const x = (box.x1 + box.x2) / 2, y = (box.y1 + box.y2) / 2, [sx, sy] = toScreen(view, canvas, x, y);
    if (sx < 0 || sy < 0 || sx > canvas.width || sy > canvas.height) view = { zoom: view.zoom, x, y };
  }

  function toggleSplit() {
    if (!state.scene || !state.scene.compares) { say("There is one set of detections: nothing to put beside it."); return; }
    state.split = !state.split;
    resize();
  }

  function toggleHistory(on = past.element.hidden) {
    past.element.hidden = !on;
    if (!on) root.focus({ preventScroll: true });
  }

  function toggleHelp(on = help.hidden) {
    help.hidden = !on;
    if (!on) root.focus({ preventScroll: true });
  }

  function addBox(at) {
    if (!state.scene) return;
    const [x, y] = at || [view.x, view.y], half = state.scene.side / 2;
    act({ kind: "add", to: [x - half, y - half, x + half, y + half], box: fresh() });
  }

  function fresh() {
    const id = `h${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    state.selected = id;
    return id;
  }

  attachMouse({ root, surface, state, input, get view() { return view; }, set view(v) { view = v; }, get canvas() { return canvas; },
    set pointer(at) { pointer = at; }, panel, act, select, addBox, fresh, plan });
  attachKeys({ root, state, input, help, past: past.element, toggleHistory, get view() { return view; }, set view(v) { view = v; }, get canvas() { return canvas; }, get pointer() { return pointer; },
    model, act, decide, go, finish, fit, fitBoxes, selectStep, select, setThreshold, setGamma, toggleHelp, toggleSplit, addBox, refresh, plan, say, span: high - low });

  const watcher = new ResizeObserver(resize);
  watcher.observe(surface.parentElement);
  model.on("msg:custom", receive);
  model.on("change:threshold", refresh);
  try { model.send({ kind: "ready" }); } catch { say("The kernel is gone: run the cell again.", true); }
  return () => { watcher.disconnect(); model.off("msg:custom", receive); model.off("change:threshold", refresh); };
}

export default { render };
