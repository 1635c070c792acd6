"""Prices are found again from times that were made of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rnnkernels import cost
from rnnkernels.plan import describe, predicted, sampled
from workbench.tuning.records import Point

SCRIPT = Path(__file__).resolve().parents[2] / "kernels/benchmarks/fit_prices.py"


@pytest.fixture(scope="module")
def fitting() -> Any:
    spec = importlib.util.spec_from_file_location("fit_prices", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["fit_prices"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nonnegative_least_squares_has_a_known_answer(fitting: Any) -> None:
    """The second has (-1, 2) if free; from 0 on, what is left of y lies along (1, 1)."""
    a = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert fitting.nonnegative(a, np.array([3.0, 4.0])) == pytest.approx([3, 2])
    a = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert fitting.nonnegative(a, np.array([1.0, 2.0])) == pytest.approx([0, 1.5])


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """Launches of several calls whose times are what the model says, to the picosecond."""
    found = []
    for cell, size, direction in (
        ("lstm", 64, "forward"), ("lstm", 256, "forward"), ("gru", 512, "forward"),
        ("lstm", 64, "backward"), ("slstm", 256, "backward"), ("gru", 512, "backward"),
    ):  # fmt: skip
        call = describe(cell, (16, 1, 2, size), gpu="H200", direction=direction)
        for config in sampled(call, 40, seed=size):
            time = predicted(call, config) / 1e3
            found.append(Point(call, config, time, time, "made up"))
    return found


def test_the_model_is_found_again_from_its_own_times(fitting: Any, points: list[Point]) -> None:
    rows = [fitting.Row.of(point) for point in points]
    exact = fitting.judged(rows, cost.PRICES)
    assert (exact.within_10_percent, exact.worst_ratio) == (6, 1)
    prices = fitting.fit(rows)
    assert {key: set(items) for key, items in prices.items()} == {
        key: set(items) for key, items in cost.PRICES.items()
    }
    assert min(price for items in prices.values() for price in items.values()) >= 0
    found = fitting.judged(rows, prices)
    assert found.rank_correlation > 0.999
    assert found.worst_ratio < 1.02
    errors = [abs(row.predicted(prices) / row.point.measured - 1) for row in rows]
    assert sorted(errors)[len(errors) // 2] < 0.02


def test_the_table_is_that_of_the_model(fitting: Any) -> None:
    text = "{\n" + fitting.table(cost.PRICES) + "\n}"
    assert eval(text, {"__builtins__": {}}) == cost.PRICES  # noqa: S307 - our own, of numbers
