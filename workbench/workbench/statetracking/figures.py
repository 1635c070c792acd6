"""Curves of training, and accuracy against length: the figures of state tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from workbench import provenance
from workbench.colours import BLUE, GREEN, VERMILION
from workbench.errors import WorkbenchError
from workbench.plotting import TEMPLATE
from workbench.statetracking import record
from workbench.statetracking.settings import Settings
from workbench.statetracking.tasks import TASKS, find_task

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = {"lstm": "LSTM", "slstm": "sLSTM", "transformer": "Transformer"}
# The sLSTM often lies on the LSTM, which must be seen beneath it.
WIDTHS = {"lstm": 5, "slstm": 2, "transformer": 2}
COLOURS = {"lstm": BLUE, "slstm": GREEN, "transformer": VERMILION}


def empty(kind: str, runs: Sequence[Settings]) -> go.Figure:
    """Return a figure of these runs of one task, "curve" or "length", its lines without points.

    In the figure of lengths the longest word of training is dotted.
    """
    length = runs[0].length
    figure = go.Figure()
    for run in runs:
        line = {"color": COLOURS[run.model], "width": WIDTHS[run.model]}
        figure.add_scatter(name=NAMES[run.model], x=[], y=[], mode="lines", line=line)
    figure.update_layout(
        margin={"l": 60, "r": 20, "t": 60, "b": 80},
        height=400,
        template=TEMPLATE,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0.5, "xanchor": "center"},
        showlegend=True,
        yaxis={"range": [-0.02, 1.04], "tickformat": ".0%"},
    )
    _chance(figure, find_task(runs[0].task).chance)
    if kind == "curve":
        figure.update_xaxes(title="step", range=[0, runs[0].steps])
        figure.update_yaxes(title="accuracy")
        return figure
    figure.update_xaxes(title="letters in the word", range=[0, runs[0].longest + 1])
    figure.update_yaxes(title="accuracy at its last letter")
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

    Raises
    ------
    WorkbenchError
        The results hold no run of this task.
    """
    runs = record.shown(results["runs"], task)
    if not runs:
        raise WorkbenchError(f"these results hold no run of {task}; train it, or choose another")
    figure = empty("length", [Settings(**run["settings"]) for run in runs])
    for line, run in zip(figure.data, runs, strict=True):
        line.update(x=list(range(1, len(run["accuracy"]) + 1)), y=run["accuracy"])
        line.line.dash = "dash"
    figure.update_layout(
        title={"text": f"{TASKS[task].title}<br><sup>{provenance.source(results['about'])}</sup>"}
    )
    return figure


def table(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return recorded runs as rows for a data frame: each model's best on each task."""
    rows = []
    for task in TASKS:
        for run in record.shown(results["runs"], task):
            settings, found = run["settings"], run["summary"]
            model = settings["model"]
            rows.append({
                "task": TASKS[task].title, "model": NAMES[model],
                "tried": record.tried(results["runs"], task, model),
                "parameters": run["parameters"], "trained to": settings["length"],
                "within": found["within"], "beyond": found["beyond"], "at 4 times": found["last"],
                "training (s)": run["seconds"],
            })  # fmt: skip
    return rows
