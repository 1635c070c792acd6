"""Buttons and live curves around a `Session`. A view: what it shows is the session's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ipywidgets as w
import torch

from workbench import background
from workbench.statetracking import figures, session, study
from workbench.statetracking.settings import MODELS
from workbench.statetracking.tasks import TASKS
from workbench.widgets.live_figure import LiveFigure

_WIDTH = 410  # pixel: two of them beside each other in a notebook's column
_REDRAW_SECONDS = 0.4  # a browser takes about 0.1 s for both figures


class TrainingPanel(w.VBox):  # type: ignore[misc]
    """Trains the three models on a task at the press of a button, with curves as they grow.

    Parameters
    ----------
    folder
        Of the checkpoints: where a run that was cancelled or killed goes on from.
    device
        By default the GPU if there is one. On a GPU runs have full size, on a CPU a small one.
    steps
        Of each run, instead of the number that the size has.
    """

    def __init__(
        self,
        folder: str | Path = "state-tracking",
        device: str | None = None,
        steps: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.given_steps = steps
        self.task = w.Dropdown(
            options=[(task.title, name) for name, task in TASKS.items()], description="task"
        )
        self.train = w.Button(description="Train", button_style="primary", icon="play")
        self.cancel = w.Button(description="Cancel", icon="stop")
        self.again = w.Button(description="Start again", icon="trash")
        self.progress = w.IntProgress(0, 0, 1, layout=w.Layout(width="16em"))
        self.status = w.Label()
        self.figures = w.HBox()
        self._drawn = 0.0
        self.train.on_click(lambda _: self.session.start())
        self.cancel.on_click(lambda _: self.session.cancel())
        self.again.on_click(lambda _: self.session.forget())
        self.task.observe(self._chosen, "value")
        self._choose()
        buttons = w.HBox([self.task, self.train, self.cancel, self.again])
        super().__init__([buttons, w.HBox([self.progress, self.status]), self.figures])

    def _choose(self) -> None:
        """Make the session and the empty figures of the chosen task."""
        runs = study.compared(
            self.task.value, full=self.device != "cpu", models=MODELS, steps=self.given_steps
        )
        self.session = session.Session(runs, self.folder, self.device, self._changed)
        self.curve, self.length = (
            LiveFigure(figures.empty(kind, runs)) for kind in ("curve", "length")
        )
        where = torch.cuda.get_device_name() if self.device != "cpu" else "this CPU"
        for figure, title in ((self.curve, "training"), (self.length, "longer words")):
            text = f"{title}<br><sup>measured here, on {where}</sup>"
            figure.update_layout(title={"text": text}, width=_WIDTH)
        self.figures.children = (self.curve, self.length)
        self._changed()

    def _chosen(self, change: Any) -> None:
        del change
        self._choose()

    def _changed(self) -> None:
        """Show the session as it is; curves at most every `_REDRAW_SECONDS` while training."""
        training = self.session.phase == background.RUNNING
        resumes = self.session.phase in {background.CANCELLED, background.FAILED}
        self.train.description = "Resume" if resumes else "Train"
        self.train.disabled = training or self.session.phase == background.DONE
        self.cancel.disabled = not training
        self.again.disabled = training or self.session.phase == background.READY
        self.task.disabled = training
        self.status.value = self.session.message
        done, of = self.session.steps
        self.progress.max, self.progress.value = of, done
        if not training or time.monotonic() - self._drawn > _REDRAW_SECONDS:
            self._draw()
            self._drawn = time.monotonic()

    def _draw(self) -> None:
        with self.curve.batch_update(), self.length.batch_update():
            for k, run in enumerate(self.session.runs):
                rows = list(self.session.curves.get(run.name, ()))
                self.curve.data[k].x = [row["step"] for row in rows]
                self.curve.data[k].y = [row["accuracy"] for row in rows]
                accuracy = self.session.accuracy.get(run.name, [])
                self.length.data[k].x = list(range(1, len(accuracy) + 1))
                self.length.data[k].y = accuracy
