"""The explorer as a widget, without a browser: what each trait does when the page changes it."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from workbench.errors import WorkbenchError
from workbench.recurrent_kernel import LIMITS, SHAPE, recurrent_kernel
from workbench.widgets.config_explorer import ConfigExplorer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def explorer() -> ConfigExplorer:
    return ConfigExplorer(recurrent_kernel, SHAPE, limits=LIMITS, objective="blocks")


def slider(explorer: ConfigExplorer, name: str) -> object:
    return explorer._controls._widgets[name]


def test_a_slider_solves_again(explorer: ConfigExplorer) -> None:
    slider(explorer, "multiprocessors").value = 20  # type: ignore[attr-defined]
    assert explorer.count == recurrent_kernel().count(multiprocessors=20)
    assert f"<b>{explorer.count:,}</b>" in explorer._count.value
    slider(explorer, "gpu").value = "A100"  # type: ignore[attr-defined]
    assert explorer.count == recurrent_kernel(gpu="A100").count()


def test_set_moves_the_sliders_that_are_shown(explorer: ConfigExplorer) -> None:
    explorer.set(head_dim=128, shared_memory=100_001)
    assert slider(explorer, "head_dim").value == 128  # type: ignore[attr-defined]
    shared = slider(explorer, "shared_memory")
    assert shared.value == 100_001  # type: ignore[attr-defined]
    assert (shared.value - shared.min) % shared.step == 0  # type: ignore[attr-defined]
    explorer.reset()
    assert explorer.count == recurrent_kernel().count()


def test_a_brush_is_read_back_and_written_out(explorer: ConfigExplorer, tmp_path: Path) -> None:
    explorer._plot.brushes = {"blocks_out": [0.0, 0.0], "warps_in": [0.0, 0.3]}
    assert dict(explorer.state.brushes) == {"blocks_out": (1, 1), "warps_in": (1, 2)}
    kept = list(explorer.brushed)  # in the order of its own problem
    everything = recurrent_kernel().solve()
    inside = [row for row in everything if row["blocks_out"] == 1 and row["warps_in"] <= 2]
    assert {tuple(row.items()) for row in kept} == {tuple(row.items()) for row in inside}
    assert len(kept) == len(inside) > 0
    path = explorer.export(tmp_path / "kept.csv")
    with path.open(encoding="utf-8") as source:
        assert [{k: int(v) for k, v in row.items()} for row in csv.DictReader(source)] == kept
    about = json.loads(explorer.export(tmp_path / "kept.json").read_text("utf-8"))
    assert about["brushes"] == {"blocks_out": [1, 1], "warps_in": [1, 2]}
    assert about["parameters"]["registers"] == 65_536
    assert about["configurations"] == kept


def test_a_row_and_a_line_are_picked(explorer: ConfigExplorer) -> None:
    explorer._table.picked = 2
    assert explorer.selection == explorer.best[2]
    explorer._plot.clicked = {"row": 7, "version": explorer._version}
    drawn = dict(zip(explorer._outcome.names, explorer._outcome.drawn[7].tolist(), strict=True))
    assert explorer.selection == drawn
    assert str(drawn["blocks_out"]) in explorer._take_away._code.value
    explorer._plot.clicked = {"row": 8, "version": 0}  # a click on a plot that is no longer shown
    assert explorer.selection == drawn


def test_nothing_left_shows_the_conflict_and_a_button_that_mends_it(
    explorer: ConfigExplorer,
) -> None:
    slider(explorer, "shared_memory").value = 0  # type: ignore[attr-defined]
    assert (explorer.count, explorer.selection, explorer.best) == (0, {}, [])
    assert explorer._results.layout.display == "none"
    assert "shared memory" in explorer._conflict.value
    button = next(b for b in explorer._remedies.children if "shared memory" in b.description)
    button.click()
    assert explorer.count > 0
    least = explorer.state.limits["shared_memory"]
    assert recurrent_kernel().count(shared_memory=least - 1) == 0
    assert explorer._blocked.layout.display == "none"


def test_a_mistake_is_shown_and_changes_nothing(explorer: ConfigExplorer) -> None:
    before = explorer.count
    explorer._objective.value = "blocks * nonsense"
    assert "nonsense" in explorer._error.value
    assert explorer._objective.value == "blocks"
    explorer._open("nowhere.json", None)
    assert "no file" in explorer._error.value
    explorer._save("table.txt", False)
    assert "expected a name ending in" in explorer._take_away._said.value
    assert explorer.count == before
    slider(explorer, "threads").value = 128  # type: ignore[attr-defined]
    assert explorer._error.value == ""


def test_a_space_file_takes_the_place_of_the_problem(explorer: ConfigExplorer) -> None:
    explorer._opener._shipped.value = "gemm"
    assert explorer.count == 116_928
    assert explorer.state.source.name == "gemm"
    assert explorer._opener._shipped.value == ""
    explorer.open_space("queens_8")
    assert explorer.count == 92
    with pytest.raises(WorkbenchError, match="no file"):
        explorer.open_space("nowhere.json")


def test_the_smallest_come_first_when_asked(explorer: ConfigExplorer) -> None:
    explorer._sense.value = "min"
    blocks = [
        row["blocks_heads"] * row["blocks_batch"] * row["blocks_out"] * row["blocks_in"]
        for row in explorer.best
    ]
    assert blocks == sorted(blocks)
    assert blocks[0] == recurrent_kernel().minimize("blocks").value
