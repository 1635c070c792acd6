"""Conflicts are smallest, relaxations resolve them and are the least ones, slacks are right."""

from __future__ import annotations

import itertools
import json
import random
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracle
import pytest
from intsolver import Problem, conflict, evaluate, implied, known, small, witness
from intsolver.text import to_text

SPACES = Path(__file__).resolve().parents[2] / "data" / "spaces"


@pytest.fixture
def tile() -> Problem:
    problem = Problem("tile")
    bm = problem.var("bm", [16, 32, 64, 128])
    warps = problem.var("warps", 1, 16)
    smem = problem.param("smem", 232_448)
    problem.add(bm * warps * 4 <= smem, name="tile fits shared memory")
    problem.add("1024 % (bm * warps) == 0", name="tile divides")
    return problem


def test_the_parameter_that_would_do_is_named(tile: Problem) -> None:
    found = tile.explain(smem=1)
    assert not found.feasible
    assert found.smallest
    assert found.core == ("tile fits shared memory",)
    (change,) = found.relaxations
    assert (change.constraint, change.parameter, change.value) == (*found.core, "smem", 64)
    assert str(change) == "tile fits shared memory: needs smem >= 64"
    assert str(found) == "nothing satisfies\n  tile fits shared memory: needs smem >= 64"
    assert tile.explain(smem=change.value).feasible
    assert not tile.explain(smem=change.value - 1).feasible


def test_a_feasible_problem_has_nothing_to_explain(tile: Problem) -> None:
    found = tile.explain()
    assert (found.feasible, found.core, found.relaxations) == (True, (), ())
    assert str(found) == "feasible: nothing conflicts"


def test_pins_are_part_of_conflicts(tile: Problem) -> None:
    found = tile.explain(bm=128, warps=3)
    assert found.core == ("tile divides", "warps = 3")
    changes = {c.constraint: c for c in found.relaxations}
    assert changes["warps = 3"].text in ("needs warps = 2", "needs warps = 4")
    assert changes["warps = 3"].parameter == "warps"
    assert tile.count(bm=128, warps=changes["warps = 3"].value) == 1
    outside = tile.explain(bm=50)
    assert outside.core == ("bm = 50",)
    assert [c.text for c in outside.relaxations] == ["needs bm = 64"]


def test_a_bound_without_a_parameter_is_moved() -> None:
    problem = Problem()
    problem.var("x", 0, 15)
    problem.var("y", 0, 15)
    problem.add("x + y >= 15", name="large")
    problem.add("x * y < 40", name="small")
    problem.add("3 > abs(x - y)", name="near")
    found = problem.explain()
    texts = {c.constraint: (c.text, c.bound) for c in found.relaxations}
    assert found.core == ("large", "small", "near")
    assert texts == {
        "large": ("needs x + y >= 12", 12),
        "small": ("needs x * y < 57", 57),
        "near": ("needs abs(x - y) < 10", 10),
    }


def test_equalities_move_and_divisibility_is_left_out() -> None:
    problem = Problem()
    problem.var("x", [3, 5, 9])
    problem.add("x == 4", name="four")
    assert [c.text for c in problem.explain().relaxations] == ["needs x == 3"]
    other = Problem()
    other.var("x", [3, 5, 9])
    other.add("x % 2 == 0", name="even")
    other.add("x != 3", name="no three")
    assert [str(c) for c in other.explain().relaxations] == ["even: leave it out"]
    both = Problem()
    both.var("x", [3, 5])
    both.var("y", [10, 20])
    both.add("2 * x == y + 1", name="same")
    assert [str(c) for c in both.explain().relaxations] == [
        "same: needs to be allowed to miss by 1"
    ]
    third = Problem()
    third.var("x", [3, 5, 9])
    third.add("divides(2, x)", name="even")
    assert [str(c) for c in third.explain().relaxations] == ["even: leave it out"]


def test_a_parameter_in_several_inequalities_satisfies_them_all() -> None:
    problem = Problem()
    problem.var("x", 0, 100)
    problem.param("p", 50)
    problem.add("x <= p", name="low enough")
    problem.add("x + p >= 30", name="together")
    problem.add("x >= 20", name="high enough")
    found = problem.explain(p=4)
    assert {(c.parameter, c.value) for c in found.relaxations if c.parameter} == {("p", 20)}
    problem.add("2 * p <= 30", name="cheap")  # now no value of p does
    assert not any(c.parameter for c in problem.explain(p=4).relaxations)


