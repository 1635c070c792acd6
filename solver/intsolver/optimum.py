"""The best solutions: of a list, by a chain that computes the objective too, by halving boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intsolver import component, small
from intsolver.boxes import Boxes
from intsolver.build import build
from intsolver.cells import given, value
from intsolver.chain import as_array
from intsolver.component import assignments
from intsolver.errors import TooManySolutions
from intsolver.evaluate import names_of, substitute
from intsolver.expr import Constant, Expr
from intsolver.multipliers import is_told
from intsolver.parts import Diagram, Grid, Table
from intsolver.slopes import is_smooth
from intsolver.small import Small
from intsolver.solutions import Solutions
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intsolver.boxes import Found
    from intsolver.chain import Chain
    from intsolver.lower import Low
    from intsolver.parts import Part
    from intsolver.solve import Plan

Ranked = list[tuple[int, dict[str, int]]]
_KEPT = 32  # objectives whose chains are kept
_ROWS = 1 << 17  # states from where on boxes are tried
_LONG = 64  # values of a domain that is worth halving
_BOXES, _FEW_BOXES = 1 << 20, 1 << 17  # looked at, few where domains are short


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: the `top` best, largest or least, at values of parameters and pins."""

    parameters: Mapping[str, int]
    pinned: Mapping[str, int]
    maximize: bool
    top: int
    max_rows: int


@dataclass(frozen=True, slots=True)
class _Goal:
    """A lowered objective, a chain over all that it reads, and which components that joins."""

    node: Low
    chain: Chain | None
    read: frozenset[int]


