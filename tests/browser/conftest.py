"""JupyterLab on a copy of the notebooks, and a Chromium to look at it with."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from workbench.lab import Lab, start_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
SHOTS = Path(__file__).parent / ".shots"
SECOND = 1_000
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

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

    def errors(self) -> list[str]:
        """Return the error outputs on the page."""
        kinds = ("application/vnd.jupyter.stderr", "application/vnd.jupyter.error")
        selector = ", ".join(f"[data-mime-type='{kind}']" for kind in kinds)
        return self.page.locator(selector).all_inner_texts()

    def shot(self, name: str) -> Path:
        """Save what the window shows."""
        SHOTS.mkdir(exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def theme(self, name: str) -> None:
        """Switch JupyterLab to one of its themes, "JupyterLab Light" or "JupyterLab Dark"."""
        command = (
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
        )
        self.page.evaluate(command, name)
        light = "true" if name.endswith("Light") else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", timeout=20 * SECOND)


def run_notebook(page: Page, lab: Lab, notebook: str) -> Notebook:
    """Open a notebook, wait for its kernel, run every cell and wait for the last one."""
    page.goto(f"{lab.page(notebook)}&reset", timeout=60 * SECOND)
    idle = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
    page.wait_for_selector(".jp-NotebookPanel .jp-Notebook", timeout=60 * SECOND)
    page.wait_for_selector(idle, timeout=60 * SECOND)
    assert page.evaluate(_KERNEL_READY), "the kernel never answered"
    page.evaluate(_RUN_ALL)
    page.wait_for_function(_ALL_RAN, timeout=60 * SECOND)
    page.wait_for_selector(idle, timeout=60 * SECOND)
    return Notebook(page)


def find_chromium() -> str | None:
    """Return the Chromium to use: $CHROMIUM, one on the path, or None for Playwright's own."""
    named = os.environ.get("CHROMIUM")
    found = (shutil.which(name) for name in ([named] if named else _PROGRAMS))
    return next((path for path in found if path), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    arguments = ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    if os.geteuid() == 0:  # Chromium's sandbox refuses to run as root
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        program = find_chromium()
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")  # a copy: JupyterLab saves by itself
    ignored = shutil.ignore_patterns(".ipynb_checkpoints")
    shutil.copytree(REPOSITORY / "notebooks", root / "notebooks", ignore=ignored)
    with start_lab(root) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(15 * SECOND)
    yield opened
    context.close()
