// plotly once a page, however many figures it has, and on its way while the figures start: the
// widget manager waits two seconds for a model, and never shows one that took longer.

const PLOTLY = Symbol.for("flashclump.plotly");
const PATIENCE_MS = 20_000; // a page that is loaded again brings its models back in any order

async function modelOf(manager, id) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await manager.get_model(id);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function load(model) {
  const library = await modelOf(model.widget_manager, model.get("_library"));
  const script = new Blob([library.get("script")], { type: "text/javascript" });
  const url = URL.createObjectURL(script);
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function plotly(model) {
  globalThis[PLOTLY] ??= load(model).catch((error) => {
    delete globalThis[PLOTLY]; // the next figure tries again
    throw error;
  });
  return globalThis[PLOTLY];
}

export default () => {
  let figure;
  return {
    initialize({ model }) {
      const told = []; // what Python says until plotly listens
      const hears = model.get("_messages").map((name) => {
        const hear = () => told.push([name, model.get(name)]);
        model.on(`change:${name}`, hear);
        return [`change:${name}`, hear];
      });
      figure = plotly(model).then((make) => {
        for (const [event, hear] of hears) model.off(event, hear);
        const made = make();
        made.initialize({ model });
        for (const [name, message] of told) model.set(name, message);
        return made;
      });
      figure.catch(() => {}); // `render` says it
    },
    async render({ model, el }) {
      return (await figure).render({ model, el });
    },
  };
};
