"""The best value over boxes: ranges of values that are halved where they may still hold the best.

Of each box, intervals tell the best that the objective can be in it and whether every constraint
can hold; what cannot do better than the best found so far is left out (branch and bound). Nothing
is enumerated, so long domains cost little. Bounds and boxes are columns, thousands at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.intervals import Intervals, Ranges
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool

INT64 = 1 << 62
_BATCH = 1 << 12  # boxes that are looked at together
_FIRST = 64  # the most promising ones at the start: a good solution early saves the most


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the objective and the solution that has it."""

    value: int
    solution: dict[str, int]


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
        low, high = np.zeros((1, sizes.size), np.intp), (sizes - 1)[None, :]
        bound = np.full(1, self._cap(parameters))
        found: dict[tuple[int, ...], int] = {}
        looked_at, batch = 0, _FIRST
        while low.shape[0]:
            if len(found) >= top:
                found = dict(sorted(found.items(), key=itemgetter(1), reverse=True)[:top])
                keep = bound > min(found.values())
                low, high, bound = low[keep], high[keep], bound[keep]
            if low.shape[0] > batch:
                ranked = np.argpartition(-bound, batch)
                now, later = ranked[:batch], ranked[batch:]
            else:
                now, later = np.arange(low.shape[0]), np.zeros(0, np.intp)
            looked_at += now.size
            if looked_at > most:
                return None
            batch = max(min(2 * batch, _BATCH), low.shape[0] >> 3)
            lows, highs = low[now], high[now]
            hopeful, bounds = self._bounds(lows, highs, given, bound[now])
            lows, highs, bounds = lows[hopeful], highs[hopeful], bounds[hopeful]
            self._probe(lows, highs, given, found, top)
            left, right, parents = _halves(lows, highs)
            low = np.concatenate([low[later], left])
            high = np.concatenate([high[later], right])
            bound = np.concatenate([bound[later], bounds[parents]])
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

    def _bounds(
        self,
        low: NDArray[np.intp],
        high: NDArray[np.intp],
        given: list[int],
        before: NDArray[np.int64],
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which boxes may have a solution, and what the objective is at most in each."""
        ranges = Ranges(
            [*[d[low[:, i]] for i, d in enumerate(self.domains)], *given],
            [*[d[high[:, i]] for i, d in enumerate(self.domains)], *given],
        )
        hopeful = np.ones(low.shape[0], bool)
        for possible in self.possible:
            hopeful &= np.asarray(possible(ranges)[1], bool)
        least, most = self.range(ranges)
        bound = np.broadcast_to(np.asarray(most if self.sign > 0 else -least), before.shape)
        return hopeful, np.minimum(bound, before)

    def _probe(
        self,
        low: NDArray[np.intp],
        high: NDArray[np.intp],
        given: list[int],
        found: dict[tuple[int, ...], int],
        top: int,
    ) -> None:
        """Look at both ends and the middle of each box for solutions."""
        places = np.concatenate([low, high, (low + high) >> 1])
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


def _halves(
    low: NDArray[np.intp], high: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return boxes halved where they are widest, with the box that each is of; points are done."""
    width = high - low
    widest = width.argmax(axis=1)
    rows = np.flatnonzero(width[np.arange(low.shape[0]), widest] > 0)
    axis = widest[rows]
    middle = (low[rows, axis] + high[rows, axis]) >> 1
    left_high, right_low = high[rows].copy(), low[rows].copy()
    place = np.arange(rows.size)
    left_high[place, axis], right_low[place, axis] = middle, middle + 1
    return (
        np.concatenate([low[rows], right_low]),
        np.concatenate([left_high, high[rows]]),
        np.concatenate([rows, rows]),
    )
