"""Three networks trained at a button's press in JupyterLab: cancelled, gone on with, finished."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_page import SECOND, run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page
    from workbench.lab import Lab

MINUTES = 180 * SECOND  # as the notebook promises for parity on a CPU


def button(page: Page, name: str) -> Locator:
    """Return the panel's button; its icon is part of its accessible name."""
    return page.locator("button.jupyter-button").filter(has_text=re.compile(f"^{name}$"))


def test_training_is_cancelled_resumed_and_finished(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/22_state_tracking.ipynb")
    train = button(page, "Train")
    cancel = button(page, "Cancel")
    train.scroll_into_view_if_needed()
    expect(cancel).to_be_disabled()
    train.click()
    expect(page.get_by_text(re.compile(r"lstm: step \d+ of 800"))).to_be_visible()
    cancel.click()
    cancelled = page.get_by_text(re.compile(r"cancelled after (\d+) of 2,400 steps"))
    expect(cancelled).to_be_visible()
    before = notebook.ask("panel.session.steps[0]")
    assert isinstance(before, int)
    assert 0 < before < 2400
    notebook.shot("states-cancelled")

    button(page, "Resume").click()
    expect(page.get_by_text("done", exact=True)).to_be_visible(timeout=MINUTES)
    lines = "[len(line.x) for line in panel.length.data]"
    assert notebook.ask(lines) == [64, 64, 64]
    steps = notebook.ask("[rows[-1]['step'] for rows in panel.session.curves.values()]")
    assert steps == [800, 800, 800]
    beyond = notebook.ask("[sum(one[16:]) / 48 for one in panel.session.accuracy.values()]")
    assert isinstance(beyond, list)
    lstm, slstm, transformer = beyond
    assert lstm > 0.99
    assert slstm > 0.99
    assert transformer < 0.6
    curve = page.locator(".js-plotly-plot").filter(has_text="measured here").first
    curve.scroll_into_view_if_needed()
    notebook.shot("states-done")

    button(page, "Start again").click()
    expect(button(page, "Train")).to_be_enabled()
    assert notebook.ask("[p.name for p in panel.folder.iterdir()]") == []
    assert not notebook.errors()
