"""The smallest set of constraints and pins that nothing satisfies together.

Every conflict has a member in common with the constraints that one assignment violates, whichever
assignment that is. So a smallest set that meets all such sets seen so far is either a smallest
conflict, or its solution yields one more set to meet (implicit hitting sets: Ignatiev, Previti,
Liffiton and Marques-Silva, "Smallest MUS extraction with minimal hitting set dualization", 2015).
Where that takes too long, members are left out one by one as long as a conflict remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from intsolver.errors import TooManySolutions
from intsolver.evaluate import holds, names_of
from intsolver.implied import implied
from intsolver.lower import conjuncts
from intsolver.relaxing import inequality, nearest, sign_of
from intsolver.solve import Solver
from intsolver.system import System
from intsolver.witness import Witnesses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from intsolver.expr import Constraint, Expr
    from intsolver.known import Known

_MAX_ROWS = 200_000  # states of an optimum that a relaxation is worth
_MAX_STATES = 15_000  # assignments looked at to tell whether some constraints can be met
_PATIENCE = 40  # times as many to tell whether a member can be left out
_MAX_SETS = 200
_MAX_HARD = 8  # sets of which it could not be told before members are left out one by one
_MAX_STEPS = 20_000


class Parts:
    """Solvers of parts of a system; what they worked out is kept from one explanation to the next.

    `extra` are variables that the system does not have, for example a parameter set free; `known`
    are rows that no parameter rules out.
    """

    def __init__(
        self,
        system: System,
        extra: Mapping[str, Iterable[int]] | None = None,
        known: Known | None = None,
    ) -> None:
        self.system, self.known = system, known
        freed = {name: tuple(domain) for name, domain in (extra or {}).items()}
        self.domains: dict[str, tuple[int, ...]] = {**freed, **dict(system.variables)}
        self.parameters = tuple(name for name in system.parameters if name not in freed)
        self.names = system.names
        self.conflict: Conflict | None = None  # the last one that was hard to find
        self.undecided: dict[frozenset[int], int] = {}  # looked at so many states, and told nothing
        self._solvers: dict[object, Solver] = {}

    @cached_property
    def _implied(self) -> list[tuple[Constraint, Constraint, Constraint]]:
        return implied(self.system.constraints, self.domains)

    def solver(
        self, constraints: tuple[Constraint, ...], names: frozenset[str], pins: Mapping[str, int]
    ) -> Solver:
        """Return a solver of some constraints over the variables among `names`.

        Those pinned have one value, which is to be in their domain.
        """
        names = names.intersection(self.domains)
        key = constraints, names, frozenset(pins.items())
        if key not in self._solvers:
            domains = {k: v for k, v in self.domains.items() if k in names}
            domains.update({name: (value,) for name, value in pins.items()})
            given = set(map(id, constraints))
            sums = [node for a, b, node in self._implied if id(a) in given and id(b) in given]
            stated = (*constraints, *sums)
            each = tuple(map(names_of, stated))
            system = System(tuple(domains.items()), self.parameters, stated, each)
            self._solvers[key] = Solver(system, exact=True)
        return self._solvers[key]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Constraints that nothing satisfies together at some values of the parameters."""

    members: frozenset[int]
    parameters: Mapping[str, int]

    def holds_in(self, case: Case) -> bool:
        """Return whether that is seen of a case at once: its constraints are as these or tighter.

        The values of a parameter count only in inequalities that are linear in it.
        """
        changed = [name for name, old in self.parameters.items() if case.parameters[name] != old]
        for member in self.members:
            node = case.constraints[member]
            for name in names_of(node).intersection(changed):
                for part in conjuncts(node):
                    line = inequality(part, name)
                    sign = None if line is None else sign_of(case, line[1])
                    higher = case.parameters[name] > self.parameters[name]
                    if sign is None or (sign and (sign > 0) != higher):
                        return False
        return True


