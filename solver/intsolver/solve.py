"""From a system to its solutions: components, orders, chains, and what stays between solves."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver import component
from intsolver.chain import INT64, as_array
from intsolver.component import Component, assignments
from intsolver.evaluate import names_of
from intsolver.expr import All
from intsolver.known import Known
from intsolver.lower import PARAMETER, Low, Pool, conjuncts
from intsolver.membership import Membership
from intsolver.narrow import keep, narrow
from intsolver.optimum import Asked, Optima
from intsolver.parts import Grid, Table
from intsolver.small import Small
from intsolver.solutions import Solutions
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.expr import Constraint, Expr
    from intsolver.parts import Part
    from intsolver.system import System
    from intsolver.vector import Function


class Solver:
    """Solves one system; what does not change between solves is kept.

    `parameters` of the methods are values for every parameter of the system, `pinned` values for
    some variables. An `exact` one plans for each set of values anew, with bounds from these.
    """

    def __init__(self, system: System, *, exact: bool = False) -> None:
        self.system, self._exact = system, exact
        self._plans: dict[object, Plan] = {}

    def _plan(self, parameters: Mapping[str, int]) -> Plan:
        if self._exact:
            key = tuple(sorted(parameters.items()))
            if key not in self._plans:
                ends = {name: (value, value) for name, value in key}
                self._plans[key] = Plan(self.system, ends)
            return self._plans[key]
        largest = max((abs(v) for v in parameters.values()), default=0)
        reach = PARAMETER
        while reach < largest:
            reach <<= 16
        plan = self._plans.get(reach)
        if plan is None:
            ends = dict.fromkeys(self.system.parameters, (-reach, reach))
            plan = self._plans[reach] = Plan(self.system, ends)
        return plan

    def known(self, parameters: Mapping[str, int]) -> Known | None:
        """Return the rows that no parameter rules out, None where they are not kept."""
        return Known.of(self._plan(parameters))

    def solve(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], *, max_rows: int
    ) -> Solutions:
        """Return every solution.

        Raises
        ------
        TooManySolutions
            More than `max_rows` states had to be held at once.
        """
        return self._plan(parameters).solve(parameters, pinned, max_rows)

    def first(
        self,
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        *,
        max_states: int | None = None,
    ) -> dict[str, int] | None:
        """Return the first solution, found without enumerating, or None.

        Raises
        ------
        TooManySolutions
            Looked at more than `max_states` states without telling.
        """
        found = self._plan(parameters).limit(parameters, pinned, 1, max_states)
        return found[0] if found.count else None

    def limit(self, parameters: Mapping[str, int], pinned: Mapping[str, int], n: int) -> Solutions:
        """Return the first `n` solutions, found without enumerating."""
        return self._plan(parameters).limit(parameters, pinned, n)

    def best(
        self,
        objective: Expr,
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        *,
        maximize: bool,
        top: int,
        max_rows: int,
    ) -> list[tuple[int, dict[str, int]]]:
        """Return the `top` best solutions with their objective, ties in the order of the set.

        Where the domains are too long for that, ties are in no order.
        """
        plan = self._plan(parameters)
        if top <= 0 or plan.empty:
            return []
        asked = Asked(parameters, pinned, maximize, top, max_rows)
        return plan.optima.best(objective, asked)


def _parts(system: System) -> list[tuple[Constraint, frozenset[str]]]:
    """Return what conjunctions are of, and the names in each."""
    parts = []
    for node, names in zip(system.constraints, system.names, strict=True):
        if isinstance(node, All):
            parts += [(part, names_of(part)) for part in conjuncts(node)]
        else:
            parts.append((node, names))
    return parts


class Plan:
    """A system analysed: its chains, its free variables, and checks of parameters alone."""

    def __init__(self, system: System, reach: Mapping[str, tuple[int, int]]) -> None:
        self.system = system
        self.names = tuple([name for name, _ in system.variables])
        self.ends = {name: (min(d), max(d)) for name, d in system.variables}  # of what is left
        self.domains = {name: as_array(d, self.ends[name]) for name, d in system.variables}
        self.narrow = dict(self.domains)  # the values that are left
        self._reach = reach
        self.empty = False
        self.globals: list[Low] = []
        self.components: list[Component | Small] = []
        self.free: tuple[str, ...] = ()
        self.optima = Optima(self)
        self._lowered: list[Low] = []
        self._unlowered: list[Constraint] = []  # of the groups of few assignments
        self.pool = self._pool()
        parts = self._without_small(_parts(system))
        if parts:
            if assignments(self.names, self.narrow) > component.SMALL:
                narrow([node for node, _ in parts], self.narrow, self.ends)
            self.empty = not all(domain.size for domain in self.narrow.values())
            parts = self._without_small(self._filter(parts))
        self.fixed = self.pool.fixed
        if not self.empty:
            self._lower(parts)
        if self.empty:
            return
        lowered = [(node, node.names) for node in self._lowered]
        groups = component.components(self.names, lowered)
        self.components += [Component(self.pool, *group, self.narrow) for group in groups]
        bound = {name for each in self.components for name in each.names}
        self.free = tuple([name for name in self.names if name not in bound])

    @cached_property
    def constraints(self) -> list[Low]:
        """The constraints over the values that are left.

        What turns out to read no variable is told by `possible`, but only from here on.
        """
        for node in [self.pool.lower(part) for part in self._unlowered]:
            if node.names:
                self._lowered.append(node)
            elif not node.constant:
                self.globals.append(node)
            elif not node.value:
                self.empty = True
        return self._lowered

    def _without_small(
        self, parts: list[tuple[Constraint, frozenset[str]]]
    ) -> list[tuple[Constraint, frozenset[str]]]:
        """Set up the groups of few assignments; return the constraints that are in none of them."""
        if self.empty:
            return parts
        open_ = frozenset([name for name, (low, high) in self.ends.items() if low < high])
        rest = [part for part in parts if part[1].isdisjoint(open_)]
        reads = [(part, part[1] & open_) for part in parts if not part[1].isdisjoint(open_)]
        for names, mine in component.components(self.names, reads):
            again = not all(read.isdisjoint(self._reach) for _, read in mine)
            if Small.can(names, self.narrow, again=again):
                nodes = [node for node, _ in mine]
                self.components.append(Small(names, nodes, self.narrow, self.ends))
                self._unlowered += nodes
            else:
                rest += mine
        return rest

    def _pool(self) -> Pool:
        """Return a pool over the values that are left."""
        fixed = {name: self.ends[name][0] for name, d in self.narrow.items() if d.size == 1}
        return Pool(dict(self.ends), fixed, self._reach)

    def _lower(self, parts: Iterable[tuple[Constraint, frozenset[str]]]) -> None:
        """Lower constraints over the values that are left."""
        for part, _ in parts:
            node = self.pool.lower(part)
            if node.constant:
                self.empty = self.empty or not node.value
            elif node.names:
                self._lowered.append(node)
            else:
                self.globals.append(node)

    def _filter(
        self, parts: Sequence[tuple[Constraint, frozenset[str]]]
    ) -> list[tuple[Constraint, frozenset[str]]]:
        """Leave out values by constraints with one open variable; return the other constraints."""
        self.pool, fixing = self._pool(), True  # what `narrow` left is in none yet
        while fixing and not self.empty:
            open_ = frozenset([name for name, domain in self.narrow.items() if domain.size > 1])
            pool, before = self.pool, dict(self.narrow)
            rest, fixing = [], False
            for part, names in parts:
                mine = names & open_
                if len(mine) == 1 and names.isdisjoint(self._reach):
                    node = pool.lower(part)
                    if node.peak < INT64 and not node.constant:
                        (name,) = mine
                        check = Compiler(pool, {id(pool.name(name)): 0})(node)
                        kept = self._kept(name, check)
                        if kept.size < self.narrow[name].size:
                            keep(name, kept, self.narrow, self.ends)
                            fixing = fixing or kept.size == 1
                        continue
                rest.append((part, names))
            parts = rest
            if any(self.narrow[name] is not domain for name, domain in before.items()):
                self.pool = self._pool()
                self.empty = not all(domain.size for domain in self.narrow.values())
        return list(parts)

    def _kept(self, name: str, check: Function) -> NDArray[Any]:
        """Return the values of a variable that pass a check."""
        domain = self.narrow[name]
        env = Env([domain])
        ok = check(env)
        if env.bad is not None:
            ok = ok & ~np.asarray(env.bad)
        ok = np.asarray(ok, bool)
        kept: NDArray[Any] = domain[ok if ok.ndim else np.full(domain.shape, ok)]
        return kept

    # -- solving ----------------------------------------------------------------------------

    def possible(self, parameters: Mapping[str, int], pinned: Mapping[str, int]) -> bool:
        """Return whether the parameters and the pins leave anything possible."""
        if self.empty:
            return False
        for node in self.globals:
            slots = {id(self.pool.name(p)): i for i, p in enumerate(sorted(node.parameters))}
            env = Env([parameters[p] for p in sorted(node.parameters)])
            if not Compiler(self.pool, slots)(node)(env) or env.bad is not None:
                return False
        return all(pinned[name] == self.fixed[name] for name in pinned if name in self.fixed)

    def _grid(self, pinned: Mapping[str, int]) -> Grid:
        domains = {}
        for name in self.free:
            domains[name] = self.values(name, pinned)
        return Grid(domains)

    def values(self, name: str, pinned: Mapping[str, int]) -> NDArray[Any]:
        """Return the values that a variable may take."""
        domain = self.narrow[name]
        return domain[domain == pinned[name]] if name in pinned else domain

    def _nothing(self) -> Solutions:
        return Solutions(self.names, [Table({n: self.domains[n][:0] for n in self.names}, 0)])

    def solve(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], max_rows: int
    ) -> Solutions:
        """Return every solution, as `Solver.solve`."""
        if not self.possible(parameters, pinned):
            return self._nothing()
        parts: list[Part] = []
        for each in self.components:
            part = each.solve(parameters, pinned, max_rows)
            if not part.count:
                return self._nothing()
            parts.append(part)
        if self.free:
            parts.append(self._grid(pinned))
        return Solutions(self.names, parts, Membership(self, dict(parameters), dict(pinned)))

    def limit(
        self,
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        n: int,
        max_states: int | None = None,
    ) -> Solutions:
        """Return the first `n` solutions, as `Solver.limit`."""
        if n <= 0 or not self.possible(parameters, pinned):
            return self._nothing()
        parts: list[Part] = []
        for each in self.components:
            table = each.limit(parameters, pinned, n, max_states)
            if not table.count:
                return self._nothing()
            parts.append(table)
        if self.free:
            parts.append(self._grid(pinned))
        found = Solutions(self.names, parts, Membership(self, dict(parameters), dict(pinned)))
        return found[:n] if found.count > n else found
