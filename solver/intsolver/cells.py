"""Trees at many assignments at once, read as they are.

The meaning is that of `evaluate`, over columns that broadcast. Where assignments are few, to lower
and compile a tree takes longer than to walk through it once.

A number is a numerator, the largest magnitude that it may have, a denominator (positive, None: 1)
and the largest that that may have, so that no fraction is rounded and nothing passes 64 bits.
"""

from __future__ import annotations

import operator
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from intsolver import expr as e
from intsolver.chain import INT64

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Column = Any  # an integer, or an array of int64 or (past 64 bits) of Python's integers
Truth = Any  # a bool, or an array of them
Number = tuple[Column, int, Column, int]


class TooWideError(Exception):
    """64 bits may be too few."""


class Cells:
    """Numbers by name, and where something was undefined so far (None: nowhere).

    Where 64 bits are too few columns are `wide`: of Python's integers.
    """

    __slots__ = ("bad", "given", "wide")

    def __init__(self, given: Mapping[str, Number], *, wide: bool) -> None:
        self.given, self.wide = given, wide
        self.bad: Truth = None

    def mark(self, where: Truth) -> None:
        """Note where something is undefined."""
        self.bad = where if self.bad is None else self.bad | where

    def number(self, node: e.Expr) -> Number:
        """Return the value of an expression; raises TooWideError."""
        found = _NUMBERS[type(node)](node, self)
        if (found[1] >= INT64 or found[3] >= INT64) and not self.wide:
            raise TooWideError
        return found

    def crossed(self, one: Number, other: Number) -> tuple[Column, int, Column, int]:
        """Return two numbers as numerators over one denominator, with their largest magnitudes."""
        a, most_a, c, most_c = one
        b, most_b, d, most_d = other
        if c is None and d is None:
            return a, most_a, b, most_b
        most_a, most_b = most_a * most_d, most_b * most_c
        if max(most_a, most_b) >= INT64 and not self.wide:
            raise TooWideError
        return _times(a, d), most_a, _times(b, c), most_b

    def holds(self, node: e.Constraint) -> Truth:
        """Return whether a constraint holds, anything where it is undefined; raises as `number`."""
        return _TRUTHS[type(node)](node, self)


def given(column: Column, low: int, high: int) -> Number:
    """Return a column as a number: its values are from `low` to `high`."""
    return column, max(-low, high), None, 1


def holds(node: e.Constraint, numbers: Mapping[str, Number]) -> Truth:
    """Return whether a constraint holds, False where it is undefined."""
    found, bad = _asked(lambda at: at.holds(node), numbers)
    return found if bad is None else found & _inverse(bad)


def value(node: e.Expr, numbers: Mapping[str, Number]) -> tuple[Column, Truth]:
    """Return the value of an expression, and where it has none or is no integer (None: nowhere)."""
    (top, _, bottom, _), bad = _asked(lambda at: at.number(node), numbers)
    if bottom is None:
        return top, bad
    rest = top % bottom != 0
    return top // bottom, rest if bad is None else rest | bad


def _asked(ask: Callable[[Cells], T], numbers: Mapping[str, Number]) -> tuple[T, Truth]:
    """Return an answer and where it is undefined, in Python's integers where int64 is too small."""
    try:
        at = Cells(numbers, wide=False)
        found = ask(at)
    except TooWideError:
        at = Cells({name: _widened(number) for name, number in numbers.items()}, wide=True)
        found = ask(at)
    return found, at.bad


def _times(column: Column, by: Column) -> Column:
    return column if by is None else by if column is None else column * by


def _inverse(value: Truth) -> Truth:
    return not value if isinstance(value, bool) else ~value


def _widened(number: Number) -> Number:
    column, *rest = number
    return (column.astype(object) if isinstance(column, np.ndarray) else column, *rest)


def _added(op: Callable[[Column, Column], Column]) -> Callable[..., Number]:
    def added(node: e.Sum | e.Difference, at: Cells) -> Number:
        a, most_a, c, most_c = at.number(node.left)
        b, most_b, d, most_d = at.number(node.right)
        if c is None and d is None:
            return op(a, b), most_a + most_b, None, 1
        most = most_a * most_d + most_b * most_c
        if most >= INT64 and not at.wide:
            raise TooWideError
        return op(_times(a, d), _times(b, c)), most, _times(c, d), most_c * most_d

    return added


def _product(node: e.Product, at: Cells) -> Number:
    a, most_a, c, most_c = at.number(node.left)
    b, most_b, d, most_d = at.number(node.right)
    if max(most_a * most_b, most_c * most_d) >= INT64 and not at.wide:
        raise TooWideError
    return a * b, most_a * most_b, _times(c, d), most_c * most_d


def _divisor(column: Column, at: Cells) -> Column:
    """Return a divisor: 1, and marked, where it is 0."""
    zero: Truth = column == 0
    if isinstance(zero, bool):
        if zero:
            at.mark(where=True)
        return 1 if zero else column
    if not zero.any():
        return column
    at.mark(zero)
    return np.where(zero, 1, column)


def _quotient(node: e.FloorDivision, at: Cells) -> Number:
    a, most, b, _ = at.crossed(at.number(node.left), at.number(node.right))
    return a // _divisor(b, at), most, None, 1


def _modulo(node: e.Modulo, at: Cells) -> Number:
    one, other = at.number(node.left), at.number(node.right)
    a, _, b, most = at.crossed(one, other)
    return a % _divisor(b, at), most, _times(one[2], other[2]), one[3] * other[3]