class Case:
    """A system at values of its parameters: constraints and pins, of which some may be left out.

    Members are numbered: the constraints in the order added, then the pins.
    """

    def __init__(
        self, parts: Parts, parameters: Mapping[str, int], pinned: Mapping[str, int]
    ) -> None:
        self.parts, self.parameters, self.pinned = parts, dict(parameters), dict(pinned)
        self.constraints, self.pins = parts.system.constraints, tuple(pinned)
        self.size = len(self.constraints) + len(self.pins)
        self._first: dict[frozenset[int], dict[str, int] | None] = {}

    @cached_property
    def witnesses(self) -> Witnesses:
        """Assignments to ask before any is looked for."""
        given = self.parameters, self.pinned
        return Witnesses(self.parts.domains, self.constraints, *given, self.parts.known)

    def outside(self, pins: Mapping[str, int]) -> bool:
        """Return whether some pin is outside of its variable's domain."""
        return any(value not in self.parts.domains[name] for name, value in pins.items())

    def split(self, members: Iterable[int]) -> tuple[list[Constraint], dict[str, int]]:
        """Return the constraints and the pins among `members`."""
        count = len(self.constraints)
        chosen = sorted(members)
        constraints = [self.constraints[i] for i in chosen if i < count]
        names = [self.pins[i - count] for i in chosen if i >= count]
        return constraints, {name: self.pinned[name] for name in names}

    def first(self, members: Iterable[int], max_states: int | None = None) -> dict[str, int] | None:
        """Return values of the variables that occur in `members` at which these hold, or None.

        Raises
        ------
        TooManySolutions
            It takes too long to tell.
        """
        key = frozenset(members)
        if key in self._first:
            return self._first[key]
        most = _MAX_STATES if max_states is None else max_states
        if self.parts.undecided.get(key, 0) >= most:
            raise TooManySolutions("it took too long to tell before", most)
        constraints, pins = self.split(key)
        if self.outside(pins):
            return None
        known = self.parts.known
        if known is not None and known.answers(constraints, pins):
            told, row = known.first(constraints, pins, self.parameters)
            if told:
                self._first[key] = row
                return row
        witness = self.witnesses.at(key)
        if witness is not None:
            self._first[key] = witness
            return witness
        names = frozenset(pins).union(
            *(self.parts.names[i] for i in key if i < len(self.constraints))
        )
        solver = self.parts.solver(tuple(constraints), names, pins)
        try:
            found = solver.first(self.parameters, {}, max_states=most)
        except TooManySolutions:
            self.parts.undecided[key] = most
            raise
        self._first[key] = found
        return found

    def best(
        self,
        constraints: Sequence[Constraint],
        pins: Mapping[str, int],
        objective: Expr,
        *,
        maximize: bool,
        free: Mapping[str, Iterable[int]] | None = None,
    ) -> tuple[int, dict[str, int]] | None:
        """Return the best value of an expression under some constraints, and where it is attained.

        `free` are parameters to take as variables. None also where it takes too many states.
        """
        if self.outside(pins):
            return None
        known = self.parts.known
        if known is not None and free is None and known.answers(constraints, pins):
            given = self.parameters
            told, best = known.best(constraints, pins, given, objective, maximize=maximize)
            if told:
                return best
        parts = self.parts if free is None else Parts(self.parts.system, free)
        names = frozenset(pins).union(names_of(objective), *map(names_of, constraints))
        solver = parts.solver(tuple(constraints), names, pins)
        given = {k: v for k, v in self.parameters.items() if k in parts.parameters}
        try:
            found = solver.best(objective, given, {}, maximize=maximize, top=1, max_rows=_MAX_ROWS)
        except TooManySolutions:
            return None
        return found[0] if found else None

    def violated(self, at: Mapping[str, int]) -> frozenset[int]:
        """Return the members that do not hold at an assignment of every variable."""
        count = len(self.constraints)
        values = {**self.parameters, **at}
        wrong = {i for i, node in enumerate(self.constraints) if not holds(node, values)}
        wrong |= {count + i for i, name in enumerate(self.pins) if at[name] != self.pinned[name]}
        return frozenset(wrong)


