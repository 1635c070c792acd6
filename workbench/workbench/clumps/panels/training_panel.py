"""Buttons, live curves and detections around a `TrainingSession`. A view: it decides nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from workbench import background
from workbench.clumps.panels import curves, outcome, recorded
from workbench.clumps.panels.small import small_plan
from workbench.clumps.panels.training_session import SHOWN, TrainingSession
from workbench.widgets.live_figure import LiveFigure

if TYPE_CHECKING:
    from workbench.clumps.run import Plan

_WIDTH = 420  # pixels: two figures beside each other in a window of 1280
_SIDE = 206  # of a picture, so that four are as wide as the figures
_REDRAW_SECONDS = 0.3  # of progress: steps are quicker than eyes


class TrainingPanel(w.VBox):  # type: ignore[misc]  # ipywidgets publishes no types
    """Trains a detector at the press of a button; curves and detections follow each epoch.

    Parameters
    ----------
    folder
        Of the run and its galaxies: where a run that was cancelled or killed goes on from. Made
        galaxies are kept there unless the plan names another place.
    plan
        By default `small_plan`: minutes on two CPU cores.
    beside
        Whether the recorded run of full size stands beside this one.
    """

    def __init__(
        self,
        folder: str | Path = "clump-training",
        plan: Plan | None = None,
        *,
        beside: bool = True,
    ) -> None:
        place = Path(folder)
        plan = _kept(plan or small_plan(), place / "galaxies")
        self.train = w.Button(description="Train", button_style="primary", icon="play")
        self.cancel = w.Button(description="Cancel", icon="stop")
        self.again = w.Button(description="Start again", icon="trash")
        self.progress = w.FloatProgress(0, min=0, max=1, layout=w.Layout(width="16em"))
        self.status = w.Label()
        self.live = LiveFigure(curves.empty(plan.options.epochs))
        self.live.update_layout(
            title={"text": f"{_name(plan)}<br><sup>measured here</sup>"},
            width=_WIDTH,
        )
        self.record = LiveFigure(
            recorded.training_figure(recorded.training_run()).update_layout(width=_WIDTH)
        )
        self.seen = w.SelectionSlider(
            options=[("none yet", -1)], description="epoch", continuous_update=True,
            layout=w.Layout(width="28em"),
        )  # fmt: skip
        self.picture = w.Image(format="png", layout=w.Layout(width=f"{SHOWN * (_SIDE + 4)}px"))
        self._shown: tuple[str, int] | None = None
        self._told = 0.0
        self.session = TrainingSession(plan, place / "run", self._changed)
        self.train.on_click(lambda _: self.session.start())
        self.cancel.on_click(lambda _: self.session.cancel())
        self.again.on_click(lambda _: self.session.forget())
        self.seen.observe(self._look, "value")
        self._changed()
        super().__init__([
            w.HBox([self.train, self.cancel, self.again]),
            w.HBox([self.progress, self.status]),
            w.HBox([self.live, self.record] if beside else [self.live]),
            w.HBox([self.seen, w.HTML(outcome.LEGEND)]),
            self.picture,
        ])  # fmt: skip

    def _changed(self) -> None:
        """Show the session as it is: all of it after an epoch, progress every now and then."""
        state = (self.session.phase, len(self.session.rows))
        now = time.monotonic()
        if state == self._shown and now - self._told < _REDRAW_SECONDS:
            return
        self._told = now
        self.status.value, self.progress.value = self.session.message, self.session.part
        if state != self._shown:
            self._shown = state
            self._buttons()
            self._epochs()

    def _buttons(self) -> None:
        phase = self.session.phase
        training = phase == background.RUNNING
        resumes = phase in {background.CANCELLED, background.FAILED}
        self.train.description = "Resume" if resumes else "Train"
        self.train.disabled = training or phase == background.DONE
        self.cancel.disabled = not training
        self.again.disabled = training or phase == background.READY

    def _epochs(self) -> None:
        with self.live.batch_update():
            curves.fill(self.live, self.session.rows)
        seen = list(self.session.looks)
        self.seen.disabled = not seen
        self.seen.options = [(str(k + 1), k) for k in seen] or [("none yet", -1)]
        self.seen.value = seen[-1] if seen else -1
        self._look()

    def _look(self, change: Any = None) -> None:
        """Draw the detections of the epoch on the slider."""
        del change
        looks = self.session.looks.get(self.seen.value, [])
        pictures = [outcome.drawn(one.image, one.marks, _SIDE) for one in looks]
        captions = [outcome.caption(one.marks) for one in looks]
        self.picture.value = outcome.sheet(pictures, captions, SHOWN, _SIDE)


def _kept(plan: Plan, place: Path) -> Plan:
    """Return a plan whose made galaxies are kept: a run that goes on has them at once."""
    cached = partial(replace, cache=plan.train.cache or str(place))
    return replace(plan, train=cached(plan.train), valid=cached(plan.valid))


def _name(plan: Plan) -> str:
    if plan.start_from:
        return f"fine-tuning {Path(plan.start_from).name}"
    return f"{plan.train.number} training galaxies"
