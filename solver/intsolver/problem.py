"""The public `Problem`: variables, parameters, constraints, and the questions one asks of them."""

from __future__ import annotations

import difflib
import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from intsolver import formats
from intsolver.errors import ExpressionError, Infeasible, ProblemError
from intsolver.evaluate import evaluate, names_of, substitute
from intsolver.explain import Binding, Explanation, bindings, explain
from intsolver.expr import Expr, Name
from intsolver.parse import parse, parse_constraint, parse_expression
from intsolver.solve import Solver
from intsolver.system import System
from intsolver.terms import Condition, Term, Variable, as_constraint_node, as_integer, as_node
from intsolver.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intsolver.expr import Constraint, Node
    from intsolver.solutions import Solutions

MAX_ROWS = 20_000_000  # states held at once: about 1 GB
MAX_DOMAIN = 10_000_000
RESERVED = frozenset({"min", "max", "abs", "divides", "all_different", *keyword.kwlist})


@dataclass(frozen=True, slots=True)
class Named:
    """A constraint of a problem: its name, its text as given, and its node."""

    name: str
    text: str
    node: Constraint


class Optimum(dict[str, int]):
    """A solution with the `value` of the objective there."""

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
        self._variables: dict[str, Variable] = {}
        self._parameters: dict[str, int] = {}
        self._definitions: dict[str, Expr] = {}
        self._texts: dict[str, str] = {}
        self._constraints: list[Named] = []
        self._solver: Solver | None = None
        self.objective: tuple[str, str] | None = None  # text, "max" or "min": of a space file

    def __repr__(self) -> str:
        sizes = f"{len(self._variables)} variables, {len(self._constraints)} constraints"
        return f"<Problem {self.name!r}: {sizes}>"

    # -- what it is made of -----------------------------------------------------------------

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables in the order declared."""
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
    def constraints(self) -> tuple[Named, ...]:
        """The constraints in the order added."""
        return tuple(self._constraints)

    # -- building ---------------------------------------------------------------------------

    def var(
        self, name: str, domain: Iterable[int] | int, high: int | None = None, *, step: int = 1
    ) -> Variable:
        """Declare a variable over some integers, or from `domain` to `high`, both included.

        Repeated values count once. Raises ExpressionError for what is no integer and ProblemError
        for a name that is taken or no identifier, an empty domain, or a step below 1.
        """
        self._claim(name)
        values = _domain(name, domain, high, step)
        variable = self._variables[name] = Variable(name, values)
        self._solver = None
        return variable

    def param(self, name: str, default: int) -> Term:
        """Declare a symbol whose value may change between solves; raises as `var`."""
        self._claim(name)
        self._parameters[name] = as_integer(default, f"parameter {name!r}")
        self._solver = None
        return Term(Name(name))

    def define(self, name: str, expression: str | Term | int) -> Term:
        """Name an expression over what is declared so far; raises as `var` and `parse`."""
        self._claim(name)
        node = self._known(
            parse_expression(expression) if isinstance(expression, str) else as_node(expression),
            expression,
        )
        assert isinstance(node, Expr)
        self._definitions[name] = substitute(node, self._definitions)
        self._texts[name] = expression if isinstance(expression, str) else to_text(node)
        return Term(Name(name))

    def add(self, *constraints: str | Condition, name: str | None = None) -> None:
        """Add constraints, as text or built with operators; all of them have to hold.

        Raises
        ------
        ExpressionError
            Not of the language, or a name that is not declared.
        ProblemError
            The name belongs to another constraint, or one name was given to several.
        """
        if name is not None and len(constraints) != 1:
            raise ProblemError(f"name={name!r} with {len(constraints)} constraints; expected one")
        if name is not None and any(named.name == name for named in self._constraints):
            raise ProblemError(f"a constraint is called {name!r} already; choose another name")
        added = []
        for constraint in constraints:
            if isinstance(constraint, str):
                node, text = parse_constraint(constraint), constraint.strip()
            elif isinstance(constraint, bool):
                raise ExpressionError(
                    f"got {constraint}: Python compared two plain values; compare a variable"
                )
            else:
                node = as_constraint_node(constraint)
                text = to_text(node)
            self._known(node, text)
            added.append(Named(name or text, text, node))
        self._constraints += added
        self._solver = None

    def parse(self, text: str) -> Term | Condition:
        """Return an expression or constraint over what is declared; raises as `add`."""
        node = self._known(parse(text), text)
        return Term(node) if isinstance(node, Expr) else Condition(node)  # type: ignore[arg-type]

    # -- asking -----------------------------------------------------------------------------

    def solve(self, *, max_rows: int = MAX_ROWS, **values: int) -> Solutions:
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

    def count(self, **values: int) -> int:
        """Return how many solutions there are; raises as `solve`."""
        return self.solve(**values).count

    def first(self, **values: int) -> dict[str, int]:
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

    def limit(self, n: int, **values: int) -> Solutions:
        """Return the first `n` solutions without enumerating the rest; raises as `solve`."""
        parameters, pinned = self._split(values)
        return self._engine().limit(parameters, pinned, n)

    @overload
    def minimize(self, objective: str | Term, *, max_rows: int = ..., **values: int) -> Optimum: ...
    @overload
    def minimize(
        self, objective: str | Term, top: int, *, max_rows: int = ..., **values: int
    ) -> list[Optimum]: ...
    def minimize(
        self,
        objective: str | Term,
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
    def maximize(self, objective: str | Term, *, max_rows: int = ..., **values: int) -> Optimum: ...
    @overload
    def maximize(
        self, objective: str | Term, top: int, *, max_rows: int = ..., **values: int
    ) -> list[Optimum]: ...
    def maximize(
        self,
        objective: str | Term,
        top: int | None = None,
        *,
        max_rows: int = MAX_ROWS,
        **values: int,
    ) -> Optimum | list[Optimum]:
        """Return a solution with the greatest value of an expression; as `minimize`."""
        return self._best(objective, top, max_rows, values, maximize=True)

    def explain(self, **values: int) -> Explanation:
        """Return why there is no solution: a smallest conflict, and what would resolve it.

        Raises as `solve`.
        """
        parameters, pinned = self._split(values)
        return explain(
            self._system(), [named.name for named in self._constraints], parameters, pinned
        )

    def binding(self, solution: Mapping[str, int], **values: int) -> tuple[Binding, ...]:
        """Return each constraint at a solution, with its slack and whether it is tight.

        Raises ProblemError where a variable is missing; otherwise as `solve`.
        """
        parameters, pinned = self._split(values)
        missing = [name for name in self._variables if name not in solution]
        if missing:
            raise ProblemError(f"binding at a solution without {', '.join(missing)}")
        at = {name: as_integer(solution[name], name) for name in self._variables}
        system = self._system()
        return bindings(system, self._constraints, {**parameters, **at, **pinned})

    def evaluate(self, expression: str | Term, solution: Mapping[str, int], **values: int) -> int:
        """Return the value of an expression at a solution; raises as `solve` and `parse`."""
        parameters, _ = self._split(values)
        node = self._expression(expression)
        found = evaluate(node, {**parameters, **{k: int(v) for k, v in solution.items()}})
        if found is None or not isinstance(found, int):
            raise ProblemError(f"`{to_text(node)}` has no integer value there")
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

    def inlined(self, node: Node) -> Node:
        """Return a node with the definitions put in."""
        return substitute(node, self._definitions) if self._definitions else node

    def _engine(self) -> Solver:
        if self._solver is None:
            self._solver = Solver(self._system())
        return self._solver

    def _system(self) -> System:
        if self._solver is not None:
            return self._solver.system
        variables = tuple((v.name, v.domain) for v in self._variables.values())
        inlined = tuple(self.inlined(named.node) for named in self._constraints)
        return System(variables, tuple(self._parameters), inlined)  # type: ignore[arg-type]

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
        if top is not None and top < 1:
            raise ProblemError(f"top={top}; expected 1 or more")
        found = self._engine().best(
            self._expression(objective), parameters, pinned,
            maximize=maximize, top=top or 1, max_rows=max_rows,
        )  # fmt: skip
        if not found:
            if self._engine().first(parameters, pinned) is None:
                raise self._infeasible(values)
            raise Infeasible(f"{self.name}: the objective is undefined at every solution")
        optima = [Optimum(solution, value) for value, solution in found]
        return optima[0] if top is None else optima

    def _expression(self, expression: str | Term) -> Expr:
        given = parse_expression(expression) if isinstance(expression, str) else as_node(expression)
        node = self.inlined(self._known(given, expression))
        assert isinstance(node, Expr)
        return node

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
                raise ProblemError(_unknown(name, known, "parameter or variable"))
        return parameters, pinned

    def _claim(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
            raise ProblemError(
                f"{name!r} cannot be a name; expected an identifier, no function or keyword"
            )
        for kind, taken in (
            ("variable", self._variables),
            ("parameter", self._parameters),
            ("definition", self._definitions),
        ):
            if name in taken:
                raise ProblemError(f"{name!r} is a {kind} already; choose another name")

    def _known(self, node: Node, given: object) -> Node:
        for name in names_of(node):
            if not (
                name in self._variables or name in self._parameters or name in self._definitions
            ):
                known = [*self._variables, *self._parameters, *self._definitions]
                message = _unknown(name, known, "name")
                if not isinstance(given, str):
                    raise ExpressionError(message)
                place = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", given)
                raise ExpressionError(message, given, place.start() if place else None)
        return node


def _unknown(name: str, known: list[str], what: str) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    ordered = [*close, *[k for k in known if k not in close]]
    listed = ", ".join(ordered[:12]) + (", ..." if len(ordered) > 12 else "")
    return f"unknown {what} {name!r}; known: {listed or 'none yet'}"


def _domain(name: str, domain: Iterable[int] | int, high: int | None, step: int) -> tuple[int, ...]:
    if high is not None or not hasattr(domain, "__iter__"):
        if high is None:
            raise ProblemError(f"{name!r}: a range needs both ends, as in var({name!r}, 1, 16)")
        low = as_integer(domain, f"{name!r}, low end")
        top, by = as_integer(high, f"{name!r}, high end"), as_integer(step, f"{name!r}, step")
        if by < 1:
            raise ProblemError(f"{name!r}: step {by}; expected 1 or more")
        found = range(low, top + 1, by)
        if len(found) > MAX_DOMAIN:
            raise ProblemError(f"{name!r}: {len(found):,} values; at most {MAX_DOMAIN:,}")
        values = tuple(found)
    else:
        if isinstance(domain, str | bytes):
            raise ExpressionError(f"{name!r}: expected integers, got {domain!r}")
        values = tuple(dict.fromkeys(domain))
        if not all(type(value) is int for value in values):
            values = tuple(dict.fromkeys(as_integer(v, f"{name!r}, a value") for v in values))
    if not values:
        raise ProblemError(f"{name!r}: an empty domain; give at least one integer")
    return values
