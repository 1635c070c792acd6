"""Long domains: counts, optima and infeasibility told without walking through every value."""

from __future__ import annotations

import random

import pytest
from intsolver import Infeasible, Problem

MILLION = 10**6


def problem_of(domains: dict[str, tuple[int, int]], *constraints: str) -> Problem:
    problem = Problem("long")
    for name, (low, high) in domains.items():
        problem.var(name, low, high)
    problem.add(*constraints)
    return problem


def test_a_product_below_a_bound() -> None:
    problem = problem_of({"x": (1, MILLION), "y": (1, MILLION)}, "x * y <= 10**6")
    found = problem.solve()
    assert found.count == sum(MILLION // x for x in range(1, MILLION + 1))
    assert found[0] == problem.first() == {"x": 1, "y": 1}
    assert found[-1] in ({"x": MILLION, "y": 1}, {"x": 1, "y": MILLION})
    assert found.contains({"x": 1000, "y": 1000})
    assert not found.contains({"x": 1000, "y": 1001})
    assert all(x * y <= MILLION for x, y in found.sample(100, seed=1).to_numpy().tolist())
    assert problem.count(x=7) == MILLION // 7
    assert problem.maximize("x + y").value == MILLION + 1
    assert problem.minimize("x - y").value == 1 - MILLION
    assert (
        found.neighbours({"x": 2, "y": 400_000}).count == MILLION // 400_000 - 1 + MILLION // 2 - 1
    )


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_hyperbola_in_every_quadrant(signs: tuple[int, int]) -> None:
    ends = [(1, 2000) if sign > 0 else (-2000, -1) for sign in signs]
    problem = problem_of({"x": ends[0], "y": ends[1]}, "abs(x * y) <= 5000")
    within = sum(min(2000, 5000 // x) for x in range(1, 2001))
    assert problem.count() == within
    product = problem_of({"x": ends[0], "y": ends[1]}, "x * y <= 1000", "x * y >= -1000")
    assert product.count() == sum(min(2000, 1000 // x) for x in range(1, 2001))


def test_equations_have_few_solutions() -> None:
    ends = {"x": (1, MILLION), "y": (1, MILLION)}
    assert problem_of(ends, "x * y == 999983 * 999979").count() == 2
    assert problem_of(ends, "x * y == 10**6", "x > y").count() == 24
    assert problem_of({"x": (2, MILLION), "y": (2, MILLION)}, "x * y == 999983").count() == 0
    assert problem_of(ends, "x % 7 == 3", "2 * x - 3 * y == 1").count() == 47_619


def test_what_cannot_be_is_told() -> None:
    problem = problem_of({"x": (1, 10**5), "y": (1, 10**5)}, "x > y", "y > x")
    assert problem.count() == 0
    with pytest.raises(Infeasible):
        problem.first()
    with pytest.raises(Infeasible):
        problem.maximize("x * y")


def test_optima_over_a_cube() -> None:
    cube = dict.fromkeys("xyz", (0, 1000))
    problem = problem_of(cube, "x + y + z <= 1500")
    assert dict(problem.maximize("x * y * z")) == {"x": 500, "y": 500, "z": 500}
    assert problem.minimize("x * y * z").value == 0
    best = problem.maximize("x * y * z", top=4)
    assert [one.value for one in best] == [500**3, *[501 * 500 * 499] * 3]
    assert len({tuple(one.items()) for one in best}) == 4
    signed = problem_of(dict.fromkeys("xyz", (-1000, 1000)), "x + y + z == 10", "x * y * z <= 1000")
    wanted = max(
        x * y - (10 - x - y)
        for x in range(-1000, 1001)
        for y in range(max(-1000, -990 - x), min(1000, 1010 - x) + 1)
        if x * y * (10 - x - y) <= 1000
    )
    assert signed.maximize("x * y - z").value == wanted


def knapsack(seed: int, *, items: int, most: int) -> tuple[Problem, str, int]:
    """Return a knapsack, its objective, and the best value by dynamic programming."""
    draw = random.Random(seed)
    weights = [draw.randint(1, 60) for _ in range(items)]
    values = [draw.randint(-5, 60) for _ in range(items)]
    room = sum(weights) * most // 3
    best = [0] * (room + 1)
    for weight, value in zip(weights, values, strict=True):
        best = [
            max(best[w - k * weight] + k * value for k in range(most + 1) if k * weight <= w)
            for w in range(room + 1)
        ]
    problem = Problem("knapsack")
    for i in range(items):
        problem.var(f"x{i}", 0, most)
    problem.add(" + ".join(f"{w} * x{i}" for i, w in enumerate(weights)) + f" <= {room}")
    return problem, " + ".join(f"{v} * x{i}" for i, v in enumerate(values)), max(best)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("items", "most"), [(40, 1), (25, 3)])
def test_a_knapsack_of_many_items(seed: int, items: int, most: int) -> None:
    problem, objective, best = knapsack(seed, items=items, most=most)
    found = problem.maximize(objective)
    assert found.value == best == problem.evaluate(objective, found)
    assert problem.solve().contains(dict(found))
