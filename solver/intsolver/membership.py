"""Whether assignments solve a system, told from its constraints and not from the set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.chain import INT64, as_array
from intsolver.parts import Table
from intsolver.solutions import Solutions
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.solve import Plan


class Membership:
    """Tells for any assignments whether they solve the system."""

    def __init__(
        self, plan: Plan, parameters: Mapping[str, int], pinned: Mapping[str, int]
    ) -> None:
        self.plan, self.parameters, self.pinned = plan, parameters, pinned

    def holds(self, columns: Mapping[str, Sequence[int]]) -> NDArray[np.bool_]:
        """Return which rows are solutions; columns by variable, of one length."""
        plan, pool = self.plan, self.plan.pool
        rows = len(next(iter(columns.values()))) if columns else 1
        ok = np.ones(rows, bool)
        if not plan.possible(self.parameters, {}):
            return ~ok
        arrays: dict[str, Any] = {}
        for name, column in columns.items():
            values = np.array([int(v) for v in column], object)
            allowed = set(plan.narrow[name].tolist())
            if name in self.pinned:
                allowed &= {self.pinned[name]}
            ok &= np.array([v in allowed for v in values.tolist()], bool)
            arrays[name] = values
        kept = np.flatnonzero(ok)
        wide = any(c.peak >= INT64 for c in plan.constraints)
        names = list(arrays)
        slots = {id(pool.name(n)): i for i, n in enumerate(names) if n not in plan.fixed}
        base: list[Any] = []
        for name in names:
            column = arrays[name][kept]
            narrow_ok = not wide and plan.narrow[name].dtype != object
            base.append(column.astype(np.int64) if narrow_ok else column)
        for p in plan.system.parameters:
            slots[id(pool.name(p))] = len(base)
            base.append(self.parameters[p])
        compiler = Compiler(pool, slots, wide=wide)
        for node in plan.constraints:
            env = Env(base)
            verdict = compiler(node)(env)
            if env.bad is not None:
                verdict = verdict & ~env.bad
            ok[kept] &= np.broadcast_to(np.asarray(verdict, bool), kept.shape)
        return ok

    def neighbours(self, solutions: Solutions, assignment: Mapping[str, int]) -> Solutions:
        """Return the solutions one variable away from an assignment."""
        names = solutions.names
        rows = [
            {**assignment, name: value}
            for name in names
            for value in self.plan.narrow[name].tolist()
            if value != assignment[name]
        ]
        columns = {name: [row[name] for row in rows] for name in names}
        ok = self.holds(columns) if rows else np.zeros(0, bool)
        kept = {
            name: as_array(tuple(v for v, k in zip(columns[name], ok, strict=True) if k))
            for name in names
        }
        return Solutions(names, [Table(kept, int(ok.sum()))], None)
