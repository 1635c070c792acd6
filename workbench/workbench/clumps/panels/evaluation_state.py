"""Evaluation with the threshold on a slider: rates, the galaxies that change, what went wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps import evaluate
from workbench.clumps.panels.outcome import Fate, Mark, marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.evaluate import Curve, Rates
    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Match
    from workbench.clumps.report import Method


STEPS = 200  # between the ends of a slider


@dataclass(frozen=True, eq=False)
class Scored:
    """One method on some galaxies, at one flux cut.

    Attributes
    ----------
    galaxies
        With their truth; the method's detections are in the same order.
    method
        Detections, and the threshold chosen on other galaxies.
    min_flux_ratio
        Fainter truth is ignored.
    """

    galaxies: Sequence[Galaxy]
    method: Method
    min_flux_ratio: float = 0.0

    @cached_property
    def matches(self) -> list[Match]:
        """One a galaxy."""
        truths = [galaxy.truth for galaxy in self.galaxies]
        return evaluate.match_all(self.method.found, truths, min_flux_ratio=self.min_flux_ratio)

    @cached_property
    def curve(self) -> Curve:
        """Rates against threshold."""
        return evaluate.curve(self.matches)

    @property
    def chosen(self) -> float:
        """The threshold chosen elsewhere for this cut."""
        return float(self.method.by_cut.get(self.min_flux_ratio, self.method.threshold))

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """The positions of a slider, (STEPS + 1,): from below every score to past the best.

        Equally far apart; `chosen` is one of them, to the last digit.
        """
        cut = self.min_flux_ratio
        every = [float(score) for one in self.method.found for score in one.scores_at(cut)]
        low, high = min([*every, self.chosen]), max([*every, self.chosen])
        step = (high - low) / (STEPS - 1) or 1 / STEPS
        below = math.ceil((self.chosen - low) / step)
        return self.chosen + step * np.arange(-below, STEPS + 1 - below, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Change:
    """What another threshold changes in one galaxy: how many more are found, and false."""

    index: int
    found: int
    false: int

    @property
    def text(self) -> str:
        """In words."""
        parts = [(self.found, "found"), (self.false, "false")]
        return ", ".join(f"{number:+d} {name}" for number, name in parts if number)


@dataclass(frozen=True, eq=False)
class EvaluationState:
    """A threshold, and one that it is compared with.

    Attributes
    ----------
    scored
        Method, galaxies and flux cut.
    threshold, reference
        Least score that counts: now, and that of the comparison.
    """

    scored: Scored
    threshold: float
    reference: float

    @classmethod
    def of(cls, scored: Scored) -> EvaluationState:
        """Return the state at the threshold chosen elsewhere."""
        return cls(scored, scored.chosen, scored.chosen)

    def moved(self, threshold: float) -> EvaluationState:
        """Return the state at another threshold."""
        return replace(self, threshold=threshold)

    @property
    def position(self) -> int:
        """The slider's position that is nearest to the threshold."""
        return int(np.argmin(np.abs(self.scored.thresholds - self.threshold)))

    def pinned(self) -> EvaluationState:
        """Return the state that compares with the threshold of now."""
        return replace(self, reference=self.threshold)

    @property
    def rates(self) -> Rates:
        """Over all galaxies."""
        return evaluate.rates(self.scored.matches, self.threshold)

    @property
    def changes(self) -> list[Change]:
        """The galaxies in which the two thresholds differ, those with most changes first."""
        pairs = zip(
            evaluate.counts(self.scored.matches, self.threshold),
            evaluate.counts(self.scored.matches, self.reference),
            strict=True,
        )
        made = []
        for index, (now, before) in enumerate(pairs):
            hits, found, _ = (int(value) for value in now - before)
            made.append(Change(index, hits, found - hits))
        changed = [one for one in made if one.found or one.false]
        return sorted(changed, key=lambda one: -abs(one.found) - abs(one.false))

    def marks(self, index: int) -> list[Mark]:
        """Return what became of the detections and clumps of one galaxy."""
        scored = self.scored
        return marks(
            scored.method.found[index], scored.galaxies[index].truth, scored.matches[index],
            self.threshold,
        )  # fmt: skip

    def wrong(self, fate: Fate) -> list[tuple[int, Mark]]:
        """Return all missed clumps, brightest first, or false detections, surest first.

        Each with the index of its galaxy.
        """
        every = [
            (index, mark)
            for index in range(len(self.scored.galaxies))
            for mark in self.marks(index)
            if mark.fate is fate
        ]
        # Clumps of unknown flux come last.
        key = (lambda m: m.score) if fate is Fate.FALSE else (lambda m: _known(m.flux_ratio))
        return sorted(every, key=lambda pair: -key(pair[1]))

    @property
    def verdict(self) -> str:
        """Rates with 95 % intervals, and what changed."""
        rates = self.rates
        spread = evaluate.intervals(evaluate.counts(self.scored.matches, self.threshold))
        parts = [
            f"{name} {getattr(rates, key):.2f} ({spread[key][0]:.2f} to {spread[key][1]:.2f})"
            for name, key in (("completeness", "completeness"), ("purity", "purity"), ("F1", "f1"))
        ]
        numbers = f"{rates.hits} of {rates.true} clumps found, {rates.found - rates.hits} false"
        return f"{', '.join(parts)}: {numbers}"


def _known(flux_ratio: float) -> float:
    return flux_ratio if flux_ratio == flux_ratio else 0.0  # noqa: PLR0124 - NaN is not itself
