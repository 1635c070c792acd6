"""From an audit to a better detector in JupyterLab: a box decided by key, the rest run through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_page import run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from workbench.lab import Lab


def test_an_audit_trains_and_is_measured_on_untouched_galaxies(page: Page, lab: Lab) -> None:
    notebook = run_notebook(page, lab, "notebooks/41_from_audit_to_training.ipynb", seconds=480)
    assert notebook.ask("[len(mine), len(untouched)]") == [6, 6]
    assert (
        notebook.ask("len({g.truth.name for g in mine} & {g.truth.name for g in untouched})") == 0
    )
    assert notebook.ask("sorted(audit.finished()) == sorted(g.truth.name for g in mine)") is True
    assert notebook.ask("[row['epoch'] for row in panel.session.rows]") == [0, 1]
    assert notebook.ask("[made.learnt, made.chose]") == [4, 2]
    rows = notebook.ask("[[r['method'], r['galaxies'], r['f1']] for r in compared.rows()]")
    assert isinstance(rows, list)
    assert [row[:2] for row in rows] == [
        ["as shipped", 6], ["threshold chosen", 6], ["fine-tuned", 6],
    ]  # fmt: skip

    # A key in the overlay is an action of this notebook's journal.
    overlay = page.locator(".ca-root").first
    overlay.scroll_into_view_if_needed()
    overlay.focus()
    before = notebook.ask("len(audit.history('*'))")
    assert isinstance(before, int)
    page.keyboard.press("Tab")
    page.keyboard.press("a")
    expect(overlay).to_have_attribute("data-unsaved", "0")
    assert notebook.ask("len(audit.history('*'))") == before + 1
    assert notebook.ask("audit.history('*')[-1].entry.kind") == "accept"
    notebook.shot("retraining-audit")

    table = page.locator(".jp-RenderedHTMLCommon table").filter(has_text="fine-tuned")
    table.scroll_into_view_if_needed()
    for method, _, f1 in rows:
        line = table.locator("tr").filter(has_text=method)
        expect(line).to_contain_text(f"{f1:.2f} (")
    assert notebook.overhang(".widget-image, .js-plotly-plot, .ca-root, .cg-root") <= 0
    page.locator(".js-plotly-plot").filter(
        has_text="untouched galaxies"
    ).scroll_into_view_if_needed()
    notebook.shot("retraining-compared")
    method = page.locator(".widget-dropdown").filter(has_text="method").locator("select")
    method.select_option("fine-tuned")
    expect(page.locator(".widget-html").filter(has_text="galaxies change")).to_contain_text(
        "0 of 6"
    )
    method.scroll_into_view_if_needed()
    page.wait_for_timeout(2000)  # whatever the slider sends back has arrived
    values = "[mistakes.state.threshold, mistakes.state.reference]"
    assert notebook.ask(values) == [notebook.ask("made.tuned")] * 2
    notebook.shot("retraining-mistakes")
    notebook.theme("JupyterLab Dark")
    table.scroll_into_view_if_needed()
    notebook.shot("retraining-dark")
    assert not notebook.errors()
