"""What the configuration explorer decides and shows, without a browser and without widgets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from intsolver import ExpressionError, Problem
from workbench.errors import WorkbenchError
from workbench.recurrent_kernel import LIMITS, SHAPE, recurrent_kernel
from workbench.widgets import html
from workbench.widgets.bounds import lifted
from workbench.widgets.controls import Choice, Range
from workbench.widgets.explorer_outcome import evaluate
from workbench.widgets.explorer_state import ExplorerState
from workbench.widgets.scene import scene
from workbench.widgets.sources import Source, open_space, with_sliders

from workbench import datafiles

if TYPE_CHECKING:
    from pathlib import Path


def tile() -> Problem:
    problem = Problem("tile")
    problem.var("bm", [16, 32, 64, 128])
    problem.var("warps", 1, 16)
    problem.param("smem", 8192)
    problem.define("area", "bm * warps")
    problem.add("area * 4 <= smem", name="tile fits")
    problem.add("1024 % area == 0", name="tiles divide")
    return problem


@pytest.fixture
def state() -> ExplorerState:
    return ExplorerState.start(Source.of(tile(), objective="area"))


@pytest.fixture
def kernel() -> ExplorerState:
    return ExplorerState.start(Source.of(recurrent_kernel, SHAPE, limits=LIMITS))


def test_a_moved_limit_is_another_state_with_the_count_of_a_fresh_problem(
    state: ExplorerState,
) -> None:
    for smem in (0, 64, 1024, 2048, 8192):
        moved = state.with_control("smem", smem)
        assert evaluate(moved, 100).total == tile().count(smem=smem)
    assert state.limits == {"smem": 8192}


def test_a_brush_keeps_exactly_the_rows_under_it(kernel: ExplorerState) -> None:
    brushed = kernel.with_brushes({"blocks_out": (4, 16), "warps_in": (2, 2)})
    outcome = evaluate(brushed, 500)
    rows = recurrent_kernel().solve()
    blocks, warps = rows.column("blocks_out"), rows.column("warps_in")
    inside = (blocks >= 4) & (blocks <= 16) & (warps == 2)
    assert outcome.kept == int(inside.sum()) > 0
    assert outcome.total == rows.count
    assert all(4 <= row["blocks_out"] <= 16 for row in outcome.best)
    assert evaluate(brushed.with_brushes({}), 500).kept == rows.count


def test_the_table_is_the_best_in_order_and_the_picked_row_is_found(state: ExplorerState) -> None:
    outcome = evaluate(state, 100)
    areas = sorted((row["bm"] * row["warps"] for row in tile().solve()), reverse=True)
    assert list(outcome.scores) == areas[: len(outcome.scores)]
    assert [row["bm"] * row["warps"] for row in outcome.best] == list(outcome.scores)
    assert outcome.picked_row == 0
    assert evaluate(state.with_pick(outcome.best[2]), 100).picked_row == 2
    least = evaluate(state.with_objective("area", "min"), 100)
    assert list(least.scores) == areas[::-1][: len(least.scores)]


def test_a_pick_that_is_no_longer_feasible_gives_way_to_the_best(state: ExplorerState) -> None:
    picked = state.with_pick({"bm": 128, "warps": 8})
    assert evaluate(picked, 100).picked == {"bm": 128, "warps": 8}
    smaller = evaluate(picked.with_control("smem", 1024), 100)
    assert smaller.picked == smaller.best[0]


def test_what_binds_is_named_with_its_slack(state: ExplorerState) -> None:
    outcome = evaluate(state.with_control("smem", 4096).with_pick({"bm": 128, "warps": 8}), 100)
    bounds = {bound.constraint: bound for bound in outcome.bounds}
    assert bounds["tile fits"].tight
    assert "0 to spare" in bounds["tile fits"].slack
    assert "tile fits" in html.bounds_table(outcome)


def test_a_conflict_is_named_and_each_remedy_mends_it(state: ExplorerState) -> None:
    stuck = state.with_control("smem", 3)
    outcome = evaluate(stuck, 100)
    assert outcome.kept == 0
    assert any("tile fits" in line for line in outcome.conflict)
    assert [remedy.limits for remedy in outcome.remedies] == [{"smem": 64}]
    assert evaluate(stuck.with_remedy(outcome.remedies[0]), 100).kept == 1
    assert evaluate(stuck.with_limits(smem=63), 100).kept == 0


def test_a_brush_in_a_conflict_can_be_let_go(state: ExplorerState) -> None:
    stuck = state.with_brushes({"bm": (128, 128)}).with_control("smem", 256)
    outcome = evaluate(stuck, 100)
    assert (outcome.kept, outcome.total > 0) == (0, True)
    brushes = [remedy for remedy in outcome.remedies if remedy.brush == "bm"]
    assert brushes
    assert evaluate(stuck.with_remedy(brushes[0]), 100).kept == outcome.total


def test_large_sets_are_sampled_and_the_text_says_so() -> None:
    opened = ExplorerState.start(open_space("hotspot"))
    outcome = evaluate(opened, 1000)
    assert (outcome.total, len(outcome.drawn), len(outcome.shade)) == (349_853, 1000, 1000)
    assert "drawn: 1,000 of 349,853" in html.count_line(outcome)
    brushed = evaluate(opened.with_brushes({"block_size_x": (1, 1)}), 1000)
    inside = brushed.drawn[:, brushed.names.index("block_size_x")] == 1
    assert inside.sum() >= min(500, brushed.kept)


def test_shades_rise_with_the_objective(state: ExplorerState) -> None:
    outcome = evaluate(state, 100)
    areas = outcome.drawn[:, 0] * outcome.drawn[:, 1]
    assert np.array_equal(
        np.argsort(areas, kind="stable"), np.argsort(outcome.shade, kind="stable")
    )
    assert (outcome.shade.min(), outcome.shade.max()) == (0, 1)
    turned = evaluate(state.with_objective("area", "min"), 100)
    assert turned.shade == pytest.approx(1 - outcome.shade)


def test_a_shape_builds_the_problem_anew_and_keeps_what_was_moved(kernel: ExplorerState) -> None:
    moved = kernel.with_control("threads", 128).with_brushes({"blocks_in": (1, 4)})
    other = moved.with_control("gpu", "RTX 3090")
    assert other.limits["multiprocessors"] == 82
    assert other.limits["threads"] == 128
    assert dict(other.brushes) == {"blocks_in": (1, 4)}
    expected = recurrent_kernel(gpu="RTX 3090").count(threads=128)
    assert evaluate(other, 10).total == expected


def test_mistakes_are_named_and_leave_the_state(state: ExplorerState) -> None:
    with pytest.raises(WorkbenchError, match="unknown control 'smen'; known: smem"):
        state.with_control("smen", 1)
    with pytest.raises(WorkbenchError, match="expected an integer, got 'many'"):
        state.with_control("smem", "many")
    with pytest.raises(ExpressionError, match="bn"):
        state.with_objective("bm * bn", "max")
    kernel = ExplorerState.start(Source.of(recurrent_kernel, SHAPE, limits=LIMITS))
    with pytest.raises(WorkbenchError, match="gpu: 'H300' is not among the options: A100, H100"):
        kernel.with_control("gpu", "H300")


def test_controls_show_their_values_whatever_they_are(kernel: ExplorerState) -> None:
    far = kernel.with_limits(shared_memory=10**7)
    names = [control.name for control in far.controls]
    assert names == [c.name for c in SHAPE] + [c.name for c in LIMITS]
    assert set(far.values) == set(names)
    for control in far.controls:
        value = far.values[control.name]
        if isinstance(control, Range):
            assert control.low <= int(value) <= control.high
        else:
            assert isinstance(control, Choice)
            assert value in control.options


@pytest.mark.parametrize("name", datafiles.spaces())
def test_every_shipped_space_can_be_shown(name: str) -> None:
    stated = json.loads(datafiles.space(name).read_text("utf-8"))
    opened = ExplorerState.start(open_space(name))
    outcome = evaluate(opened, 300)
    assert outcome.total == stated["expected_valid"]
    assert len(outcome.drawn) == min(300, outcome.total)
    drawn = scene(opened.axes, outcome, version=1)
    assert len(bytes(drawn["rows"])) == 4 * len(outcome.drawn) * len(drawn["axes"])  # type: ignore[call-overload, arg-type]
    assert opened.about()["problem"] == stated["name"]


def test_a_bound_in_a_file_becomes_a_limit_that_changes_nothing_until_moved() -> None:
    source = with_sliders(open_space("hotspot"))
    opened = ExplorerState.start(source)
    assert sorted(opened.limits.values()) == [32, 1024, 49_152]
    assert [control.name for control in opened.controls] == ["bound_1", "bound_2", "bound_3"]
    assert evaluate(opened, 10).total == 349_853
    shared = next(name for name, value in opened.limits.items() if value == 49_152)
    halved = evaluate(opened.with_control(shared, 24_576), 10)
    stated = json.loads(datafiles.space("hotspot").read_text("utf-8"))
    text = json.dumps(stated).replace("49152", "24576")
    assert halved.total == Problem.from_space(json.loads(text)).count()
    stuck = opened.with_control(shared, 0)
    remedy = next(r for r in evaluate(stuck, 10).remedies if shared in r.limits)
    assert evaluate(stuck.with_remedy(remedy), 10).total > 0


@pytest.mark.parametrize(
    "name", ["rnn_fwd_bf16_D256_H3_B16_G4_H100", "convolution_bat", "queens_8"]
)
def test_files_with_limits_moved_out_keep_their_counts(name: str) -> None:
    stated = json.loads(datafiles.space(name).read_text("utf-8"))
    opened = ExplorerState.start(with_sliders(open_space(name)))
    assert evaluate(opened, 10).total == stated["expected_valid"]


def test_a_problem_with_parameters_of_its_own_keeps_its_numbers() -> None:
    problem = tile()
    assert lifted(problem) == (problem, ())


def test_kernel_tuner_and_own_files_are_opened_by_path_and_by_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(tile().to_space()), encoding="utf-8")
    for opened in (open_space(path), open_space("mine.json", path.read_bytes())):
        assert ExplorerState.start(opened).problem.count(smem=1024) == tile().count(smem=1024)
    kernel_tuner = {
        "ConfigurationSpace": {
            "TuningParameters": [
                {"Name": "bx", "Type": "int", "Values": "[16, 32, 64]"},
                {"Name": "by", "Type": "int", "Values": "[1, 2, 4]"},
            ],
            "Conditions": [{"Expression": "bx * by <= 64", "Parameters": ["bx", "by"]}],
        }
    }
    opened = open_space("t1.json", json.dumps(kernel_tuner).encode())
    assert evaluate(ExplorerState.start(opened), 100).total == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", r"bad\.json is not JSON"),
        (b"[1]", r"bad\.json: expected a JSON object, got list"),
        (b"{}", r"bad\.json: no variables"),
        (b'{"variables": [{"name": "x", "domain": []}], "constraints": []}', "domain is empty"),
        (
            b'{"variables": [{"name": "x", "domain": [1]}], "constraints": ["x < yy"]}',
            "yy",
        ),
    ],
)
def test_a_bad_file_is_named(text: bytes, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        open_space("bad.json", text)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(WorkbenchError, match=r"no file 'nowhere\.json' and no shipped space"):
        open_space("nowhere.json")


def test_foreign_text_is_escaped() -> None:
    problem = Problem("<b>")
    problem.var("x", 0, 3)
    problem.param("p", 0)
    problem.add("x < p", name="<script>")
    outcome = evaluate(ExplorerState.start(Source.of(problem)), 10)
    assert "<script>" not in html.conflict_text(outcome.conflict)
    assert "<b>" not in html.title(problem.name)
