"""Why there is no solution, what would resolve it, and what is tight where there is one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.evaluate import evaluate, holds, names_of, substitute
from intsolver.solve import Solver
from intsolver.system import System
from intsolver.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intsolver.expr import Constraint, Expr
    from intsolver.problem import Named

_SMALLER = 0.02  # seconds spent on the search for a conflict smaller than an irreducible one
_ROWS = 5_000_000
_STEPS = 48  # values of a parameter that are tried where no formula gives the nearest


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A smallest change of one constraint that alone makes the problem feasible.

    `parameter` and `value` say which parameter, or which pinned variable, to set to what; both are
    None where only the constraint itself can give way. `bound` is then the least bound of an
    inequality that would do, None for other constraints.
    """

    constraint: str
    text: str
    parameter: str | None = None
    value: int | None = None
    bound: int | None = None

    def __str__(self) -> str:
        return f"{self.constraint}: {self.text}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A smallest conflict: constraints, by name, that nothing satisfies together.

    Without any one of them the rest of `core` can be satisfied. `relaxations` has one for each
    constraint of the core that can resolve the conflict by itself. Empty where the problem is
    feasible.
    """

    feasible: bool
    core: tuple[str, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()

    def __str__(self) -> str:
        if self.feasible:
            return "feasible: nothing conflicts"
        lines = ["no solution satisfies all of"]
        able = {r.constraint for r in self.relaxations}
        lines += [f"  {r}" for r in self.relaxations]
        lines += [
            f"  {name}: no change of it alone suffices" for name in self.core if name not in able
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint at a solution.

    `slack` is by how much an inequality holds, in its own units, None for other constraints;
    it is `tight` where one step of one variable to a next value of its domain would violate it.
    """

    name: str
    text: str
    slack: int | Fraction | None
    tight: bool
    holds: bool


def explain(
    system: System, names: Sequence[str], parameters: Mapping[str, int], pinned: Mapping[str, int]
) -> Explanation:
    """Return a smallest conflict of a system and the smallest relaxation of each member."""
    case = _Case(system, names, parameters, pinned)
    everything = tuple(range(len(case.items)))
    if case.feasible(everything):
        return Explanation(feasible=True)
    core = case.smallest(everything)
    relaxations = [r for i in core if (r := case.relax(i)) is not None]
    return Explanation(False, tuple(case.labels[i] for i in core), tuple(relaxations))


