"""What a user writes with operators: `Term` for integers, `Condition` for constraints.

Both only wrap a node of `expr`. Nodes compare by what they say, so that they can be keys; terms
build constraints with ``==``, as is usual where constraints are written.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NoReturn, TypeVar

from intsolver import expr as e
from intsolver.combine import conjoin, disjoin, negative
from intsolver.errors import ExpressionError, shown
from intsolver.extent import LEAF, Extent, extent_of, extent_over
from intsolver.parse import MAX_EXPONENT
from intsolver.text import to_text

if TYPE_CHECKING:
    from collections.abc import Callable

N = TypeVar("N", bound=e.Node)


class Operand:
    """A node with operators; a condition among integers counts 0 or 1."""

    __slots__ = ("_extent", "node")
    __hash__ = None  # type: ignore[assignment]  # `==` builds a constraint
    __array_ufunc__ = None  # numpy's integers leave the operators to us

    def __init__(self, node: e.Node, extent: Extent | None = None) -> None:
        self.node, self._extent = node, extent

    @property
    def extent(self) -> Extent:
        """How large the node is; worked out only where something is built on it."""
        if self._extent is None:
            self._extent = extent_of(self.node, {})
        return self._extent

    def __repr__(self) -> str:
        return to_text(self.node)

    def __add__(self, other: Integer) -> Term:
        return _term(e.Sum, self, other)

    def __radd__(self, other: Integer) -> Term:
        return _term(e.Sum, other, self)

    def __sub__(self, other: Integer) -> Term:
        return _term(e.Difference, self, other)

    def __rsub__(self, other: Integer) -> Term:
        return _term(e.Difference, other, self)

    def __mul__(self, other: Integer) -> Term:
        return _term(e.Product, self, other)

    def __rmul__(self, other: Integer) -> Term:
        return _term(e.Product, other, self)

    def __floordiv__(self, other: Integer) -> Term:
        return _term(e.FloorDivision, self, other)

    def __rfloordiv__(self, other: Integer) -> Term:
        return _term(e.FloorDivision, other, self)

    def __mod__(self, other: Integer) -> Term:
        return _term(e.Modulo, self, other)

    def __rmod__(self, other: Integer) -> Term:
        return _term(e.Modulo, other, self)

    def __truediv__(self, other: Integer) -> Term:
        return _term(e.ExactDivision, self, other)

    def __rtruediv__(self, other: Integer) -> Term:
        return _term(e.ExactDivision, other, self)

    def __pow__(self, exponent: object) -> Term:
        power = -1 if isinstance(exponent, Operand) else as_integer(exponent, "an exponent")
        if not 0 <= power <= MAX_EXPONENT:
            expected = f"an exponent is a constant from 0 to {MAX_EXPONENT}"
            raise ExpressionError(f"{expected}, got {shown(exponent)}")
        return _term(lambda base: e.Power(base, power), self)

    def __neg__(self) -> Term:
        return _term(negative, self)

    def __pos__(self) -> Term:
        return _term(lambda of: of, self)

    def __abs__(self) -> Term:
        return _term(e.Absolute, self)

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


class Term(Operand):
    """An integer expression; operators build larger ones, comparisons build a `Condition`."""

    __slots__ = ()
    node: e.Expr

    def __bool__(self) -> NoReturn:
        # `x and y`, `if x:` and `0 < x` chained would silently drop a part.
        raise TypeError(
            f"`{self}` has no truth value before it is solved; compare it, as in `{self} != 0`"
        )

    def divides(self, other: Integer) -> Condition:
        """Return ``other % self == 0``; violated where `self` is 0."""
        return divides(self, other)


class Variable(Term):
    """A variable: its `name`, and its `domain` in the order given."""

    __slots__ = ("domain", "name")

    def __init__(self, name: str, domain: tuple[int, ...]) -> None:
        self.node, self._extent = e.Name(name), LEAF
        self.name, self.domain = name, domain


class Condition(Operand):
    """A constraint; combine with ``&``, ``|`` and ``~``, never with ``and``, ``or`` and ``not``."""

    __slots__ = ()
    node: e.Constraint

    def __bool__(self) -> NoReturn:
        # `a <= b and c <= d`, and `a <= b <= c`, would silently drop the first.
        raise TypeError(
            f"`{self}` is a constraint, not a truth value: write add(a, b) or `a & b` instead of "
            "`a and b`, `a | b` instead of `a or b`, and a chained comparison as text"
        )

    def __and__(self, other: Condition) -> Condition:
        return _joined(conjoin, self, other)

    def __or__(self, other: Condition) -> Condition:
        return _joined(disjoin, self, other)

    def __invert__(self) -> Condition:
        node = e.Not(self.node)
        return Condition(node, extent_over(node, [self.extent]))


Integer = Term | Condition | int


def minimum(*terms: Integer) -> Term:
    """Return the least of one or more integers."""
    return _term(_several("minimum", terms, e.Minimum), *terms)


def maximum(*terms: Integer) -> Term:
    """Return the greatest of one or more integers."""
    return _term(_several("maximum", terms, e.Maximum), *terms)


def all_different(*terms: Integer) -> Condition:
    """Return that no two of the integers are the same."""
    return _condition(_several("all_different", terms, e.AllDifferent), *terms)


def divides(divisor: Integer, of: Integer) -> Condition:
    """Return ``of % divisor == 0``; violated where the divisor is 0."""
    return _condition(e.Divides, divisor, of)


def as_term(value: object) -> Term:
    """Return an operand as a term: a condition counts 0 or 1.

    Raises
    ------
    ExpressionError
        It is neither a term, nor a condition, nor an integer.
    """
    if isinstance(value, Term):
        return value
    if isinstance(value, Condition):
        node = e.Indicator(value.node)
        return Term(node, extent_over(node, [value.extent]))
    return Term(e.Constant(as_integer(value, "an operand")))


def as_condition(value: object) -> Condition:
    """Return a constraint built with operators.

    Raises
    ------
    ExpressionError
        It is something else; says what would be a constraint.
    """
    if isinstance(value, Condition):
        return value
    if isinstance(value, Term):
        raise ExpressionError(f"`{value}` is an integer, expected a constraint; try `{value} != 0`")
    if isinstance(value, bool):
        raise ExpressionError(
            f"got {value}: Python compared two plain values; compare a variable or a parameter"
        )
    raise ExpressionError(
        f"expected a constraint as text or from comparing terms, got {shown(value)} "
        f"({type(value).__name__})"
    )


def as_integer(value: object, what: str) -> int:
    """Return an integer of Python or numpy as Python's.

    Raises
    ------
    ExpressionError
        It is something else, a truth value or a float included.
    """
    if type(value) is int:
        return value
    if isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}:
        raise ExpressionError(f"{what}: expected an integer, got the truth value {shown(value)}")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        kind = type(value).__name__
        raise ExpressionError(f"{what}: expected an integer, got {shown(value)} ({kind})") from None


def _term(make: Callable[..., e.Expr], *operands: object) -> Term:
    terms = [as_term(operand) for operand in operands]
    node = make(*[term.node for term in terms])
    return Term(node, extent_over(node, [term.extent for term in terms]))


def _condition(make: Callable[..., e.Constraint], *operands: object) -> Condition:
    terms = [as_term(operand) for operand in operands]
    node = make(*[term.node for term in terms])
    return Condition(node, extent_over(node, [term.extent for term in terms]))


def _compare(relation: e.Comparison, left: object, right: object) -> Condition:
    return _condition(lambda a, b: e.Compare(relation, a, b), left, right)


def _joined(make: Callable[..., e.Constraint], left: object, right: object) -> Condition:
    one, other = as_condition(left), as_condition(right)
    node = make([one.node, other.node])
    return Condition(node, extent_over(node, [one.extent, other.extent]))


def _several(
    name: str, terms: tuple[Integer, ...], make: Callable[[tuple[e.Expr, ...]], N]
) -> Callable[..., N]:
    if not terms:
        raise ExpressionError(f"{name}() takes one or more terms, got none")
    return lambda *nodes: make(nodes)