class Optima:
    """Answers for the objectives of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._goals: dict[tuple[Expr, int], _Goal] = {}

    def best(self, objective: Expr, asked: Asked) -> Ranked:
        """Return the best solutions, as `Solver.best`."""
        if (found := self._listed(objective, asked)) is not None:
            return found
        numbers = {name: Constant(value) for name, value in asked.parameters.items()}
        sense = (1 if asked.maximize else -1) if asked.top == 1 else 0
        goal = self._goal(substitute(objective, numbers), sense)
        if not self.plan.possible(asked.parameters, asked.pinned):
            return []
        if goal.chain is None:
            return self._any(goal.node, asked)
        try:
            return self._by_levels(goal, goal.chain, asked, min(asked.max_rows, _ROWS))
        except TooManySolutions:
            points = self._boxed(goal, goal.chain, asked)
            if points is not None:
                return self._completed(points, goal, goal.chain, asked)
            if asked.max_rows <= _ROWS:
                raise
        return self._by_levels(goal, goal.chain, asked, asked.max_rows)

    def _listed(self, objective: Expr, asked: Asked) -> Ranked | None:
        """Return the best of a set that is quickly listed, None if it is not."""
        if not all(isinstance(each, Small) for each in self.plan.components):
            return None
        found = self.plan.solve(asked.parameters, asked.pinned, asked.max_rows)
        if found.count > small.MOST:
            return None
        numbers = {name: given(v, v, v) for name, v in asked.parameters.items()}
        for name in names_of(objective).difference(numbers):
            numbers[name] = given(found.column(name), *self.plan.ends[name])
        values, bad = value(objective, numbers)
        values = np.broadcast_to(values, found.count)
        ranked = np.argsort(-values if asked.maximize else values, kind="stable")
        if bad is not None:
            ranked = ranked[~np.broadcast_to(bad, found.count)[ranked]]
        return [(int(values[place]), found[place]) for place in ranked[: asked.top].tolist()]

    def _by_levels(self, goal: _Goal, chain: Chain, asked: Asked, rows: int) -> Ranked:
        layers, columns, states = chain.run(asked.parameters, asked.pinned, rows)
        if not states or len(layers) < len(chain.levels):
            return []
        before, after = self._around(goal, chain, asked)
        value = columns[0]
        if isinstance(value, np.ndarray) and value.dtype == bool:
            value = value.astype(np.int64)
        ranking = np.argsort(-value if asked.maximize else value, kind="stable")
        found: Ranked = []
        domains = [level.domain for level in chain.levels]
        for state in ranking:
            chosen = np.zeros(states, np.int64)
            chosen[state] = 1
            diagram = Diagram(chain.order, domains, layers, chosen)
            if not diagram.count:
                continue
            some = Solutions(self.plan.names, [*before, diagram, *after])[: asked.top - len(found)]
            found += [(int(value[state]), row) for row in some]
            if len(found) >= asked.top:
                break
        return found

    def _boxed(self, goal: _Goal, chain: Chain, asked: Asked) -> list[Found] | None:
        """Return the best by halving boxes, None where that takes long; over a chain's variables.

        Among many short domains there is little to halve, unless slopes of all that
        is stated tell where the best is.
        """
        domains = {name: self.plan.values(name, asked.pinned) for name in chain.order}
        joined = set(chain.order)
        constraints = [c for c in self.plan.constraints if c.names <= joined]
        long = max(domain.size for domain in domains.values()) > _LONG
        told = is_smooth(goal.node) and all(map(is_told, constraints))
        if not (long or told) or not Boxes.can(domains, constraints, goal.node):
            return None
        if not all(domain.size for domain in domains.values()):
            return []
        boxes = Boxes(self.plan.pool, domains, constraints, goal.node, largest=asked.maximize)
        return boxes.best(asked.parameters, asked.top, _BOXES if long else _FEW_BOXES)

    def _completed(self, points: list[Found], goal: _Goal, chain: Chain, asked: Asked) -> Ranked:
        """Return points over a chain's variables with values for the other variables."""
        before, after = self._around(goal, chain, asked)
        found: Ranked = []
        for point in points:
            columns = {name: as_array((value,)) for name, value in point.solution.items()}
            some = Solutions(self.plan.names, [*before, Table(columns, 1), *after])
            found += [(point.value, row) for row in some[: asked.top - len(found)]]
        return found

    def _around(self, goal: _Goal, chain: Chain, asked: Asked) -> tuple[list[Part], list[Part]]:
        """Return the parts before and after an objective's chain, so that ties are in order."""
        plan = self.plan
        before: list[Part] = []
        after: list[Part] = []
        first = min(goal.read, default=len(plan.components))
        for place, other in enumerate(plan.components):
            if place not in goal.read:
                part = other.solve(asked.parameters, asked.pinned, asked.max_rows)
                (before if place < first else after).append(part)
        free = [name for name in plan.free if name not in chain.order]
        if free:
            after.append(Grid({name: plan.values(name, asked.pinned) for name in free}))
        return before, after

    def _any(self, node: Low, asked: Asked) -> Ranked:
        pool = self.plan.pool
        slots = {id(pool.name(p)): i for i, p in enumerate(sorted(node.parameters))}
        env = Env([asked.parameters[p] for p in sorted(node.parameters)])
        value = Compiler(pool, slots)(node)(env)
        if env.bad is not None:
            return []
        some = self.plan.limit(asked.parameters, asked.pinned, asked.top)
        return [(int(value), row) for row in some]

    def _goal(self, objective: Expr, sense: int) -> _Goal:
        """Return the goal of an objective; its chain takes its variables in the order of the set.

        With a `sense` the chain leads to the best value alone.
        """
        known = self._goals.get((objective, sense))
        if known is None:
            plan = self.plan
            node = plan.pool.lower(objective)
            if node.kind == "ratio":  # an objective is an integer
                node = plan.pool.make("exact", node.of)
            known = _Goal(node, None, frozenset())
            if node.names:
                read = [i for i, c in enumerate(plan.components) if node.names & set(c.names)]
                order = [name for i in read for name in plan.components[i].order]
                order += [name for name in plan.free if name in node.names]
                joined = set(order)
                constraints = [c for c in plan.constraints if c.names <= joined]
                large = assignments(order, plan.narrow) > component.SMALL
                chain = build(
                    plan.pool, order, constraints, plan.narrow, node, sense=sense, prune=large
                )
                known = _Goal(node, chain, frozenset(read))
            if len(self._goals) > _KEPT:
                self._goals.clear()
            self._goals[objective, sense] = known
        return known
