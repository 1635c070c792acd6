"""A notebook in JupyterLab as a browser sees it: run it, ask its kernel, take pictures."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from workbench.lab import Lab

# SCREENSHOTS=docs/images keeps those that the documentation shows.
SHOTS = Path(os.environ.get("SCREENSHOTS") or Path(__file__).parent / ".shots")
SECOND = 1_000

# The idle badge alone is not enough: the kernel must have answered once.
_KERNEL_READY = """async () => {
  const context = window.jupyterapp.shell.currentWidget.context.sessionContext;
  await context.ready;
  for (let attempt = 0; attempt < 30; attempt++) {
    const request = context.session.kernel.requestExecute(
      {code: 'None', silent: true, store_history: false});
    const silence = new Promise(resolve => setTimeout(() => resolve(false), 1000));
    if (await Promise.race([request.done.then(() => true), silence])) return true;
    request.dispose();
  }
  return false;
}"""
_RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
_ALL_RAN = """() => {
  const code = [...document.querySelectorAll('.jp-CodeCell')]
    .filter(cell => cell.querySelector('.cm-content')?.innerText.trim());
  const failed = "[data-mime-type$='jupyter.error'], [data-mime-type$='jupyter.stderr']";
  if (document.querySelector(failed)) return true;  // what comes after does not run
  const prompt = cell => cell.querySelector('.jp-InputPrompt')?.innerText.trim();
  return code.length > 0 && code.every(cell => /^\\[\\d+\\]:$/.test(prompt(cell)));
}"""
_ASK_KERNEL = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const request = kernel.requestExecute({code, silent: false, store_history: false});
  let text = '';
  request.onIOPub = message => {
    if (message.header.msg_type === 'stream') text += message.content.text;
    if (message.header.msg_type === 'error') text += 'ERROR ' + message.content.evalue;
  };
  await request.done;
  return text;
}"""


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook that has run in the browser."""

    page: Page

    def ask(self, expression: str) -> object:
        """Return the value of an expression in the notebook's kernel, by way of JSON."""
        code = f"import json as _json; print(_json.dumps({expression}))"
        answer = str(self.page.evaluate(_ASK_KERNEL, code))
        assert not answer.startswith("ERROR"), f"{expression}: {answer}"
        return json.loads(answer)

    def wait_for(self, expression: str, value: object, seconds: float = 60) -> None:
        """Wait until an expression in the notebook's kernel has a value."""
        deadline = time.monotonic() + seconds
        while (last := self.ask(expression)) != value:
            assert time.monotonic() < deadline, f"{expression}: {last}, not {value}"
            self.page.wait_for_timeout(200)

    def errors(self) -> list[str]:
        """Return the error outputs on the page."""
        kinds = ("application/vnd.jupyter.stderr", "application/vnd.jupyter.error")
        selector = ", ".join(f"[data-mime-type='{kind}']" for kind in kinds)
        return self.page.locator(selector).all_inner_texts()

    def shot(self, name: str) -> Path:
        """Save what the window shows."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def overhang(self, selector: str) -> float:
        """Return by how many pixels the widest of some elements passes its output's right edge."""
        right = """selector => Math.max(...[...document.querySelectorAll(selector)].map(element =>
          element.getBoundingClientRect().right
          - element.closest('.jp-OutputArea-output').getBoundingClientRect().right))"""
        return float(self.page.evaluate(right, selector))

    def theme(self, name: str) -> None:
        """Switch JupyterLab to one of its themes, "JupyterLab Light" or "JupyterLab Dark"."""
        command = (
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
        )
        self.page.evaluate(command, name)
        light = "true" if name.endswith("Light") else "false"
        body = f"body[data-jp-theme-light='{light}']"
        self.page.wait_for_selector(body, state="attached", timeout=20 * SECOND)


def run_notebook(page: Page, lab: Lab, notebook: str, seconds: float = 240) -> Notebook:
    """Open a notebook, wait for its kernel, run every cell and so long for the last one."""
    page.goto(f"{lab.page(notebook)}&reset", timeout=60 * SECOND)
    idle = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
    page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=60 * SECOND)
    page.wait_for_selector(idle, timeout=60 * SECOND)
    assert page.evaluate(_KERNEL_READY), "the kernel never answered"
    page.evaluate(_RUN_ALL)
    page.wait_for_function(_ALL_RAN, timeout=seconds * SECOND)
    page.wait_for_selector(idle, timeout=60 * SECOND)
    ran = Notebook(page)
    errors = ran.errors()
    assert not errors, errors[0]
    return ran
