"""The public `Problem`: what is stated, and the questions one asks of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

from intsolver import formats
from intsolver.binding import Binding, bindings
from intsolver.conflict import Parts
from intsolver.declare import unknown
from intsolver.errors import Infeasible, ProblemError, shown
from intsolver.evaluate import evaluate
from intsolver.explain import Explanation, explain
from intsolver.model import Model
from intsolver.solve import Solver
from intsolver.terms import Term, as_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from intsolver.solutions import Solutions
    from intsolver.system import System

MAX_ROWS = 20_000_000  # states held at once: about 1 GB


class Optimum(dict[str, int]):
    """A solution, and the `value` of the objective there."""

    def __init__(self, solution: Mapping[str, int], value: int) -> None:
        super().__init__(solution)
        self.value = value

    def __repr__(self) -> str:
        return f"Optimum({dict(self)!r}, value={self.value})"


class Problem(Model):
    """Integer variables over finite domains, and constraints between them, solved exactly.

    Constraints are given as text or built with operators, in one language: integers, names,
    ``+ - * // % / **``, comparisons (chained ones as text), ``and or not`` (operators ``& | ~``),
    ``min max abs divides all_different``, ``x in [1, 2]``, ``a if c else b``. Its meaning is
    Python's, in integers of any size. ``/`` is the exact quotient, never rounded: an equation or a
    divisibility holds only where it divides. A constraint that divides by zero is violated.

    Solving again with other values of parameters, or with variables pinned, reuses what has not
    changed.

        p = Problem("tile")
        bm = p.var("bm", [16, 32, 64, 128])
        warps = p.var("warps", 1, 16)
        smem = p.param("smem", 232_448)
        p.add(bm * warps * 4 <= smem, name="tile fits shared memory")
        p.add("1024 % (bm * warps) == 0")
        p.solve(smem=1_024).count
    """

    def __init__(self, name: str = "problem") -> None:
        super().__init__(name)
        self._solver: Solver | None = None
        self._parts: Parts | None = None

    # -- asking -----------------------------------------------------------------------------

    def solve(self, /, *, max_rows: int = MAX_ROWS, **values: int) -> Solutions:
        """Return every solution, exactly.

        `values` are values of parameters, and of variables to pin; a variable pinned outside of
        its domain leaves no solution.

        Raises
        ------
        ProblemError
            A name that is neither a parameter nor a variable.
        ExpressionError
            A value that is no integer.
        TooManySolutions
            More than `max_rows` states had to be held at once.
        """
        parameters, pinned = self._split(values)
        return self._engine().solve(parameters, pinned, max_rows=max_rows)

    def count(self, /, *, max_rows: int = MAX_ROWS, **values: int) -> int:
        """Return how many solutions there are; raises as `solve`."""
        parameters, pinned = self._split(values)
        if not self._constraints and not pinned:
            return math.prod([len(v.domain) for v in self._variables.values()])  # no plan needed
        return self._engine().solve(parameters, pinned, max_rows=max_rows).count

    def first(self, /, **values: int) -> dict[str, int]:
        """Return the first solution without enumerating.

        Raises
        ------
        Infeasible
            There is none; otherwise as `solve`.
        """
        parameters, pinned = self._split(values)
        found = self._engine().first(parameters, pinned)
        if found is None:
            raise self._infeasible(values)
        return found

    def limit(self, n: int, /, **values: int) -> Solutions:
        """Return the first `n` solutions without enumerating the rest; raises as `solve`."""
        parameters, pinned = self._split(values)
        return self._engine().limit(parameters, pinned, n)

    @overload
    def minimize(
        self, objective: str | Term, /, *, max_rows: int = ..., **values: int
    ) -> Optimum: ...
    @overload
    def minimize(
        self, objective: str | Term, /, top: int, *, max_rows: int = ..., **values: int
    ) -> list[Optimum]: ...
    def minimize(
        self,
        objective: str | Term,
        /,
        top: int | None = None,
        *,
        max_rows: int = MAX_ROWS,
        **values: int,
    ) -> Optimum | list[Optimum]:
        """Return a solution with the least value of an expression, or the `top` ones, best first.

        Solutions at which the objective is undefined do not take part. Raises Infeasible where
        none is left; otherwise as `solve`.
        """
        return self._best(objective, top, max_rows, values, maximize=False)

    @overload
    def maximize(
        self, objective: str | Term, /, *, max_rows: int = ..., **values: int
    ) -> Optimum: ...
    @overload
    def maximize(
        self, objective: str | Term, /, top: int, *, max_rows: int = ..., **values: int
    ) -> list[Optimum]: ...
    def maximize(
        self,
        objective: str | Term,
        /,
        top: int | None = None,
        *,
        max_rows: int = MAX_ROWS,
        **values: int,
    ) -> Optimum | list[Optimum]:
        """Return a solution with the greatest value of an expression; as `minimize`."""
        return self._best(objective, top, max_rows, values, maximize=True)

    def explain(self, /, **values: int) -> Explanation:
        """Return why there is no solution: a smallest conflict, and what would resolve it.

        Raises as `solve`.
        """
        parameters, pinned = self._split(values)
        engine = self._engine()
        if engine.first(parameters, pinned) is not None:
            return Explanation(feasible=True)
        if self._parts is None:
            self._parts = Parts(self._system(), known=engine.known(parameters))
        return explain(self._parts, tuple(self._constraints), parameters, pinned)

    def binding(self, solution: Mapping[str, int], /, **values: int) -> tuple[Binding, ...]:
        """Return each constraint at a solution, with its slack and whether it is tight.

        Raises ProblemError where a variable is missing; otherwise as `solve`.
        """
        at = self._at(solution, values)
        labels = [(named.name, named.text) for named in self._constraints.values()]
        return bindings(self._system(), labels, at)

    def evaluate(self, expression: str | Term, solution: Mapping[str, int], **values: int) -> int:
        """Return the value of an expression at a solution.

        Raises ProblemError where a variable is missing or there is no integer value; otherwise as
        `solve` and `add`.
        """
        at = self._at(solution, values)
        node, text = self._expression(expression)
        found = evaluate(self.inlined(node), at)
        if not isinstance(found, int):
            raise ProblemError(f"`{text}` has no integer value there")
        return found

    # -- files ------------------------------------------------------------------------------

    @classmethod
    def from_space(cls, space: Mapping[str, object] | str | Path) -> Problem:
        """Return the problem of an `intcsp-1` dictionary, or of a JSON file of one.

        Raises
        ------
        FormatError
            Not readable, not JSON, or no such space; says at which place.
        """
        return formats.from_space(cls, space)

    def to_space(self) -> dict[str, object]:
        """Return the problem as an `intcsp-1` dictionary, definitions put in."""
        return formats.to_space(self)

    @classmethod
    def from_kernel_tuner(
        cls,
        tune_params: Mapping[str, object] | str | Path,
        restrictions: Iterable[str] = (),
        *,
        name: str = "kernel",
    ) -> Problem:
        """Return the problem of Kernel Tuner's dictionary of lists and texts, or of its T1 input.

        T1 is given as a dictionary with `ConfigurationSpace`, or as a JSON file of one.

        Raises
        ------
        FormatError
            Values that are no integers, restrictions that are no text, or no T1 input.
        """
        return formats.from_kernel_tuner(cls, tune_params, restrictions, name)

    # -- within -----------------------------------------------------------------------------

    def _changed(self) -> None:
        self._solver = self._parts = None

    def _engine(self) -> Solver:
        if self._solver is None:
            self._solver = Solver(self._system())
        return self._solver

    def _system(self) -> System:
        return super()._system() if self._solver is None else self._solver.system

    def _best(
        self,
        objective: str | Term,
        top: int | None,
        max_rows: int,
        values: Mapping[str, int],
        *,
        maximize: bool,
    ) -> Optimum | list[Optimum]:
        parameters, pinned = self._split(values)
        if top is not None and as_integer(top, "top") < 1:
            raise ProblemError(f"top={top}, expected 1 or more")
        node = self.inlined(self._expression(objective)[0])
        found = self._engine().best(
            node, parameters, pinned, maximize=maximize, top=top or 1, max_rows=max_rows
        )
        if not found:
            if self._engine().first(parameters, pinned) is None:
                raise self._infeasible(values)
            raise Infeasible(f"{self.name}: the objective is undefined at every solution")
        optima = [Optimum(solution, value) for value, solution in found]
        return optima[0] if top is None else optima

    def _infeasible(self, values: Mapping[str, int]) -> Infeasible:
        given = ", ".join(f"{k}={v}" for k, v in values.items())
        where = f" with {given}" if given else ""
        return Infeasible(f"{self.name} has no solution{where}; explain({given}) says why")

    def _split(self, values: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        parameters, pinned = dict(self._parameters), {}
        for name, value in values.items():
            number = as_integer(value, name)
            if name in parameters:
                parameters[name] = number
            elif name in self._variables:
                pinned[name] = number
            else:
                known = [*self._parameters, *self._variables]
                raise ProblemError(unknown(name, known, "parameter or variable"))
        return parameters, pinned

    def _at(self, solution: Mapping[str, int], values: Mapping[str, int]) -> dict[str, int]:
        parameters, pinned = self._split(values)
        given = {**solution, **pinned}
        missing = [name for name in self._variables if name not in given]
        if missing:
            raise ProblemError(f"no value for {', '.join(missing)} in {shown(dict(solution))}")
        return {**parameters, **{name: as_integer(given[name], name) for name in self._variables}}
