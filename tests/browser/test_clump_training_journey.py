"""A detector trained at a button's press in JupyterLab: cancelled, gone on with, looked at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_page import SECOND, run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from jupyter_page import Notebook
    from playwright.sync_api import Locator, Page
    from workbench.lab import Lab

MINUTES = 240 * SECOND
NOTEBOOK = "notebooks/31_train_a_detector.ipynb"


def button(page: Page, name: str) -> Locator:
    """Return the panel's button; its icon is part of its accessible name."""
    return page.locator("button.jupyter-button").filter(has_text=re.compile(f"^{name}$"))


def test_a_detector_is_trained_cancelled_resumed_and_seen_to_learn(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, NOTEBOOK)
    assert notebook.ask("panel.session.plan.options.epochs") == 2
    train, cancel = button(page, "Train"), button(page, "Cancel")
    train.scroll_into_view_if_needed()
    expect(cancel).to_be_disabled()
    assert notebook.overhang(".js-plotly-plot, .widget-image") <= 0
    notebook.shot("training-ready")
    cancels_in_the_second_epoch(page, notebook)
    resumes(page, notebook)
    goes_back_through_the_epochs(page, notebook)
    notebook.theme("JupyterLab Dark")
    train.scroll_into_view_if_needed()
    notebook.shot("training-dark")
    notebook.theme("JupyterLab Light")
    button(page, "Start again").click()
    expect(button(page, "Train")).to_be_enabled()
    assert notebook.ask("panel.session.folder.exists()") is False
    assert not notebook.errors()


def cancels_in_the_second_epoch(page: Page, notebook: Notebook) -> None:
    button(page, "Train").click()
    second = page.get_by_text(re.compile(r"epoch 2 of 2: step \d+ of \d+"))
    expect(second).to_be_visible(timeout=MINUTES)
    button(page, "Cancel").click()
    expect(page.get_by_text("cancelled after 1 of 2 epochs")).to_be_visible()
    assert notebook.ask("[row['epoch'] for row in panel.session.rows]") == [0]
    assert notebook.ask("panel.session.detector.exists()") is False
    assert notebook.ask("list(panel.session.looks)") == [0]
    notebook.shot("training-cancelled")


def resumes(page: Page, notebook: Notebook) -> None:
    button(page, "Resume").click()
    expect(page.get_by_text(re.compile("^done: "))).to_be_visible(timeout=MINUTES)
    assert notebook.ask("[row['epoch'] for row in panel.session.rows]") == [0, 1]
    first, second = notebook.ask("[row['train_loss'] for row in panel.session.rows]")
    assert second < first
    assert notebook.ask("panel.session.detector.exists()") is True
    assert notebook.ask("[list(line.x) for line in panel.live.data]") == [[1, 2]] * 4
    live = page.locator(".js-plotly-plot").filter(has_text="measured here").first
    expect(live.locator("path.point")).to_have_count(8)
    button(page, "Start again").scroll_into_view_if_needed()
    notebook.shot("training-done")


def goes_back_through_the_epochs(page: Page, notebook: Notebook) -> None:
    slider = page.locator(".widget-slider").filter(has_text="epoch")
    expect(slider.locator(".widget-readout")).to_have_text("2")
    picture = page.locator(".widget-image").last
    after = picture.get_attribute("src")
    handle = slider.locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowLeft")
    expect(slider.locator(".widget-readout")).to_have_text("1")
    expect(picture).not_to_have_attribute("src", str(after))
    picture.scroll_into_view_if_needed()
    notebook.shot("training-first-epoch")
