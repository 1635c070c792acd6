"""Stating problems, asking them, and what is said about mistakes."""

from __future__ import annotations

import copy
import itertools
import time
from typing import Any

import numpy as np
import pytest
from intsolver import (
    ExpressionError,
    Infeasible,
    IntsolverError,
    Problem,
    ProblemError,
    TooManySolutions,
)


@pytest.fixture
def tile() -> Problem:
    problem = Problem("tile")
    bm = problem.var("bm", [16, 32, 64, 128])
    warps = problem.var("warps", 1, 16)
    smem = problem.param("smem", 232_448)
    problem.add(bm * warps * 4 <= smem, name="tile fits shared memory")
    problem.add("1024 % (bm * warps) == 0")
    problem.define("blocks", "1024 // bm")
    return problem


def rows(**limits: int) -> list[tuple[int, int]]:
    smem, pin = limits.get("smem", 232_448), limits.get("bm")
    return [
        (bm, warps)
        for bm, warps in itertools.product([16, 32, 64, 128], range(1, 17))
        if bm * warps * 4 <= smem and 1024 % (bm * warps) == 0 and pin in (None, bm)
    ]


def test_what_a_problem_says_of_itself(tile: Problem) -> None:
    assert [(v.name, v.domain) for v in tile.variables] == [
        ("bm", (16, 32, 64, 128)),
        ("warps", tuple(range(1, 17))),
    ]
    assert tile.params == {"smem": 232_448}
    assert tile.definitions == {"blocks": "1024 // bm"}
    assert [(c.name, c.text) for c in tile.constraints] == [
        ("tile fits shared memory", "bm * warps * 4 <= smem"),
        ("1024 % (bm * warps) == 0", "1024 % (bm * warps) == 0"),
    ]
    assert repr(tile) == "<Problem 'tile': 2 variables, 2 constraints>"


def test_solving_with_other_parameters_and_pins(tile: Problem) -> None:
    for limits in ({}, {"smem": 1_024}, {"bm": 64}, {"smem": 2_048, "bm": 64}, {}, {"smem": 1}):
        found = tile.solve(**limits)
        assert [tuple(row) for row in found.to_numpy().tolist()] == rows(**limits)
        assert tile.count(**limits) == found.count == len(rows(**limits))
    assert tile.count(bm=np.int64(64)) == len(rows(bm=64))
    assert tile.count(bm=65) == 0


