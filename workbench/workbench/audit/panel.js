// The elements around the canvas: buttons, sliders, what is known of the selected box, the help.

const KEYS = [
  ["Boxes", [
    ["Tab, Shift+Tab", "next, previous box"],
    ["A", "accept"],
    ["R", "reject"],
    ["C", "back to undecided"],
    ["1, 2", "accept as clump, as odd clump"],
    ["B", "new box of 2.5 FWHM at the pointer"],
    ["arrows", "move the selected box by a pixel (Alt: by a quarter)"],
    ["Shift+arrows", "its right and lower edge"],
    ["[ ]", "shrink, grow"],
    ["Delete", "delete"],
    ["Shift+A", "accept every undecided box above the threshold"],
    ["Shift+R", "reject every box that is still undecided"],
    ["Z, Y (also Ctrl)", "undo, redo"],
  ]],
  ["Galaxies", [
    ["Enter", "done, on to the next"],
    ["N, P", "next, previous"],
    ["D", "done, not done"],
    ["L", "what was done here; revert any of it"],
  ]],
  ["View", [
    ["+ −", "zoom"],
    ["arrows", "pan, while no box is selected"],
    ["0, F", "whole picture, all boxes large"],
    ["G, Shift+G", "brighter, darker"],
    [", .", "threshold down, up"],
    ["T", "catalogue on, off"],
    ["O", "other detections on, off"],
    ["S", "the two sets side by side"],
    ["H", "all boxes on, off"],
    ["Escape", "select nothing; once more: leave the widget"],
    ["?", "this help"],
  ]],
  ["Mouse", [
    ["click", "select"],
    ["drag a box, its edge", "move, resize"],
    ["double click", "new box of 2.5 FWHM"],
    ["Shift+drag", "new box of that size"],
    ["drag elsewhere", "pan"],
    ["wheel, pinch", "zoom"],
  ]],
];

