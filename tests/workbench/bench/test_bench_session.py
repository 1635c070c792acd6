"""The notebook's sweep without a browser: its phases, and what its figures show."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from workbench.bench import figures, plan
from workbench.bench.case import Case
from workbench.bench.session import Session
from workbench.bench.sweep import Sweep
from workbench.errors import WorkbenchError

from workbench import background

if TYPE_CHECKING:
    from pathlib import Path

AT = Case("reference", "lstm", "float32", "forward", 2, 8, 1, 8)
CASES = [replace(AT, batch=batch, direction=d) for batch in (1, 2, 4) for d in ("forward", "both")]
LONG = replace(AT, steps=5000, direction="both")


def test_a_sweep_is_cancelled_and_gone_on_with_by_a_new_session(tmp_path: Path) -> None:
    path = tmp_path / "here.jsonl"
    told: list[str] = []
    first = Session([*CASES, LONG], path, "cpu", changed=lambda: told.append(first.message))
    assert (first.phase, first.done, first.of) == (background.READY, 0, 7)
    first.start()
    end = time.monotonic() + 60
    while first.done < 6:
        assert time.monotonic() < end
        time.sleep(0.02)
    began = time.monotonic()
    first.cancel()
    first.wait(5)
    assert time.monotonic() - began < 2
    assert (first.phase, first.done) == (background.CANCELLED, 6)
    assert first.message == "cancelled after 6 of 7 cases; Resume goes on"
    assert any(message.startswith("3 of 7 cases, ") for message in told)

    second = Session(CASES, path, "cpu")
    assert (second.phase, second.done) == (background.DONE, 6)
    third = Session([*CASES, replace(AT, batch=8)], path, "cpu")
    assert third.phase == background.CANCELLED
    third.start()
    with pytest.raises(WorkbenchError, match="cannot start again while running; cancel first"):
        third.forget()
    third.wait(60)
    assert (third.phase, third.done) == (background.DONE, 7)
    assert third.sweep.here
    assert third.sweep.source.startswith("measured here, on a CPU")
    third.forget()
    assert (third.phase, third.done, path.exists()) == (background.READY, 0, False)


def test_a_file_of_someone_else_is_told_and_left(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("my notes\n")
    here = Session(CASES, path, "cpu")
    here.start()
    here.wait(60)
    assert here.phase == background.FAILED
    assert "line 1: expected a JSON object" in here.message
    assert path.read_text() == "my notes\n"


def sweep(*, here: bool) -> Sweep:
    """Return a sweep whose times are numbers that are easy to follow: batch x head size."""
    rows = []
    for case in plan.full():
        ms = case.batch * case.head_dim / 100 * (3 if case.backend == "nn" else 1)
        times = {"ms": ms, "ms_p25": 0.9 * ms, "ms_p75": 1.2 * ms, "correct": True}
        floor = {"steps": ms / 4, "bytes": ms / 2, "products": ms / 8}
        rows.append({"kind": "result", **case.as_dict(), **times, "floor_ms": floor})
    rows.append({"kind": "result", **AT.as_dict(), "failure": "no"})
    return Sweep(rows, "recorded on a test", here)


def test_scaling_shows_each_backend_with_its_numbers() -> None:
    figure = figures.scaling(sweep(here=False), "head_dim")
    lines = {line.name: line for line in figure.data}
    ours = lines["rnnkernels, fused, bfloat16"]
    sizes = [16, 32, 64, 128, 256, 512, 768, 1024, 1536, 2048]
    assert list(ours.x) == sizes
    assert list(ours.y) == [pytest.approx(0.16 * size) for size in sizes]
    assert ours.line.dash == "dash"  # recorded
    assert ours.error_y.array[0] == pytest.approx(0.2 * ours.y[0])
    assert "torch.nn.LSTM, one head, with W x, float16" in lines
    assert figure.layout.title.text.endswith("recorded on a test</sup>")
    solid = figures.scaling(sweep(here=True), "head_dim").data[0]
    assert solid.line.dash == "solid"  # measured here


def test_batch_and_steps_hold_the_rest_fixed() -> None:
    batch = figures.scaling(sweep(here=False), "batch", head_dim=64)
    ours = {line.name: line for line in batch.data}["rnnkernels, fused, bfloat16"]
    assert list(ours.x) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert list(ours.y) == [pytest.approx(0.64 * size) for size in ours.x]
    steps = figures.scaling(sweep(here=False), "steps", "both", head_dim=768)
    ours = {line.name: line for line in steps.data}["rnnkernels, fused, bfloat16"]
    assert list(ours.x) == [128, 256, 512, 1024, 2048, 4096]


def test_speed_ups_compare_equal_problems_alone() -> None:
    ratios = dict(figures.speed_ups(sweep(here=False), "module", "nn"))
    assert list(ratios.values()) == [pytest.approx(3.0)] * len(ratios)
    assert ratios["lstm 1x64 B16 fp16"] == pytest.approx(3.0)
    assert ratios["lstm 1x64 B16 bf16"] == pytest.approx(3.0)  # a bar of its own
    nothing = figures.speed_up(sweep(here=False), "triton", "nn")
    assert nothing.layout.annotations[-1].text == "no problem that both have"
    published = Sweep.published()
    ours = dict(figures.speed_ups(sweep(here=False), "auto", "FlashRNN fused CUDA", published))
    assert ours["lstm 12x64 B16 bf16"] == pytest.approx(2.8098 / 10.24)


def test_published_figures_are_those_of_the_table() -> None:
    found = Sweep.published().where(
        backend="FlashRNN fused CUDA", cell="lstm", dtype="bfloat16", batch=16, head_dim=768
    )
    assert {row["direction"]: row["ms"] for row in found} == {
        "forward": pytest.approx(4.7529), "both": pytest.approx(13.40, abs=0.01),
    }  # fmt: skip


def test_the_roofline_puts_each_point_on_its_floor() -> None:
    figure = figures.roofline(sweep(here=False))
    points = {trace.name: trace for trace in figure.data}
    bound = points["bound by bytes through memory"]
    assert len(bound.x) == len([case for case in plan.full() if case.direction == "forward"])
    assert all(y == pytest.approx(2 * x) for x, y in zip(bound.x, bound.y, strict=True))
    assert not points["bound by products"].x


def test_what_is_recorded_can_be_drawn_and_written(tmp_path: Path) -> None:
    recorded = Sweep.recorded()
    assert "NVIDIA" in recorded.source
    assert all(row["correct"] for row in recorded.where(backend="auto"))
    assert figures.scaling(recorded, "head_dim").data
    path = recorded.write(tmp_path / "x.csv")
    assert len(path.read_text().splitlines()) == len(recorded.rows) + 1
    with pytest.raises(WorkbenchError, match="exists already"):
        recorded.write(path)
    with pytest.raises(WorkbenchError, match=r"expected a name ending in \.csv or \.tex"):
        recorded.write(tmp_path / "x.pdf")
