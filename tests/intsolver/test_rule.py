"""Few assignments and a rule over columns, against a Problem of the same constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from intsolver import Problem, ProblemError, TooManySolutions, least

if TYPE_CHECKING:
    from collections.abc import Callable

DOMAINS = {"tile": (8, 16, 24, 32), "warps": (1, 2, 4, 8), "depth": (0, 1, 2, 3)}


def fits(c: dict[str, Any]) -> tuple[Any, Any]:
    return c["tile"] * c["warps"] <= 96 - 8 * c["depth"], (c["tile"] - 17) ** 2 + c["depth"]


def same() -> Problem:
    problem = Problem()
    for name, values in DOMAINS.items():
        problem.var(name, values)
    problem.add("tile * warps <= 96 - 8 * depth")
    return problem


@pytest.mark.parametrize("top", [1, 7, None])
def test_the_cheapest_are_those_of_the_problem_in_its_order(top: int | None) -> None:
    found = least(DOMAINS, fits, top)
    cost = "(tile - 17)**2 + depth"
    wanted = same().minimize(cost, top or same().count())
    assert [(v, dict(row)) for v, row in found] == [(one.value, dict(one)) for one in wanted]


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        (lambda c: (c["tile"] < 0, 0), 0),  # nothing holds
        (lambda c: (True, c["depth"]), 64),  # everything, and a cost of few variables
        (lambda c: (c["warps"] > 2, 5), 32),  # a number for the cost
        (lambda c: ((c["depth"] > 0) & (6 // c["depth"] == 3), c["tile"]), 16),  # 6 // 0 on the way
    ],
)
def test_rules_may_read_few_variables(rule: Callable[..., tuple[Any, Any]], count: int) -> None:
    assert len(least(DOMAINS, rule, None)) == count


def test_results_are_python_integers_of_64_bits() -> None:
    big = 2**62
    [(cost, row)] = least({"x": [big, 1]}, lambda c: (c["x"] > 1, -c["x"]))
    assert (cost, row) == (-big, {"x": big})
    assert type(cost) is type(row["x"]) is int


def test_columns_have_axes_of_their_own() -> None:
    shapes = []

    def rule(c: dict[str, Any]) -> tuple[Any, Any]:
        shapes.extend(column.shape for column in c.values())
        return np.ones((4, 1, 1), bool), 0

    least(DOMAINS, rule)
    assert shapes == [(4, 1, 1), (1, 4, 1), (1, 1, 4)]


def test_mistakes_are_told() -> None:
    with pytest.raises(ProblemError, match="'tile': the domain is empty"):
        least({"tile": ()}, fits)
    with pytest.raises(TooManySolutions, match="1,073,741,824 assignments, at most 1,048,576 are"):
        least({name: range(1024) for name in ("a", "b", "c")}, fits)
