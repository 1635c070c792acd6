"""Figures that Python changes appear on slow machines, as they are by then, and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from jupyter_page import SECOND, run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page
    from workbench.lab import Lab

# A browser that takes four seconds more to import plotly; anywidget gives a model two.
_SLOW = """const address = URL.createObjectURL.bind(URL);
const wait = "await new Promise((resolve) => setTimeout(resolve, 4000));\\n";
URL.createObjectURL = (blob) => address(
  blob.size > 1e6 ? new Blob([wait, blob], { type: blob.type }) : blob);"""
_CELL = """import ipywidgets as w
from workbench.widgets.live_figure import LiveFigure
made = [LiveFigure() for _ in range(3)]
for k, figure in enumerate(made):  # before the page has plotly
    figure.update_layout(title={"text": f"figure {k}"}, height=200)
    figure.add_scatter(x=[1, 2], y=[k, k + 1])
w.VBox(made)"""


def test_figures_appear_where_plotly_takes_long(page: Page, lab: Lab, lab_root: Path) -> None:
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cell = nbformat.v4.new_code_cell(_CELL)
    written = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(written, lab_root / "notebooks" / "live-figures.ipynb")
    page.add_init_script(_SLOW)
    notebook = run_notebook(page, lab, "notebooks/live-figures.ipynb")
    for k in range(3):
        figure = page.locator(".js-plotly-plot").filter(has_text=f"figure {k}")
        expect(figure).to_have_count(1, timeout=60 * SECOND)
        expect(figure.locator(".scatterlayer .trace")).to_have_count(1)
    notebook.ask("[made[0].add_scatter(x=[1, 2], y=[2, 1]) and 0, "
                 "made[1].update_layout(title_text='renamed') and 0]")  # fmt: skip
    first = page.locator(".js-plotly-plot").filter(has_text="figure 0")
    expect(first.locator(".scatterlayer .trace")).to_have_count(2)
    expect(page.locator(".js-plotly-plot").filter(has_text="renamed")).to_have_count(1)
    assert not notebook.errors()

    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.goto(lab.page("notebooks/live-figures.ipynb"), timeout=60 * SECOND)
    expect(page.locator(".js-plotly-plot").filter(has_text="renamed")).to_have_count(
        1, timeout=60 * SECOND
    )
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    expect(first.locator(".scatterlayer .trace")).to_have_count(2)
