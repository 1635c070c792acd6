"""Fit the prices of the launch model (rnnkernels/cost.py) to a record of `workbench tune`.

    python kernels/benchmarks/fit_prices.py data/results/tune_h200.json

Prints the table of prices, how well the model then agrees with the record, and the same for calls
that were left out of the fit.

A price is what one more of an item adds to a step, never less than nothing. Errors are relative,
and a launch counts by the fourth power of how near it is to the fastest of its call: what the model
is for is the choice among the fastest. So within a call errors count around a scale of their own,
which says nothing of the choice, and a tenth as much around the measured time itself.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rnnkernels import cost
from rnnkernels.cuda.ledger import Numbers
from rnnkernels.plan import values_of
from workbench.tuning.records import Agreement, Point, agreement, points_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ABSOLUTE = 0.3  # weight of the error of the time itself; of the difference within a call: 1
_PARTS = 5
_SWEEPS = 3_000

Key = tuple[str, bool]  # strategy, backward
Prices = dict[Key, dict[str, int]]


@dataclass(frozen=True)
class Row:
    """A measured launch, and the amounts that its time is made of, all turns together."""

    point: Point
    key: Key
    amounts: dict[str, int]

    @classmethod
    def of(cls, point: Point) -> Row:
        """Return the row of a measured launch."""
        call, strategy = point.call, point.config.strategy
        values = values_of(call, point.config)
        found = cost.amounts(Numbers(), call.sizes, values, strategy, backward=call.backward)
        amounts = {item: int(amount) * values["turns"] for item, amount in found.items()}
        return cls(point, (strategy, call.backward), amounts)

    def predicted(self, prices: Prices) -> float:
        """Return nanoseconds a step at these prices."""
        own = prices[self.key]
        return sum(own[item] * amount for item, amount in self.amounts.items()) / 1e3


def fit(rows: Sequence[Row]) -> Prices:
    """Return the prices of all items in picoseconds; the two directions have nothing in common."""
    found: Prices = {}
    for backward in (False, True):
        own = [row for row in rows if row.key[1] == backward]
        found |= _fit_direction(own) if own else {}
    return found


def _fit_direction(rows: Sequence[Row]) -> Prices:
    items = list(dict.fromkeys((row.key, item) for row in rows for item in row.amounts))
    column = {item: place for place, item in enumerate(items)}
    calls = list(dict.fromkeys(row.point.call for row in rows))
    fastest = dict.fromkeys(calls, np.inf)
    for row in rows:
        fastest[row.point.call] = min(fastest[row.point.call], row.point.measured)
    relative = np.zeros((len(rows), len(items)))
    scales = np.zeros((len(rows), len(calls)))
    for place, row in enumerate(rows):
        for item, amount in row.amounts.items():
            relative[place, column[row.key, item]] = amount / row.point.measured
        scales[place, calls.index(row.point.call)] = -1
    near = np.array([fastest[row.point.call] / row.point.measured for row in rows]) ** 4
    sizes = relative.max(axis=0)
    sizes[sizes == 0] = 1
    relative /= sizes
    within = np.hstack([relative, scales]) * near[:, None]
    absolute = np.hstack([relative, 0 * scales]) * (_ABSOLUTE * near)[:, None]
    wanted = np.concatenate([np.zeros(len(rows)), _ABSOLUTE * near])
    solved = nonnegative(np.vstack([within, absolute]), wanted)[: len(items)] / sizes
    prices: Prices = {}
    for (key, item), price in zip(items, solved, strict=True):
        prices.setdefault(key, {})[item] = round(float(price) * 1e3)
    return prices


def nonnegative(a: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return x from 0 on with least |a x - y|, by coordinate descent."""
    gram, right = a.T @ a, a.T @ y
    steps = np.where(np.diag(gram) > 0, np.diag(gram), 1)
    x = np.zeros(a.shape[1])
    for _ in range(_SWEEPS):
        for j in range(x.size):
            x[j] = max(0.0, x[j] + (right[j] - gram[j] @ x) / steps[j])
    return x


def judged(rows: Sequence[Row], prices: Prices) -> Agreement:
    """Return how well launches agree with their prices."""
    points = [
        Point(row.point.call, row.point.config, row.predicted(prices), row.point.measured, "")
        for row in rows
    ]
    return agreement(points)


def left_out(rows: Sequence[Row], seed: int = 0) -> list[Agreement]:
    """Return the agreement of each fifth of the calls with prices fitted to the others."""
    calls = list(dict.fromkeys(row.point.call for row in rows))
    order = np.random.default_rng(seed).permutation(len(calls))
    found = []
    for part in range(_PARTS):
        asked = {calls[place] for place in order[part::_PARTS]}
        prices = fit([row for row in rows if row.point.call not in asked])
        found.append(judged([row for row in rows if row.point.call in asked], prices))
    return found


def table(prices: Prices) -> str:
    """Return the prices as they stand in cost.py."""
    lines = []
    for key in cost.PRICES:
        strategy, backward = key
        lines.append(f'    ("{strategy}", {backward}): {{')
        lines += [f'        "{item}": {price:_},' for item, price in prices[key].items()]
        lines.append("    },")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Fit, print the prices and what they are worth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("records", nargs="+", type=Path, help="of `workbench tune --out`")
    args = parser.parse_args(argv)
    rows = [Row.of(point) for path in args.records for point in points_of(path)]
    prices = fit(rows)
    print(table(prices))
    print(told("fitted", [judged(rows, prices)]))
    print(told("left out", left_out(rows)))
    return 0


def told(name: str, parts: Sequence[Agreement]) -> str:
    """Return an agreement in words, over all parts."""
    within, calls = sum(part.within_10_percent for part in parts), sum(part.calls for part in parts)
    ranks = ", ".join(f"{part.rank_correlation:.3f}" for part in parts)
    worst = max(part.worst_ratio for part in parts)
    return (
        f"{name}: {within} of {calls} within 10 %, at worst {worst:.2f}; rank correlation {ranks}"
    )


if __name__ == "__main__":
    sys.exit(main())
