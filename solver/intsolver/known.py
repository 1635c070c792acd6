"""What a solver keeps of a system with parameters, asked again: rows that no parameter rules out.

The rows satisfy every constraint that reads no parameter. So whether the others can be met too, and
the best of an expression where they are, is a look at columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.chain import INT64
from intsolver.evaluate import names_of
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from intsolver.expr import Constraint, Expr
    from intsolver.solve import Plan

Row = dict[str, int]


class Known:
    """The rows of a plan with one component; `columns` by variable, (rows,) each."""

    def __init__(self, plan: Plan, columns: Mapping[str, NDArray[Any]]) -> None:
        self.plan, self.columns = plan, columns
        self.rows = next(iter(columns.values())).size
        names = zip(plan.system.constraints, plan.system.names, strict=True)
        parameters = frozenset(plan.system.parameters)
        self._met = {id(node) for node, read in names if read.isdisjoint(parameters)}

    @classmethod
    def of(cls, plan: Plan) -> Known | None:
        """Return what a plan keeps, None where it keeps nothing or is more than one component."""
        if plan.empty or len(plan.components) != 1 or plan.globals:
            return None
        columns = plan.components[0].standing_columns()
        return None if columns is None else cls(plan, columns)

    def full_rows(self) -> dict[str, NDArray[Any]] | None:
        """Return the rows over every variable, None where some variable is in no constraint."""
        if self.plan.free and not set(self.plan.free) <= self.plan.fixed.keys():
            return None
        fixed = {name: np.full(self.rows, value) for name, value in self.plan.fixed.items()}
        return {**fixed, **self.columns}

    def answers(self, constraints: Iterable[Constraint], pins: Iterable[str]) -> bool:
        """Return whether all constraints without parameters are among these, so that rows tell."""
        known = self._met <= set(map(id, constraints))
        return known and all(name in self.columns for name in pins)

    def first(
        self, constraints: Iterable[Constraint], pins: Mapping[str, int], at: Mapping[str, int]
    ) -> tuple[bool, Row | None]:
        """Return whether that can be told, and a row at which constraints and pins hold or None."""
        rows = self._at(constraints, pins, at)
        if rows is None:
            return False, None
        return True, self._row(int(rows[0])) if rows.size else None

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
        if rows is None or not names_of(objective) <= {*self.columns, *self.plan.fixed, *at}:
            return False, None
        if not rows.size:
            return True, None
        found = self._values(objective, at, rows)
        if found is None:
            return False, None
        value, defined = found
        if not defined.all():
            rows, value = rows[defined], value[defined]
        if not rows.size:
            return True, None
        place = int(value.argmax() if maximize else value.argmin())
        return True, (int(value[place]), self._row(int(rows[place])))

    def _at(
        self, constraints: Iterable[Constraint], pins: Mapping[str, int], at: Mapping[str, int]
    ) -> NDArray[np.intp] | None:
        """Return the rows at which constraints and pins hold, None where that cannot be told."""
        rows: NDArray[np.intp] | None = None
        for name, value in pins.items():
            column = self.columns[name] if rows is None else self.columns[name][rows]
            rows = _left(rows, column == value)
        for node in constraints:
            if id(node) in self._met:
                continue
            if not names_of(node) <= {*self.columns, *self.plan.fixed, *at}:
                return None
            found = self._values(node, at, rows)
            if found is None:
                return None
            rows = _left(rows, found[0].astype(bool) & found[1])
        return np.arange(self.rows) if rows is None else rows

    def _values(
        self, node: Expr | Constraint, at: Mapping[str, int], rows: NDArray[np.intp] | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """Return an expression at some rows (None: all) and where it is defined, if 64 bits do."""
        pool = self.plan.pool
        low = pool.lower(node)
        reach = max([abs(value) for value in at.values()], default=0)
        if low.kind == "ratio" or low.peak >= INT64 or reach >= INT64:
            return None
        read = names_of(node)
        columns = {name: column for name, column in self.columns.items() if name in read}
        slots = {id(pool.name(name)): i for i, name in enumerate([*columns, *at])}
        given = [c if rows is None else c[rows] for c in columns.values()]
        env = Env([*given, *at.values()])
        shape = (self.rows if rows is None else rows.size,)
        value = np.broadcast_to(np.asarray(Compiler(pool, slots)(low)(env)), shape)
        bad = np.zeros(shape, bool) if env.bad is None else np.broadcast_to(env.bad, shape)
        return value, ~bad

    def _row(self, place: int) -> Row:
        row = {name: int(column[place]) for name, column in self.columns.items()}
        return {**self.plan.fixed, **row}


def _left(rows: NDArray[np.intp] | None, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return which of some rows (None: of all) a mask leaves."""
    return np.flatnonzero(mask) if rows is None else rows[mask]
