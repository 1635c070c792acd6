"""Curves of a training run: rates on validation galaxies and loss, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.colours import BLUE, PURPLE, VERMILION
from workbench.plotting import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Sequence

# Line: key of a row, colour, width, axis.
LINES = {
    "F1": ("val_f1", PURPLE, 4, "y"),
    "completeness": ("val_completeness", BLUE, 2, "y"),
    "purity": ("val_purity", VERMILION, 2, "y"),
    "loss": ("train_loss", "#888888", 1.5, "y2"),
}
HEIGHT = 340


def empty(epochs: int) -> go.Figure:
    """Return a figure for `epochs` epochs whose lines have no points yet."""
    figure = go.Figure()
    for name, (_, colour, width, axis) in LINES.items():
        figure.add_scatter(
            name=name, x=[], y=[], mode="lines+markers", yaxis=axis,
            line={"color": colour, "width": width}, marker={"size": width + 3},
        )  # fmt: skip
    figure.update_layout(
        height=HEIGHT,
        template=TEMPLATE,
        margin={"l": 50, "r": 50, "t": 60, "b": 70},
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0.5, "xanchor": "center"},
        showlegend=True,
        xaxis={"title": "epoch", "range": [0.5, epochs + 0.5],
               "dtick": max(1, epochs // 6), "tick0": 1},
        yaxis={"title": "on validation galaxies", "range": [-0.02, 1.04]},
        yaxis2={"title": "loss", "overlaying": "y", "side": "right", "rangemode": "tozero",
                "tickformat": ".2f", "showgrid": False},
    )  # fmt: skip
    return figure


def fill(figure: go.Figure, rows: Sequence[dict[str, float]]) -> None:
    """Give the lines of `empty` the values of these rows; epochs are counted from 1."""
    for line, (key, *_) in zip(figure.data, LINES.values(), strict=True):
        line.x = [row["epoch"] + 1 for row in rows if key in row]
        line.y = [row[key] for row in rows if key in row]