def test_a_parameter_that_has_to_fall() -> None:
    problem = Problem()
    problem.var("x", [8, 12])
    problem.param("least", 10)
    problem.add("x >= 3 * least + 1", name="room")
    (change,) = problem.explain().relaxations
    assert (change.text, change.value) == ("needs least <= 3", 3)


def test_a_parameter_that_is_a_factor_of_variables() -> None:
    problem = Problem()
    problem.var("x", [3, 5])
    problem.var("sign", [-1, 1])
    problem.param("k", 1)
    problem.add("k * x * sign >= 30", name="product")
    (change,) = problem.explain().relaxations
    assert change.value == min((-6, 6), key=lambda v: abs(v - 1))
    assert problem.explain(k=change.value).feasible


def test_a_parameter_in_a_divisibility_is_tried_near_by() -> None:
    problem = Problem()
    problem.var("tile", [32, 48])
    problem.param("width", 100)
    problem.add("width % tile == 0", name="whole tiles")
    (change,) = problem.explain().relaxations
    assert (change.text, change.parameter, change.value) == ("needs width = 96", "width", 96)


def test_a_parameter_in_an_equation_is_solved_for() -> None:
    problem = Problem()
    problem.var("x", [3, 5])
    problem.param("total", 0)
    problem.add("2 * x + 3 * total == 1_000_000", name="sum")
    (change,) = problem.explain().relaxations
    assert (change.text, change.value) == ("needs total = 333330", 333_330)
    assert problem.explain(total=333_330).feasible
    other = Problem()
    other.var("x", [3, 5])
    other.param("low", 1)
    other.add("low >= 100", name="enough")
    assert [str(c) for c in other.explain().relaxations] == ["enough: needs low >= 100"]


def test_two_conflicts_leave_no_single_way_out() -> None:
    problem = Problem()
    problem.var("x", 0, 5)
    problem.var("y", 0, 5)
    problem.add("x > 7", name="one")
    problem.add("y > 8", name="other")
    found = problem.explain()
    assert len(found.core) == 1
    assert found.relaxations == ()
    assert "no change of it alone is known to suffice" in str(found)


def brute_force_core(domains: dict[str, list[int]], texts: list[str]) -> int:
    """Return the size of the smallest conflict."""
    for size in range(len(texts) + 1):
        for some in itertools.combinations(texts, size):
            if not oracle.solutions(domains, some, {}):
                return size
    raise AssertionError("feasible")


def test_cores_of_random_problems_are_smallest_and_relaxations_work() -> None:
    draw = random.Random(7)
    forms = (
        "{a} + {b} <= {c}", "{a} * {b} == {c}", "{a} % 3 == {b} % 2", "{a} > {b} + {c}",
        "{a} != {b}", "divides({a}, {b} + {c})", "{a} < {c} or {b} < {c}", "{a} // 2 == {b} - {c}",
    )  # fmt: skip
    explained = 0
    for _ in range(250):
        domains = {n: sorted(draw.sample(range(-4, 7), draw.randint(2, 4))) for n in "xyz"}
        texts = []
        for _ in range(draw.randint(4, 7)):
            a, b = draw.sample("xyz", 2)
            texts.append(draw.choice(forms).format(a=a, b=b, c=draw.randint(-5, 5)))
        texts = list(dict.fromkeys(texts))
        if oracle.solutions(domains, texts, {}):
            continue
        explained += 1
        problem = Problem()
        for name, domain in domains.items():
            problem.var(name, domain)
        problem.add(*texts)
        found = problem.explain()
        assert found.smallest
        assert not oracle.solutions(domains, found.core, {})
        assert len(found.core) == brute_force_core(domains, texts)
        helped = {change.constraint for change in found.relaxations}
        for text in found.core:
            rest = [other for other in texts if other != text]
            assert (text in helped) == bool(oracle.solutions(domains, rest, {}))
        for change in found.relaxations:
            assert change.text.startswith(("needs ", "leave it out"))
            if change.bound is not None:
                moved = change.text.removeprefix("needs ")
                rest = [other for other in texts if other != change.constraint]
                assert oracle.solutions(domains, [*rest, moved], {})
    assert explained > 60


