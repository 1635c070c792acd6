"""How fast a node changes with each variable: enclosures of its value and its derivatives.

For polynomials, and for what is made of these and of their quotients, over boxes of real values. A
rounded quotient is the quotient and a jump of -1 to 0, which is kept apart: it has no derivative.
Floats are rounded outwards after every step, so that exact arithmetic is enclosed too.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from intsolver.intervals import Ranges
    from intsolver.lower import Low

Float = Any  # a float or an array of floats, one for each box
Range = tuple[Float, Float]
Slopes = dict[int, Range]  # by slot of a variable; 0 for those that are not listed
_POLYNOMIAL = {"name", "constant", "sum", "product", "power"}
_EXACT = 1 << 53


class Smooth(NamedTuple):
    """What encloses a node in a box: itself without jumps, its derivatives, and its jumps."""

    value: Range
    slopes: Slopes
    jump: Range | None = None  # None: it has none


def is_smooth(node: Low) -> bool:
    """Return whether a node is made of polynomials and their quotients by what is positive."""
    if node.kind == "quotient":
        return node.of[1].low > 0 and all(map(_is_polynomial, node.of))
    if node.kind in ("sum", "product"):
        return all(map(is_smooth, node.of))
    return _is_polynomial(node)


def _is_polynomial(node: Low) -> bool:
    return node.kind in _POLYNOMIAL and all(map(_is_polynomial, node.of))


def as_floats(values: Float) -> Range:
    """Return floats below and above some integers, the same where floats are exact."""
    floats = np.asarray(values, float)
    if np.all(np.abs(floats) < _EXACT):
        return floats, floats
    return outwards(floats, floats)


def outwards(low: Float, high: Float) -> Range:
    """Return the next floats outside of a range."""
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def plus(one: Range, other: Range) -> Range:
    """Return what encloses a sum."""
    return outwards(one[0] + other[0], one[1] + other[1])


def times(one: Range, other: Range) -> Range:
    """Return what encloses a product."""
    (a, b), (c, d) = one, other
    corners = a * c, a * d, b * c, b * d
    low = np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3]))
    high = np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))
    return outwards(low, high)


def enclosed(node: Low, at: Ranges, slots: Mapping[int, int], variables: int) -> Smooth:
    """Return what encloses a smooth node where each slot is within `at`.

    `at` has floats, rounded outwards; the first so many slots are `variables`, the others fixed.
    """
    if node.kind == "constant":
        return Smooth(as_floats(node.value), {})
    if node.kind == "name":
        slot = slots[id(node)]
        value = at.low[slot], at.high[slot]
        return Smooth(value, {slot: (1.0, 1.0)} if slot < variables else {})
    parts = [enclosed(x, at, slots, variables) for x in node.of]
    if node.kind == "power":
        return _powered(parts[0], node.value)
    if node.kind == "quotient":
        return _divided(parts[0], parts[1], float(node.of[1].low))
    return reduce(_added if node.kind == "sum" else _multiplied, parts)


def _added(one: Smooth, other: Smooth) -> Smooth:
    jumps = [part.jump for part in (one, other) if part.jump is not None]
    value, slopes = plus(one.value, other.value), _joined(one.slopes, other.slopes)
    return Smooth(value, slopes, reduce(plus, jumps) if jumps else None)


def _multiplied(one: Smooth, other: Smooth) -> Smooth:
    jumps = []
    for part, by in ((one, other), (other, one)):
        if part.jump is not None:
            jumps.append(times(part.jump, by.value))
    if one.jump is not None and other.jump is not None:
        jumps.append(times(one.jump, other.jump))
    slopes = _joined(_scaled(one.slopes, other.value), _scaled(other.slopes, one.value))
    return Smooth(times(one.value, other.value), slopes, reduce(plus, jumps) if jumps else None)


def _divided(top: Smooth, bottom: Smooth, least: float) -> Smooth:
    """Return a rounded quotient of polynomials; the divisor is at least so much."""
    low, high = (np.maximum(end, least) for end in bottom.value)
    inverse = outwards(1 / high, 1 / low)
    value = times(top.value, inverse)
    falls = _scaled(bottom.slopes, (-value[1], -value[0]))
    slopes = _scaled(_joined(top.slopes, falls), inverse)
    return Smooth(value, slopes, (-1.0, 0.0))


def _powered(base: Smooth, exponent: int) -> Smooth:
    if not exponent:
        return Smooth((1.0, 1.0), {})
    below: Range = (1.0, 1.0)
    for _ in range(exponent - 1):
        below = times(below, base.value)
    rise = times((float(exponent), float(exponent)), below)
    return Smooth(times(below, base.value), _scaled(base.slopes, rise))


def _scaled(slopes: Slopes, by: Range) -> Slopes:
    return {slot: times(slope, by) for slot, slope in slopes.items()}


def _joined(one: Slopes, other: Slopes) -> Slopes:
    found = dict(one)
    for slot, slope in other.items():
        found[slot] = plus(found[slot], slope) if slot in found else slope
    return found


def table(slopes: Slopes, variables: int, boxes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return derivatives as two arrays, (variables, boxes) each."""
    low, high = np.zeros((variables, boxes)), np.zeros((variables, boxes))
    for slot, (least, most) in slopes.items():
        low[slot], high[slot] = least, most
    return low, high
