"""The expression tree: immutable nodes, equal when they say the same.

``Expr`` has an integer value, ``Constraint`` a truth value. Arithmetic is Python's: ``//`` floors,
``%`` takes the sign of its divisor, ``/`` is never rounded. A node without a value at an assignment
(division by zero) is *undefined*; ``All`` and ``Any`` look at their arguments
from left to right and stop as Python does, and a constraint whose value is undefined is violated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Comparison = Literal["<=", "<", "==", "!=", ">=", ">"]


class Node:
    """A node of the tree."""

    __slots__ = ()


class Expr(Node):
    """A node with an integer value."""

    __slots__ = ()


class Constraint(Node):
    """A node with a truth value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Constant(Expr):
    """An integer."""

    value: int


@dataclass(frozen=True, slots=True)
class Name(Expr):
    """A variable, a parameter or a definition, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum(Expr):
    """``left + right``."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Difference(Expr):
    """``left - right``."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Product(Expr):
    """``left * right``."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class FloorDivision(Expr):
    """``left // right``; undefined where `right` is 0."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Modulo(Expr):
    """``left % right``; undefined where `right` is 0."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class ExactDivision(Expr):
    """``left / right``, the exact quotient, never rounded; undefined where `right` is 0."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Power(Expr):
    """``base ** exponent``, the exponent a constant of at least 0."""

    base: Expr
    exponent: int


@dataclass(frozen=True, slots=True)
class Negative(Expr):
    """``-of``."""

    of: Expr


@dataclass(frozen=True, slots=True)
class Absolute(Expr):
    """``abs(of)``."""

    of: Expr


@dataclass(frozen=True, slots=True)
class Minimum(Expr):
    """``min(...)`` of one or more."""

    of: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Maximum(Expr):
    """``max(...)`` of one or more."""

    of: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Indicator(Expr):
    """1 where a constraint holds, 0 where it does not: a truth value used as an integer."""

    of: Constraint


@dataclass(frozen=True, slots=True)
class Choice(Expr):
    """``then if condition else otherwise``; the branch not taken is not looked at."""

    condition: Constraint
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class Truth(Constraint):
    """Always or never."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare(Constraint):
    """``left <relation> right``."""

    relation: Comparison
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class NonZero(Constraint):
    """An integer used as a truth value."""

    of: Expr


@dataclass(frozen=True, slots=True)
class Divides(Constraint):
    """``divides(divisor, of)``: ``of % divisor == 0``; undefined where the divisor is 0."""

    divisor: Expr
    of: Expr


@dataclass(frozen=True, slots=True)
class AllDifferent(Constraint):
    """No two have the same value."""

    of: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class All(Constraint):
    """``a and b and ...``, also a chained comparison."""

    of: tuple[Constraint, ...]


@dataclass(frozen=True, slots=True)
class Any(Constraint):
    """``a or b or ...``."""

    of: tuple[Constraint, ...]


@dataclass(frozen=True, slots=True)
class Not(Constraint):
    """``not of``; undefined where `of` is."""

    of: Constraint