def test_what_follows_from_two_inequalities_holds_where_they_do() -> None:
    draw = random.Random(3)
    domains = {"x": (1, 2, 5), "y": (1, 3, 4), "z": (-2, 0, 3)}
    shared = ("x // y", "y * (x // y)", "x * y * (x // y)", "z * (x // y)")
    found = without = 0
    for _ in range(300):
        problem = Problem()
        for name, domain in domains.items():
            problem.var(name, domain)
        texts = []
        for relation in draw.choices(("<=", "<", ">=", ">"), k=2):
            terms = draw.choice(shared), *draw.sample(("x", "y", "x * z", "1"), 2)
            some = [f"{draw.choice((-3, -1, 1, 2))} * {t}" for t in draw.sample(terms, 3)]
            texts.append(f"{some[0]} + {some[1]} {relation} {some[2]} + {draw.randint(-3, 3)}")
        nodes = [problem.parse(text).node for text in texts]
        for one, other, follows in implied.implied(nodes, domains):
            assert {one, other} == set(nodes)
            found += 1
            for row in oracle.solutions(domains, texts, {}):
                assert evaluate.holds(follows, dict(zip(domains, row, strict=True)))
            without += "//" not in to_text(follows)
    assert found > 50
    assert without > 20


def drawn(draw: random.Random) -> tuple[dict[str, list[int]], Problem]:
    """Return domains of x, y and z, and a problem of them with a parameter p."""
    domains = {n: sorted(draw.sample(range(-3, 8), draw.randint(2, 4))) for n in "xyz"}
    problem = Problem()
    for name, domain in domains.items():
        problem.var(name, domain)
    problem.param("p", 0)
    return domains, problem


def test_a_hard_conflict_is_one_at_every_value_at_which_it_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(small, "MOST", 0)  # what is small is searched too
    monkeypatch.setattr(conflict, "_MAX_STATES", 1)  # nothing is told at once
    monkeypatch.setattr(conflict, "_PATIENCE", 60)
    monkeypatch.setattr(conflict, "_MAX_HARD", 1)
    monkeypatch.setattr(witness, "_ROWS", 2)  # hardly anything is known from the start
    monkeypatch.setattr(known.Known, "of", lambda _: None)
    draw = random.Random(11)
    forms = (
        "{a} + {b} <= p", "{a} * {b} >= p", "p * {a} <= {c} + {b}", "{a} + p > {b}",
        "{a} % 3 == {b}", "{a} != {b}", "{a} * p >= {c}", "{a} + {b} == p",
        "{a} - {b} > {c}", "{a} * {b} <= {c} + p",
    )  # fmt: skip
    again = 0
    for _ in range(30):
        domains, problem = drawn(draw)
        texts = []
        for _ in range(draw.randint(3, 6)):
            a, b = draw.sample("xyz", 2)
            texts.append(draw.choice(forms).format(a=a, b=b, c=draw.randint(-5, 5)))
        problem.add(*dict.fromkeys(texts))
        for p in (-9, 8, -8, 3, 4, 20, 19, 0, -1):
            found = problem.explain(p=p)
            assert found.feasible == bool(oracle.solutions(domains, texts, {"p": p}))
            if not found.feasible:
                assert not oracle.solutions(domains, found.core, {"p": p})
                again += not found.smallest
    assert again > 30


