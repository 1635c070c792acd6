"""Large sets and interruptions: answers come early, memory stays bounded, nothing breaks."""

from __future__ import annotations

import _thread
import contextlib
import functools
import gc
import itertools
import random
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import oracle
import pytest
from intsolver import Infeasible, Problem, TooManySolutions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SPACES = Path(__file__).resolve().parents[2] / "data" / "spaces"
_MEGABYTES = 64  # for questions that do not list; a listing of 100**20 rows has no number


def huge() -> Problem:
    """Return 20 variables of 100 values each, loosely constrained."""
    problem = Problem("huge")
    for i in range(20):
        problem.var(f"v{i}", 0, 99)
    for i in range(19):
        problem.add(f"v{i} + v{i + 1} >= {i}")
    return problem


def peak_megabytes(question: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        question()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_first_and_limit_of_a_huge_space_take_little_memory() -> None:
    problem = huge()
    assert peak_megabytes(problem.first) < _MEGABYTES
    assert peak_megabytes(lambda: problem.limit(1_000)) < _MEGABYTES
    some = problem.limit(1_000)
    assert some.count == 1_000
    assert len({tuple(s.values()) for s in some}) == 1_000
    codes = [oracle.compiled(named.text) for named in problem.constraints]
    assert all(oracle.holds(code, solution) for solution in some for code in codes)


def late(root: str) -> Problem:
    """Return a problem whose early variables have nothing to do with an equation of late ones."""
    problem = Problem("late")
    for name in "abcd":
        problem.var(name, 1, 30)
    for name in "xyz":
        problem.var(name, 1, 60)
    problem.var("t", 0, 4)
    problem.add("a + b + c + d + t != 7 * x", "a * b != c * d + 1000", root)
    problem.add("(a + b + c + d + x) % 5 == t")
    return problem


def test_first_does_not_search_anew_what_failed_before() -> None:
    """Depth first alone, x, y and z are tried for each of a million values of a, b, c and d."""
    before = time.process_time()
    with pytest.raises(Infeasible):
        late("x * x + y * y == 3 * z * z").first()
    assert time.process_time() - before < 5  # 0.03 s measured, minutes depth first
    rare = "x * x + y * y == 1009 * z"
    found = late(rare).solve()
    assert found.count > 0
    assert late(rare).first() == found[0]
    assert [*late(rare).limit(3)] == [*found[:3]]


def test_a_huge_space_is_counted_exactly() -> None:
    """Along a chain, counts multiply like matrices; Python's integers tell."""
    ways = [1] * 100
    for i in range(19):
        ways = [sum(ways[a] for a in range(100) if a + b >= i) for b in range(100)]
    found = huge().solve()
    assert found.count == sum(ways)
    assert found.count > 2**63
    last = found[found.count - 1]
    assert found.contains(last)
    assert last["v0"] == 99


def test_too_many_rows_is_an_error_with_the_count_so_far() -> None:
    problem = Problem("dense")
    for name in "abcdef":
        problem.var(name, 0, 60)
    problem.add("a * b + c * d + e * f != 1000")
    problem.add("a * c + b * e + d * f != 1001")
    with pytest.raises(TooManySolutions) as raised:
        problem.solve(max_rows=10_000)
    assert raised.value.count > 10_000
    assert "max_rows" in str(raised.value)
    assert isinstance(raised.value, MemoryError)
    assert problem.first()["a"] == 0  # still usable
    with pytest.raises(TooManySolutions):
        problem.solve(max_rows=10_000)
    kept = sum(e * f != 1000 for e in range(61) for f in range(61))
    assert problem.count(a=0, b=0, c=0, d=0) == kept


@pytest.fixture
def no_collection_callbacks() -> Iterator[None]:
    """Take callbacks of the garbage collection away: what is raised in one comes to nothing.

    Hypothesis leaves one behind, so an interrupt could be lost in it.
    """
    kept = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = kept


def interrupted(questions: Sequence[Callable[[], object]], after: float) -> None:
    """Ask again and again until a KeyboardInterrupt, `after` seconds from now, comes through."""
    timer = threading.Timer(after, _thread.interrupt_main)
    give_up = time.monotonic() + 60
    with contextlib.suppress(KeyboardInterrupt):
        timer.start()
        for question in itertools.cycle(questions):
            question()
            assert time.monotonic() < give_up, "the interrupt was swallowed"


@pytest.mark.usefixtures("no_collection_callbacks")
@pytest.mark.parametrize("name", ["queens_8", "rnn_fwd_bf16_D64_H12_B16_G4_A100", "hotspot_milo"])
def test_interrupts_leave_the_problem_right(name: str) -> None:
    path = SPACES / f"{name}.json"
    fresh = Problem.from_space(path)
    variable = fresh.variables[-1]
    pin = {variable.name: variable.domain[-1]}
    objective = variable.name
    started = time.perf_counter()
    wanted, pinned, first = fresh.count(), fresh.count(**pin), fresh.first()
    best = fresh.minimize(objective).value
    seconds = time.perf_counter() - started
    draw = random.Random(0)
    for _ in range(20):
        problem = Problem.from_space(path)
        questions = [
            problem.count,
            problem.first,
            functools.partial(problem.solve, **pin),
            functools.partial(problem.minimize, objective),
        ]
        for _ in range(2):
            interrupted(questions, draw.uniform(0, seconds))
        assert problem.count() == wanted
        assert problem.count(**pin) == pinned
        assert problem.first() == first
        assert problem.minimize(objective).value == best
    assert len({tuple(s.values()) for s in problem.solve()}) == wanted


BIG = [2**31 - 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64 + 1, -(2**31), -(2**63), 3, 0]


@pytest.mark.parametrize(
    "text",
    [
        "x * y > 2**63",
        "x * y * y % 1000 == 7",
        "x * x - y * y >= 0",
        "(x + y) // 3 * 3 == x + y",
        "x ** 3 <= y ** 3",
        "abs(x) * abs(y) == x * y",
        "x - y == 2**63",
        "divides(3, x * y + 1) or x == y",
        "max(x * y, x + y) % 7 <= 2",
        "x * y / 4 == 2**61 * 3",
        "x // y < -(2**31)",
        "x % y == x",
        "-(x * 4) < y",
        "x * 2**40 > y * 2**41",
    ],
)
def test_products_beyond_64_bits_are_pythons(text: str) -> None:
    problem = Problem("big")
    problem.var("x", BIG)
    problem.var("y", BIG)
    problem.add(text)
    code = oracle.compiled(text)
    wanted = [
        (x, y) for x, y in itertools.product(BIG, BIG) if oracle.holds(code, {"x": x, "y": y})
    ]
    found = problem.solve()
    assert sorted((s["x"], s["y"]) for s in found) == sorted(wanted)
    assert sorted(map(tuple, found.to_numpy().tolist())) == sorted(wanted)
    if wanted:
        best = problem.maximize("x * y * x")
        assert best.value == max(x * y * x for x, y in wanted)


def test_a_sum_that_only_exceeds_64_bits_in_between_is_exact() -> None:
    problem = Problem("between")
    problem.var("x", [2**61, 2**62])
    problem.var("y", [2**62, 2**62 + 1])
    problem.add("x * 4 - y * 4 == 0")
    assert [dict(s) for s in problem.solve()] == [{"x": 2**62, "y": 2**62}]


def test_samples_are_uniform() -> None:
    """Chi-square over every solution of uneven chains, at a seed that is fixed."""
    problem = Problem("uneven")
    problem.var("a", 1, 6)
    problem.var("b", 1, 12)
    problem.var("free", 0, 2)
    problem.add("b % a == 0")
    problem.add("a * b <= 24")
    found = problem.solve()
    count, draws, each = found.count, 3_000, 4
    seen: dict[tuple[int, ...], int] = {}
    for seed in range(draws):
        for solution in found.sample(each, seed=seed):
            key = tuple(solution.values())
            seen[key] = seen.get(key, 0) + 1
    assert len(seen) == count
    expected = draws * each / count
    chi_square = sum((n - expected) ** 2 / expected for n in seen.values())
    freedom = count - 1
    # Without replacement the spread is a little smaller; 4.5 deviations above is one in 300,000.
    assert chi_square < freedom + 4.5 * (2 * freedom) ** 0.5
