"""Questions to a set of solutions: order, places, samples, projections, neighbours, columns."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import oracle
import pytest
from intsolver import Problem
from intsolver.errors import ProblemError, TooManySolutions

if TYPE_CHECKING:
    from intsolver import Solutions

DOMAINS = {"a": (3, -1, 0, 7), "b": (5, 2, 4), "free": (9, -9), "c": (1, 2, 3, 6), "d": (0, 1)}
CONSTRAINTS = ["a * b % c == 0", "a != d or c > 2"]  # one component, and `free` in none
ROWS = oracle.solutions(DOMAINS, CONSTRAINTS, {})


@pytest.fixture
def found() -> Solutions:
    problem = Problem("set")
    for name, domain in DOMAINS.items():
        problem.var(name, domain)
    problem.add(*CONSTRAINTS)
    return problem.solve()


def rows_of(found: Solutions) -> list[tuple[int, ...]]:
    return [tuple(row[name] for name in found.names) for row in found]


def test_the_rows_are_those_of_brute_force_in_the_documented_order(found: Solutions) -> None:
    assert found.names == tuple(DOMAINS)
    assert sorted(found.order) == sorted(DOMAINS)
    rows = rows_of(found)
    assert sorted(rows) == sorted(ROWS)
    assert found.count == len(found) == len(ROWS) > 100
    places = [tuple(DOMAINS[name].index(row[name]) for name in found.order) for row in found]
    assert places == sorted(places)


def test_an_index_is_a_place_in_that_order(found: Solutions) -> None:
    rows = list(found)
    for index in range(-len(rows), len(rows)):
        assert found[index] == rows[index]
    assert found[np.int64(3)] == rows[3]
    for index in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError, match=f"index {index} of {len(rows)} solutions"):
            found[index]


@pytest.mark.parametrize(
    "cut",
    [
        slice(None),
        slice(2, 9),
        slice(-3, None),
        slice(None, None, -1),
        slice(20, 3, -4),
        slice(5, 5),
        slice(0, 10**30, 7),
    ],
    ids=str,
)
def test_a_slice_is_a_set_in_the_same_order(found: Solutions, cut: slice) -> None:
    some = found[cut]
    assert list(some) == list(found)[cut]
    assert some.count == len(list(found)[cut])
    assert some.names == found.names


def test_columns_and_tables_are_the_rows(found: Solutions) -> None:
    rows = rows_of(found)
    table = found.to_numpy()
    assert table.dtype == np.int64
    assert [tuple(row) for row in table.tolist()] == rows
    for place, name in enumerate(found.names):
        assert found.column(name).dtype == np.int64
        assert found.column(name).tolist() == [row[place] for row in rows]
    frame = found.to_pandas()
    assert list(frame.columns) == list(found.names)
    assert [tuple(row) for row in frame.to_numpy().tolist()] == rows
    with pytest.raises(ProblemError, match="unknown variable 'e'; known: a, b, free, c, d"):
        found.column("e")


def test_contains_is_asked_of_any_assignment(found: Solutions) -> None:
    wanted = set(ROWS)
    for row in itertools.product(*[(*domain, 77) for domain in DOMAINS.values()]):
        at = dict(zip(DOMAINS, row, strict=True))
        assert found.contains(at) == (row in wanted)
    at = found[0]
    assert at in found
    assert at in found[:1]
    assert at not in found[1:]
    assert {**at, "e": 1} not in found
    assert {"a": 3} not in found
    assert {**at, "a": float(at["a"])} not in found  # no integer
    assert {**at, "a": str(at["a"])} not in found
    assert 3 not in found


def test_a_sample_is_uniform_without_replacement_and_repeatable(found: Solutions) -> None:
    size = 20
    drawn = found.sample(size, seed=7)
    assert rows_of(drawn) == rows_of(found.sample(size, seed=7))
    assert rows_of(drawn) != rows_of(found.sample(size, seed=8))
    assert len(set(rows_of(drawn))) == drawn.count == size
    assert set(rows_of(drawn)) <= set(ROWS)
    tally: Counter[tuple[int, ...]] = Counter()
    draws = 600
    for seed in range(draws):
        tally.update(rows_of(found.sample(size, seed=seed)))
    mean = draws * size / len(ROWS)
    # Hypergeometric draws: the chi-squared statistic has len(ROWS) - 1 degrees of freedom, scaled.
    spread = 1 - size / len(ROWS)
    statistic = sum((tally[row] - mean) ** 2 for row in ROWS) / (mean * spread)
    degrees = len(ROWS) - 1
    assert abs(statistic - degrees) < 5 * (2 * degrees) ** 0.5
    assert rows_of(found.sample(10**6)) == rows_of(found)
    assert found.sample(0).count == 0
    with pytest.raises(ProblemError, match="sample of -1; expected 0 or more"):
        found.sample(-1)


@pytest.mark.parametrize(
    "kept", [("a",), ("c", "a"), ("free",), ("d", "free", "b"), tuple(DOMAINS)]
)
def test_a_projection_is_what_occurs_once_each(found: Solutions, kept: tuple[str, ...]) -> None:
    places = [tuple(DOMAINS).index(name) for name in kept]
    projected = found.project(*kept)
    assert projected.names == kept
    rows = rows_of(projected)
    assert projected.count == len(rows) == len(set(rows))
    assert set(rows) == {tuple(row[i] for i in places) for row in ROWS}
    assert found[5:40].project(*kept).count == len(
        {tuple(row[name] for name in kept) for row in list(found)[5:40]}
    )


def test_projection_needs_known_names(found: Solutions) -> None:
    with pytest.raises(ProblemError, match="unknown variable 'e'"):
        found.project("e")
    with pytest.raises(ProblemError, match="project needs a variable"):
        found.project()


def test_neighbours_differ_in_one_variable(found: Solutions) -> None:
    for at in [found[0], found[-1], dict.fromkeys(DOMAINS, 77), {**found[3], "a": 77}]:
        near = [
            row
            for row in ROWS
            if sum(value != at[name] for name, value in zip(DOMAINS, row, strict=True)) == 1
        ]
        assert sorted(rows_of(found.neighbours(at))) == sorted(near)
    with pytest.raises(ProblemError, match="expected exactly a, b, free, c, d"):
        found.neighbours({"a": 3})


def test_limit_is_a_beginning(found: Solutions) -> None:
    assert list(found.limit(4)) == list(found)[:4]
    assert found.limit(0).count == 0
    assert list(found.limit(10**9)) == list(found)


def test_no_solution_has_no_rows_but_all_columns() -> None:
    problem = Problem("none")
    problem.var("x", 1, 9)
    problem.var("y", 1, 9)
    problem.add("x * y == 11 * 13")
    none = problem.solve()
    assert none.count == len(none) == 0
    assert not none
    assert list(none) == []
    assert none.to_numpy().shape == (0, 2)
    assert none.column("x").tolist() == []
    assert none.sample(3).count == none.project("y").count == none[:2].count == 0
    assert {"x": 1, "y": 1} not in none
    with pytest.raises(IndexError):
        none[0]


def test_no_variables_have_one_solution() -> None:
    problem = Problem("empty")
    assert list(problem.solve()) == [{}]
    assert problem.solve().to_numpy().shape == (1, 0)
    assert {} in problem.solve()
    problem.add("1 == 2")
    assert list(problem.solve()) == []


def test_sets_past_what_can_be_listed_are_counted_indexed_and_sampled() -> None:
    problem = Problem("huge")
    names = [f"v{i}" for i in range(40)]
    for name in names:
        problem.var(name, 0, 9)
    problem.add(" + ".join(names[:20]) + " == 3")
    huge = problem.solve()
    assert huge.count == 1540 * 10**20  # 22 choose 3 sums, and 20 free variables
    assert huge.count > sys.maxsize
    for at in (huge[0], huge[-1], huge[huge.count // 3]):
        assert sum(at[name] for name in names[:20]) == 3
        assert at in huge
    middle = huge.count // 2
    assert [huge[middle], huge[middle + 1]] == list(huge[middle : middle + 2])
    drawn = huge.sample(50, seed=3)
    assert drawn.count == 50
    assert rows_of(drawn) == rows_of(huge.sample(50, seed=3))
    assert all(sum(row[name] for name in names[:20]) == 3 for row in drawn)
    assert huge.project("v0", "v39").count == 4 * 10
    assert list(huge.limit(2)) == [huge[0], huge[1]]
    for listing in (huge.to_numpy, lambda: huge.column("v0"), lambda: huge[1:]):
        with pytest.raises(TooManySolutions, match="too many to list") as raised:
            listing()
        assert raised.value.count >= 10**20
    with pytest.raises(OverflowError, match=r"use \.count"):
        len(huge)


def test_values_past_64_bits_are_python_integers() -> None:
    problem = Problem("wide")
    problem.var("x", [2**70, 3, -(2**65)])
    problem.var("y", [1, 2])
    problem.add("x * y > 5")
    wide = problem.solve()
    rows = [(2**70, 1), (2**70, 2), (3, 2)]
    assert sorted(rows_of(wide)) == sorted(rows)
    assert wide.column("x").dtype == object
    assert wide.column("y").dtype == np.int64
    assert wide.contains({"x": 2**70, "y": 2})
    assert sorted(rows_of(wide.neighbours({"x": 2**70, "y": 2}))) == [(3, 2), (2**70, 1)]
    assert {row["x"] for row in wide.project("x")} == {2**70, 3}