function make(kind, attributes = {}, ...children) {
  const element = document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function button(text, title, onclick, name) {
  return make("button", { type: "button", class: "jupyter-button ca-button", title, "aria-label": title, "data-do": name, onclick }, text);
}

function helpPanel(close) {
  const groups = KEYS.map(([title, rows]) => make("div", {},
    make("h4", {}, title),
    make("div", { class: "ca-keys" }, ...rows.flatMap(([key, what]) => [make("b", {}, key), make("span", {}, what)]))));
  return make("div", { class: "ca-help", role: "dialog", "aria-label": "Keys and mouse", hidden: true },
    make("div", { class: "ca-help-columns" }, ...groups),
    button("Close", "close the help (Escape)", close, "close-help"));
}

// The galaxy's actions, the latest first; each can be reverted by itself.
function historyPanel(revert, point, close) {
  const list = make("ol", { class: "ca-history" });
  const element = make("div", { class: "ca-help", role: "dialog", "aria-label": "History", hidden: true },
    make("h4", {}, "What was done to this galaxy"), list, button("Close", "close the history (Escape)", close, "close-history"));
  const show = (rows) => {
    list.replaceChildren(...rows.map((row) => make("li", {},
      make("time", { datetime: row.time, title: row.time }, new Date(row.time).toLocaleTimeString()),
      make("span", {}, row.kind.replace("_", " ")),
      make("code", { onmouseenter: () => point(row.box), onmouseleave: () => point(null) }, row.box || "the galaxy"),
      button("Revert", `put ${row.box ? "this box" : "the galaxy"} back to what it was before`, () => revert(row.seq), `revert-${row.seq}`))));
    if (!rows.length) list.replaceChildren(make("li", {}, "nothing yet"));
  };
  return { element, show };
}

function slider(label, attributes, oninput) {
  const value = make("output", { class: "ca-value" });
  const input = make("input", { type: "range", "aria-label": label, ...attributes, oninput });
  return { row: make("label", { class: "ca-slider" }, make("span", {}, label), input, value), input, value };
}

// How a FITS picture is made: Lupton's Q and stretch (empty: from the noise), and the planes to show.
function stretchPanel(onchange) {
  const field = (name, text, label, attributes) => {
    const input = make("input", { type: "number", "data-stretch": name, "aria-label": label, title: label, onchange, ...attributes });
    return [make("label", {}, text, input), input];
  };
  const fields = [
    field("softening", "Q", "Lupton Q", { min: 0.1, step: 1 }),
    field("stretch", "stretch", "Lupton stretch; empty: from the noise", { min: 0, step: "any", placeholder: "auto" }),
    field("red", "red", "plane shown red, counted from 0", { min: 0, step: 1 }),
    field("green", "green", "plane shown green", { min: 0, step: 1 }),
    field("blue", "blue", "plane shown blue", { min: 0, step: 1 }),
  ];
  const row = make("div", { class: "ca-stretch", hidden: true }, ...fields.map(([label]) => label));
  const inputs = fields.map(([, input]) => input);
  return {
    row,
    read: () => Object.fromEntries(inputs.map((input) => [input.dataset.stretch, input.value === "" ? null : Number(input.value)])),
    show: (stretch) => {
      row.hidden = !stretch;
      if (stretch) for (const input of inputs) if (input !== document.activeElement) input.value = stretch[input.dataset.stretch] ?? "";
    },
  };
}

function makePanel(doIt) {
  const bar = make("div", { class: "ca-bar", role: "toolbar", "aria-label": "audit" },
    button("◀", "previous galaxy (P)", doIt.previous, "previous"),
    button("▶", "next galaxy (N)", doIt.next, "next"),
    button("Done", "done, on to the next (Enter)", doIt.finish, "finish"),
    make("span", { class: "ca-gap" }),
    button("✓ Accept", "accept the selected box (A)", doIt.accept, "accept"),
    button("✕ Reject", "reject the selected box (R)", doIt.reject, "reject"),
    button("Clump", "accept as clump (1)", doIt.clump, "clump"),
    button("Odd", "accept as odd clump (2)", doIt.odd, "odd"),
    button("+ Box", "new box of 2.5 FWHM (B)", doIt.add, "add"),
    button("Delete", "delete the selected box (Delete)", doIt.delete, "delete"),
    make("span", { class: "ca-gap" }),
    button("Undo", "undo (Z)", doIt.undo, "undo"),
    button("Redo", "redo (Y)", doIt.redo, "redo"),
    make("span", { class: "ca-gap" }),
    button("History", "what was done here (L)", doIt.history, "history"),
    button("Fit", "whole picture (0)", doIt.fit, "fit"),
    button("?", "keys and mouse (?)", doIt.help, "help"));
  const threshold = slider("threshold", { class: "ca-threshold" }, doIt.threshold);
  const gamma = slider("brightness", { class: "ca-gamma", min: 0.4, max: 4, step: 0.1, value: 1 }, doIt.gamma);
  const fits = stretchPanel(doIt.stretch);
  const title = make("div", { class: "ca-title" });
  const progress = make("div", { class: "ca-quiet" });
  const counts = make("div", { class: "ca-counts" });
  const facts = make("div", { class: "ca-facts" });
  const cursor = make("div", { class: "ca-cursor" });
  const legend = make("div", { class: "ca-legend" });
  const status = make("div", { class: "ca-status", role: "status", "aria-live": "polite" });
  const side = make("div", { class: "ca-side" }, title, progress, counts, threshold.row, gamma.row, fits.row,
    make("div", { class: "ca-heading" }, "Selected box"), facts,
    make("div", { class: "ca-heading" }, "Pointer"), cursor, legend, status);
  return { bar, side, threshold, gamma, fits, title, progress, counts, facts, cursor, legend, status };
}

function factsOf(box, scene) {
  const side = (box.x2 - box.x1 + box.y2 - box.y1) / 2;
  const wide = (box.x2 - box.x1).toFixed(1), high = (box.y2 - box.y1).toFixed(1);
  const rows = [
    ["is", `${box.label === 2 ? "odd clump" : "clump"}, ${box.status === "pending" ? "undecided" : box.status}`],
    ["from", { detection: "the detector", truth: "the catalogue", human: "an auditor" }[box.source]],
    ["side", `${wide} × ${high} px`],
  ];
  if (scene.sky) rows.push(["", `${(side * scene.sky.scale).toFixed(2)}″`]);
  if (scene.psf) rows.push(["", `${(side / scene.psf).toFixed(2)} FWHM`]);
  if (box.score !== null) rows.push(["score", box.score.toFixed(3)]);
  if (box.flux_ratio !== null) rows.push(["flux ratio", `${(100 * box.flux_ratio).toFixed(2)} % (u)`]);
  const x = (box.x1 + box.x2) / 2, y = (box.y1 + box.y2) / 2;
  rows.push(["centre", `${x.toFixed(1)}, ${y.toFixed(1)}`]);
  if (scene.sky) rows.push(["", sexagesimal(...skyAt(scene.sky, x, y))]);
  return rows;
}

function showFacts(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value]) => [make("span", { class: "ca-name" }, name), make("span", {}, value)]));
}

function showLegend(legend, scene, has) {
  const item = (style, text, round) => make("span", { class: "ca-key" },
    make("i", { style: `border-color:${style.colour};border-style:${style.dash.length ? "dashed" : "solid"};border-radius:${round ? "50%" : "0"}` }), text);
  const items = [item(STYLE.pending, "undecided"), item(STYLE.accepted, "accepted ✓"), item(STYLE.rejected, "rejected ✕")];
  if (has.truth) items.push(item(STYLE.truth, "catalogue", true));
  if (scene.compares) items.push(item(STYLE.other, "other detections"));
  items.push(make("span", { class: "ca-key" }, make("i", { class: "ca-double" }), "odd clump"));
  legend.replaceChildren(...items);
}
