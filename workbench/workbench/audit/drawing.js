// How things look on the picture. Colours are those of Okabe and Ito (2008), told apart by colour-blind
// readers; line, mark and shape say the same once more, so that colour is never needed.

const STYLE = {
  pending: { colour: "#56b4e9", dash: [], mark: "" },
  accepted: { colour: "#17c495", dash: [], mark: "✓" },
  rejected: { colour: "#ff7a33", dash: [5, 4], mark: "✕" },
  truth: { colour: "#ffffff", dash: [2, 3], mark: "" },
  other: { colour: "#f0e442", dash: [8, 3, 2, 3], mark: "" },
};
const SELECTED = "#ffffff";
const HALO = "rgba(0, 0, 0, 0.75)";

function styleOf(box) {
  if (box.source === "truth" && box.status === "pending") return STYLE.truth;
  return STYLE[box.status];
}

function brighten(bitmap, gamma) {
  const copy = new OffscreenCanvas(bitmap.width, bitmap.height);
  const pen = copy.getContext("2d", { willReadFrequently: gamma !== 1 });
  pen.drawImage(bitmap, 0, 0);
  if (gamma === 1) return copy;
  const pixels = pen.getImageData(0, 0, bitmap.width, bitmap.height);
  const table = Uint8ClampedArray.from({ length: 256 }, (_, k) => 255 * (k / 255) ** (1 / gamma));
  const data = pixels.data;
  for (let k = 0; k < data.length; k += 4) {
    data[k] = table[data[k]]; data[k + 1] = table[data[k + 1]]; data[k + 2] = table[data[k + 2]];
  }
  pen.putImageData(pixels, 0, 0);
  return copy;
}

function drawPicture(pen, canvas, view, shown, scene) {
  pen.fillStyle = "#101010";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const [left, top] = toScreen(view, canvas, -0.5, -0.5);
  pen.imageSmoothingEnabled = view.zoom < 3; // pixels are to be seen as pixels when they are large
  if (shown) pen.drawImage(shown, left, top, scene.width * view.zoom, scene.height * view.zoom);
}

function drawBox(pen, canvas, view, box, look) {
  const [ax, ay] = toScreen(view, canvas, box.x1, box.y1);
  const [bx, by] = toScreen(view, canvas, box.x2, box.y2);
  const outline = () => {
    pen.beginPath();
    if (look.round) pen.ellipse((ax + bx) / 2, (ay + by) / 2, (bx - ax) / 2, (by - ay) / 2, 0, 0, 2 * Math.PI);
    else pen.rect(ax, ay, bx - ax, by - ay);
    const inset = Math.min(3.5, (bx - ax) / 5, (by - ay) / 5);
    if (box.label === 2 && !look.round) pen.rect(ax + inset, ay + inset, bx - ax - 2 * inset, by - ay - 2 * inset);
    pen.stroke();
  };
  pen.setLineDash([]);
  pen.strokeStyle = HALO;
  pen.lineWidth = look.width + 2;
  outline();
  pen.setLineDash(look.dash);
  pen.strokeStyle = look.colour;
  pen.lineWidth = look.width;
  outline();
  pen.setLineDash([]);
  if (look.tag) drawText(pen, look.tag, ax, ay - 4, look.colour);
}

