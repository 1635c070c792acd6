// Copies a text; says so for a moment. Without leave to use the clipboard it says what to do.

function render({ model, el }) {
  const button = document.createElement("button");
  button.className = "jupyter-button wb-copy";
  button.textContent = "Copy as Python";
  let timer = 0;
  const say = (text) => {
    button.textContent = text;
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = "Copy as Python"; }, 1500);
  };
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(model.get("text"));
      say("Copied");
    } catch {
      say("Press Ctrl+C in the text");
    }
  };
  el.append(button);
}

export default { render };
