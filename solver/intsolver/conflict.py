"""The smallest set of constraints and pins that nothing satisfies together.

Every conflict has a member in common with the constraints that one assignment violates, whichever
assignment that is. So a smallest set that meets all such sets seen so far is either a smallest
conflict, or its solution yields one more set to meet (implicit hitting sets: Ignatiev, Previti,
Liffiton and Marques-Silva, "Smallest MUS extraction with minimal hitting set dualization", 2015).
Where that takes too long, members are left out one by one as long as a conflict remains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intsolver.errors import TooManySolutions
from intsolver.evaluate import holds, names_of
from intsolver.solve import Solver
from intsolver.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intsolver.expr import Constraint, Expr

_MAX_ROWS = 200_000  # states of an optimum that a relaxation is worth
_MAX_STATES = 100_000  # assignments looked at to tell whether some constraints can be met
_PATIENCE = (1, 20)  # times as many, where more than half of the members are left
_MAX_SETS = 100
_MAX_STEPS = 20_000


class Parts:
    """Solvers of parts of a system; what they worked out is kept from one explanation to the next.

    `extra` are variables that the system does not have, for example a parameter set free.
    """

    def __init__(self, system: System, extra: Mapping[str, Iterable[int]] | None = None) -> None:
        self.system = system
        freed = {name: tuple(domain) for name, domain in (extra or {}).items()}
        self.domains: dict[str, tuple[int, ...]] = {**freed, **dict(system.variables)}
        self.parameters = tuple(name for name in system.parameters if name not in freed)
        self.names = tuple(names_of(node) for node in system.constraints)
        self.conflict: frozenset[int] | None = None  # constraints that conflicted when last asked
        self._solvers: dict[tuple[tuple[Constraint, ...], frozenset[str]], Solver] = {}

    def solver(self, constraints: tuple[Constraint, ...], names: frozenset[str]) -> Solver:
        """Return a solver of some constraints over the variables among `names`."""
        key = constraints, names.intersection(self.domains)
        if key not in self._solvers:
            variables = tuple([(k, v) for k, v in self.domains.items() if k in names])
            self._solvers[key] = Solver(System(variables, self.parameters, constraints))
        return self._solvers[key]


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

    def split(self, members: Iterable[int]) -> tuple[list[Constraint], dict[str, int]]:
        """Return the constraints and the pins among `members`."""
        count = len(self.constraints)
        chosen = sorted(members)
        constraints = [self.constraints[i] for i in chosen if i < count]
        names = [self.pins[i - count] for i in chosen if i >= count]
        return constraints, {name: self.pinned[name] for name in names}

    def first(self, members: Iterable[int], max_states: int = _MAX_STATES) -> dict[str, int] | None:
        """Return values of the variables that occur in `members` at which these hold, or None.

        Raises
        ------
        TooManySolutions
            It takes too long to tell.
        """
        key = frozenset(members)
        if key not in self._first:
            constraints, pins = self.split(key)
            names = frozenset(pins).union(
                *(self.parts.names[i] for i in key if i < len(self.constraints))
            )
            solver = self.parts.solver(tuple(constraints), names)
            self._first[key] = solver.first(self.parameters, pins, max_states=max_states)
        return self._first[key]

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
        parts = self.parts if free is None else Parts(self.parts.system, free)
        names = frozenset(pins).union(names_of(objective), *map(names_of, constraints))
        solver = parts.solver(tuple(constraints), names)
        given = {k: v for k, v in self.parameters.items() if k in parts.parameters}
        try:
            found = solver.best(
                objective, given, pins, maximize=maximize, top=1, max_rows=_MAX_ROWS
            )
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
    left out, as far as that can be told; the next case is first asked whether that is its too.
    """
    if _known(case):  # it was hard to find one before
        return _irreducible(case, frozenset()), False
    near = {name: domain[0] for name, domain in case.parts.domains.items()}
    near.update({k: v for k, v in case.pinned.items() if v in case.parts.domains[k]})
    least = len(case.violated(near))
    to_meet: list[frozenset[int]] = []
    size = 0
    for _ in range(_MAX_SETS):
        meeting = None
        while meeting is None:
            try:
                meeting = _Meeting(size).of(to_meet)
            except TooManySolutions:
                return _irreducible(case, frozenset()), False
            size += meeting is None
        try:
            found = case.first(meeting)
        except TooManySolutions:
            return _irreducible(case, meeting), False
        if found is None:
            return meeting, True
        at = {**near, **found}
        wrong = case.violated(at)
        if len(wrong) <= least:
            near, least = at, len(wrong)
        to_meet.append(wrong)
    return _irreducible(case, frozenset()), False


def _irreducible(case: Case, likely: frozenset[int]) -> frozenset[int]:
    """Return a conflict without a member that can be seen to be superfluous; `likely` go last."""
    core = _known(case) or frozenset(range(case.size))
    for patience in _PATIENCE:
        for member in sorted(core, key=lambda i: (i in likely, -i)):
            try:
                found = case.first(core - {member}, patience * _MAX_STATES)
            except TooManySolutions:
                continue
            if found is None:
                core -= {member}
        if 2 * len(core) <= case.size:
            break
    if max(core) < len(case.constraints):  # no pins
        case.parts.conflict = core
    return core


def _known(case: Case) -> frozenset[int] | None:
    """Return the last conflict of the system if it is one at these parameters too."""
    last = case.parts.conflict
    try:
        return last if last and case.first(last, max(_PATIENCE) * _MAX_STATES) is None else None
    except TooManySolutions:
        return None


class _Meeting:
    """Looks for at most `size` members of which every one of some sets has at least one."""

    def __init__(self, size: int) -> None:
        self.size, self.steps = size, 0

    def of(self, sets: Sequence[frozenset[int]]) -> frozenset[int] | None:
        """Return such members, or None; raises TooManySolutions where that takes too long."""
        return self._extend(frozenset(), sorted(sets, key=len))

    def _extend(self, chosen: frozenset[int], left: list[frozenset[int]]) -> frozenset[int] | None:
        if not left:
            return chosen
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise TooManySolutions(f"{self.steps:,} steps", self.steps)
        if len(chosen) + _apart(left) > self.size:
            return None
        for member in sorted(left[0]):
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
