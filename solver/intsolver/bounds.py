"""What encloses the value of a lowered node, from what encloses its operands'."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from intsolver.lower import Low

Box = tuple[int, int]


def peak_of(kind: str, of: tuple[Low, ...], low: int, high: int) -> int:
    """Return the largest magnitude on the way from the operands to the value."""
    if kind == "sum":
        return sum([max(-x.low, x.high) for x in of])
    if kind == "product":
        peak = 1
        for x in of:
            peak *= max(-x.low, x.high, 1)
        return peak
    return max(high, -low)


def _sum_box(of: tuple[Low, ...], _: int) -> Box:
    return sum([x.low for x in of]), sum([x.high for x in of])


def _product_box(of: tuple[Low, ...], _: int) -> Box:
    low = high = 1
    for x in of:
        if low >= 0 and x.low >= 0:
            low, high = low * x.low, high * x.high
        else:
            corners = (low * x.low, low * x.high, high * x.low, high * x.high)
            low, high = min(corners), max(corners)
    return low, high


def _quotient_box(of: tuple[Low, ...], _: int) -> Box:
    a, b = of
    divisors = [d for d in (b.low, b.high, -1, 1) if d and b.low <= d <= b.high]
    corners = [x // d for x in (a.low, a.high) for d in divisors]
    return (min(corners), max(corners)) if corners else (0, 0)


def _mod_box(of: tuple[Low, ...], _: int) -> Box:
    a, b = of
    low, high = (b.low + 1 if b.low < 0 else 0), (b.high - 1 if b.high > 0 else 0)
    if a.low >= 0 and b.low > 0:
        high = min(high, a.high)
    return min(low, 0), max(high, 0)


def _power_box(of: tuple[Low, ...], exponent: int) -> Box:
    ends = [of[0].low ** exponent, of[0].high ** exponent]
    if of[0].low < 0 < of[0].high:
        ends.append(0**exponent)
    return min(ends), max(ends)


def _absolute_box(of: tuple[Low, ...], _: int) -> Box:
    low, high = of[0].low, of[0].high
    return (0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


BOUNDS: dict[str, Callable[[tuple[Low, ...], int], Box]] = {
    "sum": _sum_box,
    "product": _product_box,
    "quotient": _quotient_box,
    "exact": _quotient_box,
    "guard": lambda of, _: (of[0].low, of[0].high),
    "ratio": lambda of, _: (of[0].low, of[0].high),
    "mod": _mod_box,
    "power": _power_box,
    "absolute": _absolute_box,
    "min": lambda of, _: (min(x.low for x in of), min(x.high for x in of)),
    "max": lambda of, _: (max(x.low for x in of), max(x.high for x in of)),
    "if": lambda of, _: (min(of[1].low, of[2].low), max(of[1].high, of[2].high)),
}
DIVISIONS = {"quotient": 1, "mod": 1, "exact": 1, "guard": 1, "divides": 0}


def _decide_le(a: Low, b: Low) -> bool | None:
    return True if a.high <= b.low else False if a.low > b.high else None


def _decide_lt(a: Low, b: Low) -> bool | None:
    return True if a.high < b.low else False if a.low >= b.high else None


def _decide_eq(a: Low, b: Low) -> bool | None:
    if a.low > b.high or a.high < b.low:
        return False
    return True if a is b or (a.low == a.high == b.low == b.high) else None


def _decide_ne(a: Low, b: Low) -> bool | None:
    verdict = _decide_eq(a, b)
    return None if verdict is None else not verdict


DECIDED: dict[str, Callable[[Low, Low], bool | None]] = {
    "le": _decide_le,
    "lt": _decide_lt,
    "eq": _decide_eq,
    "ne": _decide_ne,
}
