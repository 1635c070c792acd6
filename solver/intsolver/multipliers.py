"""Bounds of an objective over boxes that take the constraints into account.

Where a constraint says that its slack is at least 0, the objective is at most itself plus a
multiple of that slack; with the right multipliers what it gains where a constraint is violated is
lost there again (Lagrange). The sum is bounded in a box from its middle by its derivatives (the
mean value form), an error that shrinks with the square of the box. For linear problems the best
multipliers give the bound of linear programming; for a knapsack that is Dantzig's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from intsolver.intervals import Ranges
from intsolver.slopes import as_floats, enclosed, is_smooth, outwards, plus, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low
    from intsolver.slopes import Range

_PASSES = 2  # over the multipliers, starting from those of the box that was halved
_FIRST = 20  # at the start
_MOST = 16  # constraints
_ROUNDING = 1e-12  # of the terms of a sum of few: far more than their rounding
_LARGEST = float(1 << 62)


class Judged(NamedTuple):
    """Of each box: what the objective is at most, its multipliers, and where to go on.

    `rises` says for each variable (rows) whether more of it is better there, `axis` which variable
    matters most.
    """

    bound: NDArray[np.int64]
    multipliers: NDArray[Any]  # (constraints, boxes)
    rises: NDArray[np.bool_]  # (variables, boxes)
    axis: NDArray[np.intp]


def is_told(node: Low) -> bool:
    """Return whether a constraint has a slack that is smooth."""
    return node.kind in ("le", "lt", "eq") and all(map(is_smooth, node.of))


class Multipliers:
    """A smooth objective, to be maximised with a `sign`, and the constraints that are such."""

    def __init__(
        self,
        constraints: Sequence[Low],
        objective: Low,
        slots: Mapping[int, int],
        *,
        variables: int,
        sign: int,
    ) -> None:
        self.objective, self.sign = objective, sign
        self.slots, self.variables = slots, variables
        self.constraints = [c for c in constraints if is_told(c)][:_MOST]
        self.free = np.array([c.kind == "eq" for c in self.constraints], bool)  # of either sign

    def start(self) -> NDArray[Any]:
        """Return the multipliers to start with, (boxes, constraints)."""
        return np.zeros((1, len(self.constraints)))

    def judge(
        self, low: Sequence[Any], high: Sequence[Any], before: NDArray[Any], *, first: bool
    ) -> Judged:
        """Return what is said of boxes, columns of ranges by slot, from earlier multipliers."""
        boxes = before.shape[1]
        below = [as_floats(column)[0] for column in low]
        above = [as_floats(column)[1] for column in high]
        ends = list(zip(below, above, strict=True))[: self.variables]
        middle = [(a + b) / 2 for a, b in ends]
        reach = np.array(
            [
                np.nextafter(np.maximum(b - m, m - a), np.inf)
                for (a, b), m in zip(ends, middle, strict=True)
            ]
        )
        around = Ranges(below, above)
        at = Ranges(middle + below[self.variables :], middle + above[self.variables :])
        value, slope = self._terms(self.objective, around, at, boxes)
        if self.sign < 0:
            value, slope = (-value[1], -value[0]), (-slope[1], -slope[0])
        slacks = [self._slack(c, around, at, boxes) for c in self.constraints]
        multipliers = before.copy()
        steep = (slope[0] + slope[1]) / 2
        leans = [(s[0] + s[1]) / 2 for _, s in slacks]
        total = steep + sum(m * lean for m, lean in zip(multipliers, leans, strict=True))
        for _ in range((_FIRST if first else _PASSES) if slacks else 0):
            for i, ((slack, _), lean) in enumerate(zip(slacks, leans, strict=True)):
                rest = total - multipliers[i] * lean
                found = _best(rest, lean, reach, (slack[0] + slack[1]) / 2)
                multipliers[i] = found if self.free[i] else np.maximum(found, 0)
                total = rest + multipliers[i] * lean
        return self._bounded(value, slope, slacks, multipliers, reach)

    def _terms(
        self, node: Low, around: Ranges, at: Ranges, boxes: int
    ) -> tuple[Range, tuple[NDArray[Any], NDArray[Any]]]:
        """Return a node in the middle of each box, and its derivatives all over it.

        The first is widened by as much as the node may jump anywhere in the box.
        """
        value = enclosed(node, at, self.slots, self.variables).value
        _, slopes, jump = enclosed(node, around, self.slots, self.variables)
        value = value if jump is None else plus(value, jump)
        return value, table(slopes, self.variables, boxes)

    def _slack(
        self, node: Low, around: Ranges, at: Ranges, boxes: int
    ) -> tuple[Range, tuple[NDArray[Any], NDArray[Any]]]:
        """Return by how much a constraint holds, as `_terms`."""
        (a, b), (low, high) = self._terms(node.of[0], around, at, boxes)
        (c, d), (least, most) = self._terms(node.of[1], around, at, boxes)
        one = 1.0 if node.kind == "lt" else 0.0
        value = outwards(*outwards(c - b, d - a))
        return (value[0] - one, value[1] - one), outwards(least - high, most - low)

    def _bounded(
        self,
        value: Range,
        slope: tuple[NDArray[Any], NDArray[Any]],
        slacks: Sequence[tuple[Range, tuple[NDArray[Any], NDArray[Any]]]],
        multipliers: NDArray[Any],
        reach: NDArray[Any],
    ) -> Judged:
        """Return the bounds with some multipliers, rounded upwards."""
        low, high = slope
        bound, size = value[1] + np.zeros(reach.shape[1]), np.abs(value[1])
        spread, scale = high - low, np.abs(low) + np.abs(high)
        for (slack, (least, most)), m in zip(slacks, multipliers, strict=True):
            bound = bound + np.maximum(m * slack[0], m * slack[1])
            size = size + np.abs(m) * (np.abs(slack[0]) + np.abs(slack[1]))
            low, high = (
                low + np.minimum(m * least, m * most),
                high + np.maximum(m * least, m * most),
            )
            spread = spread + np.abs(m) * (most - least)
            scale = scale + np.abs(m) * (np.abs(least) + np.abs(most))
        steepest = np.maximum(np.abs(low), np.abs(high)) + _ROUNDING * scale
        change = steepest * reach
        bound = bound + change.sum(axis=0)
        bound = bound + _ROUNDING * (size + change.sum(axis=0))
        mean = (low + high) / 2
        curved = spread * reach
        straight = curved.max(axis=0) <= 1e-9 * (np.abs(bound) + 1)
        open_ = reach > 0.25  # halves of integers' distances, rounded
        nearest = np.where(open_, np.abs(mean) * reach, np.inf).argmin(axis=0)
        axis = np.where(straight, nearest, curved.argmax(axis=0))
        bound = np.nan_to_num(bound, nan=_LARGEST)  # from multipliers past all floats
        whole = np.floor(np.clip(bound, -_LARGEST, _LARGEST)).astype(np.int64)
        return Judged(whole, multipliers, mean > 0, axis)


def _best(
    rest: NDArray[Any], lean: NDArray[Any], reach: NDArray[Any], slack: NDArray[Any]
) -> NDArray[Any]:
    """Return m with the least ``m * slack + sum(reach * abs(rest + m * lean))``, for each box.

    That is convex, and straight between the places where one of the terms is 0.
    """
    weight = reach * np.abs(lean)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.where(weight > 0, -rest / lean, np.inf)
    order = turn.argsort(axis=0)
    turn = np.take_along_axis(turn, order, axis=0)
    rising = (
        slack - weight.sum(axis=0) + 2 * np.take_along_axis(weight, order, axis=0).cumsum(axis=0)
    )
    place = np.minimum((rising < 0).sum(axis=0), np.maximum((weight > 0).sum(axis=0) - 1, 0))
    found = np.take_along_axis(turn, place[None, :], axis=0)[0]
    return np.where(np.isfinite(found), found, 0.0)
