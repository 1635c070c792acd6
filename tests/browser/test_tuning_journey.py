"""A launch looked at, moved and told by its point, in JupyterLab."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_page import run_notebook
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from workbench.lab import Lab

TESTS = Path(__file__).resolve().parents[1]
RECORD = json.loads((TESTS.parent / "data/results/tune_h200.json").read_text())
LAUNCHES = sum(len(call["launches"]) for call in RECORD["results"])


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
    counted = f"{LAUNCHES} launches of {len(RECORD['results'])} calls, recorded on"
    expect(tuner.get_by_text(counted)).to_be_visible()
    place = _slowest_point(page)
    page.mouse.move(*place)
    page.mouse.click(*place)
    told = tuner.get_by_text(re.compile(r"predicted [\d,]+ ns a step, measured [\d,]+ ns"))
    expect(told).to_be_visible()
    expect(tuner.get_by_text("No GPU here: a click names a recorded launch")).to_be_visible()
    expect(tuner.get_by_role("button", name="Measure the picked one")).to_be_disabled()
    assert notebook.ask("len(tuner.points)") == LAUNCHES
    notebook.shot("tuner-point")
    assert not notebook.errors()


def test_on_a_gpu_a_click_measures_and_adds_a_star(page: Page, lab: Lab, lab_root: Path) -> None:
    """The device is simulated where `LaunchTuner` takes one; all else is what runs on a GPU."""
    path = lab_root / "notebooks/12_tune_a_kernel.ipynb"
    lines = [
        f"import sys; sys.path.insert(0, {str(TESTS / 'workbench')!r})",
        "from simulated_device import SimulatedDevice",
        "tuner = LaunchTuner(device=SimulatedDevice('H200'))",
    ]
    simulated = json.dumps("\n".join(lines) + "\n")
    changed = path.read_text().replace(json.dumps("tuner = LaunchTuner()\n"), simulated)
    assert "SimulatedDevice" in changed
    path.with_name("12_with_a_gpu.ipynb").write_text(changed)
    notebook = run_notebook(page, lab, "notebooks/12_with_a_gpu.ipynb")
    tuner = page.locator(".wb-tuner")
    figure = tuner.locator(".js-plotly-plot")
    figure.scroll_into_view_if_needed()
    expect(tuner.get_by_text("A click measures a launch on this H200")).to_be_visible()
    wanted = notebook.ask("str(max(tuner.points, key=lambda point: point.measured).config)")
    page.mouse.click(*_slowest_point(page))
    told = tuner.get_by_text(re.compile(r"measured [\d,]+ ns \(measured here\)"))
    expect(told).to_be_visible()
    assert notebook.ask("[str(tuner.points[-1].config), tuner.points[-1].source]") == [
        wanted, "measured here",
    ]  # fmt: skip
    assert notebook.ask("[len(tuner.points), len(tuner.device.measured)]") == [LAUNCHES + 1, 1]
    stars = figure.locator(".scatterlayer .trace:first-child .points path")
    expect(stars).to_have_count(LAUNCHES + 1)
    notebook.shot("tuner-star")

    notebook.ask("tuner.explorer.set(gpu='H200', strategy='cluster', head_dim=64, heads=12)")
    tuner.get_by_role("button", name="Measure the picked one").click()
    expect(stars).to_have_count(LAUNCHES + 2)
    assert notebook.ask("tuner.points[-1].config == tuner.configuration") is True
    notebook.shot("tuner-measured")
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
