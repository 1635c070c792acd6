"""A training run in the background of a notebook: followed, cancelled, gone on with, forgotten."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl

from workbench.background import CANCELLED, DONE, READY, RUNNING, Resumable
from workbench.clumps.matching import match
from workbench.clumps.panels.outcome import Mark, marks
from workbench.clumps.panels.small import settle
from workbench.clumps.run import DETECTOR, Plan, train
from workbench.clumps.training import HISTORY, ClumpTraining

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workbench.clumps.matching import Detections
    from workbench.clumps.samples import Sample

SHOWN = 4  # validation galaxies whose detections are kept of every epoch


@dataclass(frozen=True, eq=False)
class Look:
    """A validation picture as the network sees it, and what became of it in an epoch."""

    image: NDArray[Any]
    marks: list[Mark]


class TrainingSession(Resumable):
    """One run of a plan in a folder; the detector is written there at its end.

    It stops after the batch at hand, and goes on from its last whole epoch.

    Attributes
    ----------
    rows
        Of ``history.jsonl``, one an epoch: loss, F1, completeness, purity, threshold.
    looks
        By epoch: detections on the validation galaxies with most clumps.
    part
        Of the run that is done, 0 to 1.
    """

    def __init__(
        self, plan: Plan, folder: Path | str, changed: Callable[[], None] | None = None
    ) -> None:
        self.plan, self.folder = plan, Path(folder)
        super().__init__("nothing trained yet", changed)
        self.rows: list[dict[str, float]] = _history(self.folder)
        self.looks: dict[int, list[Look]] = {}
        self.part = len(self.rows) / plan.options.epochs
        if self.detector.is_file():
            self.phase, self.message, self.part = DONE, "trained earlier", 1.0
        elif self.rows:
            self.phase = CANCELLED
            self.message = f"broken off after {self._so_far()}; Resume goes on"

    @property
    def detector(self) -> Path:
        """Where the weights are, once done."""
        return self.folder / DETECTOR

    def forget(self) -> None:
        """Delete the run, to start again.

        Raises
        ------
        WorkbenchError
            Training is going on.
        """
        self._idle()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.rows, self.looks, self.part = [], {}, 0.0
        self._say(READY, "nothing trained yet")

    def _so_far(self) -> str:
        return f"{len(self.rows)} of {self.plan.options.epochs} epochs"

    def _work(self) -> None:
        settle()
        self._say(RUNNING, "making galaxies")
        try:
            train(self.plan, self.folder, progress=False, watching=[_Watch(self)])
        except _CancelledError:
            self._say(CANCELLED, f"cancelled after {self._so_far()}")
        else:
            self.part = 1.0
            self._say(DONE, f"done: {DETECTOR} and its card are in {self.folder.name}")

    def step(self, epoch: int, batch: int, batches: int) -> None:
        """Take note of a finished batch, counted from 1.

        Raises
        ------
        _CancelledError
            The run was cancelled.
        """
        if self.cancelled:
            raise _CancelledError
        number = self.plan.options.epochs
        self.part = (epoch + batch / batches) / number
        self._say(RUNNING, f"epoch {epoch + 1} of {number}: step {batch} of {batches}")

    def epoch(self, epoch: int, looks: list[Look]) -> None:
        """Take note of a finished epoch, counted from 0."""
        self.rows = _history(self.folder)
        self.looks[epoch] = looks
        self._say(
            RUNNING, f"epoch {epoch + 1} of {self.plan.options.epochs}: "
            f"validation F1 {self.rows[-1]['val_f1']:.2f}",
        )  # fmt: skip


class _CancelledError(Exception):
    """Stops Lightning's loop where it is."""


class _Watch(pl.Callback):
    """Tells a session what Lightning does; comes after `History` in the list of callbacks."""

    def __init__(self, session: TrainingSession) -> None:
        self._session = session
        self._found: dict[int, Detections] = {}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch."""
        del pl_module, outputs, batch
        self._session.step(trainer.current_epoch, batch_idx + 1, int(trainer.num_training_batches))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep what was found in the pictures that are shown."""
        del trainer
        assert isinstance(pl_module, ClumpTraining)
        self._found = {k: pl_module.found[k] for k in most_clumps(pl_module.split.valid)}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show it at the epoch's best threshold."""
        assert isinstance(pl_module, ClumpTraining)
        threshold = float(trainer.callback_metrics["val_threshold"])
        looks = [
            look(pl_module.split.valid[k], found, threshold) for k, found in self._found.items()
        ]
        self._session.epoch(trainer.current_epoch, looks)


def most_clumps(samples: Any) -> list[int]:
    """Return the indices of the `SHOWN` samples with most boxes, in their order."""
    return sorted(sorted(range(len(samples)), key=lambda k: -len(samples[k].truth))[:SHOWN])


def look(one: Sample, found: Detections, threshold: float) -> Look:
    """Return a sample with what became of its clumps and detections."""
    return Look(one.image, marks(found, one.truth, match(found, one.truth), threshold))


def _history(folder: Path) -> list[dict[str, float]]:
    place = folder / HISTORY
    if not place.is_file():
        return []
    return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
