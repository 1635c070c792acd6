// Screen, picture and sky. Whole numbers are pixel centres of the picture: its corner is (-0.5, -0.5).

const HANDLE_REACH = 8; // screen pixels around a box's edge that resize it
const RADIAN = Math.PI / 180;

function fitView(canvas, scene) {
  const zoom = Math.min(canvas.width / scene.width, canvas.height / scene.height);
  return { zoom, x: (scene.width - 1) / 2, y: (scene.height - 1) / 2 };
}

function toScreen(view, canvas, x, y) {
  return [canvas.width / 2 + (x - view.x) * view.zoom, canvas.height / 2 + (y - view.y) * view.zoom];
}

function toPicture(view, canvas, sx, sy) {
  return [view.x + (sx - canvas.width / 2) / view.zoom, view.y + (sy - canvas.height / 2) / view.zoom];
}

// Zoom by a factor; the picture's point under (sx, sy) stays there.
function zoomAt(view, canvas, sx, sy, factor) {
  const [px, py] = toPicture(view, canvas, sx, sy);
  const zoom = Math.min(64, Math.max(0.25, view.zoom * factor));
  return { zoom, x: px - (sx - canvas.width / 2) / zoom, y: py - (sy - canvas.height / 2) / zoom };
}

// Which edges of the box the pointer is on: [-1 | 0 | 1, -1 | 0 | 1], or null inside or outside.
function edgesAt(box, view, canvas, sx, sy) {
  const [ax, ay] = toScreen(view, canvas, box.x1, box.y1);
  const [bx, by] = toScreen(view, canvas, box.x2, box.y2);
  const reach = Math.min(HANDLE_REACH, (bx - ax) / 3, (by - ay) / 3);
  if (sx < ax - HANDLE_REACH || sx > bx + HANDLE_REACH || sy < ay - HANDLE_REACH || sy > by + HANDLE_REACH) return null;
  const dx = sx < ax + reach ? -1 : sx > bx - reach ? 1 : 0;
  const dy = sy < ay + reach ? -1 : sy > by - reach ? 1 : 0;
  return dx || dy ? [dx, dy] : null;
}

// The boxes that hold the picture's point, the smallest first, so that none is out of reach behind a
// large one; those of the catalogue, which cannot be moved, come last.
function boxesAt(boxes, x, y) {
  const under = boxes.filter((box) => x >= box.x1 && x <= box.x2 && y >= box.y1 && y <= box.y2);
  const rank = (box) => (box.source === "truth" ? 1e9 : 0) + (box.x2 - box.x1) * (box.y2 - box.y1);
  return under.sort((a, b) => rank(a) - rank(b));
}

// Corners after dragging by (dx, dy) in picture pixels: the whole box, or the edges that were grabbed.
function dragged(box, edges, dx, dy) {
  if (!edges) return [box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy];
  return [
    box.x1 + (edges[0] < 0 ? dx : 0), box.y1 + (edges[1] < 0 ? dy : 0),
    box.x2 + (edges[0] > 0 ? dx : 0), box.y2 + (edges[1] > 0 ? dy : 0),
  ];
}

// Right ascension and declination in degrees: the gnomonic projection undone.
function skyAt(sky, x, y) {
  const dx = x - sky.x, dy = y - sky.y;
  const xi = (sky.cd[0][0] * dx + sky.cd[0][1] * dy) * RADIAN;
  const eta = (sky.cd[1][0] * dx + sky.cd[1][1] * dy) * RADIAN;
  const dec0 = sky.dec * RADIAN;
  const below = Math.cos(dec0) - eta * Math.sin(dec0);
  const ra = sky.ra + Math.atan2(xi, below) / RADIAN;
  const dec = Math.atan2(Math.sin(dec0) + eta * Math.cos(dec0), Math.hypot(xi, below)) / RADIAN;
  return [((ra % 360) + 360) % 360, dec];
}

// Directions of north and east on the screen, of length 1.
function compass(sky) {
  const [[a, b], [c, d]] = sky.cd;
  const det = a * d - b * c;
  const unit = (x, y) => { const n = Math.hypot(x, y); return [x / n, y / n]; };
  return { north: unit(-b / det, a / det), east: unit(d / det, -c / det) };
}

// A round length in arcsec that takes at most `most` screen pixels.
function roundLength(perArcsec, most) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
  return steps.reduce((best, step) => (step * perArcsec <= most ? step : best), steps[0]);
}

function sexagesimal(ra, dec) {
  const part = (value, digits) => {
    const total = Math.round(value * 3600 * 10 ** digits) / 10 ** digits;
    const whole = Math.floor(total / 3600), minutes = Math.floor((total % 3600) / 60);
    const seconds = (total % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    return `${String(whole).padStart(2, "0")}:${String(minutes).padStart(2, "0")}:${seconds}`;
  };
  return `${part(ra / 15, 2)} ${dec < 0 ? "−" : "+"}${part(Math.abs(dec), 1)}`;
}
