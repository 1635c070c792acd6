"""How far an auditor is, and at what rate: of the last hours of work, pauses left out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

PAUSE_SECONDS = 300.0  # a longer gap between two galaxies is no work
RECENT = 50  # galaxies that the rate is taken from


@dataclass(frozen=True)
class Progress:
    """How far an audit is.

    Attributes
    ----------
    done, total
        Galaxies of the queue.
    per_hour
        Galaxies finished in an hour of work, None before two are.
    """

    done: int
    total: int
    per_hour: float | None

    @property
    def hours_left(self) -> float | None:
        """At the present rate, None where it is unknown."""
        return None if not self.per_hour else (self.total - self.done) / self.per_hour

    def __str__(self) -> str:
        text = f"{self.done:,} of {self.total:,}"
        if self.done == self.total:
            return f"{text}, all done"
        if self.hours_left is None or self.per_hour is None:
            return text
        left = (
            f"{self.hours_left:.1f} h"
            if self.hours_left >= 1
            else f"{self.hours_left * 60:.0f} min"
        )
        return f"{text}, {self.per_hour:.0f} an hour, {left} left"


def measure(finished: Collection[str], queue: Collection[str], times: Sequence[str]) -> Progress:
    """Return the progress; `times` are ISO 8601 stamps of finished galaxies, oldest first."""
    stamps = [datetime.fromisoformat(time).timestamp() for time in times[-RECENT:]]
    gaps = [b - a for a, b in itertools.pairwise(stamps) if b - a <= PAUSE_SECONDS]
    worked = sum(gaps)
    rate = 3600 * len(gaps) / worked if worked > 0 else None
    # `queue` may have 100,000 names: it is asked, not walked through.
    return Progress(sum(name in queue for name in finished), len(queue), rate)
