"""The figure of learning curves, as measured now or as recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.clumps.extras import need
from workbench.clumps.learning import GOAL, lesser, mean_rates
from workbench.colours import SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

APART = 0.06  # part of the galaxies between two starts
LABELS_APART = 1.6  # times the galaxies of the label before
SYMBOLS = ("circle", "square", "diamond", "x", "cross")


def learning_figure(rows: Sequence[dict[str, Any]]) -> Any:
    """Return plotly's figure of two panels against the number of galaxies.

    F1, and the lesser of completeness and purity with the paper's goal: means over draws. Bars are
    the interval over galaxies where there is one draw, else from the least to the most of them.
    Starts stand a little apart on the axis of galaxies, so that bars can be told apart.
    """
    starts = list(dict.fromkeys(row["start"] for row in rows))
    sizes = sorted({row["galaxies"] for row in rows})
    figure = need("plotly.subplots").make_subplots(
        rows=1, cols=2, subplot_titles=("F1", "the lesser of the two rates")
    )
    for k, name in enumerate(starts):
        apart = 1 + APART * (k - (len(starts) - 1) / 2)
        means = mean_rates(rows, name)
        drawn = {
            "x": [size * apart for size in means],
            "customdata": list(means),
            "name": name, "legendgroup": name, "mode": "lines+markers",
            "line": {"color": SERIES[k % len(SERIES)]},
            "marker": {"symbol": SYMBOLS[k % len(SYMBOLS)], "size": 8},
            "hovertemplate": "%{customdata:,} galaxies: %{y:.2f}",
        }  # fmt: skip
        for column, key in enumerate(("f1", "lesser"), start=1):
            values = [rate[key] for rate in means.values()]
            ends = [_ends([row for row in rows if (row["start"], row["galaxies"]) == (name, size)],
                          key) for size in means]  # fmt: skip
            figure.add_scatter(
                y=values, row=1, col=column, showlegend=column == 1, **drawn,
                error_y={
                    "type": "data", "symmetric": False,
                    "array": [high - v for (_, high), v in zip(ends, values, strict=True)],
                    "arrayminus": [v - low for (low, _), v in zip(ends, values, strict=True)],
                },
            )  # fmt: skip
    figure.add_hline(GOAL, line_dash="dot", row=1, col=2, annotation_text="goal of the paper",
                     annotation_position="bottom right")  # fmt: skip
    ticks = _apart(sizes)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{size:,}" for size in ticks],
                        minor_ticks="", title="training galaxies")  # fmt: skip
    figure.update_layout(
        title="F1 against labelled galaxies", template=need("workbench.plotting").TEMPLATE,
        legend={"orientation": "h", "y": -0.3},
    )  # fmt: skip
    return figure


def _apart(sizes: Sequence[int]) -> list[int]:
    """Return the first of `sizes`, rising, and each far enough from the one before for a label."""
    kept = list(sizes[:1])
    for size in sizes:
        if size >= LABELS_APART * kept[-1]:
            kept.append(size)
    return kept


def _ends(runs: Sequence[dict[str, Any]], key: str) -> tuple[float, float]:
    """Return the ends of the bar of `runs` of one start and size."""
    if key == "f1" and len(runs) == 1:
        low, high = runs[0]["interval_95"]["f1"]
        return low, high
    values = [lesser(run) if key == "lesser" else run[key] for run in runs]
    return min(values), max(values)
