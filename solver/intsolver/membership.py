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

_FEW = 64  # rows that are looked up one by one


class Membership:
    """Tells for any assignments whether they solve the system."""

    def __init__(
        self, plan: Plan, parameters: Mapping[str, int], pinned: Mapping[str, int]
    ) -> None:
        self.plan, self.parameters, self.pinned = plan, parameters, pinned

    def holds(self, columns: Mapping[str, Sequence[int]]) -> NDArray[np.bool_]:
        """Return which rows are solutions; columns by variable, of one length."""
        return self._holds({name: _column(column) for name, column in columns.items()})

    def _holds(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        plan, pool = self.plan, self.plan.pool
        rows = next(iter(columns.values())).size if columns else 1
        ok = np.ones(rows, bool)
        constraints = plan.constraints
        if not plan.possible(self.parameters, {}):
            return ~ok
        for name, column in columns.items():
            ok &= _among(column, plan.narrow[name])
            if name in self.pinned:
                ok &= column == self.pinned[name]
        kept = np.flatnonzero(ok)
        wide = any(c.peak >= INT64 for c in constraints)
        slots = {id(pool.name(n)): i for i, n in enumerate(columns) if n not in plan.fixed}
        base: list[Any] = [
            column[kept].astype(object if wide or plan.narrow[name].dtype.hasobject else np.int64)
            for name, column in columns.items()
        ]
        for p in plan.system.parameters:
            slots[id(pool.name(p))] = len(base)
            base.append(self.parameters[p])
        compiler = Compiler(pool, slots, wide=wide)
        for node in constraints:
            env = Env(base)
            verdict = compiler(node)(env)
            if env.bad is not None:
                verdict = verdict & ~env.bad
            ok[kept] &= np.broadcast_to(np.asarray(verdict, bool), kept.shape)
        return ok

    def neighbours(self, solutions: Solutions, assignment: Mapping[str, int]) -> Solutions:
        """Return the solutions one variable away from an assignment."""
        names = solutions.names
        other = {name: d[d != assignment[name]] for name, d in self.plan.narrow.items()}
        sizes = [other[name].size for name in names]
        columns = {}
        for place, name in enumerate(names):
            same = _column([assignment[name]])
            before, after = sum(sizes[:place]), sum(sizes[place + 1 :])
            columns[name] = np.concatenate([same.repeat(before), other[name], same.repeat(after)])
        ok = self._holds(columns)
        kept = {name: column[ok] for name, column in columns.items()}
        return Solutions(names, [Table(kept, int(ok.sum()))], None)


def _column(values: Sequence[int]) -> NDArray[Any]:
    return as_array(tuple([int(value) for value in values]))


def _among(column: NDArray[Any], domain: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values of a column are in a domain."""
    if column.size < _FEW:
        return np.array([bool((domain == value).any()) for value in column.tolist()], bool)
    if column.dtype.hasobject or domain.dtype.hasobject:
        allowed = set(domain.tolist())
        return np.array([value in allowed for value in column.tolist()], bool)
    return np.isin(column, domain)
