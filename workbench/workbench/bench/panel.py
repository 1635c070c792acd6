"""Buttons, progress and a live figure around a `Session`: a view of what the session knows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import torch

from workbench import background
from workbench.bench import figures, plan, session, tables
from workbench.bench.case import DIRECTIONS
from workbench.errors import WorkbenchError
from workbench.widgets.live_figure import LiveFigure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import plotly.graph_objects as go

    from workbench.bench.case import Case

_REDRAW_SECONDS = 1.0  # a browser on a busy machine takes a good part of it
_BUTTONS = {background.CANCELLED: "Resume", background.FAILED: "Try again"}


class BenchPanel(w.VBox):  # type: ignore[misc]
    """Times a sweep at the press of a button, in a process of its own.

    Parameters
    ----------
    path
        The results file: where a sweep that was cancelled or killed goes on from.
    cases
        What to time; by default the full plan on a GPU, the small one on a CPU.
    device
        By default the GPU if there is one.
    """

    def __init__(
        self,
        path: str | Path = "bench-here.jsonl",
        cases: Sequence[Case] | None = None,
        device: str | None = None,
    ) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        name = "full" if self.device != "cpu" else "small"
        self.start = w.Button(description="Start", button_style="primary", icon="play")
        self.cancel = w.Button(description="Cancel", icon="stop")
        self.again = w.Button(description="Start again", icon="trash")
        self.progress = w.IntProgress(0, 0, 1, layout=w.Layout(width="16em"))
        self.status = w.Label()
        self.over = w.Dropdown(
            options=[(text, key) for key, text in figures.AXES.items()], description="against"
        )
        self.direction = w.Dropdown(
            options=[(text, key) for key, text in DIRECTIONS.items()], description="time of"
        )
        self.figure = LiveFigure(self._nothing())
        self._drawn = 0.0
        for choice in (self.over, self.direction):
            choice.observe(self._chosen, "value")
        self.session = session.Session(
            cases or plan.find_plan(name), path, self.device, name, self._changed
        )
        self.start.on_click(lambda _: self.session.start())
        self.cancel.on_click(lambda _: self.session.cancel())
        self.again.on_click(lambda _: self.session.forget())
        buttons = w.HBox([self.start, self.cancel, self.again, self.over, self.direction])
        super().__init__([buttons, w.HBox([self.progress, self.status]), self.figure])
        self._changed()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was measured here, a row a result; see `tables.pairs`."""
        try:
            return tables.rows(self.session.sweep.rows)
        except WorkbenchError:  # nothing is timed yet
            return []

    def _chosen(self, change: Any) -> None:
        del change
        self._drawn = 0.0  # at once, also while running
        self.session.tell()

    def _changed(self) -> None:
        """Show the session as it is; the figure at most every `_REDRAW_SECONDS` while running."""
        if not hasattr(self, "session"):
            return  # it is being made
        phase = self.session.phase
        running = phase == background.RUNNING
        self.start.description = _BUTTONS.get(phase, "Start")
        self.start.disabled = running or phase == background.DONE
        self.cancel.disabled = not running
        self.again.disabled = running or phase == background.READY
        self.status.value = self.session.message
        self.progress.max, self.progress.value = self.session.of, self.session.done
        if not running or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        """Draw what is there so far."""
        try:
            figure = figures.scaling(self.session.sweep, self.over.value, self.direction.value)
        except WorkbenchError:  # nothing is timed yet
            figure = self._nothing()
        _show(self.figure, figure)
        self._drawn = time.monotonic()

    def _nothing(self) -> go.Figure:
        over, direction = self.over.value, self.direction.value
        figure = figures.empty(over, direction, "nothing measured here yet", "this machine")
        return figure.update_xaxes(range=[0, 3]).update_yaxes(range=[-1, 3])


def _show(shown: LiveFigure, figure: go.Figure) -> None:
    """Bring a figure on the page to the lines and titles of another."""
    if shown.layout.title.text != figure.layout.title.text:  # another axis, direction or problem
        shown.data = ()
        shown.update_layout(
            title=figure.layout.title,
            xaxis=_axis(figure.layout.xaxis),
            yaxis=_axis(figure.layout.yaxis),
        )
    known = {line.name: line for line in shown.data}
    with shown.batch_update():
        for line in figure.data:
            old = known.get(line.name)
            if old is not None and (old.x, old.y) != (line.x, line.y):
                old.update(x=line.x, y=line.y, text=line.text, error_y=line.error_y)
    shown.add_traces([line for line in figure.data if line.name not in known])


def _axis(axis: Any) -> dict[str, Any]:
    """Return the title and range of an axis; one that was zoomed starts over."""
    return {"title": axis.title, "range": axis.range, "autorange": axis.range is None}
