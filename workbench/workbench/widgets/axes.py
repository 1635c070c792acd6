"""Where a value stands on an axis of the parallel coordinates, and back.

Positions run from 0 (bottom) to 1 (top). Few values stand evenly apart, which suits powers of two
and lists of tile sizes; many stand on a logarithmic scale where they span more than 32 times, and
on a linear one otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW = 24
_LOG_RATIO = 32


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis over the domain of a variable: distinct integers, ascending.

    Raises ValueError for an empty domain.
    """

    name: str
    domain: tuple[int, ...]
    positions: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.domain:
            raise ValueError(f"{self.name}: an axis needs at least one value")
        object.__setattr__(self, "domain", tuple(sorted(set(self.domain))))
        object.__setattr__(self, "positions", self._scale())

    def _scale(self) -> NDArray[np.float64]:
        first, last, size = self.domain[0], self.domain[-1], len(self.domain)
        if size == 1:
            return np.array([0.5])
        if size <= _FEW:
            return np.linspace(0.0, 1.0, size)
        values = np.array([float(value) for value in self.domain])
        if first > 0 and last >= _LOG_RATIO * first:
            values = np.log(values)
        spread: NDArray[np.float64] = (values - values[0]) / (values[-1] - values[0])
        return spread

    def place(self, values: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the positions of `values`, shape (N,), each of them in the domain."""
        rank = np.searchsorted(np.array(self.domain), values)
        return self.positions[rank].astype(np.float32)

    def place_one(self, value: int) -> float:
        """Return the position of `value`; one outside of the domain stands at its neighbour."""
        rank = int(np.searchsorted(np.array(self.domain), value))
        return float(self.positions[min(rank, len(self.domain) - 1)])

    def interval(self, low: float, high: float) -> tuple[int, int]:
        """Return the least and greatest value between two positions, else the nearest value."""
        inside = np.flatnonzero((self.positions >= low) & (self.positions <= high))
        if inside.size:
            return self.domain[int(inside[0])], self.domain[int(inside[-1])]
        nearest = self.domain[int(np.abs(self.positions - (low + high) / 2).argmin())]
        return nearest, nearest

    def ticks(self, most: int = 9) -> list[tuple[float, str]]:
        """Return at most `most` positions with their labels, spread over the axis."""
        if len(self.domain) <= most:
            chosen = list(range(len(self.domain)))
        else:
            wanted = np.linspace(0.0, 1.0, most)
            nearest = np.abs(self.positions[:, None] - wanted[None, :]).argmin(axis=0)
            chosen = sorted({int(index) for index in nearest})
        return [(float(self.positions[i]), f"{self.domain[i]:,}") for i in chosen]
