"""Detectors on the same untouched galaxies: rates, gains, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import evaluate
from workbench.clumps.extras import need
from workbench.colours import BLUE, GREY, SKY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.report import Method

SHIPPED, CHOSEN, TUNED = "as shipped", "threshold chosen", "fine-tuned"
RATES = ("completeness", "purity", "f1")
COLOURS = (GREY, SKY, BLUE)  # of the three methods


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both detectors on the same untouched galaxies.

    Attributes
    ----------
    counts
        By method (`SHIPPED`, `CHOSEN`, `TUNED`): (galaxies, 3) hits, detections, true clumps.
    thresholds
        By method.
    """

    counts: dict[str, NDArray[np.int64]]
    thresholds: dict[str, float]

    def rows(self) -> list[dict[str, Any]]:
        """Return completeness, purity and F1 with central 95 % intervals, one row a method."""
        made = []
        for name, counted in self.counts.items():
            hits, found, true = map(int, counted.sum(axis=0))
            scored = evaluate.Rates(hits, found, true)
            made.append({
                "method": name, "threshold": self.thresholds[name], "galaxies": len(counted),
                "hits": hits, "found": found, "true": true,
                "completeness": scored.completeness, "purity": scored.purity, "f1": scored.f1,
                "interval_95": evaluate.intervals(counted),
            })  # fmt: skip
        return made

    def gains(self, method: str = TUNED, over: str = CHOSEN) -> dict[str, dict[str, Any]]:
        """Return what a method gains over another: differences with central 95 % intervals.

        The galaxies drawn are the same for both, so that the interval is that of the difference.
        """
        both = np.concatenate([self.counts[method], self.counts[over]], axis=1)
        number = len(both)
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(number, np.full(number, 1 / number), size=evaluate.BOOTSTRAP_DRAWS)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = _differences((drawn @ both).astype(np.float64))
            middle = _differences(both.sum(axis=0, keepdims=True).astype(np.float64))
        edges = ((1 - evaluate.COVERAGE) / 2, (1 + evaluate.COVERAGE) / 2)
        return {
            name: {
                "gain": float(middle[name][0]),
                "interval_95": evaluate.finite_quantiles(spread[name], edges),
            }
            for name in middle
        }

    def table(self) -> pd.DataFrame:
        """Return `rows` as a table to look at, each interval as text."""
        shown = [
            {
                "method": row["method"],
                "threshold": round(row["threshold"], 2),
                **{name: _text(row[name], row["interval_95"][name]) for name in RATES},
            }
            for row in self.rows()
        ]
        frame: pd.DataFrame = need("pandas").DataFrame(shown).set_index("method")
        return frame

    def figure(self) -> Any:
        """Return plotly's figure of `rows`: a bar a rate and method, with its interval."""
        figure = need("plotly.graph_objects").Figure()
        for row, colour in zip(self.rows(), COLOURS, strict=True):
            values = [row[name] for name in RATES]
            spread = [row["interval_95"][name] for name in RATES]
            figure.add_bar(
                name=row["method"], x=list(RATES), y=values, marker_color=colour,
                error_y={
                    "type": "data", "symmetric": False,
                    "array": [high - v for v, (_, high) in zip(values, spread, strict=True)],
                    "arrayminus": [v - low for v, (low, _) in zip(values, spread, strict=True)],
                },
            )  # fmt: skip
        galaxies = len(next(iter(self.counts.values())))
        figure.update_layout(
            title=f"on {galaxies} untouched galaxies, 95 % intervals", yaxis_range=[0, 1],
            template=need("workbench.plotting").TEMPLATE, height=380, width=760, barmode="group",
        )  # fmt: skip
        return figure


def _differences(totals: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Differences of (draws, 6): hits, detections, true clumps of one method, then of another."""
    hits, found, true, hits_0, found_0, true_0 = totals.T
    return {
        "completeness": hits / true - hits_0 / true_0,
        "purity": hits / found - hits_0 / found_0,
        "f1": 2 * hits / (found + true) - 2 * hits_0 / (found_0 + true_0),
    }


def _text(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def compare(compared: Sequence[Method], untouched: Sequence[Galaxy]) -> Comparison:
    """Return how `methods` do on the galaxies that they were given."""
    truths = [one.truth for one in untouched]
    return Comparison(
        {
            one.name: evaluate.counts(evaluate.match_all(one.found, truths), one.threshold)
            for one in compared
        },
        {one.name: one.threshold for one in compared},
    )


def together(parts: Sequence[Comparison]) -> Comparison:
    """Return comparisons on different galaxies as one; its thresholds are their means."""
    names = parts[0].counts
    return Comparison(
        {name: np.concatenate([part.counts[name] for part in parts]) for name in names},
        {name: float(np.mean([part.thresholds[name] for part in parts])) for name in names},
    )