def test_rows_that_stand_tell_of_conflicts_and_of_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Constraints with the parameter in a part of them, in vain, or with either sign as well."""
    monkeypatch.setattr(small, "MOST", 0)  # rows are kept of small problems too
    told = {name: counted(monkeypatch, name) for name in ("first", "nearest")}
    draw = random.Random(7)
    forms = (
        "{a} + {b} <= p", "{a} * {b} >= p", "p * {a} <= {c} + {b}", "{a} + p > {b}",
        "{a} >= {c} and {b} <= p", "{a} + p - p >= {c}", "{a} * {b} * {a} < p * {a}",
        "{a} % 3 == {b}", "{a} != {b}", "{a} - {b} > {c}", "{a} // ({b} + 1) <= p",
        "({a} - 2) * p <= {b} + {c}", "{c} <= {a} + {b} <= p + {c}",
    )  # fmt: skip
    least = 0
    for _ in range(60):
        domains, problem = drawn(draw)
        for _ in range(draw.randint(2, 5)):
            a, b = draw.sample("xyz", 2)
            problem.add(draw.choice(forms).format(a=a, b=b, c=draw.randint(-5, 5)))
        problem.solve()
        for p in (-9, -1, 0, 3, 30):
            pinned = {"x": domains["x"][0]} if draw.random() < 0.3 else {}
            least += checked_explanation(problem, domains, p, pinned)
    assert least > 20
    assert min(map(sum, told.values())) > 20


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[bool]:
    """Return, as they come, whether rows that stand could tell what they were asked."""
    ask, told = getattr(known.Known, name), []

    def asked(*args: Any, **options: Any) -> Any:
        answer = ask(*args, **options)
        told.append(answer[0])
        return answer

    monkeypatch.setattr(known.Known, name, asked)
    return told


def checked_explanation(
    problem: Problem, domains: dict[str, list[int]], p: int, pinned: dict[str, int]
) -> int:
    """Check an explanation against brute force; return of how many parameters the least change."""
    texts = {named.name: named.text for named in problem.constraints}
    texts.update({f"{name} = {value}": f"{name} == {value}" for name, value in pinned.items()})

    def feasible(names: Any, p: int) -> bool:
        return bool(oracle.solutions(domains, [texts[name] for name in names], {"p": p}))

    found = problem.explain(p=p, **pinned)
    assert found.feasible == feasible(texts, p)
    if found.feasible:
        return 0
    assert not feasible(found.core, p)
    if found.smallest:
        assert all(feasible(few, p) for few in itertools.combinations(texts, len(found.core) - 1))
    changes = [c.value for c in found.relaxations if c.parameter == "p" and " p = " not in c.text]
    for value in changes:
        assert value is not None
        step = 1 if value > p else -1
        assert [feasible(texts, v) for v in range(p, value + step, step)].index(True) == abs(
            value - p
        )
    return len(changes)


@pytest.fixture(params=["rnn_fwd_fp32_D128_H6_B16_G4_A100", "rnn_bwd_bf16_D256_H3_B16_G4_H100"])
def layout(request: pytest.FixtureRequest) -> Problem:
    """A recurrent kernel's layout with its shared memory as a parameter."""
    space: dict[str, Any] = json.loads((SPACES / f"{request.param}.json").read_text("utf-8"))
    smem = space["params"]["smem"]
    space["constraints"] = [c.replace(str(smem), "smem") for c in space["constraints"]]
    return Problem.from_space(space)


def test_a_kernel_without_shared_memory_is_explained(layout: Problem) -> None:
    limit = layout.constraints[-1].name
    found = layout.explain(smem=1)
    assert limit in found.core
    (change,) = (c for c in found.relaxations if c.constraint == limit)
    assert change.parameter == "smem"
    assert change.value is not None
    assert layout.count(smem=change.value) > 0
    assert layout.count(smem=change.value - 1) == 0
    best = 10.0
    for smem in (2, 3, 4):
        before = time.process_time()
        layout.explain(smem=smem)
        best = min(best, time.process_time() - before)
    assert best < 0.5  # 0.03 s measured, once planned


def test_binding_gives_the_slack_of_inequalities() -> None:
    problem = Problem()
    problem.var("x", [1, 2, 4, 8])
    problem.var("y", 0, 10)
    problem.param("most", 20)
    problem.add("x * y <= most", name="at most")
    problem.add("most > x + y", name="strict")
    problem.add("2 <= y < 9", name="chain")
    problem.add("x / 3 < y", name="quotient")
    problem.add("y % 2 == 0", name="even")
    problem.add("x == 4 or y == 4", name="either")
    at = {b.name: b for b in problem.binding({"x": 4, "y": 4})}
    assert {name: b.slack for name, b in at.items()} == {
        "at most": 4,
        "strict": 11,
        "chain": 2,
        "quotient": Fraction(8, 3),
        "even": None,
        "either": None,
    }
    assert all(b.holds for b in at.values())
    # x * y <= 20: the next x, 8, violates it; y = 5 would just do.
    assert [name for name, b in at.items() if b.tight] == ["at most"]
    edge = {b.name: b for b in problem.binding({"x": 2, "y": 2}, most=4)}
    assert (edge["at most"].slack, edge["at most"].tight) == (0, True)
    assert (edge["strict"].slack, edge["strict"].holds, edge["strict"].tight) == (-1, False, False)
    assert (edge["chain"].slack, edge["chain"].tight) == (0, True)
    assert not edge["either"].holds
