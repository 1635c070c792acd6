"""Training in the background of a notebook: started, cancelled, gone on with, started again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.statetracking.training import Training, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from workbench.statetracking.settings import Settings

READY, TRAINING, CANCELLED, DONE, FAILED = "ready", "training", "cancelled", "done", "failed"
_TEST_WORDS = 512  # of 2,048 in recorded runs: a wait of seconds on a CPU


class Session:
    """A few runs, trained one after another in a thread.

    Attributes
    ----------
    curves
        Run's name to its curve so far (see `Training.curve`).
    accuracy
        Run's name to accuracy at letter 1, 2, ..., of finished runs.
    phase
        "ready", "training", "cancelled", "done" or "failed".
    message
        What is going on, for people.
    """

    def __init__(
        self,
        runs: Sequence[Settings],
        folder: Path,
        device: str,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.runs, self.folder, self.device = list(runs), folder, device
        self.changed = changed or _nothing
        self.curves: dict[str, list[dict[str, float]]] = {}
        self.accuracy: dict[str, list[float]] = {}
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        left = any(self._path(run).exists() for run in self.runs)
        self.phase = CANCELLED if left else READY
        self.message = "broken off earlier; Resume goes on" if left else "nothing trained yet"

    @property
    def steps(self) -> tuple[int, int]:
        """Steps done and steps in all, of all runs."""
        done = [int(curve[-1]["step"]) for curve in self.curves.values() if curve]
        return sum(done), sum(run.steps for run in self.runs)

    def start(self) -> None:
        """Begin, or go on from the checkpoints; nothing happens while training."""
        if self.phase == TRAINING:
            return
        if self._thread is not None:
            self._thread.join()
        self._cancel.clear()
        self._say(TRAINING, "starting")
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Ask to stop at the next row of the curve; what is done is kept on disk."""
        self._cancel.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            self._thread.join(seconds)

    def forget(self) -> None:
        """Delete the checkpoints, to start again.

        Raises
        ------
        WorkbenchError
            Training is going on.
        """
        if self.phase == TRAINING:
            raise WorkbenchError("cannot start again while training; cancel first")
        for run in self.runs:
            self._path(run).unlink(missing_ok=True)
        self.curves.clear()
        self.accuracy.clear()
        self._say(READY, "nothing trained yet")

    def _path(self, run: Settings) -> Path:
        return self.folder / f"{run.name}.safetensors"

    def _say(self, phase: str, message: str) -> None:
        self.phase, self.message = phase, message
        self.changed()

    def _train(self) -> None:
        try:
            for settings in self.runs:
                if not self._train_one(settings):
                    done, of = self.steps
                    self._say(CANCELLED, f"cancelled after {done:,} of {of:,} steps")
                    return
        except Exception as error:
            self._say(FAILED, f"failed: {error}")
            if not isinstance(error, WorkbenchError):
                raise  # a bug: its traceback belongs in the log
        else:
            self._say(DONE, "done")

    def _train_one(self, settings: Settings) -> bool:
        """Train one run to its end and measure it; return False if cancelled before."""
        name = settings.name
        run = Training.resumed(self._path(settings), settings, self.device)
        self.curves[name] = run.curve

        def watch(row: dict[str, float]) -> bool:
            self._say(
                TRAINING,
                f"{settings.model}: step {row['step']:,.0f} of {settings.steps:,}, words of "
                f"{row['length']:.0f} letters, {row['accuracy']:.1%} right",
            )
            return not self._cancel.is_set()

        if self._cancel.is_set() or not run.advance(watch, self._path(settings)):
            return False
        self._say(TRAINING, f"{settings.model}: reading words of {settings.longest} letters")
        self.accuracy[name] = run.accuracy(_TEST_WORDS)
        beyond = summary(self.accuracy[name], settings.length)["beyond"]
        self._say(TRAINING, f"{settings.model}: {beyond:.1%} right beyond {settings.length}")
        return True


def _nothing() -> None:
    """Be told of a change that nobody watches."""