def _exact(node: e.ExactDivision, at: Cells) -> Number:
    a, most_a, b, most_b = at.crossed(at.number(node.left), at.number(node.right))
    b = _divisor(b, at)
    negative: Truth = b < 0
    if negative is True or (negative is not False and negative.any()):
        a, b = a * (1 - 2 * negative), abs(b)
    return a, most_a, b, most_b


def _power(node: e.Power, at: Cells) -> Number:
    a, most, c, most_c = at.number(node.base)
    by = node.exponent
    if max(most**by, most_c**by) >= INT64 and not at.wide:
        raise TooWideError
    return a**by, most**by, None if c is None else c**by, most_c**by


def _negative(node: e.Negative, at: Cells) -> Number:
    a, most, c, most_c = at.number(node.of)
    return -a, most, c, most_c


def _absolute(node: e.Absolute, at: Cells) -> Number:
    a, most, c, most_c = at.number(node.of)
    return abs(a), most, c, most_c


def _chosen(where: Truth, one: Number, other: Number, at: Cells) -> Number:
    """Return one number where that is true, elsewhere another."""
    a, most_a, c, most_c = one
    b, most_b, d, most_d = other
    most = max(most_a, most_b), max(most_c, most_d)
    if isinstance(where, bool):
        return (a if where else b), most[0], (c if where else d), most[1]
    kind: Any = object if at.wide else np.int64
    bottom = None
    if c is not None or d is not None:
        sides = (1 if c is None else c), (1 if d is None else d)
        bottom = np.where(where, *[np.asarray(side, kind) for side in sides])
    return np.where(where, np.asarray(a, kind), np.asarray(b, kind)), most[0], bottom, most[1]


def _extreme(better: Callable[[Column, Column], Truth]) -> Callable[..., Number]:
    def extreme(node: e.Minimum | e.Maximum, at: Cells) -> Number:
        found = at.number(node.of[0])
        for part in node.of[1:]:
            other = at.number(part)
            a, _, b, _ = at.crossed(found, other)
            found = _chosen(better(a, b), found, other, at)
        return found

    return extreme


def _indicator(node: e.Indicator, at: Cells) -> Number:
    value = at.holds(node.of)
    if isinstance(value, bool):
        return int(value), 1, None, 1
    return value.astype(np.int64).astype(object if at.wide else np.int64, copy=False), 1, None, 1


def _choice(node: e.Choice, at: Cells) -> Number:
    chosen = at.holds(node.condition)
    outer, at.bad = at.bad, None
    then = at.number(node.then)
    bad_then, at.bad = at.bad, None
    otherwise = at.number(node.otherwise)
    bad_otherwise, at.bad = at.bad, outer
    for bad, where in ((bad_then, chosen), (bad_otherwise, _inverse(chosen))):
        if bad is not None:
            at.mark(bad & where)
    return _chosen(chosen, then, otherwise, at)


def _compare(node: e.Compare, at: Cells) -> Truth:
    a, _, b, _ = at.crossed(at.number(node.left), at.number(node.right))
    return _RELATIONS[node.relation](a, b)


def _divides(node: e.Divides, at: Cells) -> Truth:
    a, _, b, _ = at.crossed(at.number(node.of), at.number(node.divisor))
    return a % _divisor(b, at) == 0


def _different(node: e.AllDifferent, at: Cells) -> Truth:
    found: Truth = True
    for one, other in combinations([at.number(part) for part in node.of], 2):
        a, _, b, _ = at.crossed(one, other)
        found = found & (a != b)
    return found


def _logic(*, stop: bool) -> Callable[..., Truth]:
    """Return how `and` (stop: False) and `or` (stop: True) go from left to right."""

    def logic(node: e.All | e.Any, at: Cells) -> Truth:
        outer = at.bad
        decided: Truth = False
        bad: Truth = False
        for part in node.of:
            at.bad = None
            value = at.holds(part)
            value = value if stop else _inverse(value)
            if at.bad is not None:
                bad = bad | (at.bad & _inverse(decided | bad))
                value = value & _inverse(at.bad)
            decided = decided | (value if bad is False else value & _inverse(bad))
        at.bad = outer
        if bad is not False:
            at.mark(bad)
        return decided if stop else _inverse(decided)

    return logic


_RELATIONS: dict[e.Comparison, Callable[[Column, Column], Truth]] = {
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_NUMBERS: dict[type, Callable[..., Number]] = {
    e.Constant: lambda node, _: (node.value, abs(node.value), None, 1),
    e.Name: lambda node, at: at.given[node.name],
    e.Sum: _added(operator.add),
    e.Difference: _added(operator.sub),
    e.Product: _product,
    e.FloorDivision: _quotient,
    e.Modulo: _modulo,
    e.ExactDivision: _exact,
    e.Power: _power,
    e.Negative: _negative,
    e.Absolute: _absolute,
    e.Minimum: _extreme(operator.le),
    e.Maximum: _extreme(operator.ge),
    e.Indicator: _indicator,
    e.Choice: _choice,
}
_TRUTHS: dict[type, Callable[..., Truth]] = {
    e.Truth: lambda node, _: node.value,
    e.Compare: _compare,
    e.NonZero: lambda node, at: at.number(node.of)[0] != 0,
    e.Divides: _divides,
    e.AllDifferent: _different,
    e.All: _logic(stop=False),
    e.Any: _logic(stop=True),
    e.Not: lambda node, at: _inverse(at.holds(node.of)),
}
