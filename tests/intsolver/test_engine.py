"""The solver between a system and its solutions: parameters, pins, limits, large-problem paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intsolver import Problem, build, chain, component, small, standing
from intsolver.errors import TooManySolutions
from random_problems import Stated, problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from intsolver import Solutions
    from oracle import Row


def rows_of(found: Solutions) -> list[Row]:
    return [tuple(row[name] for name in found.names) for row in found]


# -- paths that only large problems take, taken by small ones that brute force can check -----------


@pytest.fixture(params=["levels", "pruned", "sparse", "blocks"])
def large_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Take levels; prune, narrow and merge always; check sparsely always; a few cells at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "MOST", 0)
        if request.param != "levels":
            patch.setattr(component, "SMALL", 0)
            patch.setattr(build, "_FEW", 0)
            patch.setattr(chain, "_FEW", 0)
        if request.param in ("sparse", "blocks"):
            patch.setattr(chain, "_DENSE", 0)
            patch.setattr(component, "_PATIENCE", 10)
        if request.param == "blocks":
            patch.setattr(chain, "_GRID", 3)
            patch.setattr(chain, "_SPREAD", 0)
            patch.setattr(standing, "_BLOCK", 3)
        yield request.param


@pytest.mark.usefixtures("large_path")
@settings(max_examples=100)
@given(problems(), st.data())
def test_the_paths_of_large_problems_are_exact(stated: Stated, data: st.DataObject) -> None:
    check_all_ways(stated, data)


@pytest.mark.usefixtures("large_path")
@settings(max_examples=40)
@given(problems(big=True, constraints=3), st.data())
def test_the_paths_of_large_problems_are_exact_beyond_64_bits(
    stated: Stated, data: st.DataObject
) -> None:
    check_all_ways(stated, data)


def check_all_ways(stated: Stated, data: st.DataObject) -> None:
    problem = stated.problem()
    found = problem.solve()
    rows = rows_of(found)
    assert sorted(rows) == sorted(stated.rows())
    assert rows_of(problem.limit(3)) == rows[:3]
    changed = {name: data.draw(st.integers(-4, 9)) for name in stated.parameters}
    pinned = {
        name: data.draw(st.sampled_from(domain))
        for name, domain in stated.domains.items()
        if data.draw(st.booleans())
    }
    assert sorted(rows_of(problem.solve(**changed, **pinned))) == sorted(
        stated.rows(pinned, **changed)
    )
    assert rows_of(problem.solve()) == rows


# -- parameters: what is kept between solves never shows -------------------------------------------


@settings(max_examples=100)
@given(problems(free=False), st.lists(st.integers(-4, 9), min_size=4, max_size=4), st.data())
def test_solving_again_is_solving_anew(
    stated: Stated, values: list[int], data: st.DataObject
) -> None:
    warm = stated.problem()
    for value in values:
        given_values = dict.fromkeys(stated.parameters, value)
        again = warm.solve(**given_values)
        anew = stated.problem().solve(**given_values)
        assert again.order == anew.order
        assert rows_of(again) == rows_of(anew)
        assert sorted(rows_of(again)) == sorted(stated.rows(**given_values))
        assert again.to_numpy().tolist() == [list(row) for row in rows_of(again)]
        name = data.draw(st.sampled_from(sorted(stated.domains)))
        assert {row[name] for row in again.project(name)} == {row[name] for row in again}
        assert rows_of(warm.limit(3, **given_values)) == rows_of(again)[:3]


def test_a_parameter_decides_over_the_rows_that_stand() -> None:
    problem = Problem("tile")
    for name in ("m", "n", "k"):
        problem.var(name, [8, 16, 32, 64, 128])
    problem.param("smem", 10_000)
    problem.param("most", 64)
    problem.add("(m * k + n * k) * 2 <= smem", "max(m, n) <= most", "m % n == 0 or n % m == 0")
    for smem in (0, 255, 256, 4_096, 10_000, 10**6, 2**70, -(2**70)):
        for most in (7, 8, 64, 10**4):
            limits = {"smem": smem, "most": most}
            wanted = oracle.solutions(
                dict.fromkeys(("m", "n", "k"), (8, 16, 32, 64, 128)),
                [c.text for c in problem.constraints],
                limits,
            )
            found = problem.solve(**limits)
            assert sorted(rows_of(found)) == sorted(wanted)
            assert found.count == len(wanted)
            pinned = problem.solve(**limits, m=16)
            assert sorted(rows_of(pinned)) == sorted(row for row in wanted if row[0] == 16)


def test_the_order_of_a_large_problem_is_the_same_whatever_was_solved_before() -> None:
    def stated() -> Problem:
        problem = Problem("order")
        for name in "abcd":
            problem.var(name, 1, 24)
        problem.param("p", 10)
        problem.param("q", 3)
        problem.add("a * b <= p", "c * d * a <= 5 * p", "(a + c) % q == 0", "b + d >= q")
        return problem

    warm = stated()
    for limits in ({"p": 2}, {"p": 500, "q": 1}, {"p": 24, "q": 7}, {"p": 40}):
        anew, again = stated().solve(**limits), warm.solve(**limits)
        assert again.order == anew.order
        assert again.to_numpy().tolist() == anew.to_numpy().tolist()
        assert again.count > 0
        assert warm.first(**limits) == stated().first(**limits) == again[0]


def test_rows_where_a_parameter_makes_a_division_undefined_are_violations() -> None:
    problem = Problem("undefined")
    problem.var("x", -3, 6)
    problem.var("y", -2, 2)
    problem.param("p", 2)
    problem.add("(x + y) % p == 0", "x // y < p or p > 3")
    domains: Mapping[str, tuple[int, ...]] = {"x": tuple(range(-3, 7)), "y": tuple(range(-2, 3))}
    for p in (2, 0, 1, -1, 3, 4, 0):
        wanted = oracle.solutions(domains, [c.text for c in problem.constraints], {"p": p})
        assert sorted(rows_of(problem.solve(p=p))) == sorted(wanted)
    assert problem.solve(p=0).count == 0


def test_more_standing_rows_than_are_kept_are_solved_level_by_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stated() -> Problem:
        problem = Problem("many")
        for name in ("x", "y", "z"):
            problem.var(name, 1, 12)
        problem.param("p", 50)
        problem.add("x * y * z <= p", "x <= y", "y % z == 0 or z % y == 0")
        return problem

    kept = stated()
    few = [rows_of(kept.solve(p=p)) for p in (50, 3, 900)]
    monkeypatch.setattr(standing, "_MOST_ROWS", 10)
    levels = stated()
    assert [rows_of(levels.solve(p=p)) for p in (50, 3, 900)] == few
    assert len(few[1]) < len(few[0]) < len(few[2])


# -- pins ------------------------------------------------------------------------------------------


def test_pins_are_values_of_the_domain_or_leave_nothing() -> None:
    problem = Problem("pins")
    problem.var("x", [4, 0, -2])
    problem.var("y", 1, 6)
    problem.var("free", [1, 2])
    problem.var("only", [5])
    problem.add("x % y == 0")
    rows = rows_of(problem.solve())
    for pinned in ({"x": -2}, {"y": 3, "free": 2}, {"only": 5}, {"x": 0, "y": 6, "free": 1}):
        wanted = [
            row
            for row in rows
            if all(row[problem.solve().names.index(n)] == v for n, v in pinned.items())
        ]
        assert rows_of(problem.solve(**pinned)) == wanted
        assert wanted
    for pinned in ({"x": 3}, {"y": 2**80}, {"free": 0}, {"only": 4}):
        assert problem.solve(**pinned).count == 0


# -- first and limit do not enumerate --------------------------------------------------------------


def test_the_first_of_a_set_too_large_to_hold_is_found() -> None:
    problem = Problem("large")
    names = [f"v{i}" for i in range(12)]
    for i, name in enumerate(names):
        problem.var(name, range(i, 400 + i))
    for a, b, c in zip(names, names[1:], names[2:], strict=False):
        problem.add(f"({a} + {b} * {c}) % 7 == 3")
    first = problem.first()
    assert all(oracle.holds(oracle.compiled(c.text), first) for c in problem.constraints)
    few = problem.limit(5)
    assert few.count == 5
    assert few[0] == first
    assert len(set(rows_of(few))) == 5
    for row in few:
        assert all(oracle.holds(oracle.compiled(c.text), row) for c in problem.constraints)


# -- the best --------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["c + d", "a * d", "f", "b % 2", "a + d // 2 - e", "7"])
def test_the_best_come_in_the_order_of_the_set_where_they_tie(objective: str) -> None:
    problem = Problem("ties")
    for name in "abcdef":
        problem.var(name, [3, 1, 2])
    problem.add("a != b", "c <= d")
    rows = list(problem.solve())
    worth = [problem.evaluate(objective, row) for row in rows]
    for sign, best in ((-1, problem.maximize), (1, problem.minimize)):
        ranked = sorted(zip(worth, rows, strict=True), key=lambda pair: sign * pair[0])
        for top in (1, 5, 60, len(rows) + 1):
            found = best(objective, top=top)
            assert [(one.value, dict(one)) for one in found] == ranked[:top]


# -- max_rows --------------------------------------------------------------------------------------


def test_max_rows_stops_with_the_count_so_far_and_the_problem_goes_on() -> None:
    problem = Problem("rows")
    for name in "abcdef":
        problem.var(name, 0, 99)
    problem.add("a*b + c*d + e*f == 777")
    with pytest.raises(TooManySolutions, match="raise max_rows, or ask for first") as raised:
        problem.solve(max_rows=1_000)
    assert raised.value.count > 1_000
    first = problem.first()
    assert first["a"] * first["b"] + first["c"] * first["d"] + first["e"] * first["f"] == 777
    pinned = problem.solve(a=7, b=100 - 1, c=0, e=1, max_rows=1_000)
    assert rows_of(pinned) == [(7, 99, 0, d, 1, 84) for d in range(100)]


# -- interrupts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(12))
def test_an_interrupt_leaves_the_problem_usable(
    monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    def stated() -> Problem:
        problem = Problem("interrupted")
        for name in "abcd":
            problem.var(name, 1, 12)
        problem.param("p", 40)
        problem.add("a * b <= p", "c % d == 0", "a + c != b + d", "b % c == 0")
        return problem

    wanted = rows_of(stated().solve(p=30))
    problem = stated()
    calls = 0
    original = chain.expand

    def interrupted(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == after:
            raise KeyboardInterrupt
        return original(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(chain, "expand", interrupted)
    try:
        problem.solve()
        problem.solve(a=3, p=7)
    except KeyboardInterrupt:
        assert calls == after
    assert rows_of(problem.solve(p=30)) == wanted


# -- exactness -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domains", "constraints", "rows"),
    [
        ({"x": (0, 1, 2)}, ["x // 0 == 0"], []),
        ({"x": (0, 1, 2)}, ["x % (x - x) in [0]"], []),
        ({"x": (0, 1, 2)}, ["6 // x >= 3"], [(1,), (2,)]),
        ({"x": (0, 1, 2)}, ["x == 0 or 6 // x >= 6"], [(0,), (1,)]),
        ({"x": (0, 1, 2)}, ["6 // x >= 6 or x == 0"], [(1,)]),
        ({"x": (0, 1, 2)}, ["not (6 // x >= 6)"], [(2,)]),
        ({"x": (-7, 7), "y": (-2, 2)}, ["x // y == -4"], [(-7, 2), (7, -2)]),
        ({"x": (-7, 7), "y": (-2, 2)}, ["x % y == 1"], [(-7, 2), (7, 2)]),
        ({"x": (1, 2, 3), "y": (2,)}, ["x / y * 2 == 3"], [(3, 2)]),
        ({"x": (1, 2, 3)}, ["x / 2 <= 1"], [(1,), (2,)]),
        ({"x": (2**62, 2**63), "y": (2, 3)}, ["x * y == 3 * 8 * 2**60"], [(2**63, 3)]),
        ({"x": (2**40, 3)}, ["x ** 3 > 2**60"], [(2**40,)]),
        ({"x": (0, 1)}, ["(2**60 * 2**10 if x else 3) % (2**60 * 2**9) == 0"], [(1,)]),
        ({"x": (0, 1), "y": (5, 6)}, ["(x == 1) * 2**60 * 2**10 + y > 10**9"], [(1, 5), (1, 6)]),
        ({"x": (0, -3, 2, 5, 6), "y": (0, 1, -2, 4)}, ["x * y == 12"], []),
        ({"x": (0, -3, 2, 6), "y": (0, 1, -4, 2)}, ["x * y == 12"], [(-3, -4), (6, 2)]),
    ],
    ids=lambda value: str(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("most", [0, 30_000])
def test_each_is_exact_in_either_path(
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    domains: dict[str, tuple[int, ...]],
    constraints: list[str],
    rows: list[Row],
) -> None:
    monkeypatch.setattr(component, "SMALL", most)
    problem = Problem("exact")
    for name, domain in domains.items():
        problem.var(name, domain)
    problem.add(*constraints)
    assert sorted(rows_of(problem.solve())) == sorted(rows)
    assert sorted(oracle.solutions(domains, constraints, {})) == sorted(rows)
