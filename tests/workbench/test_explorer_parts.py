"""Controls, axes and exports: what the explorer is made of, without a browser."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench.errors import WorkbenchError
from workbench.widgets.axes import Axis
from workbench.widgets.controls import Choice, Range
from workbench.widgets.export import as_python, export
from workbench.widgets.scene import brush_intervals, brush_positions

if TYPE_CHECKING:
    from pathlib import Path

domains = st.lists(
    st.integers(-(2**40), 2**40) | st.integers(1, 200), min_size=1, max_size=60, unique=True
)


@given(value=st.integers(-(2**40), 2**40))
def test_a_derived_range_shows_its_value_in_steps_usable_by_keyboard(value: int) -> None:
    derived = Range.around("x", value)
    assert derived.low <= value <= derived.high
    assert (derived.high - derived.low) / derived.step <= 512
    assert (derived.high - derived.low) / derived.step >= min(16, derived.high - derived.low)


def test_a_range_widens_for_a_value_outside_of_it() -> None:
    assert Range("x", 0, 10).including(99).high == 99
    assert Range("x", 0, 10).including(-5).low == -5
    assert Range("x", 0, 10).including(5) == Range("x", 0, 10)


@given(value=st.integers(-(10**6), 10**6), step=st.integers(1, 2048))
def test_a_value_between_steps_becomes_one(value: int, step: int) -> None:
    shown = Range("x", 0, 10**5, step).including(value)
    assert shown.low <= value <= shown.high
    assert (value - shown.low) % step == 0
    assert value < 0 or shown.low < step


def test_controls_refuse_what_cannot_be_shown() -> None:
    with pytest.raises(ValueError, match="'H200' is not among the options: A100, H100"):
        Choice("gpu", ("A100", "H100"), "H200")
    with pytest.raises(ValueError, match="empty range from 5 to 4"):
        Range("x", 5, 4)
    with pytest.raises(ValueError, match="step 0"):
        Range("x", 0, 4, step=0)


@given(domain=domains)
def test_positions_rise_from_0_to_1_and_lead_back_to_the_values(domain: list[int]) -> None:
    axis = Axis("x", tuple(domain))
    ordered = np.array(sorted(domain), dtype=np.int64)
    positions = axis.place(ordered)
    assert np.all(np.diff(axis.positions) > 0)
    assert len(domain) == 1 or (positions[0] == 0 and positions[-1] == 1)
    assert axis.interval(0.0, 1.0) == (min(domain), max(domain))
    for value in domain:
        assert axis.interval(axis.place_one(value), axis.place_one(value)) == (value, value)


@given(domain=domains, most=st.integers(2, 9))
def test_ticks_are_values_of_the_domain_within_their_number(domain: list[int], most: int) -> None:
    ticks = Axis("x", tuple(domain)).ticks(most)
    assert len(ticks) <= most
    assert {int(label.replace(",", "")) for _, label in ticks} <= set(domain)
    assert len(ticks) >= min(len(domain), 2)


def test_few_values_stand_evenly_and_many_wide_ones_by_their_logarithm() -> None:
    assert Axis("x", (1, 2, 4, 8, 64)).positions.tolist() == [0, 0.25, 0.5, 0.75, 1]
    wide = Axis("x", tuple(range(1, 129)))
    assert wide.place(np.array([2, 4, 8, 128])).tolist() == pytest.approx([1 / 7, 2 / 7, 3 / 7, 1])
    linear = Axis("x", tuple(range(-50, 51)))
    assert linear.place(np.array([0])).tolist() == pytest.approx([0.5])


def test_a_brush_takes_the_values_under_it_or_the_nearest() -> None:
    axis = Axis("x", (16, 32, 64, 128, 256))
    assert axis.interval(0.2, 0.6) == (32, 64)
    assert axis.interval(0.3, 0.4) == (32, 32)
    axes, positions = (axis, Axis("y", (0, 1))), {"x": [0.2, 0.6], "gone": [0, 1]}
    assert brush_intervals(axes, positions) == {"x": (32, 64)}
    assert brush_positions(axes, {"x": (32, 64)}) == {"x": [0.25, 0.5]}


def test_json_and_csv_hold_the_rows_and_are_never_overwritten_silently(tmp_path: Path) -> None:
    rows = [(1, -2), (3, 2**70)]
    for name in ("a.json", "a.csv"):
        path = export(tmp_path / name, ("x", "y"), rows, {"problem": "p", "count": 2})
        assert path == tmp_path / name
        with pytest.raises(WorkbenchError, match="exists already"):
            export(path, ("x", "y"), [(9, 9)], {})
    written = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert written["configurations"] == [{"x": 1, "y": -2}, {"x": 3, "y": 2**70}]
    assert written["problem"] == "p"
    with (tmp_path / "a.csv").open(encoding="utf-8") as source:
        assert [[int(v) for v in row.values()] for row in csv.DictReader(source)] == [
            list(row) for row in rows
        ]
    export(tmp_path / "a.csv", ("x", "y"), [(9, 9)], {}, overwrite=True)
    assert (tmp_path / "a.csv").read_text("utf-8") == "x,y\n9,9\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json"]


def test_an_export_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"expected a name ending in \.json or \.csv"):
        export(tmp_path / "a.txt", ("x",), [(1,)], {})
    with pytest.raises(WorkbenchError, match="no folder"):
        export(tmp_path / "nowhere" / "a.csv", ("x",), [(1,)], {})
    with pytest.raises(ValueError, match="zip"):
        export(tmp_path / "a.json", ("x", "y"), [(1,)], {})
    assert list(tmp_path.iterdir()) == []


def test_python_text_evaluates_to_the_configuration() -> None:
    for configuration in ({"bm": 64, "warps": -4}, {"for": 1, "a b": 2}):
        scope: dict[str, object] = {}
        exec(as_python("best", configuration), scope)  # noqa: S102 - our own text
        assert scope["best"] == configuration
