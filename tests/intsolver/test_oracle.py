"""Random problems over the whole language: the solver against brute force."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING
from unittest import mock

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intsolver import Infeasible, Problem, build, chain, component, optimum, order, small, standing
from random_problems import NeedsTextError, Stated, problems, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intsolver import Solutions
    from oracle import Row


def rows_of(found: Solutions, stated: Stated) -> list[Row]:
    """Return the rows in the order of the set, after checking that it is the documented one."""
    rows = [tuple(solution[name] for name in stated.domains) for solution in found]
    places = [
        tuple(stated.domains[name].index(solution[name]) for name in found.order)
        for solution in found
    ]
    assert places == sorted(places), f"not lexicographic in {found.order}"
    assert sorted(found.order) == sorted(stated.domains)
    assert len(set(rows)) == len(rows), "duplicates"
    return rows


@contextlib.contextmanager
def as_if_large(*, halved: bool = False) -> Iterator[None]:
    """Have small problems take every path that the solver keeps for large ones.

    `halved`: optima are looked for by halving boxes at once.
    """
    thresholds = [
        (small, "MOST", 0),  # levels, instead of all assignments in one piece
        (component, "_PATIENCE", 20),  # breadth first where depth first takes long
        (component, "_ROWS", 4),
        (component, "SMALL", 0),  # looking ahead at single values, pruning of levels
        (build, "_FEW", 0),
        (chain, "_FEW", 0),  # states merged
        (chain, "_MANY", 0),  # all that cannot lead to an optimum left out
        (chain, "_SPREAD", 0),  # by hashing
        (chain, "_DENSE", 4),  # rows that failed one check skip the next
        (chain, "_GRID", 16),  # a level expanded in blocks
        (order, "_CHEAP", 0),  # several orders weighed
        (standing, "_BLOCK", 5),  # columns that stand computed in blocks
        (chain, "LONG", 1),  # values of monotone checks found by bisection
        (build, "LONG", 1),
        (chain, "_BISECTED", 0),
        *([(optimum, "_ROWS", 0), (optimum, "_LONG", 0)] if halved else []),
    ]
    with contextlib.ExitStack() as patches:
        for module, name, value in thresholds:
            patches.enter_context(mock.patch.object(module, name, value))
        yield


@settings(max_examples=1500)
@given(problems())
def test_the_set_is_exact(stated: Stated) -> None:
    check_set(stated)


@settings(max_examples=1000)
@given(problems())
def test_the_set_is_exact_as_if_large(stated: Stated) -> None:
    with as_if_large():
        check_set(stated)


@settings(max_examples=15)
@given(problems(wide=True, depth=2))
def test_a_wide_set_is_exact(stated: Stated) -> None:
    wanted, found = stated.rows(), stated.problem().solve()
    assert found.count == len(wanted)
    assert sorted(map(tuple, found.to_numpy().tolist())) == sorted(wanted)


def check_set(stated: Stated) -> None:
    wanted = stated.rows()
    problem = stated.problem()
    found = problem.solve()
    rows = rows_of(found, stated)
    assert sorted(rows) == sorted(wanted)
    assert found.count == len(found) == problem.count() == len(wanted)
    table = found.to_numpy()
    assert table.shape == (len(wanted), len(stated.domains))
    assert [tuple(row) for row in table.tolist()] == rows
    if wanted:
        assert problem.first() == found[0]
        assert tuple(found[-1][name] for name in stated.domains) == rows[-1]
    else:
        with pytest.raises(Infeasible):
            problem.first()
    assert rows_of(problem.limit(3), stated) == rows[:3]


@settings(max_examples=300)
@given(problems(big=True, constraints=3))
def test_numbers_beyond_64_bits_are_exact(stated: Stated) -> None:
    wanted = stated.rows()
    found = stated.problem().solve()
    assert sorted(rows_of(found, stated)) == sorted(wanted)
    assert found.count == len(wanted)
    assert [tuple(row) for row in found.to_numpy().tolist()] == rows_of(found, stated)


@settings(max_examples=300)
@given(problems(), st.sampled_from(["max", "min"]), st.integers(1, 4), st.booleans())
def test_the_optimum_is_the_best_of_all(stated: Stated, sense: str, top: int, big: bool) -> None:
    check_optimum(stated, sense, 100 if big else top)


@settings(max_examples=300)
@given(problems(), st.sampled_from(["max", "min"]), st.integers(1, 4), st.booleans())
def test_the_optimum_is_the_best_as_if_large(
    stated: Stated, sense: str, top: int, halved: bool
) -> None:
    with as_if_large(halved=halved):
        check_optimum(stated, sense, top)


@settings(max_examples=100)
@given(problems(big=True, constraints=2), st.sampled_from(["max", "min"]))
def test_the_optimum_is_exact_beyond_64_bits(stated: Stated, sense: str) -> None:
    check_optimum(stated, sense, 5)


def check_optimum(stated: Stated, sense: str, top: int) -> None:
    code = oracle.compiled(stated.inlined(stated.objective))
    values = {
        row: oracle.value(
            code, {**stated.parameters, **dict(zip(stated.domains, row, strict=True))}
        )
        for row in stated.rows()
    }
    defined = {row: value for row, value in values.items() if value is not None}
    problem = stated.problem()
    best = problem.maximize if sense == "max" else problem.minimize
    objective = text(stated.objective)
    if not defined:
        with pytest.raises(Infeasible):
            best(objective)
        return
    ranked = sorted(defined.values(), reverse=sense == "max")
    one = best(objective)
    assert one.value == ranked[0]
    assert values[tuple(one[name] for name in stated.domains)] == one.value
    several = best(objective, top=top)
    assert [optimum.value for optimum in several] == ranked[:top]
    rows = [tuple(optimum[name] for name in stated.domains) for optimum in several]
    assert len(set(rows)) == len(rows)
    assert [values[row] for row in rows] == ranked[:top]


@settings(max_examples=250)
@given(problems(), st.data())
def test_pins_and_parameters_warm_equal_cold(stated: Stated, data: st.DataObject) -> None:
    check_warm(stated, data)


@settings(max_examples=200)
@given(problems(free=False), st.data())
def test_warm_equals_cold_as_if_large(stated: Stated, data: st.DataObject) -> None:
    with as_if_large():
        check_warm(stated, data)


def check_warm(stated: Stated, data: st.DataObject) -> None:
    warm = stated.problem()
    warm.solve()
    for _ in range(3):
        changed = {name: data.draw(st.integers(-9, 12)) for name in stated.parameters}
        pinned = {
            name: data.draw(st.sampled_from((*domain, 99)))
            for name, domain in stated.domains.items()
            if data.draw(st.integers(0, 2)) == 0
        }
        given_values = {**changed, **pinned}
        wanted = stated.rows(pinned, **changed)
        found = warm.solve(**given_values)
        rows = rows_of(found, stated)
        assert sorted(rows) == sorted(wanted)
        assert rows == rows_of(stated.problem().solve(**given_values), stated), "warm is not cold"
        assert warm.count(**given_values) == len(wanted)
        assert rows_of(warm.limit(2, **given_values), stated) == rows[:2]
    assert sorted(rows_of(warm.solve(), stated)) == sorted(stated.rows())


@settings(max_examples=300)
@given(problems())
def test_operators_mean_what_the_text_means(stated: Stated) -> None:
    try:
        problem = stated.problem(operators=True)
    except NeedsTextError:
        return
    found = problem.solve()
    assert sorted(rows_of(found, stated)) == sorted(stated.rows())


@settings(max_examples=200)
@given(problems())
def test_spaces_round_trip(stated: Stated) -> None:
    space = stated.problem().to_space()
    again = Problem.from_space(space)
    used = {v.name for v in again.variables}
    assert used == set(stated.domains)
    assert sorted(rows_of(again.solve(), stated)) == sorted(stated.rows())
    assert again.to_space()["constraints"] == space["constraints"]


@settings(max_examples=200)
@given(problems(), st.data())
def test_questions_to_a_set(stated: Stated, data: st.DataObject) -> None:
    wanted = stated.rows()
    names = list(stated.domains)
    found = stated.problem().solve()
    rows = rows_of(found, stated)
    kept = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    places = [names.index(name) for name in kept]
    projected = found.project(*kept)
    listed = [tuple(solution[name] for name in kept) for solution in projected]
    assert len(set(listed)) == len(listed) == projected.count
    assert set(listed) == {tuple(row[i] for i in places) for row in wanted}
    for name, column in zip(names, zip(*rows, strict=True), strict=False):
        assert found.column(name).tolist() == list(column)
    at = {name: data.draw(st.sampled_from((*d, 77))) for name, d in stated.domains.items()}
    row = tuple(at.values())
    assert found.contains(at) == (row in wanted)
    assert (at in found) == (row in wanted)
    near = [r for r in wanted if sum(a != b for a, b in zip(r, row, strict=True)) == 1]
    neighbours = [tuple(n[name] for name in names) for n in found.neighbours(at)]
    assert sorted(neighbours) == sorted(near)
    start, stop = sorted(data.draw(st.tuples(st.integers(-5, 9), st.integers(-5, 9))))
    some = [tuple(s[name] for name in names) for s in found[start:stop]]
    assert some == rows[start:stop]
    sample = found.sample(5, seed=1)
    drawn = [tuple(s[name] for name in names) for s in sample]
    assert len(set(drawn)) == len(drawn) == min(5, len(wanted))
    assert set(drawn) <= set(wanted)


@settings(max_examples=300)
@given(problems(free=False, constraints=4, depth=2), st.data())
def test_explanations_are_right(stated: Stated, data: st.DataObject) -> None:
    pinned = {
        name: data.draw(st.sampled_from(domain))
        for name, domain in stated.domains.items()
        if data.draw(st.integers(0, 3)) == 0
    }
    explanation = stated.problem().explain(**pinned)
    feasible = bool(stated.rows(pinned))
    assert explanation.feasible == feasible
    if feasible:
        assert not explanation.core
        assert not explanation.relaxations
        assert "feasible" in str(explanation)
        return
    assert explanation.core
    assert not satisfiable(stated, pinned, explanation.core), "the core is no conflict"
    for left in itertools.combinations(explanation.core, len(explanation.core) - 1):
        assert satisfiable(stated, pinned, left), f"{left} is a conflict within the core"
    members = [f"c{i}" for i in range(len(stated.constraints))]
    members += [f"{name} = {value}" for name, value in pinned.items()]
    if explanation.smallest:
        for fewer in itertools.combinations(members, len(explanation.core) - 1):
            assert satisfiable(stated, pinned, fewer), f"{fewer} is a smaller conflict"
    for relaxation in explanation.relaxations:
        check_relaxation(stated, pinned, explanation.core, relaxation)


def satisfiable(stated: Stated, pinned: dict[str, int], members: tuple[str, ...]) -> bool:
    texts = [t for i, t in enumerate(stated.texts()) if f"c{i}" in members]
    pins = {name: value for name, value in pinned.items() if f"{name} = {value}" in members}
    return bool(oracle.solutions(stated.domains, texts, stated.parameters, pins))


def check_relaxation(
    stated: Stated, pinned: dict[str, int], core: tuple[str, ...], relaxation: object
) -> None:
    """One change alone makes the whole problem feasible, and none nearer does."""
    constraint = relaxation.constraint
    parameter, value = relaxation.parameter, relaxation.value
    assert constraint in core
    if parameter is None:
        others = [t for i, t in enumerate(stated.texts()) if f"c{i}" != constraint]
        pins = {n: v for n, v in pinned.items() if f"{n} = {v}" != constraint}
        assert oracle.solutions(stated.domains, others, stated.parameters, pins)
        return
    if parameter in pinned:
        now, domain = pinned[parameter], stated.domains[parameter]
        assert stated.rows({**pinned, parameter: value})
        nearer = [v for v in domain if abs(v - now) < abs(value - now)]
        assert not any(stated.rows({**pinned, parameter: v}) for v in nearer)
        return
    now = stated.parameters[parameter]
    assert stated.rows(pinned, **{parameter: value}), f"{relaxation} does not help"
    reach = min(abs(value - now), 12)
    for v in range(now - reach + 1, now + reach):
        assert not stated.rows(pinned, **{parameter: v}), f"{parameter}={v} is nearer"
