"""What encloses a node where each variable lies in a range: functions over columns of ranges.

A truth is a pair too: whether it certainly holds, and whether it can hold. Where a value may be
undefined, the others are enclosed; an undefined constraint is violated, so what can hold is right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from intsolver.lower import Low

Column = Any
At = TypeVar("At")  # what an enclosing function reads ranges from
Range = tuple[Column, Column]
Enclosure = Callable[["Ranges"], Range]


class Ranges:
    """The least and the greatest value in each slot, as columns."""

    __slots__ = ("high", "low")

    def __init__(self, low: list[Column], high: list[Column]) -> None:
        self.low, self.high = low, high


class Intervals:
    """Compiles nodes against the slots that hold the ranges of names."""

    def __init__(self, slots: Mapping[int, int]) -> None:
        self._slots = slots
        self._made: dict[int, Enclosure] = {}

    def __call__(self, node: Low) -> Enclosure:
        """Return the function of a node."""
        made = self._made.get(id(node))
        if made is None:
            made = self._made[id(node)] = self._compile(node)
        return made

    def _compile(self, node: Low) -> Enclosure:
        if node.kind == "name":
            slot = self._slots[id(node)]
            return lambda at: (at.low[slot], at.high[slot])
        if node.kind == "constant":
            value = node.value
            return lambda _: (value, value)
        of = [self(x) for x in node.of]
        return _COMPILE[node.kind](node, of)


def of_sum(of: Sequence[Callable[[At], Range]]) -> Callable[[At], Range]:
    """Return what encloses a sum, from what encloses each of its terms."""

    def enclose(at: At) -> Range:
        low, high = of[0](at)
        for part in of[1:]:
            a, b = part(at)
            low, high = low + a, high + b
        return low, high

    return enclose


def of_product(
    factors: Sequence[Low], of: Sequence[Callable[[At], Range]]
) -> Callable[[At], Range]:
    """Return what encloses a product, from its factors and what encloses each of them."""
    signs = [x.low >= 0 for x in factors]

    def enclose(at: At) -> Range:
        low, high = of[0](at)
        positive = signs[0]
        for part, also in zip(of[1:], signs[1:], strict=True):
            a, b = part(at)
            if positive and also:
                low, high = low * a, high * b
            else:
                low, high = _hull(low * a, low * b, high * a, high * b)
                positive = False
        return low, high

    return enclose


def _quotient(node: Low, of: list[Enclosure]) -> Enclosure:
    top, bottom = of

    if node.of[1].low > 0:

        def by_positive(at: Ranges) -> Range:
            (low, high), (a, b) = top(at), bottom(at)
            return np.minimum(low // a, low // b), np.maximum(high // a, high // b)

        return by_positive

    def enclose(at: Ranges) -> Range:
        low, high = top(at)
        most = np.maximum(abs(low), abs(high))
        return -most, most

    return enclose


def _mod(node: Low, of: list[Enclosure]) -> Enclosure:
    top, bottom = of
    if node.of[0].low < 0 or node.of[1].low <= 0:
        return _static(node, of)

    def enclose(at: Ranges) -> Range:
        (low, high), (a, b) = top(at), bottom(at)
        quotient = low // b
        same = quotient == high // a  # then it only moves with what is divided
        low_same, high_same = low - quotient * b, high - quotient * a
        most = np.minimum(high, b - 1)
        return np.where(same, low_same, 0), np.where(same, high_same, most)

    return enclose


def _power(node: Low, of: list[Enclosure]) -> Enclosure:
    base, exponent = of[0], node.value

    def enclose(at: Ranges) -> Range:
        low, high = base(at)
        a, b = low**exponent, high**exponent
        if exponent % 2 or node.of[0].low >= 0:
            return a, b
        least = np.where((low <= 0) & (high >= 0), 0**exponent, np.minimum(a, b))
        return least, np.maximum(np.maximum(a, b), least)

    return enclose


def _absolute(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        low, high = of[0](at)
        a, b = abs(low), abs(high)
        return np.where((low <= 0) & (high >= 0), 0, np.minimum(a, b)), np.maximum(a, b)

    return enclose


def _extreme(choose: Callable[[Column, Column], Column]) -> Callable[..., Enclosure]:
    def compiled(_: Low, of: list[Enclosure]) -> Enclosure:
        def enclose(at: Ranges) -> Range:
            low, high = of[0](at)
            for part in of[1:]:
                a, b = part(at)
                low, high = choose(low, a), choose(high, b)
            return low, high

        return enclose

    return compiled


def _if(_: Low, of: list[Enclosure]) -> Enclosure:
    condition, yes, no = of

    def enclose(at: Ranges) -> Range:
        (surely, maybe), (a, b), (c, d) = condition(at), yes(at), no(at)
        low = np.where(surely, a, np.where(maybe, np.minimum(a, c), c))
        return low, np.where(surely, b, np.where(maybe, np.maximum(b, d), d))

    return enclose


def _le(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        (low, high), (a, b) = of[0](at), of[1](at)
        return _truth(high <= a), _truth(low <= b)

    return enclose


def _lt(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        (low, high), (a, b) = of[0](at), of[1](at)
        return _truth(high < a), _truth(low < b)

    return enclose


def _eq(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        (low, high), (a, b) = of[0](at), of[1](at)
        meet = _truth(low <= b) & _truth(a <= high)
        return meet & _truth(low == high) & _truth(a == b), meet

    return enclose


def _ne(node: Low, of: list[Enclosure]) -> Enclosure:
    return _not(node, [_eq(node, of)])


def _divides(_: Low, of: list[Enclosure]) -> Enclosure:
    bottom, top = of

    def enclose(at: Ranges) -> Range:
        (a, b), (low, high) = bottom(at), top(at)
        by = np.where((a == b) & (a != 0), a, 1)
        return _truth(by * 0 != 0), _truth((high // by) * by - low >= 0) | _truth(by < 0)

    return enclose


def _different(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        ranges = [part(at) for part in of]
        surely, maybe = np.True_, np.True_
        for i, (low, high) in enumerate(ranges):
            for a, b in ranges[:i]:
                surely = surely & (_truth(high < a) | _truth(b < low))
                maybe = maybe & ~(_truth(low == high) & _truth(a == b) & _truth(low == a))
        return surely, maybe

    return enclose


def _not(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        surely, maybe = of[0](at)
        return ~_truth(maybe), ~_truth(surely)

    return enclose


def _logic(join: Callable[[Column, Column], Column]) -> Callable[..., Enclosure]:
    def compiled(_: Low, of: list[Enclosure]) -> Enclosure:
        def enclose(at: Ranges) -> Range:
            surely, maybe = (_truth(x) for x in of[0](at))
            for part in of[1:]:
                a, b = part(at)
                surely, maybe = join(surely, _truth(a)), join(maybe, _truth(b))
            return surely, maybe

        return enclose

    return compiled


def _count(_: Low, of: list[Enclosure]) -> Enclosure:
    def enclose(at: Ranges) -> Range:
        surely, maybe = of[0](at)
        return _truth(surely) * 1, _truth(maybe) * 1

    return enclose


def _static(node: Low, _: list[Enclosure]) -> Enclosure:
    low, high = node.low, node.high
    return lambda _: (low, high)


def _truth(value: Column) -> Column:
    return np.asarray(value, bool)


def _hull(*corners: Column) -> Range:
    low = high = corners[0]
    for corner in corners[1:]:
        low, high = np.minimum(low, corner), np.maximum(high, corner)
    return low, high


_COMPILE: dict[str, Callable[[Low, list[Enclosure]], Enclosure]] = {
    "sum": lambda _, of: of_sum(of),
    "product": lambda node, of: of_product(node.of, of),
    "quotient": _quotient,
    "exact": _quotient,
    "guard": lambda _, of: of[0],
    "mod": _mod,
    "power": _power,
    "absolute": _absolute,
    "min": _extreme(np.minimum),
    "max": _extreme(np.maximum),
    "if": _if,
    "count": _count,
    "le": _le,
    "lt": _lt,
    "eq": _eq,
    "ne": _ne,
    "divides": _divides,
    "different": _different,
    "not": _not,
    "all": _logic(lambda a, b: a & b),
    "any": _logic(lambda a, b: a | b),
}
