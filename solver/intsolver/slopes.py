"""How fast a node changes with each variable: enclosures of its value and its derivatives.

For polynomials, over boxes of real values. Floats are rounded outwards after every step, so that
what is enclosed is so in exact arithmetic too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from intsolver.intervals import Ranges
    from intsolver.lower import Low

Float = Any  # a float or an array of floats, one for each box
Range = tuple[Float, Float]
Slopes = dict[int, Range]  # by slot of a variable; 0 for those that are not listed
_SMOOTH = {"name", "constant", "sum", "product", "power"}
_EXACT = 1 << 53


def is_smooth(node: Low) -> bool:
    """Return whether a node is a polynomial."""
    return node.kind in _SMOOTH and all(map(is_smooth, node.of))


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


def enclosed(
    node: Low, at: Ranges, slots: Mapping[int, int], variables: int
) -> tuple[Range, Slopes]:
    """Return what encloses a polynomial and its derivatives where each slot is within `at`.

    `at` has floats, rounded outwards; the first so many slots are `variables`, the others fixed.
    """
    if node.kind == "constant":
        return as_floats(node.value), {}
    if node.kind == "name":
        slot = slots[id(node)]
        value = at.low[slot], at.high[slot]
        return value, {slot: (1.0, 1.0)} if slot < variables else {}
    parts = [enclosed(x, at, slots, variables) for x in node.of]
    value, slopes = parts[0]
    if node.kind == "power":
        return _powered(value, slopes, node.value)
    for other, rises in parts[1:]:
        if node.kind == "sum":
            value = plus(value, other)
            slopes = _joined(slopes, rises)
        else:
            slopes = _joined(_scaled(slopes, other), _scaled(rises, value))
            value = times(value, other)
    return value, slopes


def _powered(value: Range, slopes: Slopes, exponent: int) -> tuple[Range, Slopes]:
    if not exponent:
        return (1.0, 1.0), {}
    below: Range = (1.0, 1.0)
    for _ in range(exponent - 1):
        below = times(below, value)
    rise = times((float(exponent), float(exponent)), below)
    return times(below, value), _scaled(slopes, rise)


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
