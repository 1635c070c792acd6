"""Long domains: counts, optima and infeasibility told without walking through every value."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter

import oracle
import pytest
from intsolver import Infeasible, Problem, residues, small

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


def test_remainders_of_long_domains_are_counted_by_remainder() -> None:
    size, divisor = 10**5, 97
    problem = Problem()
    problem.var("x", 1, size)
    problem.var("y", -size, -1)
    problem.add(f"(x * y + 3 * x) % {divisor} == 5")
    of_x = Counter(v % divisor for v in range(1, size + 1))
    of_y = Counter(v % divisor for v in range(-size, 0))
    pairs = itertools.product(range(divisor), repeat=2)
    wanted = sum(of_x[a] * of_y[b] for a, b in pairs if (a * b + 3 * a) % divisor == 5)
    started = time.process_time()
    assert problem.count() == wanted
    assert time.process_time() - started < 5  # 0.2 s measured, minutes pair by pair


def test_remainders_are_those_of_what_they_are_computed_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(small, "MOST", 0)
    monkeypatch.setattr(residues, "_LONG", 2)
    monkeypatch.setattr(residues, "_TIMES", 1)
    draw = random.Random(5)
    forms = (
        "({a} * {b} + {c}) % {m} == {r}", "({a} - {b} * {b} * {d}) % {m} != {r}",
        "({a} + {b} + {d}) % {m} == 0", "divides({m}, {a} * {b} - {d} ** 3)",
        "({a} * ({b} // 2) - {c} * {d}) % -{m} >= -{r}", "({a} * {b}) % {m} < {d}",
    )  # fmt: skip
    for _ in range(150):
        domains = {n: sorted(draw.sample(range(-9, 30), draw.randint(2, 9))) for n in "xyz"}
        problem = Problem()
        for name, domain in domains.items():
            problem.var(name, domain)
        texts = []
        for form in draw.sample(forms, 2):
            a, b, d = draw.sample("xyz", 3)
            numbers = {"c": draw.randint(-5, 5), "m": draw.randint(1, 7), "r": draw.randint(0, 3)}
            texts.append(form.format(a=a, b=b, d=d, **numbers))
        problem.add(*texts)
        wanted = oracle.solutions(domains, texts, {})
        assert sorted(tuple(row[n] for n in "xyz") for row in problem.solve()) == sorted(wanted)