def test_first_limit_and_optima(tile: Problem) -> None:
    assert tile.first() == {"bm": 16, "warps": 1}
    assert [tuple(row.values()) for row in tile.limit(3)] == rows()[:3]
    best = tile.minimize("blocks * warps")
    assert best == {"bm": 128, "warps": 1}
    assert best.value == 8
    assert repr(best) == "Optimum({'bm': 128, 'warps': 1}, value=8)"
    top = tile.maximize(tile.parse("blocks") * 2 - tile.parse("warps"), 3)
    values = sorted((2 * (1024 // bm) - warps for bm, warps in rows()), reverse=True)
    assert [one.value for one in top] == values[:3]
    assert all(2 * (1024 // one["bm"]) - one["warps"] == one.value for one in top)
    assert len(tile.maximize("bm", top=1_000)) == len(rows())


def test_where_there_is_none(tile: Problem) -> None:
    for ask in (tile.first, lambda **at: tile.minimize("bm", **at)):
        with pytest.raises(Infeasible, match=r"no solution with smem=1; explain\(smem=1\)"):
            ask(smem=1)
    with pytest.raises(Infeasible, match="undefined at every solution"):
        tile.maximize("bm // (warps - warps)")


def test_evaluating_at_a_solution(tile: Problem) -> None:
    solution = {"bm": 32, "warps": 4}
    assert tile.evaluate("blocks * warps + smem", solution) == 128 + 232_448
    assert tile.evaluate("smem - blocks", solution, smem=40) == 8
    with pytest.raises(ProblemError, match="no value for warps"):
        tile.evaluate("blocks", {"bm": 32})
    with pytest.raises(ProblemError, match="`bm / 3` has no integer value there"):
        tile.evaluate("bm / 3", solution)


def test_definitions_build_on_each_other_and_on_parameters() -> None:
    problem = Problem()
    x = problem.var("x", -3, 3)
    problem.param("k", 2)
    square = problem.define("square", x * x)
    problem.define("more", "square * k + 1")
    problem.add("more <= 9", square != 1)
    assert list(problem.solve().column("x")) == [-2, 0, 2]
    assert list(problem.solve(k=8).column("x")) == [0]
    assert problem.maximize("more - x").value == 11


def test_adding_after_solving_is_seen(tile: Problem) -> None:
    before = tile.count()
    tile.add("warps == 4")
    assert tile.count() == len([row for row in rows() if row[1] == 4]) < before
    extra = tile.var("extra", [0, 1])
    assert tile.count() == 2 * len([row for row in rows() if row[1] == 4])
    tile.add(extra == 1)
    assert set(tile.solve().column("extra").tolist()) == {1}


def test_domains() -> None:
    problem = Problem()
    for name, given, domain in (
        ("a", ([3, -1, 0],), (3, -1, 0)),
        ("b", (-4, 4), tuple(range(-4, 5))),
        ("c", (range(0, 9, 3),), (0, 3, 6)),
        ("d", (np.array([5, 1]),), (5, 1)),
        ("e", ({9, 2, 5},), (2, 5, 9)),
        ("f", ((v * v for v in range(3)),), (0, 1, 4)),
        ("g", (7, 7), (7,)),
        ("h", ([10**30],), (10**30,)),
    ):
        variable = problem.var(name, *given)
        assert variable.domain == domain
        assert all(type(value) is int for value in variable.domain)
    assert problem.var("s", 0, 10, step=4).domain == (0, 4, 8)


@pytest.mark.parametrize(
    ("given", "step", "message"),
    [
        (("x", [1, 2.0]), 1, r"'x', a value of its domain: expected an integer, got 2\.0"),
        (("x", [True]), 1, "got the truth value True"),
        (("x", ["1"]), 1, "expected an integer, got '1'"),
        (("x", "123"), 1, "expected a list of integers or two ends, got '123'"),
        (("x", 5), 1, "expected a list of integers or two ends, got 5"),
        (("x", []), 1, "the domain is empty"),
        (("x", [1, 2, 1]), 1, "the domain has 1 twice"),
        (("x", 3, 1), 1, "no integers from 3 to 1"),
        (("x", 0, 10**12), 1, "more than 10,000,000 integers"),
        (("x", 0, 1.5), 1, "the high end: expected an integer, got 1.5"),
        (("x", 0, 4), 0, "a step of 0, expected 1 or more"),
        (("x", [1, 2]), 2, "a step goes with two ends"),
        (("a b", [1]), 1, "'a b' cannot be a name"),
        (("min", [1]), 1, "'min' cannot be a name, it is a word of the language"),
        (("if", [1]), 1, "'if' cannot be a name"),
        (("ﬁ", [1]), 1, "cannot be a name"),
        ((3, [1]), 1, "a name is text, got 3"),
        (("taken", [1]), 1, "there is a variable 'taken' already"),
        (("most", [1]), 1, "there is a parameter 'most' already"),
        (("named", [1]), 1, "there is a definition 'named' already"),
    ],
)
def test_what_cannot_be_declared(given: Any, step: int, message: str) -> None:
    problem = Problem()
    problem.var("taken", [1])
    problem.param("most", 3)
    problem.define("named", "taken + most")
    with pytest.raises((ProblemError, ExpressionError), match=message):
        problem.var(*given, step=step)
    assert len(problem.variables) == 1


def test_what_cannot_be_added(tile: Problem) -> None:
    bm = tile.parse("bm")
    for constraint, message in (
        (True, "Python compared two plain values"),
        (bm, "`bm` is an integer, expected a constraint; try `bm != 0`"),
        (3.5, "expected a constraint as text or from comparing terms"),
        (None, "expected a constraint"),
        ("bm <", "not an expression"),
    ):
        with pytest.raises(ExpressionError, match=message):
            tile.add(constraint)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="with 2 constraints, expected one"):
        tile.add("bm > 1", "bm > 2", name="two")
    with pytest.raises(ProblemError, match="called 'tile fits shared memory' already"):
        tile.add("bm > 1", name="tile fits shared memory")
    with pytest.raises(ExpressionError):
        tile.add("bm > 16", "bm > nothing")  # all or none
    assert len(tile.constraints) == 2
    tile.add("1024 % (bm * warps) == 0")
    assert tile.constraints[-1].name == "1024 % (bm * warps) == 0 (2)"


def test_unknown_names_are_pointed_at_with_close_ones_first(tile: Problem) -> None:
    with pytest.raises(ExpressionError) as caught:
        tile.add("bm * (wraps + 1) < 3")
    assert caught.value.column == 6
    assert str(caught.value).splitlines() == [
        "unknown name 'wraps'; known: warps, bm, smem, blocks",
        "  bm * (wraps + 1) < 3",
        "        ^",
    ]
    other = Problem()
    with pytest.raises(ExpressionError, match="unknown name 'z'; known: bm"):
        tile.add(other.var("z", [1]) < 3)
    for ask in (tile.solve, tile.count, tile.first, tile.explain):
        with pytest.raises(ProblemError, match="unknown parameter or variable 'sme'; known: smem"):
            ask(sme=3)
    with pytest.raises(ProblemError, match="'blocks'"):
        tile.solve(blocks=3)
    for value in (1.5, True, "3", None):
        with pytest.raises(ExpressionError, match="smem: expected an integer"):
            tile.solve(smem=value)  # type: ignore[arg-type]


def test_definitions_cannot_blow_up() -> None:
    problem = Problem()
    problem.var("x", [1, 2])
    problem.define("d0", "x + 1")
    for i in range(12):
        problem.define(f"d{i + 1}", f"d{i} + d{i}")
    with pytest.raises(ExpressionError, match="at most 20,000 terms"):
        problem.define("d13", "d12 + d12")
    problem.define("steep", "x**64")
    with pytest.raises(ExpressionError, match="powers of degree 256"):
        problem.add("steep**64 > 3")


def test_long_names_and_values_are_cut_in_errors(tile: Problem) -> None:
    long = "a" * 5_000
    for ask in (
        lambda: tile.var(f"{long}+", [1]),
        lambda: tile.var("v", long),
        lambda: tile.var("v", [long]),
        lambda: tile.var("v", 10**6_000, 0),  # more digits than Python writes
        lambda: tile.var("v", [10**6_000] * 2),
        lambda: tile.add(f"{long} > 1"),
        lambda: tile.solve(**{long: 1}),
        lambda: tile.binding(dict.fromkeys(range(5_000), 1)),
    ):
        with pytest.raises(IntsolverError) as caught:
            ask()
        assert len(str(caught.value)) < 400


def test_too_many_solutions_is_an_error_not_a_dead_machine() -> None:
    problem = Problem()
    for name in "abcdef":
        problem.var(name, 1, 100)
    problem.add("a * b * c * d * e * f % 7 != 3")
    with pytest.raises(TooManySolutions) as caught:
        problem.solve(max_rows=5)
    assert caught.value.count > 5
    assert problem.first()
    assert problem.limit(4).count == 4


def test_a_copy_is_independent(tile: Problem) -> None:
    tile.solve()
    other = copy.deepcopy(tile)
    other.add("bm == 16")
    assert other.count() < tile.count() == len(rows())


def test_building_is_fast() -> None:
    def build(salt: int) -> Problem:
        problem = Problem()
        for i in range(20):
            problem.var(f"v{i}", [1, 2, 4, 8])
        for i in range(14):
            problem.add(f"(v{i} * v{i + 1} + {salt}) % v{i + 2} == 0 or v{i} <= v{i + 3}")
        return problem

    best = 1.0
    for salt in range(5):
        before = time.process_time()
        build(salt)
        best = min(best, time.process_time() - before)
    assert best < 0.005  # 0.5 ms measured
