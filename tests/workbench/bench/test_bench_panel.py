"""The benchmark's panel keeps one figure on the page, whatever it shows and whoever tells it."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from workbench.bench import figures, record
from workbench.bench.panel import BenchPanel
from workbench.bench.sweep import Sweep

if TYPE_CHECKING:
    from pathlib import Path

    import plotly.graph_objects as go


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    return shutil.copy(record.recorded(), tmp_path / "bench-here.jsonl")


def points(figure: go.Figure) -> dict[str, tuple[object, object]]:
    assert len({line.name for line in figure.data}) == len(figure.data)
    return {line.name: (line.x, line.y) for line in figure.data}


def test_another_axis_moves_into_the_same_figure(measured: Path) -> None:
    panel, sweep = BenchPanel(measured, device="cpu"), Sweep.open(measured, here=True)
    shown = panel.figure
    for over, direction in (("head_dim", "forward"), ("batch", "forward"), ("batch", "both")):
        shown.layout.xaxis.range = [0.0, 0.1]  # zoomed
        panel.over.value, panel.direction.value = over, direction
        expected = figures.scaling(sweep, over, direction)
        assert points(shown) == points(expected) != {}
        assert shown.layout.title.text == expected.layout.title.text
        assert shown.layout.xaxis.title.text == expected.layout.xaxis.title.text
        assert shown.layout.yaxis.title.text == expected.layout.yaxis.title.text
    assert shown.layout.xaxis.range is None
    assert panel.figure is shown is panel.children[-1]


def test_starting_again_empties_the_figure(measured: Path) -> None:
    panel = BenchPanel(measured, device="cpu")
    assert panel.figure.data
    panel.again.click()
    assert not panel.figure.data
    assert "nothing measured here yet" in panel.figure.layout.title.text
    assert panel.figure.layout.xaxis.range == (0, 3)
    assert not measured.exists()


def test_choices_and_progress_draw_from_two_threads(measured: Path) -> None:
    panel, sweep = BenchPanel(measured, device="cpu"), Sweep.open(measured, here=True)

    def progress() -> None:
        for _ in range(20):
            panel.session.tell()

    told = threading.Thread(target=progress)
    told.start()
    for over in ("batch", "steps", "head_dim") * 5:
        panel.over.value = over
    told.join()
    assert points(panel.figure) == points(figures.scaling(sweep, "head_dim", "forward"))