function drawText(pen, text, x, y, colour) {
  pen.font = "600 11px system-ui, sans-serif";
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  pen.strokeStyle = HALO;
  pen.strokeText(text, x, y);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function drawSelection(pen, canvas, view, box) {
  const [ax, ay] = toScreen(view, canvas, box.x1, box.y1);
  const [bx, by] = toScreen(view, canvas, box.x2, box.y2);
  const mx = (ax + bx) / 2, my = (ay + by) / 2;
  const small = Math.min(bx - ax, by - ay) < 34, half = small ? 2 : 3;
  for (const x of [ax, mx, bx]) {
    for (const y of [ay, my, by]) {
      const corner = x !== mx && y !== my, middle = x === mx && y === my;
      if (middle || (small && !corner)) continue;
      pen.fillStyle = "#000";
      pen.fillRect(x - half - 1, y - half - 1, 2 * half + 2, 2 * half + 2);
      pen.fillStyle = SELECTED;
      pen.fillRect(x - half, y - half, 2 * half, 2 * half);
    }
  }
}

// What is written over a box: all of it where there is room, else the mark alone.
function tagOf(box, room) {
  const mark = styleOf(box).mark;
  if (!room) return mark;
  const kind = box.label === 2 ? "odd" : "";
  const score = box.source === "detection" && box.score !== null ? box.score.toFixed(2) : "";
  const own = box.source === "human" ? "drawn" : "";
  return [mark, score, own, kind].filter(Boolean).join(" ");
}

function drawCompass(pen, canvas, sky) {
  const { north, east } = compass(sky);
  const x = canvas.width - 46, y = canvas.height - 46, length = 26;
  for (const [[dx, dy], name] of [[north, "N"], [east, "E"]]) {
    for (const [colour, width] of [[HALO, 4], ["#ffffff", 1.5]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(x + dx * length, y + dy * length);
      pen.stroke();
    }
    drawText(pen, name, x + dx * (length + 9) - 4, y + dy * (length + 9) + 4, "#ffffff");
  }
}

function drawScaleBar(pen, canvas, view, scene) {
  const perArcsec = view.zoom / scene.sky.scale;
  const arcsec = roundLength(perArcsec, canvas.width / 4);
  const length = arcsec * perArcsec, x = 16, y = canvas.height - 18;
  for (const [colour, width] of [[HALO, 5], ["#ffffff", 2]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(x, y - 4); pen.lineTo(x, y); pen.lineTo(x + length, y); pen.lineTo(x + length, y - 4);
    pen.stroke();
  }
  const kpc = scene.kpc ? ` · ${(arcsec * scene.kpc).toPrecision(2)} kpc` : "";
  drawText(pen, `${arcsec}″${kpc}`, x, y - 9, "#ffffff");
}

// Everything: one picture, or side by side the two sets over one picture each. `canvas` is what one
// picture has for itself.
function drawAll(pen, canvas, view, state) {
  if (!state.split) { drawOne(pen, canvas, view, state); return; }
  const sides = [["A", { ...state, others: [] }], ["B", { ...state, boxes: [], ghost: null }]];
  sides.forEach(([name, side], k) => {
    pen.save();
    pen.translate(k * canvas.width, 0);
    pen.beginPath();
    pen.rect(0, 0, canvas.width - 1, canvas.height);
    pen.clip();
    drawOne(pen, canvas, view, side);
    drawText(pen, name, 10, 20, k ? STYLE.other.colour : STYLE.pending.colour);
    pen.restore();
  });
}

// `boxes` are those to be seen; `ghost` is a box being dragged or drawn.
function drawOne(pen, canvas, view, state) {
  const { scene } = state;
  drawPicture(pen, canvas, view, state.shown, scene);
  const first = new Set(scene.only_first), second = new Set(scene.only_second);
  if (state.marks) {
    for (const box of state.others) {
      const odd = second.has(box.id);
      drawBox(pen, canvas, view, box, { ...STYLE.other, width: odd ? 3 : 1.2, tag: odd ? "only B" : "" });
    }
    for (const box of state.boxes) {
      if (state.ghost && state.ghost.id === box.id) continue;
      const style = styleOf(box), lone = first.has(box.id) || second.has(box.id);
      const room = box.id === state.selected || (box.x2 - box.x1) * view.zoom > 28;
      const tag = [tagOf(box, room), scene.compares && first.has(box.id) ? "only A" : ""].filter(Boolean).join(" ");
      drawBox(pen, canvas, view, box, {
        ...style, tag, round: box.source === "truth",
        width: box.id === state.selected ? 2.6 : lone && scene.compares ? 3 : 1.6,
      });
    }
    const chosen = state.boxes.find((box) => box.id === state.selected);
    if (state.ghost) drawBox(pen, canvas, view, state.ghost, { ...STYLE.accepted, dash: [3, 3], width: 2, tag: "" });
    else if (chosen) drawSelection(pen, canvas, view, chosen);
  }
  if (scene.sky) {
    drawCompass(pen, canvas, scene.sky);
    drawScaleBar(pen, canvas, view, scene);
  }
}
