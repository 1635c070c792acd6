"""The figure of learning curves, as measured now or as recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.clumps.extras import need
from workbench.clumps.learning import GOAL
from workbench.colours import SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

APART = 0.06  # part of the galaxies between two starts
SYMBOLS = ("circle", "square", "diamond", "x", "cross")


def learning_figure(rows: Sequence[dict[str, Any]]) -> Any:
    """Return plotly's figure of two panels against the number of galaxies.

    F1 with its interval, and the lesser of completeness and purity with the paper's goal. Starts
    stand a little apart on the axis of galaxies, so that intervals can be told apart.
    """
    starts = list(dict.fromkeys(row["start"] for row in rows))
    sizes = sorted({row["galaxies"] for row in rows})
    figure = need("plotly.subplots").make_subplots(
        rows=1, cols=2, subplot_titles=("F1, 95 % intervals", "the lesser of the two rates")
    )
    for k, name in enumerate(starts):
        mine = [row for row in rows if row["start"] == name]
        apart = 1 + APART * (k - (len(starts) - 1) / 2)
        drawn = {
            "x": [row["galaxies"] * apart for row in mine],
            "customdata": [row["galaxies"] for row in mine],
            "name": name, "legendgroup": name, "mode": "lines+markers",
            "line": {"color": SERIES[k % len(SERIES)]},
            "marker": {"symbol": SYMBOLS[k % len(SYMBOLS)], "size": 8},
            "hovertemplate": "%{customdata:,} galaxies: %{y:.2f}",
        }  # fmt: skip
        low, high = zip(*(row["interval_95"]["f1"] for row in mine), strict=True)
        values = [row["f1"] for row in mine]
        figure.add_scatter(
            y=values, row=1, col=1, **drawn,
            error_y={
                "type": "data", "symmetric": False,
                "array": [h - v for h, v in zip(high, values, strict=True)],
                "arrayminus": [v - o for o, v in zip(low, values, strict=True)],
            },
        )  # fmt: skip
        lesser = [min(row["completeness"], row["purity"]) for row in mine]
        figure.add_scatter(y=lesser, row=1, col=2, showlegend=False, **drawn)
    figure.add_hline(GOAL, line_dash="dot", row=1, col=2, annotation_text="goal of the paper",
                     annotation_position="bottom right")  # fmt: skip
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes],
                        minor_ticks="", title="training galaxies")  # fmt: skip
    figure.update_layout(
        title="F1 against labelled galaxies", template=need("workbench.plotting").TEMPLATE,
        legend={"orientation": "h", "y": -0.3},
    )  # fmt: skip
    return figure