def smallest_conflict(case: Case) -> tuple[frozenset[int], bool]:
    """Return a conflict of an infeasible case, and whether it is known to be a smallest one.

    Where a smallest one takes too long to find or to prove, it is one of which no member can be
    left out, as far as that can be told, and if possible a conflict up to the next value of a
    parameter that has a solution; the next case is first asked whether it is its too.
    """
    known = _known(case)
    if known is not None:  # it was hard to find one before
        return known, False
    near = {name: domain[0] for name, domain in case.parts.domains.items()}
    near.update({k: v for k, v in case.pinned.items() if v in case.parts.domains[k]})
    least = len(case.violated(near))
    to_meet = case.witnesses.sets()
    hard: set[frozenset[int]] = set()  # of which it takes too long to tell
    size, meeting = 0, frozenset[int]()
    for _ in range(_MAX_SETS):
        try:
            while (some := _Meeting(size, case.size, hard).of(to_meet)) is None:
                size += 1
            meeting = some
        except TooManySolutions:
            return _irreducible(case, frozenset()), False
        try:
            found = case.first(meeting)
        except TooManySolutions:
            hard.add(meeting)
            if len(hard) > _MAX_HARD:
                return _irreducible(case, meeting), False
            continue
        if found is None:
            return _least(case, meeting), all(len(one) >= len(meeting) for one in hard)
        at = {**near, **found}
        wrong = case.violated(at)
        if len(wrong) <= least:
            near, least = at, len(wrong)
        to_meet.append(wrong)
    return _irreducible(case, frozenset()), False


def _least(case: Case, conflict: frozenset[int]) -> frozenset[int]:
    """Return a conflict without the members that can be left out, where it may not be smallest."""
    for member in sorted(conflict):
        if len(conflict) > 1 and _conflicts(case, conflict - {member}):
            conflict -= {member}
    return conflict


def _irreducible(case: Case, likely: frozenset[int]) -> frozenset[int]:
    """Return a conflict without a member that can be seen to be superfluous; `likely` go last."""
    core = frozenset(range(case.size))
    hardest = _hardest(case)
    for member in sorted(core, key=lambda i: (i in likely, -i)):
        if _conflicts(hardest, core - {member}):
            core -= {member}
    if max(core) < len(case.constraints):  # no pins
        case.parts.conflict = Conflict(core, hardest.parameters)
    return core


def _hardest(case: Case) -> Case:
    """Return a case with one parameter as near as can be to where there is a solution.

    No constraint is tighter there: what conflicts there does so all the way to the values given.
    """
    for name, now in case.parameters.items():
        new = nearest(case, name)
        if new is not None and new.further:
            last = new.value - (1 if new.value > now else -1)
            parameters = {**case.parameters, name: last}
            if Conflict(frozenset(range(len(case.constraints))), parameters).holds_in(case):
                return Case(case.parts, parameters, case.pinned)
    return case


def _conflicts(case: Case, members: frozenset[int]) -> bool:
    """Return whether some members conflict, as far as that can be told."""
    try:
        return case.first(members, _PATIENCE * _MAX_STATES) is None
    except TooManySolutions:
        return False


def _known(case: Case) -> frozenset[int] | None:
    """Return the last conflict of the system if it is one at these parameters too."""
    last = case.parts.conflict
    if last is not None and last.holds_in(case):
        return last.members
    case.parts.undecided.clear()
    case.parts.conflict = None
    if last is not None and _conflicts(case, last.members):
        case.parts.conflict = Conflict(last.members, case.parameters)
        return last.members
    return None


class _Meeting:
    """Looks for at most `size` members of which every one of some sets has at least one.

    There are `count` members; some collections of them are `barred`.
    """

    def __init__(self, size: int, count: int, barred: Collection[frozenset[int]]) -> None:
        self.size, self.count, self.barred, self.steps = size, count, barred, 0

    def of(self, sets: Sequence[frozenset[int]]) -> frozenset[int] | None:
        """Return such members, or None; raises TooManySolutions where that takes too long."""
        return self._extend(frozenset(), sorted(sets, key=len))

    def _extend(self, chosen: frozenset[int], left: list[frozenset[int]]) -> frozenset[int] | None:
        if not left and chosen not in self.barred:
            return chosen
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise TooManySolutions(f"{self.steps:,} steps", self.steps)
        if len(chosen) + max(_apart(left), 1) > self.size:
            return None
        for member in sorted(left[0]) if left else range(self.count):
            if member in chosen:
                continue
            met = [one for one in left if member not in one]
            found = self._extend(chosen | {member}, met)
            if found is not None:
                return found
        return None


def _apart(sets: Sequence[frozenset[int]]) -> int:
    """Return how many sets there are without a common member; each needs a member of its own."""
    seen: set[int] = set()
    count = 0
    for one in sets:
        if seen.isdisjoint(one):
            seen |= one
            count += 1
    return count
