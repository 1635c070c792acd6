// A page of thumbnails. Python filters, sorts and cuts the sheets; here those in sight are drawn.

const CELL = 88; // screen pixels of a thumbnail with its margin
const MARGIN = 3;
const KEPT = 15; // decoded sheets, 4 MB each: the page on the screen, the next and the one before
const COLOURS = ["#56b4e9", "#17c495", "#ff7a33", "#ffffff"]; // pending, accepted, rejected, catalogue

function render({ model, el }) {
  const make = (kind, attributes = {}, ...children) => {
    const element = document.createElement(kind);
    Object.entries(attributes).forEach(([name, value]) => { if (name.startsWith("on")) element[name] = value; else element.setAttribute(name, value); });
    element.append(...children);
    return element;
  };
  let page = null, chosen = 0, columns = 1, painting = 0;
  const sheets = new Map(); // by key, the one used last at the end

  const condition = make("input", { type: "text", class: "cg-condition", "aria-label": "condition", placeholder: "condition, such as boxes >= 3 and not done", value: model.get("condition"), spellcheck: "false" });
  const order = make("select", { class: "cg-order", "aria-label": "order" }, ...model.get("orders").map(([name, text]) => make("option", { value: name }, text)));
  order.value = model.get("order");
  const back = make("button", { type: "button", "aria-label": "previous page", onclick: () => ask(page.page - 1) }, "◀");
  const forth = make("button", { type: "button", "aria-label": "next page", onclick: () => ask(page.page + 1) }, "▶");
  const count = make("span", { class: "cg-count", role: "status", "aria-live": "polite" });
  const error = make("div", { class: "cg-error", role: "alert" });
  const surface = make("canvas", { class: "cg-canvas" }), length = make("div", { class: "cg-length" });
  const scroll = make("div", { class: "cg-scroll", tabindex: "0", role: "application", "aria-label": "galaxies; arrows move, Enter opens", style: `height:${model.get("height")}px` }, surface, length);
  const root = make("div", { class: "cg-root", "data-lm-suppress-shortcuts": "true" },
    make("div", { class: "cg-bar" }, condition, order, back, forth, count, error), scroll);
  el.append(root);
  const pen = surface.getContext("2d", { alpha: false });

  const send = (message) => {
    try { model.send(message); } catch { error.textContent = "The kernel is gone: run the cell again."; }
  };
  let asked = 0, held = new Map(); // what Python was told that we have: it will not be sent
  function ask(number) {
    asked = performance.now();
    held = new Map(sheets);
    error.textContent = "";
    send({ kind: "show", condition: condition.value, order: order.value, page: number, have: [...held.keys()] });
  }

  // The canvas is as large as the window onto the page and stays in it: it costs the same for any page.
  function layout() {
    if (!page) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 2), width = scroll.clientWidth, height = scroll.clientHeight;
    columns = Math.max(1, Math.floor(width / CELL));
    Object.assign(surface, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    Object.assign(surface.style, { width: `${width}px`, height: `${height}px`, marginBottom: `${-height}px` });
    length.style.height = `${Math.ceil(page.count / columns) * CELL}px`;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw();
  }

  function draw() {
    cancelAnimationFrame(painting);
    painting = 0;
    const top = scroll.scrollTop, bottom = top + scroll.clientHeight;
    pen.fillStyle = "#161616";
    pen.fillRect(0, 0, scroll.clientWidth, scroll.clientHeight);
    const last = Math.min(page.count, Math.ceil(bottom / CELL) * columns);
    for (let k = Math.floor(top / CELL) * columns; k < last; k++) drawItem(k, top);
  }

  function paint() { painting ||= requestAnimationFrame(draw); }

  function drawItem(k, top) {
    const item = page.items[k], { side } = page, inner = CELL - 2 * MARGIN;
    const sheet = page.sheets[Math.floor(k / page.sheet)], place = k % page.sheet;
    if (!item || !sheet) return;
    const x = (k % columns) * CELL, y = Math.floor(k / columns) * CELL - top;
    pen.drawImage(sheet, (place % page.columns) * side, Math.floor(place / page.columns) * side, side, side, x + MARGIN, y + MARGIN, inner, inner);
    for (const [x1, y1, x2, y2, code] of item.boxes) {
      pen.setLineDash(code >= 2 ? [2, 2] : []);
      pen.strokeStyle = COLOURS[code];
      pen.lineWidth = code === 3 ? 0.8 : 1.2;
      pen.strokeRect(x + MARGIN + x1 * inner, y + MARGIN + y1 * inner, (x2 - x1) * inner, (y2 - y1) * inner);
    }
    pen.setLineDash([]);
    if (item.done) {
      pen.fillStyle = "rgba(0, 0, 0, 0.6)";
      pen.fillRect(x + CELL - MARGIN - 18, y + MARGIN, 18, 18);
      pen.fillStyle = "#17c495";
      pen.font = "bold 14px system-ui, sans-serif";
      pen.fillText("✓", x + CELL - MARGIN - 15, y + MARGIN + 14);
    }
    if (item.name === page.current || k === chosen) {
      pen.strokeStyle = k === chosen ? "#f0e442" : "#ffffff";
      pen.lineWidth = 2;
      pen.strokeRect(x + 1.5, y + 1.5, CELL - 3, CELL - 3);
    }
  }

  function tell() {
    const last = page.first + page.count;
    const range = page.count ? `${(page.first + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ` : "";
    const all = page.total === page.all ? "" : ` (${page.all.toLocaleString("en")} in all)`;
    count.textContent = `${range}${page.total.toLocaleString("en")}${all} · done ${page.progress}`;
    back.disabled = page.page === 0;
    forth.disabled = page.page + 1 >= page.pages;
    Object.assign(root.dataset, { total: page.total, items: page.count, page: page.page, order: page.order });
  }

  async function receive(message, buffers) {
    if (message.kind === "error") { error.textContent = message.message; root.dataset.error = message.message; return; }
    if (message.kind === "item" && page) {
      const place = (name) => page.items.findIndex((item) => item?.name === name), [item] = unpack(message, buffers[0]);
      const before = place(page.current), k = place(item.name);
      page.progress = message.progress;
      page.current = message.current;
      if (k >= 0) page.items[k] = item;
      tell();
      const now = place(page.current);
      paint();
      if (now >= 0 && now !== before) choose(now, false); // the gallery follows the overlay
    }
    if (message.kind === "page") start(message);
    if (message.kind === "sheet" && page && message.serial === page.serial) await fill(message, buffers);
    if (message.kind === "ahead") await keep(message.key, buffers[0]);
  }

  async function keep(key, jpeg) {
    const bitmap = sheets.get(key) || held.get(key) || await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    sheets.delete(key);
    sheets.set(key, bitmap);
    if (sheets.size > KEPT) sheets.delete(sheets.keys().next().value);
    root.dataset.held = sheets.size;
    return bitmap;
  }

  function start(message) {
    page = { ...message, items: new Array(message.count), sheets: [], left: Math.ceil(message.count / message.sheet) };
    chosen = 0;
    error.textContent = "";
    delete root.dataset.error;
    if (document.activeElement !== condition) condition.value = page.condition;
    order.value = page.order;
    scroll.scrollTop = 0;
    tell();
    layout();
    if (page.left === 0) finish();
  }

  // Boxes come as rows of five floats: x1, y1, x2, y2 as parts of the picture, code.
  function unpack(message, view) {
    const table = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    let row = 0;
    return message.names.map((name, k) => {
      const boxes = Array.from({ length: message.numbers[k] }, () => table.subarray(5 * row, 5 * ++row));
      return { name, done: message.done[k], boxes };
    });
  }

  async function fill(message, [jpeg, boxes]) {
    const mine = page, bitmap = await keep(message.key, jpeg);
    if (page !== mine) return; // another page was asked for meanwhile
    page.sheets[message.number] = bitmap;
    unpack(message, boxes).forEach((item, k) => { page.items[message.number * page.sheet + k] = item; });
    if (message.number === 0) draw();
    else paint();
    if (message.number === 0 && asked) root.dataset.firstMs = (performance.now() - asked).toFixed(0);
    if (--page.left === 0) finish();
  }

  function finish() {
    send({ kind: "ahead", have: [...sheets.keys()] });
    Object.assign(root.dataset, { pageMs: asked ? (performance.now() - asked).toFixed(0) : "", ready: Number(root.dataset.ready || 0) + 1 });
    asked = 0;
  }

  function choose(k, open) {
    if (!page || !page.items[k]) return;
    chosen = k;
    paint();
    const top = Math.floor(k / columns) * CELL;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    if (top + CELL > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + CELL - scroll.clientHeight;
    scroll.setAttribute("aria-label", `${page.items[k].name}${page.items[k].done ? ", done" : ""}; arrows move, Enter opens`);
    if (open) send({ kind: "open", name: page.items[k].name });
  }

  function under(event) {
    const box = surface.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / CELL), row = Math.floor((event.clientY - box.top + scroll.scrollTop) / CELL);
    return column < columns ? row * columns + column : -1;
  }
  surface.addEventListener("click", (event) => {
    const k = under(event);
    if (k >= 0) choose(k, true);
  });
  surface.addEventListener("pointermove", (event) => {
    surface.title = page?.items[under(event)]?.name || "";
  });
  scroll.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (event.key in steps) choose(chosen + steps[event.key], false);
    else if (event.key === "Enter") choose(chosen, true);
    else if (event.key === "PageDown" && !forth.disabled) ask(page.page + 1);
    else if (event.key === "PageUp" && !back.disabled) ask(page.page - 1);
    else return;
    event.preventDefault();
  });
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.target === condition && event.key === "Enter") ask(0);
  });
  order.addEventListener("change", () => ask(0));

  scroll.addEventListener("scroll", paint);
  const watcher = new ResizeObserver(layout);
  watcher.observe(scroll);
  model.on("msg:custom", receive);
  send({ kind: "ready" });
  return () => { watcher.disconnect(); model.off("msg:custom", receive); };
}

export default { render };
