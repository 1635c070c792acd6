"""The public `Problem`: variables, parameters, constraints, and the questions one asks of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from intsolver import formats
from intsolver.binding import Binding, bindings
from intsolver.conflict import Parts
from intsolver.declare import check_name, interval, listed, unknown
from intsolver.errors import ExpressionError, Infeasible, ProblemError
from intsolver.evaluate import evaluate, names_of, substitute
from intsolver.explain import Explanation, explain
from intsolver.expr import Constraint, Expr, Name
from intsolver.extent import Extent, extent_of
from intsolver.parse import as_constraint, as_expr, column_of, read
from intsolver.solve import Solver
from intsolver.system import System
from intsolver.terms import Condition, Term, Variable, as_condition, as_integer, as_term
from intsolver.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from intsolver.evaluate import N
    from intsolver.expr import Node
    from intsolver.solutions import Solutions

MAX_ROWS = 20_000_000  # states held at once: about 1 GB


@dataclass(frozen=True, slots=True)
class NamedConstraint:
    """A constraint of a problem: its name, its text as given, and its node."""

    name: str
    text: str
    node: Constraint


class Optimum(dict[str, int]):
    """A solution, and the `value` of the objective there."""

    def __init__(self, solution: Mapping[str, int], value: int) -> None:
        super().__init__(solution)
        self.value = value

    def __repr__(self) -> str:
        return f"Optimum({dict(self)!r}, value={self.value})"


class Problem:
    """Integer variables over finite domains, and constraints between them, solved exactly.

    Constraints are given as text or built with operators; both are the language of `parse`.
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
        self.name = name
        self.objective: tuple[str, str] | None = None  # text, and "max" or "min": of a space file
        self._variables: dict[str, Variable] = {}
        self._parameters: dict[str, int] = {}
        self._definitions: dict[str, Expr] = {}  # earlier definitions put in
        self._extents: dict[str, Extent] = {}  # of the definitions
        self._texts: dict[str, str] = {}  # of the definitions
        self._kinds: dict[str, str] = {}  # what each name is
        self._constraints: dict[str, NamedConstraint] = {}
        self._solver: Solver | None = None
        self._parts: Parts | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self._variables)} variables, {len(self._constraints)} constraints"
        return f"<Problem {self.name!r}: {sizes}>"

    # -- what it is made of -----------------------------------------------------------------

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables in the order declared, each with `name` and `domain`."""
        return tuple(self._variables.values())

    @property
    def params(self) -> dict[str, int]:
        """The parameters with their defaults."""
        return dict(self._parameters)

    @property
    def definitions(self) -> dict[str, str]:
        """The named expressions, as text."""
        return dict(self._texts)

    @property
    def constraints(self) -> tuple[NamedConstraint, ...]:
        """The constraints in the order added, each with `name` and `text`."""
        return tuple(self._constraints.values())

    # -- building ---------------------------------------------------------------------------

    def var(
        self, name: str, domain: Iterable[int] | int, high: int | None = None, *, step: int = 1
    ) -> Variable:
        """Declare a variable over a list of integers, or from `domain` to `high`, both included.

        Raises
        ------
        ProblemError
            The name is taken or no name, the domain is empty or too long or has a value twice.
        ExpressionError
            Something is no integer; truth values and floats are none.
        """
        self._claim(name)
        if high is not None:
            values = interval(name, domain, high, step)
        elif step != 1:
            raise ProblemError(
                f"{name!r}: a step goes with two ends, as in var('x', 0, 64, step=8)"
            )
        else:
            values = listed(name, domain)  # type: ignore[arg-type]  # a lone integer is refused
        variable = self._variables[name] = Variable(name, values)
        self._declared(name, "variable")
        return variable

    def param(self, name: str, default: int) -> Term:
        """Declare a symbol whose value may change between solves; raises as `var`."""
        self._claim(name)
        self._parameters[name] = as_integer(default, f"parameter {name!r}")
        self._declared(name, "parameter")
        return Term(Name(name))

    def define(self, name: str, expression: str | Term | int) -> Term:
        """Name an expression over what is declared so far; raises as `var` and `add`."""
        self._claim(name)
        node, text = self._expression(expression)
        self._extents[name] = extent_of(node, self._extents)
        self._definitions[name] = self.inlined(node)
        self._texts[name] = text
        self._declared(name, "definition")
        return Term(Name(name))

    def add(self, *constraints: str | Condition, name: str | None = None) -> None:
        """Add constraints, as text or built with operators; all of them have to hold.

        A constraint without a name is called by its text.

        Raises
        ------
        ExpressionError
            Not of the language, or a name that is not declared.
        ProblemError
            The name belongs to another constraint, or one name was given to several.
        """
        if name is not None and len(constraints) != 1:
            raise ProblemError(f"name={name!r} with {len(constraints)} constraints, expected one")
        if name in self._constraints:
            raise ProblemError(f"there is a constraint called {name!r} already")
        added = []
        for constraint in constraints:
            if isinstance(constraint, str):
                parsed, text = read(constraint), constraint.strip()
                node = as_constraint(parsed.node)
                self._check(node, parsed.names, text)
            else:
                node = as_condition(constraint).node
                text = to_text(node)
                self._check(node, names_of(node), None)
            added.append((text, node))
        for text, node in added:
            called = name or self._free_name(text)
            self._constraints[called] = NamedConstraint(called, text, node)
        self._solver = self._parts = None

    def parse(self, text: str) -> Term | Condition:
        """Return an expression or constraint over what is declared; raises as `add`."""
        parsed = read(text)
        self._check(parsed.node, parsed.names, text)
        if isinstance(parsed.node, Constraint):
            return Condition(parsed.node)
        return Term(as_expr(parsed.node))

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

    def count(self, /, **values: int) -> int:
        """Return how many solutions there are; raises as `solve`."""
        return self.solve(**values).count

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
        if self._engine().first(parameters, pinned) is not None:
            return Explanation(feasible=True)
        if self._parts is None:
            self._parts = Parts(self._system())
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

    def inlined(self, node: N) -> N:
        """Return a node with the definitions put in."""
        return substitute(node, self._definitions) if self._definitions else node

    def _engine(self) -> Solver:
        if self._solver is None:
            self._solver = Solver(self._system())
        return self._solver

    def _system(self) -> System:
        if self._solver is not None:
            return self._solver.system
        variables = tuple([(v.name, v.domain) for v in self._variables.values()])
        constraints = tuple([self.inlined(named.node) for named in self._constraints.values()])
        return System(variables, tuple(self._parameters), constraints)

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

    def _expression(self, expression: str | Term | int) -> tuple[Expr, str]:
        """Return a checked node, definitions not put in, and its text."""
        if isinstance(expression, str):
            parsed = read(expression)
            node = as_expr(parsed.node)
            self._check(node, parsed.names, expression)
            return node, expression.strip()
        node = as_term(expression).node
        self._check(node, names_of(node), None)
        return node, to_text(node)

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
            raise ProblemError(f"no value for {', '.join(missing)} in {dict(solution)!r}")
        return {**parameters, **{name: as_integer(given[name], name) for name in self._variables}}

    def _claim(self, name: str) -> None:
        check_name(name)
        if name in self._kinds:
            raise ProblemError(f"there is a {self._kinds[name]} {name!r} already")

    def _declared(self, name: str, kind: str) -> None:
        self._kinds[name] = kind
        self._solver = self._parts = None

    def _free_name(self, text: str) -> str:
        called, count = text, 1
        while called in self._constraints:
            count += 1
            called = f"{text} ({count})"
        return called

    def _check(self, node: Node, names: Iterable[str], text: str | None) -> None:
        """Raise ExpressionError for a name that is not declared, and for what grows too large."""
        for name in names:
            if name not in self._kinds:
                message = unknown(name, tuple(self._kinds), "name")
                column = None if text is None else column_of(text, name)
                raise ExpressionError(message, text, column)
        if self._extents and not self._extents.keys().isdisjoint(names):
            extent_of(node, self._extents)
