"""The clump on a slider, moved by keyboard in JupyterLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_page import run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from workbench.lab import Lab


def test_a_clump_fades_as_its_slider_goes_down(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/30_galaxies_and_clumps.ipynb")
    slider = page.locator(".widget-slider").filter(has_text="flux ratio (u)")
    slider.scroll_into_view_if_needed()
    verdict = page.get_by_text(re.compile("of the galaxy's u light raises")).first
    expect(verdict).to_contain_text("3.0%")
    pictures = page.locator(".widget-image")
    before = [pictures.nth(k).get_attribute("src") for k in range(2)]
    notebook.shot("injection-bright")

    handle = slider.locator(".noUi-handle")
    handle.focus()
    for _ in range(10):
        handle.press("ArrowLeft")
    # Ten steps of 0.02 in the logarithm, on the slider's grid from 0.3 % upwards.
    expect(verdict).to_contain_text("1.9%")
    assert notebook.ask("round(explorer.state.flux_ratio, 4)") == 0.0189
    assert pictures.nth(0).get_attribute("src") == before[0]  # the galaxy as it is
    assert pictures.nth(1).get_attribute("src") != before[1]
    assert notebook.ask("explorer.verdict.value == explorer.state.verdict") is True
    notebook.shot("injection-faint")
    assert not notebook.errors()
