"""A sweep timed at a button's press in JupyterLab: cancelled in a case, gone on with, finished."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_page import SECOND, run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page
    from workbench.lab import Lab

MINUTES = 180 * SECOND  # seconds on a quiet machine


def button(page: Page, name: str) -> Locator:
    """Return the panel's button; its icon is part of its accessible name."""
    return page.locator("button.jupyter-button").filter(has_text=re.compile(f"^{name}$"))


def test_a_sweep_is_cancelled_resumed_and_finished(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/21_benchmark.ipynb")
    start, cancel = button(page, "Start"), button(page, "Cancel")
    start.scroll_into_view_if_needed()
    expect(cancel).to_be_disabled()
    start.click()
    working = page.get_by_text(re.compile(r"^\d+ of \d+ cases, \d+ s left"))
    expect(working).to_be_visible(timeout=60 * SECOND)
    cancel.click()
    cancelled = page.get_by_text(re.compile(r"cancelled after \d+ of \d+ cases"))
    expect(cancelled).to_be_visible()
    before = notebook.ask("[panel.session.done, panel.session.of, len(panel.rows)]")
    assert isinstance(before, list)
    assert 1 <= before[0] == before[2] < before[1]
    notebook.shot("bench-cancelled")

    button(page, "Resume").click()
    done = page.get_by_text(re.compile(r"done: \d+ cases in bench-here.jsonl"))
    expect(done).to_be_visible(timeout=MINUTES)
    rows = notebook.ask("[[r['key'], r['correct']] for r in panel.session.sweep.rows]")
    assert isinstance(rows, list)
    assert len({key for key, _ in rows}) == len(rows) == before[1]
    assert all(correct for _, correct in rows)
    figure = page.locator(".js-plotly-plot").filter(has_text="measured here").first
    expect(figure).to_be_attached(timeout=60 * SECOND)  # drawn after the last case
    figure.scroll_into_view_if_needed()
    notebook.shot("bench-done")

    lines = figure.locator(".scatterlayer .trace")
    by_head_size = notebook.ask("[len(line.x) for line in panel.figure.data]")
    page.locator("select").filter(has_text="head size").select_option("batch")
    expect(figure.locator(".xtitle")).to_have_text("batch")
    assert lines.count() >= 2
    assert notebook.ask("[len(line.x) for line in panel.figure.data]") != by_head_size
    notebook.shot("bench-batch")

    button(page, "Start again").click()
    expect(button(page, "Start")).to_be_enabled()
    assert notebook.ask("[panel.session.path.exists(), panel.rows]") == [False, []]
    assert not notebook.errors()


def test_recorded_figures_say_so_and_rnns_run(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/21_benchmark.ipynb")
    figures = page.locator(".js-plotly-plot")
    for k in range(figures.count()):
        figures.nth(k).scroll_into_view_if_needed()
        expect(figures.nth(k).locator(".gtitle")).to_contain_text(
            re.compile("recorded on NVIDIA|measured here")
        )
        notebook.shot(f"bench-figure-{k}")
    notebook.theme("JupyterLab Dark")
    for k in range(figures.count()):  # on the page's background, readable in both themes
        figures.nth(k).scroll_into_view_if_needed()
        notebook.shot(f"bench-figure-{k}-dark")
        background = figures.nth(k).locator(".main-svg").first
        expect(background).to_have_css("background", re.compile(r"rgba\(0, 0, 0, 0\)"))
    notebook.theme("JupyterLab Light")
    run = run_notebook(page, lab, "notebooks/20_run_an_rnn.ipynb")
    found = run.ask(
        "found and {k: float((v - found['reference']).abs().max()) for k, v in found.items()}"
    )
    assert isinstance(found, dict)
    assert set(found) == {"triton", "alternating", "reference"}
    assert max(found.values()) < 1e-5
    heading = page.locator(".jp-RenderedMarkdown h2").filter(has_text="A cell of your own")
    heading.scroll_into_view_if_needed()
    run.shot("run-an-rnn")
    assert not run.errors()