class _Case:
    """Constraints and pins as items of one kind, and whether some of them go together."""

    def __init__(
        self,
        system: System,
        names: Sequence[str],
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
    ) -> None:
        self.system, self.parameters, self.pinned = system, parameters, pinned
        pins = tuple(e.Compare("==", e.Name(k), e.Constant(v)) for k, v in pinned.items())
        self.items: tuple[Constraint, ...] = (*system.constraints, *pins)
        self.labels = (*names, *(f"{k} = {v}" for k, v in pinned.items()))
        self.numbers = {name: e.Constant(v) for name, v in parameters.items()}
        self._known: dict[tuple[int, ...], bool] = {}

    def solver(self, items: Sequence[int], extra: Sequence[Constraint] = ()) -> Solver:
        """Return a solver of some items with the parameters as numbers."""
        chosen = [substitute(self.items[i], self.numbers) for i in items]
        return Solver(System(self.system.variables, (), (*chosen, *extra)))  # type: ignore[arg-type]

    def feasible(self, items: Sequence[int]) -> bool:
        """Return whether some assignment satisfies these items."""
        key = tuple(items)
        if key not in self._known:
            self._known[key] = self.solver(key).first({}, {}) is not None
        return self._known[key]

    def smallest(self, items: tuple[int, ...]) -> tuple[int, ...]:
        """Return an irreducible conflict, and a smallest one where the time allows to see to it."""
        for i in items:
            if not self.feasible((i,)):
                return (i,)
        core = self._irreducible(items)
        until = time.perf_counter() + _SMALLER
        for size in range(2, len(core)):
            for some in combinations(items, size):
                if time.perf_counter() > until:
                    return core
                if not self.feasible(some):
                    return some
        return core

    def _irreducible(self, items: tuple[int, ...]) -> tuple[int, ...]:
        """Return a conflict none of which can be left out (QuickXplain; Junker, AAAI 2004)."""

        def conflict(base: tuple[int, ...], added: bool, rest: tuple[int, ...]) -> tuple[int, ...]:
            if added and not self.feasible(tuple(sorted(base))):
                return ()
            if len(rest) == 1:
                return rest
            half = len(rest) // 2
            first, second = rest[:half], rest[half:]
            right = conflict(base + first, bool(first), second)
            left = conflict(base + right, bool(right), first)
            return left + right

        return tuple(sorted(conflict((), added=False, rest=items)))

    # -- relaxing -----------------------------------------------------------------------------

    def relax(self, item: int) -> Relaxation | None:
        """Return the smallest change of one item that makes everything feasible, if one does."""
        rest = [i for i in range(len(self.items)) if i != item]
        label, node = self.labels[item], self.items[item]
        if not self.feasible(tuple(rest)):
            return None
        if item >= len(self.system.constraints):
            return self._repin(item, rest)
        by_parameter = [
            found
            for name in sorted(names_of(node) & set(self.parameters))
            if (found := self._by_parameter(item, name)) is not None
        ]
        if by_parameter:
            name, new = min(by_parameter, key=lambda f: self._distance(*f))
            sign = ">=" if new > self.parameters[name] else "<="
            return Relaxation(label, f"needs {name} {sign} {new}", name, new)
        bound = self._bound(node, rest)
        if bound is not None:
            return bound if bound.constraint else Relaxation(label, bound.text, bound=bound.bound)
        return Relaxation(label, "leave it out")

    def _distance(self, name: str, new: int) -> float:
        now = self.parameters[name]
        return abs(new - now) / max(abs(now), 1)

    def _repin(self, item: int, rest: Sequence[int]) -> Relaxation | None:
        name = list(self.pinned)[item - len(self.system.constraints)]
        now = self.pinned[name]
        distance = e.Absolute(e.Difference(e.Name(name), e.Constant(now)))
        best = self.solver(rest).best(distance, {}, {}, maximize=False, top=1, max_rows=_ROWS)
        if not best:
            return None
        new = best[0][1][name]
        return Relaxation(self.labels[item], f"needs {name} = {new}", name, new)

    def _bound(self, node: Constraint, rest: Sequence[int]) -> Relaxation | None:
        if not isinstance(node, e.Compare) or node.relation in ("==", "!="):
            return None
        less = node.relation in ("<=", "<")
        plain = substitute(node, self.numbers)
        assert isinstance(plain, e.Compare)
        small, large = (plain.left, plain.right) if less else (plain.right, plain.left)
        over = e.Difference(small, large)
        best = self.solver(rest).best(over, {}, {}, maximize=False, top=1, max_rows=_ROWS)
        if not best:
            return None
        excess = best[0][0]
        side, bound = (
            (plain.left, plain.right) if not names_of(plain.right) else (plain.right, plain.left)
        )
        limit = None if names_of(bound) else evaluate(bound, {})
        if not isinstance(limit, int):
            return Relaxation("", f"exceeded by {excess} at least", bound=None)
        shown = node.left if side is plain.left else node.right
        upper = (side is plain.left) == less
        new = limit + excess if upper else limit - excess
        strict = node.relation in ("<", ">")
        if strict:
            new += 1 if upper else -1
        sign = ("<" if strict else "<=") if upper else (">" if strict else ">=")
        return Relaxation("", f"needs {to_text(shown)} {sign} {new}", bound=new)

    def _by_parameter(self, item: int, name: str) -> tuple[str, int] | None:
        """Return the value of a parameter, nearest to its own, with which everything is feasible."""
        now = self.parameters[name]
        tried = list(self._from_formula(item, name))
        for new in sorted(tried, key=lambda v: abs(v - now)):
            if new != now and self._works(name, new):
                return name, new
        if tried and self._only_here(item, name):
            return None
        return self._by_trial(name, now)

    def _only_here(self, item: int, name: str) -> bool:
        return not any(name in names_of(x) for i, x in enumerate(self.items) if i != item)

    def _works(self, name: str, new: int) -> bool:
        moved = _Case(self.system, self.labels, {**self.parameters, name: new}, self.pinned)
        return moved.solver(range(len(self.items))).first({}, {}) is not None

    def _from_formula(self, item: int, name: str) -> Iterator[int]:
        """Yield bounds of a parameter in which an inequality is linear: a + k * parameter <= 0."""
        node = self.items[item]
        if not isinstance(node, e.Compare) or node.relation in ("==", "!="):
            return
        less = node.relation in ("<=", "<")
        small, large = (node.left, node.right) if less else (node.right, node.left)
        line = _linear(e.Difference(small, large), name)
        if line is None:
            return
        numbers = {k: v for k, v in self.numbers.items() if k != name}
        a, k = (substitute(x, numbers) for x in line)
        assert isinstance(a, e.Expr)
        assert isinstance(k, e.Expr)
        if node.relation in ("<", ">"):
            a = e.Sum(a, e.Constant(1))
        zero = e.Constant(0)
        others = [i for i in range(len(self.items)) if i != item]
        # k < 0: parameter >= ceil(a / -k) = -(a // k); k > 0: parameter <= floor(-a / k).
        for falls in (True, False):
            sign = e.Compare("<" if falls else ">", k, zero)
            ratio = (
                e.Negative(e.FloorDivision(a, k)) if falls else e.FloorDivision(e.Negative(a), k)
            )
            if falls:
                ratio = e.Negative(e.FloorDivision(a, e.Negative(e.Negative(k))))
            solver = self.solver(others, (sign,))
            best = solver.best(ratio, {}, {}, maximize=not falls, top=1, max_rows=_ROWS)
            if best:
                yield best[0][0]

    def _by_trial(self, name: str, now: int) -> tuple[str, int] | None:
        """Return the nearest value that works among the next ones and ever larger steps."""
        steps = [*range(1, _STEPS // 2), *(1 << k for k in range(5, 5 + _STEPS // 2))]
        until = time.perf_counter() + _SMALLER
        for step in steps:
            for new in (now + step, now - step):
                if self._works(name, new):
                    return name, self._nearest(name, now, new)
            if time.perf_counter() > until:
                return None
        return None

    def _nearest(self, name: str, fails: int, works: int) -> int:
        """Return the nearest to `fails` that works, taking it that beyond one that works all do."""
        while abs(works - fails) > 1:
            middle = (works + fails) // 2
            if self._works(name, middle):
                works = middle
            else:
                fails = middle
        return works


def _linear(node: Expr, name: str) -> tuple[Expr, Expr] | None:
    """Return (a, k) with `node == a + k * name`, None where it is not of that form."""
    zero, one = e.Constant(0), e.Constant(1)
    if name not in names_of(node):
        return node, zero
    if isinstance(node, e.Name):
        return zero, one
    if isinstance(node, e.Sum | e.Difference):
        left, right = _linear(node.left, name), _linear(node.right, name)
        if left is None or right is None:
            return None
        make = type(node)
        return make(left[0], right[0]), make(left[1], right[1])
    if isinstance(node, e.Negative):
        of = _linear(node.of, name)
        return None if of is None else (e.Negative(of[0]), e.Negative(of[1]))
    if isinstance(node, e.Product):
        with_it, other = (node.left, node.right)
        if name in names_of(other):
            with_it, other = other, with_it
        if name in names_of(other):
            return None
        line = _linear(with_it, name)
        return None if line is None else (e.Product(line[0], other), e.Product(line[1], other))
    return None


def bindings(
    system: System, constraints: Sequence[Named], at: Mapping[str, int]
) -> tuple[Binding, ...]:
    """Return each constraint at an assignment of variables and parameters."""
    steps = list(_next_values(system, at))
    found = []
    for named, node in zip(constraints, system.constraints, strict=True):
        parts = node.of if isinstance(node, e.All) else (node,)
        slacks = [slack for part in parts if (slack := _slack(part, at)) is not None]
        ordered = isinstance(node, e.Compare | e.All) and len(slacks) == len(parts)
        tight = ordered and any(not holds(node, {**at, **step}) for step in steps)
        found.append(
            Binding(
                named.name, named.text, min(slacks) if ordered else None, tight, holds(node, at)
            )
        )
    return tuple(found)


def _slack(node: Constraint, at: Mapping[str, int]) -> int | Fraction | None:
    if not isinstance(node, e.Compare) or node.relation in ("==", "!="):
        return None
    left, right = evaluate(node.left, at), evaluate(node.right, at)
    if left is None or right is None:
        return None
    slack = right - left if node.relation in ("<=", "<") else left - right
    return slack - 1 if node.relation in ("<", ">") else slack


def _next_values(system: System, at: Mapping[str, int]) -> Iterator[dict[str, int]]:
    for name, domain in system.variables:
        ordered = sorted(domain)
        above = next((v for v in ordered if v > at[name]), None)
        below = next((v for v in reversed(ordered) if v < at[name]), None)
        for other in (above, below):
            if other is not None:
                yield {name: other}
