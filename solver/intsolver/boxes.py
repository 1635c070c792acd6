"""The best value over boxes: ranges of values that are halved where they may still hold the best.

Of each box, intervals tell the best that the objective can be in it and whether every constraint
can hold; what cannot do better than the best found so far is left out (branch and bound). Nothing
is enumerated, so long domains cost little. Bounds and boxes are columns, thousands at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from intsolver.intervals import Intervals, Ranges
from intsolver.multipliers import Multipliers
from intsolver.slopes import is_smooth
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool

INT64 = 1 << 62
_BATCH = 1 << 12  # boxes that are looked at together
_NONE = np.zeros(0, np.intp)
_SLENDER = 256  # times as long as wide: then a box is halved along it, whatever matters most
_FIRST = 64  # the most promising ones at the start: a good solution early saves the most


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the objective and the solution that has it."""

    value: int
    solution: dict[str, int]


class _Open(NamedTuple):
    """Boxes still to be looked at: columns of places in domains, a bound and multipliers each."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    bound: NDArray[np.int64]
    multipliers: NDArray[Any]

    def at(self, rows: NDArray[Any]) -> _Open:
        """Return some of them."""
        return _Open(*[column[rows] for column in self])

    def ranked(self, few: int) -> NDArray[np.intp]:
        """Return the boxes, so `few` most promising first: of the same bound, small ones."""
        ranked = np.argpartition(-self.bound, few)
        same = np.flatnonzero(self.bound[ranked] == self.bound[ranked[few]])
        size = (self.high - self.low)[ranked[same]].sum(axis=1)
        ranked[same] = ranked[same[np.argsort(size, kind="stable")]]
        return ranked

    def beside(self, other: _Open) -> _Open:
        """Return these and others."""
        return _Open(*[np.concatenate(pair) for pair in zip(self, other, strict=True)])


class Boxes:
    """An objective over some variables and constraints; `largest` or least value wanted."""

    def __init__(
        self,
        pool: Pool,
        domains: Mapping[str, NDArray[Any]],
        constraints: Sequence[Low],
        objective: Low,
        *,
        largest: bool,
    ) -> None:
        self.names = tuple(domains)
        self.domains = [np.sort(domain) for domain in domains.values()]
        self.sign = 1 if largest else -1
        parameters = frozenset[str]().union(*[c.parameters for c in (*constraints, objective)])
        self.parameters = sorted(parameters)
        slots = {id(pool.name(n)): i for i, n in enumerate([*self.names, *self.parameters])}
        exact, within = Compiler(pool, slots), Intervals(slots)
        self.checks = [exact(c) for c in constraints]
        self.value = exact(objective)
        self.possible = [within(c) for c in constraints]
        self.range = within(objective)
        self.multipliers: Multipliers | None = None
        if is_smooth(objective):
            self.multipliers = Multipliers(
                constraints, objective, slots, variables=len(self.names), sign=self.sign
            )
        self.limits = [  # of the objective, with whether they cannot be reached
            (within(c.of[1 - side]), c.kind == "lt")
            for c in constraints
            for side in (0, 1)
            if c.kind in ("le", "lt", "eq") and c.of[side] is objective
            if c.kind == "eq" or side == (0 if largest else 1)
        ]

    @staticmethod
    def can(
        domains: Mapping[str, NDArray[Any]], constraints: Sequence[Low], objective: Low
    ) -> bool:
        """Return whether 64 bits are enough."""
        return all(c.peak < INT64 for c in (*constraints, objective)) and not any(
            domain.dtype.hasobject for domain in domains.values()
        )

    def best(self, parameters: Mapping[str, int], top: int, most: int) -> list[Found] | None:
        """Return the `top` best, None where that takes more than `most` boxes.

        Of solutions of the same value, any.
        """
        given = [parameters[name] for name in self.parameters]
        sizes = np.array([domain.size for domain in self.domains])
        start = np.zeros((1, 0)) if self.multipliers is None else self.multipliers.start()
        boxes = _Open(
            np.zeros((1, sizes.size), np.intp),
            (sizes - 1)[None, :],
            np.full(1, self._cap(parameters)),
            start,
        )
        found: dict[tuple[int, ...], int] = {}
        looked_at, batch = 0, _FIRST
        while boxes.bound.size:
            if len(found) >= top:
                found = dict(sorted(found.items(), key=itemgetter(1), reverse=True)[:top])
                boxes = boxes.at(boxes.bound > min(found.values()))
            now, later = boxes, boxes.at(_NONE)
            if boxes.bound.size > batch:
                ranked = boxes.ranked(batch)
                now, later = boxes.at(ranked[:batch]), boxes.at(ranked[batch:])
            first = not looked_at
            looked_at += now.bound.size
            if looked_at > most:
                return None
            batch = max(min(2 * batch, _BATCH), boxes.bound.size >> 3)
            now = self._hopeful(now, given)
            axis: NDArray[np.intp] | None = None
            likely: list[NDArray[np.intp]] = []
            if self.multipliers is not None and now.bound.size:
                now, axis, likely = self._judged(now, given, self.multipliers, first=first)
            self._probe([now.low, now.high, (now.low + now.high) >> 1, *likely], given, found, top)
            boxes = later.beside(_halves(now, axis))
        return [
            Found(self.sign * value, dict(zip(self.names, point, strict=True)))
            for point, value in sorted(found.items(), key=itemgetter(1), reverse=True)[:top]
        ]

    def _cap(self, parameters: Mapping[str, int]) -> int:
        """Return what constraints of the objective itself leave of it."""
        at = Ranges([*[d[0] for d in self.domains]], [*[d[-1] for d in self.domains]])
        at.low += [parameters[name] for name in self.parameters]
        at.high += [parameters[name] for name in self.parameters]
        least, most = self.range(at)
        cap = int(most if self.sign > 0 else -least)
        for limit, strict in self.limits:
            low, high = limit(at)
            cap = min(cap, int(high if self.sign > 0 else -low) - strict)
        return cap

    def _ranges(self, boxes: _Open, given: list[int]) -> Ranges:
        return Ranges(
            [*[d[boxes.low[:, i]] for i, d in enumerate(self.domains)], *given],
            [*[d[boxes.high[:, i]] for i, d in enumerate(self.domains)], *given],
        )

    def _hopeful(self, boxes: _Open, given: list[int]) -> _Open:
        """Return the boxes that may have a solution, and what the objective is at most in each."""
        ranges = self._ranges(boxes, given)
        hopeful = np.ones(boxes.bound.size, bool)
        for possible in self.possible:
            hopeful &= np.asarray(possible(ranges)[1], bool)
        least, most = self.range(ranges)
        bound = np.minimum(boxes.bound, most if self.sign > 0 else -least)
        return boxes._replace(bound=bound).at(hopeful)

    def _judged(
        self, boxes: _Open, given: list[int], multipliers: Multipliers, *, first: bool
    ) -> tuple[_Open, NDArray[np.intp], list[NDArray[np.intp]]]:
        """Return boxes with better bounds, where to halve them, and places likely to be good."""
        ranges = self._ranges(boxes, given)
        judged = multipliers.judge(ranges.low, ranges.high, boxes.multipliers.T, first=first)
        likely = np.where(judged.rises.T, boxes.high, boxes.low)
        bound = np.minimum(boxes.bound, judged.bound)
        return boxes._replace(bound=bound, multipliers=judged.multipliers.T), judged.axis, [likely]

    def _probe(
        self,
        at: list[NDArray[np.intp]],
        given: list[int],
        found: dict[tuple[int, ...], int],
        top: int,
    ) -> None:
        """Look at places in boxes, such as both ends and the middle, for solutions."""
        places = np.concatenate(at)
        if not places.size:
            return
        columns = [d[places[:, i]] for i, d in enumerate(self.domains)]
        env = Env([*columns, *given])
        ok = np.ones(places.shape[0], bool)
        for check in self.checks:
            verdict = np.asarray(check(env), bool)
            ok &= verdict
        value = np.broadcast_to(np.asarray(self.value(env)), ok.shape).astype(np.int64) * self.sign
        if env.bad is not None:
            ok &= ~np.asarray(env.bad, bool)
        rows = np.flatnonzero(ok)
        rows = rows[np.argsort(-value[rows], kind="stable")]
        for row in rows[: 4 * top].tolist():
            found[tuple([int(column[row]) for column in columns])] = int(value[row])


def _halves(boxes: _Open, axis: NDArray[np.intp] | None) -> _Open:
    """Return boxes halved along an axis, where they are widest if not told; points are done."""
    width = boxes.high - boxes.low
    widest = width.argmax(axis=1)
    row = np.arange(width.shape[0])
    if axis is not None:
        along = width[row, axis]
        widest = np.where((along > 0) & (along * _SLENDER >= width[row, widest]), axis, widest)
    rows = np.flatnonzero(width[row, widest] > 0)
    left, axis, place = boxes.at(rows), widest[rows], np.arange(rows.size)
    middle = (left.low[place, axis] + left.high[place, axis]) >> 1
    left_high, right_low = left.high.copy(), left.low.copy()
    left_high[place, axis], right_low[place, axis] = middle, middle + 1
    return left._replace(high=left_high).beside(left._replace(low=right_low))
