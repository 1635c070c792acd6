"""A detector's threshold moved by keyboard in JupyterLab, and what changes with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_page import run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from workbench.lab import Lab


def test_a_threshold_is_moved_pinned_and_compared(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/32_evaluate.ipynb")
    method = page.locator(".widget-dropdown").filter(has_text="method").locator("select")
    method.scroll_into_view_if_needed()
    method.select_option("dog")
    changed = page.locator(".widget-html").filter(has_text="galaxies change")
    expect(changed).to_contain_text(re.compile(r"\b0 of 14 galaxies change"))
    chosen = notebook.ask("panel.state.reference")
    assert chosen == notebook.ask("methods[1].threshold")
    assert notebook.overhang(".widget-image, .widget-vbox .js-plotly-plot") <= 0
    notebook.shot("evaluation-chosen")

    pictures = page.locator(".widget-image")
    before = pictures.nth(0).get_attribute("src")
    slider = page.locator(".widget-slider").filter(has_text="threshold")
    handle = slider.locator(".noUi-handle")
    handle.focus()
    place = notebook.ask("panel.position.value")
    assert isinstance(place, int)
    for _ in range(5):
        handle.press("ArrowLeft")
    notebook.wait_for("panel.position.value", place - 5)
    expect(changed).not_to_contain_text(re.compile(r"\b0 of 14"))
    lower = notebook.ask("panel.state.threshold")
    assert lower < chosen
    # The page shows what the state counts: more found, and more false.
    now, then = notebook.ask("[(s.rates.hits, s.rates.found) for s in "
        "(panel.state, panel.state.moved(panel.state.reference))]")  # fmt: skip
    assert now[0] >= then[0]
    assert now[1] > then[1]
    verdict = page.locator(".widget-html").filter(has_text="completeness").first
    expect(verdict).to_contain_text(f"{now[0]} of ")
    expect(verdict).to_contain_text(f"{now[1] - now[0]} false")
    expect(pictures.nth(0)).not_to_have_attribute("src", str(before))
    false = page.locator(".widget-html").filter(has_text="false, surest first")
    expect(false).to_contain_text(f"{now[1] - now[0]} false")
    notebook.shot("evaluation-lower")

    page.locator("button.jupyter-button").filter(has_text="Compare with this one").click()
    expect(changed).to_contain_text(re.compile(r"\b0 of 14 galaxies change"))
    cut = page.locator(".widget-dropdown").filter(has_text="flux ratio").locator("select")
    cut.select_option(">= 3%")
    expect(changed).to_contain_text(re.compile(r"\b0 of 14"))
    counted = "sum(len(one.counted) for one in panel.scored(1, cut).matches)"
    bright, every = notebook.ask(f"[{counted} for cut in (0.03, 0.0)]")
    assert notebook.ask("panel.state.rates.true") == bright
    assert bright < every
    notebook.theme("JupyterLab Dark")
    notebook.shot("evaluation-dark")
    assert not notebook.errors()
