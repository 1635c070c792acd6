"""From a system to its solutions: components, orders, chains, and what stays between solves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver import component
from intsolver.build import build
from intsolver.chain import INT64, Chain, as_array
from intsolver.component import Component, assignments
from intsolver.evaluate import names_of, substitute
from intsolver.expr import All, Constant, Expr
from intsolver.lower import PARAMETER, Low, Pool, conjuncts, tighten
from intsolver.membership import Membership
from intsolver.narrow import keep, narrow
from intsolver.parts import Diagram, Grid, Table
from intsolver.solutions import Solutions
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.expr import Constraint
    from intsolver.parts import Part
    from intsolver.system import System
    from intsolver.vector import Function

_OBJECTIVES = 32  # chains kept for objectives


class Solver:
    """Solves one system; what does not change between solves is kept.

    `parameters` of the methods are values for every parameter of the system, `pinned` values for
    some variables.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self._plans: dict[object, Plan] = {}

    def _plan(self, parameters: Mapping[str, int]) -> Plan:
        largest = max((abs(v) for v in parameters.values()), default=0)
        reach = PARAMETER
        while reach < largest:
            reach <<= 16
        plan = self._plans.get(reach)
        if plan is None:
            plan = self._plans[reach] = Plan(self.system, reach)
        return plan

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
        """Return the `top` best solutions with their objective, ties in the order of the set."""
        plan = self._plan(parameters)
        return plan.best(
            objective, parameters, pinned, maximize=maximize, top=top, max_rows=max_rows
        )


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

    def __init__(self, system: System, reach: int) -> None:
        self.system = system
        self.names = tuple([name for name, _ in system.variables])
        self.domains = {name: as_array(domain) for name, domain in system.variables}
        self.narrow = dict(self.domains)  # the values that are left
        self._box = {name: (min(d), max(d)) for name, d in system.variables if d}  # of those
        self._reach = dict.fromkeys(system.parameters, (-reach, reach))
        self.empty = False
        self.globals: list[Low] = []
        self.constraints: list[Low] = []
        self.components: list[Component] = []
        self.free: tuple[str, ...] = ()
        self._objectives: dict[Expr, tuple[Low, Chain | None, frozenset[int]]] = {}
        parts = _parts(system)
        if assignments(self.names, self.narrow) > component.SMALL:
            narrow([node for node, _ in parts], self.narrow, self._box)
        self.empty = not all(domain.size for domain in self.narrow.values())
        parts = self._filter(parts)
        if not self.empty:
            self._lower(parts)
        if self.empty:
            return
        groups = component.components(self.names, self.constraints)
        self.components = [Component(self.pool, *group, self.narrow) for group in groups]
        bound = {name for each in self.components for name in each.order}
        self.free = tuple([name for name in self.names if name not in bound])

    def _pool(self) -> Pool:
        """Return a pool over the values that are left."""
        fixed = {name: self._box[name][0] for name, d in self.narrow.items() if d.size == 1}
        return Pool(dict(self._box), fixed, self._reach)

    def _lower(self, parts: Iterable[tuple[Constraint, frozenset[str]]]) -> None:
        """Lower the constraints over the values that are left."""
        self.pool = self._pool()
        self.fixed = self.pool.fixed
        for part, _ in parts:
            node = tighten(self.pool, self.pool.lower(part))
            if node.constant:
                self.empty = self.empty or not node.value
            elif node.names:
                self.constraints.append(node)
            else:
                self.globals.append(node)

    def _filter(
        self, parts: Sequence[tuple[Constraint, frozenset[str]]]
    ) -> list[tuple[Constraint, frozenset[str]]]:
        """Leave out values by constraints with one open variable; return the other constraints."""
        fewer = True
        while fewer and not self.empty:
            open_ = frozenset([name for name, domain in self.narrow.items() if domain.size > 1])
            pool, rest, fewer = self._pool(), [], False
            for part, names in parts:
                mine = names & open_
                if len(mine) == 1 and names.isdisjoint(self._reach):
                    node = tighten(pool, pool.lower(part))
                    if node.peak < INT64 and not node.constant:
                        (name,) = mine
                        check = Compiler(pool, {id(pool.name(name)): 0})(node)
                        keep(name, self._kept(name, check), self.narrow, self._box)
                        fewer = fewer or self.narrow[name].size == 1
                        continue
                rest.append((part, names))
            parts = rest
            self.empty = not all(domain.size for domain in self.narrow.values())
        return list(parts)

    def _kept(self, name: str, check: Function) -> NDArray[Any]:
        """Return the values of a variable that pass a check."""
        domain = self.narrow[name]
        env = Env([domain])
        ok = check(env)
        if env.bad is not None:
            ok = ok & ~env.bad
        kept: NDArray[Any] = domain[np.broadcast_to(np.asarray(ok, bool), domain.shape)]
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
            domain = self.narrow[name]
            domains[name] = domain[domain == pinned[name]] if name in pinned else domain
        return Grid(domains)

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
        """Return the best solutions, as `Solver.best`."""
        if top <= 0 or not self.possible(parameters, pinned):
            return []
        numbers = {name: Constant(value) for name, value in parameters.items()}
        node, chain, read = self._objective(substitute(objective, numbers))
        if chain is None:
            return self._any_best(node, parameters, pinned, top)
        layers, columns, states = chain.run(parameters, pinned, max_rows)
        if not states or len(layers) < len(chain.levels):
            return []
        before, after = self._around(chain, read, parameters, pinned, max_rows)
        value = columns[0]
        if isinstance(value, np.ndarray) and value.dtype == bool:
            value = value.astype(np.int64)
        ranking = np.argsort(-value if maximize else value, kind="stable")
        found: list[tuple[int, dict[str, int]]] = []
        domains = [lv.domain for lv in chain.levels]
        for state in ranking:
            chosen = np.zeros(states, np.int64)
            chosen[state] = 1
            diagram = Diagram(chain.order, domains, layers, chosen)
            if not diagram.count:
                continue
            some = Solutions(self.names, [*before, diagram, *after])[: top - len(found)]
            found += [(int(value[state]), row) for row in some]
            if len(found) >= top:
                break
        return found

    def _around(
        self,
        chain: Chain,
        read: frozenset[int],
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        max_rows: int,
    ) -> tuple[list[Part], list[Part]]:
        """Return the parts before and after an objective's chain, so that ties are in order."""
        before: list[Part] = []
        after: list[Part] = []
        first = min(read, default=len(self.components))
        for place, other in enumerate(self.components):
            if place not in read:
                part = other.solve(parameters, pinned, max_rows)
                (before if place < first else after).append(part)
        free = [name for name in self.free if name not in chain.order]
        if free:
            grid = self._grid(pinned)
            after.append(Grid({name: grid.domains[name] for name in free}))
        return before, after

    def _any_best(
        self, node: Low, parameters: Mapping[str, int], pinned: Mapping[str, int], top: int
    ) -> list[tuple[int, dict[str, int]]]:
        slots = {id(self.pool.name(p)): i for i, p in enumerate(sorted(node.parameters))}
        env = Env([parameters[p] for p in sorted(node.parameters)])
        value = Compiler(self.pool, slots)(node)(env)
        if env.bad is not None:
            return []
        return [(int(value), row) for row in self.limit(parameters, pinned, top)]

    def _objective(self, objective: Expr) -> tuple[Low, Chain | None, frozenset[int]]:
        """Return the lowered objective, a chain over all it reads, and which chains it joins.

        The chain takes its variables in the order of the set.
        """
        known = self._objectives.get(objective)
        if known is None:
            node = self.pool.lower(objective)
            if node.kind == "ratio":  # an objective is an integer
                node = self.pool.make("exact", node.of)
            known = node, None, frozenset()
            if node.names:
                read = [i for i, c in enumerate(self.components) if node.names & set(c.order)]
                order = [name for i in read for name in self.components[i].order]
                order += [name for name in self.free if name in node.names]
                joined = set(order)
                constraints = [c for c in self.constraints if c.names <= joined]
                large = assignments(order, self.narrow) > component.SMALL
                chain = build(self.pool, order, constraints, self.narrow, node, prune=large)
                known = node, chain, frozenset(read)
            if len(self._objectives) > _OBJECTIVES:
                self._objectives.clear()
            self._objectives[objective] = known
        return known
