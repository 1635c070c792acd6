"""What the configuration explorer knows and decides; no widget, no browser.

A state is immutable: a moved slider gives another one, and a change that fails leaves the one that
was. `explorer_outcome.evaluate` turns a state into what is to be shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from intsolver.evaluate import evaluate, names_of

from workbench.errors import WorkbenchError
from workbench.widgets.axes import Axis
from workbench.widgets.controls import Choice, Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intsolver import Problem
    from numpy.typing import NDArray

    from workbench.widgets.explorer_outcome import Remedy
    from workbench.widgets.sources import Source

Sense = Literal["max", "min"]
Interval = tuple[int, int]


@dataclass(frozen=True)
class ExplorerState:
    """A problem at chosen shape and limits, seen through brushes and ordered by an objective.

    `shape` are keyword arguments of the source's factory, `limits` values of the problem's
    parameters, `brushes` inclusive intervals of variables, `picked` a configuration or None for
    the best one.
    """

    source: Source
    shape: Mapping[str, int | str]
    limits: Mapping[str, int]
    objective: str
    sense: Sense
    problem: Problem
    narrowed: Problem
    axes: tuple[Axis, ...]
    brushes: Mapping[str, Interval] = field(default_factory=dict)
    picked: Mapping[str, int] | None = None

    @classmethod
    def start(cls, source: Source) -> ExplorerState:
        """Return the state in which a source is shown first."""
        shape = {control.name: control.value for control in source.shape}
        problem = source.build(**shape)
        objective, sense = source.objective or (problem.variables[0].name, "max")
        problem.parse(objective)
        return cls(
            source=source,
            shape=shape,
            limits=dict(problem.params),
            objective=objective,
            sense="min" if sense == "min" else "max",
            problem=problem,
            narrowed=problem,
            axes=_axes(problem),
        )

    @property
    def controls(self) -> tuple[Choice | Range, ...]:
        """Every control: first the shape's, then the limits'."""
        return (*self.source.shape, *self.limit_controls)

    @property
    def values(self) -> dict[str, int | str]:
        """The value of every control, by name."""
        return {**self.limits, **self.shape}

    @property
    def limit_controls(self) -> tuple[Range, ...]:
        """A slider for each parameter: the one declared by the source, else a derived one."""
        declared = {control.name: control for control in self.source.limits}
        return tuple(
            (declared.get(name) or Range.around(name, default)).including(self.limits[name])
            for name, default in self.problem.params.items()
        )

    def with_shape(self, name: str, value: int | str) -> ExplorerState:
        """Return the state with another value of a shape control: the problem is built anew.

        A limit that was moved by hand stays where it is, unless its default changed too (another
        GPU); brushes stay where their variable does.
        """
        shape = {**self.shape, name: value}
        problem = self.source.build(**shape)
        before, after = self.problem.params, problem.params
        kept = {k: v for k, v in self.limits.items() if k in after and before[k] == after[k]}
        rebuilt = replace(
            self, shape=shape, problem=problem, limits={**after, **kept}, axes=_axes(problem)
        )
        known = {axis.name for axis in rebuilt.axes}
        return rebuilt.with_brushes({k: v for k, v in self.brushes.items() if k in known})

    def with_limits(self, **limits: int) -> ExplorerState:
        """Return the state with other values of parameters: a warm re-solve."""
        unknown = sorted(set(limits) - set(self.limits))
        if unknown:
            known = ", ".join(self.limits) or "none"
            raise WorkbenchError(f"unknown parameter {unknown[0]!r}; known: {known}")
        return replace(self, limits={**self.limits, **limits})

    def with_brushes(self, brushes: Mapping[str, Interval]) -> ExplorerState:
        """Return the state narrowed to inclusive intervals of variables, by name.

        A brush is a constraint like any other, so what it leaves is exact, however large the set.
        """
        if not brushes:
            return replace(self, brushes={}, narrowed=self.problem)
        narrowed = self.source.build(**self.shape)
        for name, (low, high) in brushes.items():
            narrowed.add(f"{low} <= {name} <= {high}", name=brush_name(name))
        return replace(self, brushes=dict(brushes), narrowed=narrowed)

    def with_objective(self, objective: str, sense: Sense) -> ExplorerState:
        """Return the state ordered by another objective, an expression of the problem's names.

        Raises
        ------
        intsolver.ExpressionError
            The text is no expression over known names.
        """
        self.problem.parse(objective)
        return replace(self, objective=objective, sense=sense)

    def with_pick(self, configuration: Mapping[str, int] | None) -> ExplorerState:
        """Return the state with a configuration picked, or with the best one for None."""
        return replace(self, picked=configuration)

    def with_control(self, name: str, value: int | str) -> ExplorerState:
        """Return the state after a control was moved, of the shape or of a limit.

        Raises
        ------
        WorkbenchError
            No such control, or not a value of it.
        """
        shape = {control.name: control for control in self.source.shape}
        if name in shape:
            if value not in shape[name].options:
                known = ", ".join(str(option) for option in shape[name].options)
                raise WorkbenchError(f"{name}: {value!r} is not among the options: {known}")
            return self.with_shape(name, value)
        if name not in self.limits:
            known = ", ".join(self.values) or "none"
            raise WorkbenchError(f"unknown control {name!r}; known: {known}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise WorkbenchError(f"{name}: expected an integer, got {value!r}")
        return self.with_limits(**{name: value})

    def with_remedy(self, remedy: Remedy) -> ExplorerState:
        """Return the state after a relaxation: other limits, or a brush less."""
        relaxed = self.with_limits(**remedy.limits)
        if remedy.brush is None:
            return relaxed
        return relaxed.with_brushes({k: v for k, v in self.brushes.items() if k != remedy.brush})

    @property
    def objective_suggestions(self) -> tuple[str, ...]:
        """Objectives worth offering: the source's own, then each variable and definition."""
        own = (self.source.objective[0],) if self.source.objective else ()
        names = (*self.problem.definitions, *(axis.name for axis in self.axes))
        return tuple(dict.fromkeys((*own, *names)))

    def scores(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the objective at rows of values, shape (N, variables); NaN where undefined.

        It is evaluated once for each combination of the variables that it reads.
        """
        node = self.problem.inlined(self.problem.parse(self.objective).node)
        read = names_of(node)
        columns = [i for i, axis in enumerate(self.axes) if axis.name in read]
        distinct, where = _distinct(rows[:, columns])
        names = [self.axes[i].name for i in columns]
        found = [
            evaluate(node, {**self.limits, **dict(zip(names, row, strict=True))})
            for row in distinct.tolist()
        ]
        values = np.array([np.nan if value is None else float(value) for value in found])
        return values[where]

    def about(self) -> dict[str, object]:
        """Return what a file of configurations says about where they come from."""
        return {
            "problem": self.source.name,
            "shape": dict(self.shape),
            "parameters": dict(self.limits),
            "brushes": {name: list(interval) for name, interval in self.brushes.items()},
            "objective": {"sense": self.sense, "expr": self.objective},
        }


def brush_name(variable: str) -> str:
    """Return the name of the constraint that a brush on a variable is."""
    return f"brush on {variable}"


def _distinct(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the distinct rows, and for each row its place among them, as `np.unique` by rows.

    Rows become single numbers, column by column, which is several times faster.
    """
    key = np.zeros(len(rows), dtype=np.intp)
    for column in rows.T:
        values, rank = np.unique(column, return_inverse=True)
        key = np.unique(key * len(values) + rank, return_inverse=True)[1]
    first = np.unique(key, return_index=True)[1]
    return rows[first], key


def _axes(problem: Problem) -> tuple[Axis, ...]:
    return tuple(Axis(variable.name, tuple(variable.domain)) for variable in problem.variables)
