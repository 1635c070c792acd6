"""What a solver keeps of a system with parameters, asked again: rows that no parameter rules out.

The rows satisfy every constraint that reads no parameter. So whether the others can be met too, and
the best of an expression where they are, is a look at columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.chain import INT64
from intsolver.evaluate import names_of
from intsolver.lower import conjuncts
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from intsolver.expr import Constraint, Expr
    from intsolver.lower import Low
    from intsolver.solve import Plan
    from intsolver.standing import Standing

Row = dict[str, int]


class Known:
    """The rows of a plan with one component, over its variables and those with one value."""

    def __init__(self, plan: Plan, standing: Standing) -> None:
        self.plan, self.standing, self.rows = plan, standing, standing.rows
        self._lowered: dict[int, list[Low]] = {}  # by the id of a constraint of the system
        self._met = set()  # ids of those that the rows satisfy, in part at least
        for node in plan.system.constraints:
            mine = self._lowered[id(node)] = []
            for part in conjuncts(node):
                low = plan.pool.lower(part)
                checked = standing.checks(low)
                if checked:
                    mine.append(low)
                in_vain = low.constant and not names_of(part).isdisjoint(plan.system.parameters)
                if low.partial or not (checked or in_vain):
                    self._met.add(id(node))  # rows at which it is undefined are left out too

    @classmethod
    def of(cls, plan: Plan) -> Known | None:
        """Return what a plan keeps, None where it keeps nothing or is more than one component."""
        if plan.empty or len(plan.components) != 1 or plan.globals:
            return None
        standing = plan.components[0].standing
        return None if standing is None else cls(plan, standing)

    def some(self, places: NDArray[np.intp]) -> dict[str, NDArray[Any]] | None:
        """Return rows over every variable, None where some variable is in no constraint."""
        if self.plan.free and not set(self.plan.free) <= self.plan.fixed.keys():
            return None
        fixed = {name: np.full(places.size, value) for name, value in self.plan.fixed.items()}
        return {**fixed, **self.standing.at(places)}

    def answers(self, constraints: Iterable[Constraint], pins: Iterable[str]) -> bool:
        """Return whether all that the rows satisfy is among these, so that the rows tell."""
        told = self._met <= set(map(id, constraints))
        return told and all(name in self.standing.names for name in pins)

    def first(
        self, constraints: Iterable[Constraint], pins: Mapping[str, int], at: Mapping[str, int]
    ) -> tuple[bool, Row | None]:
        """Return whether that can be told, and a row at which constraints and pins hold or None."""
        rows = self._at(constraints, pins, at)
        if rows is None:
            return False, None
        return True, self._row(rows[0]) if rows.size else None

    def best(
        self,
        constraints: Iterable[Constraint],
        pins: Mapping[str, int],
        at: Mapping[str, int],
        objective: Expr,
        *,
        maximize: bool,
    ) -> tuple[bool, tuple[int, Row] | None]:
        """Return whether that can be told, and the best value and its row, None for none."""
        rows = self._at(constraints, pins, at)
        found = None if rows is None else self._values(objective, at, rows)
        if rows is None or found is None:
            return False, None
        value, defined = found
        rows, value = rows[defined], value[defined]
        if not rows.size:
            return True, None
        place = value.argmax() if maximize else value.argmin()
        return True, (int(value[place]), self._row(rows[place]))

    def nearest(
        self,
        name: str,
        lines: Iterable[Constraint],
        constraints: Iterable[Constraint],
        pins: Mapping[str, int],
        at: Mapping[str, int],
        *,
        up: bool,
    ) -> tuple[bool, int | None]:
        """Return whether that can be told, and the value of a parameter nearest to its present one.

        At that value inequalities, `lines`, that are linear in it hold besides the constraints and
        pins. It is looked for above (`up`) or below; None where there is none.
        """
        rows = self._at(constraints, pins, at)
        if rows is None:
            return False, None
        sign = 1 if up else -1
        now = sign * at[name]
        value: NDArray[np.int64] = np.full(rows.size, now)
        others = []
        for line in lines:
            excess = [
                self.standing.excess(self.plan.pool.lower(line), {**at, name: x}) for x in (0, sign)
            ]
            if excess[0] is None or excess[1] is None:
                return False, None
            a = excess[0][rows]
            k = excess[1][rows] - a  # a + k * value is to be at most 0
            bounds = k < 0
            if bounds.all():
                value = np.maximum(value, -(a // k))
                continue
            needed = -(a // np.where(bounds, k, -1))
            value = np.where(bounds, np.maximum(value, needed), value)
            others.append((a, k))
        if not rows.size:
            return True, None
        kept = np.ones(rows.size, bool)
        for a, k in others:
            if _largest(a) + _largest(k) * _largest(value) >= INT64:
                return False, None
            kept &= a + k * value <= 0
        best = int(value.min(where=kept, initial=INT64))
        return True, sign * best if now < best < INT64 else None

    def _at(
        self, constraints: Iterable[Constraint], pins: Mapping[str, int], at: Mapping[str, int]
    ) -> NDArray[np.intp] | None:
        """Return the rows at which constraints and pins hold, None where that cannot be told."""
        checked: dict[int, Low] = {}
        others = []
        for node in constraints:
            if id(node) in self._lowered:
                checked.update([(id(part), part) for part in self._lowered[id(node)]])
            else:
                others.append(node)
        rows = np.flatnonzero(self.standing.mask(at, pins, checked))
        for node in others:
            found = self._values(node, at, rows)
            if found is None:
                return None
            rows = rows[found[0].astype(bool) & found[1]]
        return rows

    def _values(
        self, node: Expr | Constraint, at: Mapping[str, int], rows: NDArray[np.intp]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """Return an expression at some rows and where it is defined, if that and 64 bits do."""
        pool, names = self.plan.pool, self.standing.names
        read = names_of(node)
        if not read <= {*names, *self.plan.fixed, *at}:
            return None
        low = pool.lower(node)
        reach = max([abs(value) for value in at.values()], default=0)
        if low.kind == "ratio" or low.peak >= INT64 or reach >= INT64:
            return None
        columns = {name: self.standing.column(name, rows) for name in names if name in read}
        slots = {id(pool.name(name)): i for i, name in enumerate([*columns, *at])}
        env = Env([*columns.values(), *at.values()])
        value = np.broadcast_to(np.asarray(Compiler(pool, slots)(low)(env)), rows.shape)
        bad = (
            np.zeros(rows.shape, bool) if env.bad is None else np.broadcast_to(env.bad, rows.shape)
        )
        return value, ~bad

    def _row(self, place: np.intp) -> Row:
        row = self.standing.at(np.array([place]))
        return {**self.plan.fixed, **{name: int(column[0]) for name, column in row.items()}}


def _largest(values: NDArray[np.int64]) -> int:
    """Return the largest magnitude of some values, at least one."""
    return max(-int(values.min()), int(values.max()))
