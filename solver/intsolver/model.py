"""What a problem states: variables, parameters, definitions, constraints; checked as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intsolver.combine import as_constraint, as_expr
from intsolver.declare import check_name, interval, listed, unknown
from intsolver.errors import ExpressionError, ProblemError
from intsolver.evaluate import names_of, substitute
from intsolver.expr import Constraint, Expr, Name
from intsolver.extent import Extent, extent_of
from intsolver.parse import column_of, read
from intsolver.system import System
from intsolver.terms import Condition, Term, Variable, as_condition, as_integer, as_term
from intsolver.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intsolver.evaluate import N
    from intsolver.expr import Node


@dataclass(frozen=True, slots=True)
class NamedConstraint:
    """A constraint of a problem: its name, its text as given, its node and the names in that."""

    name: str
    text: str
    node: Constraint
    names: frozenset[str]


class Model:
    """Variables, parameters, definitions and constraints, without a way to solve them."""

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
                tree, read_names = read(constraint)
                node, names, text = as_constraint(tree), frozenset(read_names), constraint.strip()
                self._check(node, read_names, text)
            else:
                node = as_condition(constraint).node
                text, names = to_text(node), names_of(node)
                self._check(node, names, None)
            added.append((text, node, names))
        for text, node, names in added:
            called = name or self._free_name(text)
            self._constraints[called] = NamedConstraint(called, text, node, names)
        self._changed()

    def parse(self, text: str) -> Term | Condition:
        """Return an expression or constraint over what is declared; raises as `add`."""
        node, names = read(text)
        self._check(node, names, text)
        return Condition(node) if isinstance(node, Constraint) else Term(as_expr(node))

    # -- within -----------------------------------------------------------------------------

    def inlined(self, node: N) -> N:
        """Return a node with the definitions put in."""
        return substitute(node, self._definitions) if self._definitions else node

    def _changed(self) -> None:
        """Forget what was worked out from an earlier state."""

    def _system(self) -> System:
        variables = tuple([(v.name, v.domain) for v in self._variables.values()])
        constraints = tuple([self.inlined(named.node) for named in self._constraints.values()])
        names = tuple(
            [
                named.names if node is named.node else names_of(node)
                for named, node in zip(self._constraints.values(), constraints, strict=True)
            ]
        )
        return System(variables, tuple(self._parameters), constraints, names)

    def _expression(self, expression: str | Term | int) -> tuple[Expr, str]:
        """Return a checked node, definitions not put in, and its text."""
        if isinstance(expression, str):
            tree, names = read(expression)
            node = as_expr(tree)
            self._check(node, names, expression)
            return node, expression.strip()
        node = as_term(expression).node
        self._check(node, names_of(node), None)
        return node, to_text(node)

    def _claim(self, name: str) -> None:
        check_name(name)
        if name in self._kinds:
            raise ProblemError(f"there is a {self._kinds[name]} {name!r} already")

    def _declared(self, name: str, kind: str) -> None:
        self._kinds[name] = kind
        self._changed()

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
