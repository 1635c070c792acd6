"""Bounds from slopes and multipliers: never below what is feasible, and tight enough."""

from __future__ import annotations

import itertools
import random
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from intsolver import Infeasible, Problem, TooManySolutions, optimum, small
from intsolver.boxes import INT64
from intsolver.lower import Pool
from intsolver.multipliers import Multipliers
from intsolver.parse import parse_constraint, parse_expression
from intsolver.slopes import is_smooth

MILLION = 10**6
NAMES = "abc"
SIGNED = dict.fromkeys("xy", (-(10**5), 10**5))
factors = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from([f"{name}**{power}" for name in NAMES for power in (0, 2, 3)]),
    st.builds("({} - {} * {})".format, *[st.sampled_from(NAMES)] * 3),
    st.builds(
        "(({} * {} - {}) // ({}**2 + {}))".format,
        *[st.sampled_from(NAMES)] * 4,
        st.integers(1, 40),
    ),
)
numbers = st.one_of(st.integers(-20, 20), st.sampled_from([10**6, -(10**9), 2**40 + 1]))
terms = st.builds(
    lambda times, of: " * ".join([f"({times})", *of]), numbers, st.lists(factors, max_size=3)
)
polynomials = st.lists(terms, min_size=1, max_size=4).map(" + ".join)
ends = st.tuples(st.integers(-30, 30), st.integers(0, 4)).map(lambda t: (t[0], t[0] + t[1]))
boxes = st.tuples(ends, ends, ends)
relations = st.sampled_from(["<=", "<", "==", ">="])
limits = st.one_of(st.integers(-50, 2000), st.just(10**12))
comparisons = st.builds("{} {} {}".format, polynomials, relations, limits)


def values_of(text: str, rows: list[tuple[int, ...]]) -> list[int]:
    code = compile(text, "", "eval")
    return [eval(code, dict(zip(NAMES, row, strict=True))) for row in rows]  # noqa: S307


@settings(max_examples=300)
@given(polynomials, st.lists(comparisons, max_size=3), boxes, st.sampled_from([1, -1]))
def test_no_solution_of_a_box_is_above_its_bound(
    objective: str, constraints: list[str], sides: tuple[tuple[int, int], ...], sign: int
) -> None:
    box = dict(zip(NAMES, sides, strict=True))
    pool = Pool(box, {}, {})
    slots = {id(pool.name(name)): slot for slot, name in enumerate(NAMES)}
    node = pool.lower(parse_expression(objective))
    lowered = [pool.lower(parse_constraint(text)) for text in constraints]
    assert is_smooth(node)
    assume(node.peak < INT64)
    bounds = Multipliers(lowered, node, slots, variables=3, sign=sign)
    low = [np.array([ends[0]]) for ends in box.values()]
    high = [np.array([ends[1]]) for ends in box.values()]
    judged = bounds.judge(low, high, bounds.start().T, first=True)
    rows = [*itertools.product(*[range(low, high + 1) for low, high in box.values()])]
    holds = [values_of(text, rows) for text in constraints]
    for place, value in enumerate(values_of(objective, rows)):
        if all(each[place] for each in holds):
            assert sign * value <= judged.bound[0], (rows[place], value)


@settings(max_examples=150)
@given(polynomials, st.lists(comparisons, max_size=3), boxes)
def test_optima_by_halving_are_those_of_brute_force(
    objective: str, constraints: list[str], sides: tuple[tuple[int, int], ...]
) -> None:
    problem = Problem("polynomial")
    for name, (low, high) in zip(NAMES, sides, strict=True):
        problem.var(name, low, high)
    problem.add(*constraints)
    rows = [*itertools.product(*[range(low, high + 1) for low, high in sides])]
    holds = [values_of(text, rows) for text in constraints]
    values = sorted(
        value
        for place, value in enumerate(values_of(objective, rows))
        if all(each[place] for each in holds)
    )
    paths = mock.patch.multiple(optimum, _ROWS=0, _LONG=0), mock.patch.object(small, "MOST", 0)
    with paths[0], paths[1]:
        if not values:
            with pytest.raises(Infeasible):
                problem.maximize(objective)
            return
        assert [o.value for o in problem.maximize(objective, top=3)] == values[::-1][:3]
        assert [o.value for o in problem.minimize(objective, top=3)] == values[:3]


@pytest.mark.parametrize(
    ("domains", "constraints", "objective", "best"),
    [
        (
            dict.fromkeys("xyz", (1, MILLION)),
            ["x + y + z <= 10**6"],
            "x * y * z",
            333_333**2 * 333_334,
        ),
        (
            dict.fromkeys("xyz", (1, MILLION)),
            ["2 * x + 3 * y + 7 * z <= 10**6"],
            "x * y * z",
            166_667 * 111_111 * 47_619,
        ),
        (  # 1.25 and 0.25 are the best multipliers: 1,250,248.75 at most
            dict.fromkeys("xyz", (0, MILLION)),
            ["3 * x + 5 * y + 7 * z <= 999999", "x - y + z <= 1000", "x + y >= 3"],
            "4 * x + 6 * y + 9 * z",
            1_250_248,
        ),
        (SIGNED, ["x + y <= 12345"], "x * x + y * y", 2 * 10**10),
        (SIGNED, ["x + y <= 100", "x - y <= 50"], "x * x - y * y", 10**10),
        (SIGNED, ["x * x + y * y <= 10**9 + 7"], "x * x + y * y", 10**9 + 4),
        (
            dict.fromkeys("xy", (1, MILLION)),
            ["x + y <= 10**6"],
            "(x * y) // (x + 1)",
            max(x * (MILLION - x) // (x + 1) for x in range(1, MILLION)),
        ),
        (
            dict.fromkeys("xy", (1, MILLION)),
            ["(x * y) // (x + 1) <= 1000", "x + y <= 10**6"],
            "y - x // 7",
            2001,
        ),
    ],
)
def test_long_ranges(
    domains: dict[str, tuple[int, int]], constraints: list[str], objective: str, best: int
) -> None:
    problem = Problem("long")
    for name, (low, high) in domains.items():
        problem.var(name, low, high)
    problem.add(*constraints)
    found = problem.maximize(objective)
    assert found.value == best == problem.evaluate(objective, found)
    assert all(each.holds for each in problem.binding(found))


@pytest.mark.parametrize("seed", range(3))
def test_a_knapsack_with_two_limits(seed: int) -> None:
    draw = random.Random(seed)
    items = [(draw.randint(1, 30), draw.randint(1, 30), draw.randint(1, 60)) for _ in range(30)]
    rooms = [sum(item[i] for item in items) // 2 for i in (0, 1)]
    best = np.zeros((rooms[0] + 1, rooms[1] + 1), np.int64)  # by what is used at most
    for one, other, value in items:
        best[one:, other:] = np.maximum(best[one:, other:], best[:-one, :-other] + value)
    problem = Problem("knapsack")
    for i in range(len(items)):
        problem.var(f"x{i}", 0, 1)
    for limit in (0, 1):
        used = " + ".join(f"{item[limit]} * x{i}" for i, item in enumerate(items))
        problem.add(f"{used} <= {rooms[limit]}")
    worth = " + ".join(f"{item[2]} * x{i}" for i, item in enumerate(items))
    found = problem.maximize(worth)
    assert found.value == best[-1, -1] == problem.evaluate(worth, found)
    with mock.patch.object(optimum, "_FEW_BOXES", 1), pytest.raises(TooManySolutions):
        problem.maximize(worth, max_rows=10_000)
