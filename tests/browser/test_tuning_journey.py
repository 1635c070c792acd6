"""A launch looked at, moved and told by its point, in JupyterLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_page import run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from workbench.lab import Lab


def test_a_launch_is_picked_and_a_point_names_its_own(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/12_tune_a_kernel.ipynb")
    tuner = page.locator(".wb-tuner")
    tuner.scroll_into_view_if_needed()
    # the notebook's last cells moved the sliders: a head of 2,048 units on an A100
    expect(tuner.get_by_text(re.compile(r"group of \d+ blocks of \d+ threads"))).to_be_visible()
    notebook.shot("tuner-grid")

    notebook.ask("tuner.explorer.set(gpu='H200', strategy='cluster', head_dim=256, heads=3)")
    expect(tuner.get_by_text(re.compile(r"group of 8 blocks.*of 132 multi"))).to_be_visible()
    row = tuner.locator("table tbody tr").nth(1)
    row.click()
    second = notebook.ask("tuner.explorer.best[1] == tuner.explorer.selection")
    assert second is True

    figure = tuner.locator(".js-plotly-plot")
    figure.scroll_into_view_if_needed()
    expect(tuner.get_by_text(re.compile(r"718 launches of 50 calls, recorded on"))).to_be_visible()
    place = _slowest_point(page)
    page.mouse.move(*place)
    page.mouse.click(*place)
    told = tuner.get_by_text(re.compile(r"predicted [\d,]+ ns a step, measured [\d,]+ ns"))
    expect(told).to_be_visible()
    notebook.shot("tuner-point")
    assert not notebook.errors()


def _slowest_point(page: Page) -> tuple[float, float]:
    """Return where on the screen the slowest launch's point is: it lies apart from the others."""
    found = page.evaluate(
        """() => {
          const plot = document.querySelector('.wb-tuner .js-plotly-plot');
          const points = plot.querySelectorAll('.scatterlayer .trace:first-child .points path');
          const boxes = [...points].map(point => point.getBoundingClientRect());
          const slowest = boxes.reduce((a, b) => a.top < b.top ? a : b);
          return [slowest.left + slowest.width / 2, slowest.top + slowest.height / 2];
        }"""
    )
    return float(found[0]), float(found[1])
