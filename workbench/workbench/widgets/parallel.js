// Parallel coordinates on a canvas. Python decides what is drawn and what a brush means; this file
// only draws lines between positions in [0, 1] and reports the intervals that were dragged.

const TOP = 46, BOTTOM = 14, SIDE = 44, GRAB = 16, CLICK = 4;
const RAMPS = {
  light: [[176, 196, 222], [66, 133, 200], [8, 48, 107]],
  dark: [[52, 74, 102], [79, 155, 217], [198, 240, 255]],
};

function shadeColour(ramp, t, alpha) {
  const x = Math.min(Math.max(t, 0), 1) * 2;
  const low = ramp[Math.floor(Math.min(x, 1.999))];
  const high = ramp[Math.floor(Math.min(x, 1.999)) + 1];
  const f = x - Math.floor(Math.min(x, 1.999));
  const mix = low.map((c, i) => Math.round(c + (high[i] - c) * f));
  return `rgba(${mix.join(",")},${alpha})`;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "wb-parallel";
  root.tabIndex = 0;
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  const canvas = document.createElement("canvas");
  root.append(canvas);
  el.append(root);
  const pen = canvas.getContext("2d");

  let scene = { axes: [], count: 0 };
  let rows = new Float32Array(0);
  let shade = new Float32Array(0);
  let brushes = {};
  let drag = null;
  let queued = false;

  const width = () => root.clientWidth;
  const height = () => model.get("height");
  const axisX = (i) => SIDE + (scene.axes.length < 2 ? 0.5 : i / (scene.axes.length - 1)) * (width() - 2 * SIDE);
  const toY = (t) => TOP + (1 - t) * (height() - TOP - BOTTOM);
  const toT = (y) => Math.min(Math.max(1 - (y - TOP) / (height() - TOP - BOTTOM), 0), 1);
  const style = (name, fallback) => getComputedStyle(root).getPropertyValue(name).trim() || fallback;

  function read() {
    scene = model.get("scene");
    const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    rows = scene.rows ? floats(scene.rows) : new Float32Array(0);
    shade = scene.shade ? floats(scene.shade) : new Float32Array(0);
    brushes = { ...(model.get("brushes") ?? {}) };
  }

  function inside(row) {
    const n = scene.axes.length;
    for (let i = 0; i < n; i++) {
      const brush = brushes[scene.axes[i].name];
      if (brush && (rows[row * n + i] < brush[0] - 1e-5 || rows[row * n + i] > brush[1] + 1e-5)) return false;
    }
    return true;
  }

  function trace(values, start) {
    pen.beginPath();
    for (let i = 0; i < scene.axes.length; i++) pen.lineTo(axisX(i), toY(values[start + i]));
    pen.stroke();
  }

  function drawLines(light) {
    const n = scene.axes.length;
    const ramp = light ? RAMPS.light : RAMPS.dark;
    const total = shade.length;
    const alpha = Math.min(0.75, Math.max(0.10, 60 / Math.max(total, 1)));
    const kept = [];
    pen.lineWidth = 1;
    pen.strokeStyle = light ? "rgba(120,120,120,0.05)" : "rgba(170,170,170,0.06)";
    for (let r = 0; r < total; r++) inside(r) ? kept.push(r) : trace(rows, r * n);
    for (const r of kept) {
      pen.strokeStyle = shadeColour(ramp, shade[r], alpha);
      trace(rows, r * n);
    }
    if (scene.picked?.length) {
      pen.lineWidth = 2.5;
      pen.strokeStyle = light ? "#d9600a" : "#ffb454";
      trace(scene.picked, 0);
    }
    return kept.length;
  }

  function drawAxes(light) {
    const ink = style("--jp-ui-font-color1", "#222");
    const faint = style("--jp-ui-font-color2", "#666");
    const paper = style("--jp-layout-color0", "#fff");
    const accent = light ? "#d9600a" : "#ffb454";
    const family = style("--jp-ui-font-family", "sans-serif");
    pen.lineJoin = "round";
    const written = (text, x, y) => {
      pen.lineWidth = 3;
      pen.strokeStyle = paper;
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    };
    scene.axes.forEach((axis, i) => {
      const x = axisX(i);
      pen.strokeStyle = faint;
      pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(x, toY(0)); pen.lineTo(x, toY(1)); pen.stroke();
      pen.font = `10px ${family}`;
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      pen.fillStyle = faint;
      for (const [t, label] of axis.ticks) written(label, x - 4, toY(t));
      pen.fillStyle = ink;
      pen.font = `600 11px ${family}`;
      pen.textAlign = "center";
      // Long names alternate between two lines, so that neighbours stay apart.
      const room = scene.axes.length < 2 ? width() : (width() - 2 * SIDE) / (scene.axes.length - 1);
      const crowded = scene.axes.some((a) => pen.measureText(a.name).width > room - 8);
      const most = crowded ? 2 * room - 6 : undefined;
      const half = Math.min(pen.measureText(axis.name).width, most ?? Infinity) / 2;
      const middle = Math.min(Math.max(x, half), width() - half);  // the outer names stay inside
      pen.fillText(axis.name, middle, crowded && i % 2 ? 14 : 30, most);
      const brush = brushes[axis.name];
      if (brush) {
        pen.fillStyle = accent;
        pen.globalAlpha = 0.35;
        pen.fillRect(x - 6, toY(brush[1]) - 4, 12, toY(brush[0]) - toY(brush[1]) + 8);
        pen.globalAlpha = 1;
        pen.strokeStyle = accent;
        pen.lineWidth = 1.5;
        pen.strokeRect(x - 6, toY(brush[1]) - 4, 12, toY(brush[0]) - toY(brush[1]) + 8);
      }
    });
  }

  function draw() {
    queued = false;
    if (!root.clientWidth) return;  // hidden: the observer of its size draws it when it is shown
    const ratio = window.devicePixelRatio || 1;
    const w = width(), h = height();
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
      canvas.style.width = `${w}px`;
      canvas.style.height = `${h}px`;
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    const light = document.body.dataset.jpThemeLight !== "false";
    const kept = drawLines(light);
    drawAxes(light);
    if (!shade.length) {
      pen.fillStyle = style("--jp-ui-font-color2", "#666");
      pen.font = `14px ${style("--jp-ui-font-family", "sans-serif")}`;
      pen.textAlign = "center";
      pen.fillText("no configuration is left", w / 2, h / 2);
    }
    root.setAttribute("role", "img");
    root.setAttribute("aria-label", model.get("caption"));
    Object.assign(root.dataset, { lines: shade.length, kept, version: scene.version ?? 0 });
  }

  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const axisAt = (x) => scene.axes.findIndex((_, i) => Math.abs(axisX(i) - x) <= GRAB);

  function nearest(x, y) {
    const n = scene.axes.length;
    let left = 0;
    while (left < n - 2 && axisX(left + 1) < x) left++;
    const f = (x - axisX(left)) / (axisX(left + 1) - axisX(left));
    let best = -1, gap = 8;
    for (let r = 0; r < shade.length; r++) {
      if (!inside(r)) continue;
      const t = rows[r * n + left] * (1 - f) + rows[r * n + left + 1] * f;
      const far = Math.abs(toY(t) - y);
      if (far < gap) { gap = far; best = r; }
    }
    return best;
  }

  function report() {
    model.set("brushes", { ...brushes });
    model.save_changes();
  }

  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = at(event);
    root.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    drag = { axis: axisAt(x), x, y, from: toT(y), moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    canvas.style.cursor = (drag ? drag.axis : axisAt(x)) >= 0 ? "ns-resize" : "pointer";
    if (!drag || drag.axis < 0) return;
    drag.moved ||= Math.abs(y - drag.y) > CLICK;
    if (!drag.moved) return;
    brushes[scene.axes[drag.axis].name] = [Math.min(drag.from, toT(y)), Math.max(drag.from, toT(y))];
    redraw();
  });
  canvas.addEventListener("pointerup", () => {
    const done = drag;
    drag = null;
    if (!done) return;
    if (done.axis >= 0) {
      if (!done.moved) delete brushes[scene.axes[done.axis].name];
      report();
      redraw();
    } else {
      const row = nearest(done.x, done.y);
      if (row >= 0) {
        model.set("clicked", { row, version: scene.version });
        model.save_changes();
      }
    }
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && Object.keys(brushes).length) {
      brushes = {};
      report();
      redraw();
      event.preventDefault();
    }
    event.stopPropagation();
  });

  const changed = () => { read(); redraw(); };
  model.on("change:scene", changed);
  model.on("change:brushes", changed);
  const sized = new ResizeObserver(redraw);
  sized.observe(root);
  // A theme's colours, and for a moment the layout, arrive after the attribute that announces it.
  const themed = new MutationObserver(() => [0, 300, 1500].forEach((wait) => setTimeout(redraw, wait)));
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  changed();
  return () => { sized.disconnect(); themed.disconnect(); };
}

export default { render };
