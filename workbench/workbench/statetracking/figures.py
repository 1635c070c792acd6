"""Curves of training, and accuracy against length: the figures of state tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from workbench.statetracking import record
from workbench.statetracking.tasks import TASKS, find_task

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = {"lstm": "LSTM", "slstm": "sLSTM", "transformer": "Transformer"}
COLOURS = {"lstm": "#0072b2", "slstm": "#009e73", "transformer": "#d55e00"}
_WORDS = "accuracy on words of this many letters"


def empty(kind: str, task: str, models: Sequence[str], length: int) -> go.Figure:
    """Return the figure of a kind, "curve" or "length", with a line without points for each model.

    `length` is that of training words: dotted in the figure of lengths.
    """
    found = find_task(task)
    figure = go.Figure()
    for model in models:
        figure.add_scatter(
            name=NAMES[model], x=[], y=[], mode="lines", line={"color": COLOURS[model], "width": 2}
        )
    figure.update_layout(
        margin={"l": 60, "r": 20, "t": 60, "b": 50},
        height=380,
        template="plotly_white",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1.0, "xanchor": "right"},
        yaxis={"range": [-0.02, 1.04], "tickformat": ".0%"},
    )
    _chance(figure, found.chance)
    if kind == "curve":
        figure.update_xaxes(title="step")
        figure.update_yaxes(title="accuracy in training")
        return figure
    figure.update_xaxes(title="letters in the word", range=[0, 4 * length + 1])
    figure.update_yaxes(title=_WORDS)
    figure.add_vline(
        length, line={"dash": "dot", "color": "#666"},
        annotation={"text": f"longest in training: {length}", "yanchor": "bottom", "y": 0.02},
        annotation_position="bottom right",
    )  # fmt: skip
    return figure


def _chance(figure: go.Figure, chance: float) -> None:
    figure.add_hline(
        chance, line={"dash": "dot", "color": "#999", "width": 1},
        annotation={"text": "a guess", "font": {"color": "#777"}},
        annotation_position="bottom left",
    )  # fmt: skip


def length_figure(results: dict[str, Any], task: str) -> go.Figure:
    """Return accuracy against length as recorded, of each model's best run on a task.

    The title says where and when: these lines were not measured here.
    """
    runs = record.shown(results["runs"], task)
    models = [run["settings"]["model"] for run in runs]
    length = runs[0]["settings"]["length"] if runs else 1
    figure = empty("length", task, models, length)
    for line, run in zip(figure.data, runs, strict=True):
        line.update(x=list(range(1, len(run["accuracy"]) + 1)), y=run["accuracy"])
        line.line.dash = "dash"
    figure.update_layout(
        title={"text": f"{TASKS[task].title}<br><sup>{record.source(results['about'])}</sup>"}
    )
    return figure


def table(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return recorded runs as rows for a data frame: each model's best on each task."""
    rows = []
    for task in TASKS:
        for run in record.shown(results["runs"], task):
            settings, found = run["settings"], run["summary"]
            rows.append({
                "task": TASKS[task].title, "model": NAMES[settings["model"]],
                "parameters": run["parameters"], "trained to": settings["length"],
                "within": found["within"], "beyond": found["beyond"], "at 4 times": found["last"],
                "training (s)": run["seconds"],
            })  # fmt: skip
    return rows
