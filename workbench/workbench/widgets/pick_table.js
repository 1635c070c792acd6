// A table of configurations in which one row is picked, by click or by arrow keys.

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "wb-table";
  root.tabIndex = 0;
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  el.append(root);

  function pick(row) {
    const last = model.get("rows").length - 1;
    if (last < 0) return;
    model.set("picked", Math.min(Math.max(row, 0), last));
    model.save_changes();
  }

  function draw() {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of model.get("columns")) {
      const cell = document.createElement("th");
      // Long names wrap after an underscore, so that many columns fit.
      name.split(/(?<=_)/).forEach((part, i) => cell.append(...(i ? [document.createElement("wbr")] : []), part));
      cell.title = name;
      head.append(cell);
    }
    const body = table.createTBody();
    model.get("rows").forEach((values, index) => {
      const row = body.insertRow();
      row.className = index === model.get("picked") ? "wb-picked" : "";
      row.onclick = () => pick(index);
      for (const value of values) row.insertCell().textContent = value;
    });
    root.replaceChildren(table);
  }

  root.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      pick(model.get("picked") + step);
      event.preventDefault();
    }
    event.stopPropagation();
  });
  for (const name of ["columns", "rows", "picked"]) model.on(`change:${name}`, draw);
  draw();
}

export default { render };
