"""What a user writes with operators: `Term` for integers, `Condition` for constraints.

Both only wrap a node of `expr`: nodes compare by what they say, so that they can be keys; terms
build constraints with ``==``, as everywhere else where constraints are written.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NoReturn

from intsolver import expr as e
from intsolver.errors import ExpressionError
from intsolver.parse import MAX_EXPONENT
from intsolver.text import to_text

if TYPE_CHECKING:
    from intsolver.expr import Comparison, Constraint, Expr


class Term:
    """An integer expression; operators build larger ones, comparisons build a `Condition`."""

    __slots__ = ("node",)
    __hash__ = None  # type: ignore[assignment]  # `==` builds a constraint

    def __init__(self, node: Expr) -> None:
        self.node = node

    def __repr__(self) -> str:
        return to_text(self.node)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"`{self}` has no truth value before it is solved; compare it, for example with 0"
        )

    def __add__(self, other: Integer) -> Term:
        return Term(e.Sum(self.node, as_node(other)))

    def __radd__(self, other: Integer) -> Term:
        return Term(e.Sum(as_node(other), self.node))

    def __sub__(self, other: Integer) -> Term:
        return Term(e.Difference(self.node, as_node(other)))

    def __rsub__(self, other: Integer) -> Term:
        return Term(e.Difference(as_node(other), self.node))

    def __mul__(self, other: Integer) -> Term:
        return Term(e.Product(self.node, as_node(other)))

    def __rmul__(self, other: Integer) -> Term:
        return Term(e.Product(as_node(other), self.node))

    def __floordiv__(self, other: Integer) -> Term:
        return Term(e.FloorDivision(self.node, as_node(other)))

    def __rfloordiv__(self, other: Integer) -> Term:
        return Term(e.FloorDivision(as_node(other), self.node))

    def __mod__(self, other: Integer) -> Term:
        return Term(e.Modulo(self.node, as_node(other)))

    def __rmod__(self, other: Integer) -> Term:
        return Term(e.Modulo(as_node(other), self.node))

    def __truediv__(self, other: Integer) -> Term:
        return Term(e.ExactDivision(self.node, as_node(other)))

    def __rtruediv__(self, other: Integer) -> Term:
        return Term(e.ExactDivision(as_node(other), self.node))

    def __pow__(self, exponent: int) -> Term:
        power = as_integer(exponent, "an exponent") if not isinstance(exponent, Term) else -1
        if not 0 <= power <= MAX_EXPONENT:
            raise ExpressionError(
                f"{exponent!r}: an exponent is a constant from 0 to {MAX_EXPONENT}"
            )
        return Term(e.Power(self.node, power))

    def __neg__(self) -> Term:
        return Term(e.Negative(self.node))

    def __pos__(self) -> Term:
        return self

    def __abs__(self) -> Term:
        return Term(e.Absolute(self.node))

    def __le__(self, other: Integer) -> Condition:
        return _compare("<=", self, other)

    def __lt__(self, other: Integer) -> Condition:
        return _compare("<", self, other)

    def __ge__(self, other: Integer) -> Condition:
        return _compare(">=", self, other)

    def __gt__(self, other: Integer) -> Condition:
        return _compare(">", self, other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return _compare("==", self, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return _compare("!=", self, other)

    def divides(self, other: Integer) -> Condition:
        """Return ``other % self == 0``."""
        return divides(self, other)


class Variable(Term):
    """A variable: its `name`, and its `domain` in the order given."""

    __slots__ = ("domain", "name")

    def __init__(self, name: str, domain: tuple[int, ...]) -> None:
        super().__init__(e.Name(name))
        self.name, self.domain = name, domain


class Condition:
    """A constraint; combine with ``&``, ``|`` and ``~``, never with ``and``, ``or`` and ``not``."""

    __slots__ = ("node",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, node: Constraint) -> None:
        self.node = node

    def __repr__(self) -> str:
        return to_text(self.node)

    def __bool__(self) -> NoReturn:
        # `a <= b and c <= d`, and `a <= b <= c`, would silently drop the first.
        raise TypeError(
            f"`{self}` is a constraint, not a truth value: write add(a, b) or `a & b` instead of "
            "`a and b`, `a | b` instead of `a or b`, and a chained comparison as text"
        )

    def __and__(self, other: Condition) -> Condition:
        return Condition(e.All((self.node, as_constraint_node(other))))

    def __or__(self, other: Condition) -> Condition:
        return Condition(e.Any((self.node, as_constraint_node(other))))

    def __invert__(self) -> Condition:
        return Condition(e.Not(self.node))


Integer = Term | int


def minimum(*terms: Integer) -> Term:
    """Return the least of one or more integers."""
    return Term(e.Minimum(_several("minimum", terms)))


def maximum(*terms: Integer) -> Term:
    """Return the greatest of one or more integers."""
    return Term(e.Maximum(_several("maximum", terms)))


def all_different(*terms: Integer) -> Condition:
    """Return that no two of the integers are the same."""
    return Condition(e.AllDifferent(_several("all_different", terms)))


def divides(divisor: Integer, of: Integer) -> Condition:
    """Return ``of % divisor == 0``; violated where the divisor is 0."""
    return Condition(e.Divides(as_node(divisor), as_node(of)))


def as_node(value: object) -> Expr:
    """Return the node of an operand.

    Raises
    ------
    ExpressionError
        It is neither a term nor an integer.
    """
    if isinstance(value, Term):
        return value.node
    if isinstance(value, e.Expr):
        return value
    if isinstance(value, Condition):
        return e.Indicator(value.node)
    return e.Constant(as_integer(value, "an operand"))


def as_constraint_node(value: object) -> Constraint:
    """Return the node of a constraint; raises as `as_node`."""
    if isinstance(value, Condition):
        return value.node
    if isinstance(value, e.Constraint):
        return value
    raise ExpressionError(
        f"expected a constraint, got {value!r}; constraints come from comparing terms, or from text"
    )


def as_integer(value: object, what: str) -> int:
    """Return an integer of Python or numpy.

    Raises
    ------
    ExpressionError
        It is something else, a truth value or a float included.
    """
    if type(value) is int:
        return value
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        raise ExpressionError(f"{what}: expected an integer, got the truth value {value!r}")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ExpressionError(
            f"{what}: expected an integer, got {value!r} ({type(value).__name__})"
        ) from None


def _compare(relation: Comparison, left: Term, right: object) -> Condition:
    return Condition(e.Compare(relation, left.node, as_node(right)))


def _several(name: str, terms: tuple[Integer, ...]) -> tuple[Expr, ...]:
    if not terms:
        raise ExpressionError(f"{name}() takes one or more, got none")
    return tuple(as_node(term) for term in terms)
