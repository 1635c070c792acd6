"""Training in the background of a notebook: started, cancelled, gone on with, started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.background import CANCELLED, DONE, READY, RUNNING, Resumable
from workbench.statetracking.training import Training, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from workbench.statetracking.settings import Settings

_TEST_WORDS = 512  # of 2,048 in recorded runs: a wait of seconds on a CPU


class Session(Resumable):
    """A few runs, trained one after another in a thread.

    It stops at the next row of a curve, and goes on from its checkpoints.

    Attributes
    ----------
    curves
        Run's name to its curve so far (see `Training.curve`).
    accuracy
        Run's name to accuracy at letter 1, 2, ..., of finished runs.
    """

    def __init__(
        self,
        runs: Sequence[Settings],
        folder: Path,
        device: str,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.runs, self.folder, self.device = list(runs), folder, device
        super().__init__("nothing trained yet", changed)
        self.curves: dict[str, list[dict[str, float]]] = {}
        self.accuracy: dict[str, list[float]] = {}
        if any(self._path(run).exists() for run in self.runs):
            self.phase, self.message = CANCELLED, "broken off earlier; Resume goes on"

    @property
    def steps(self) -> tuple[int, int]:
        """Steps done and steps in all, of all runs."""
        done = [int(curve[-1]["step"]) for curve in self.curves.values() if curve]
        return sum(done), sum(run.steps for run in self.runs)

    def forget(self) -> None:
        """Delete the checkpoints, to start again.

        Raises
        ------
        WorkbenchError
            Training is going on.
        """
        self._idle()
        for run in self.runs:
            self._path(run).unlink(missing_ok=True)
        self.curves.clear()
        self.accuracy.clear()
        self._say(READY, "nothing trained yet")

    def _path(self, run: Settings) -> Path:
        return self.folder / f"{run.name}.safetensors"

    def _work(self) -> None:
        for settings in self.runs:
            if not self._train_one(settings):
                done, of = self.steps
                self._say(CANCELLED, f"cancelled after {done:,} of {of:,} steps")
                return
        self._say(DONE, "done")

    def _train_one(self, settings: Settings) -> bool:
        """Train one run to its end and measure it; return False if cancelled before."""
        name = settings.name
        run = Training.resumed(self._path(settings), settings, self.device)
        self.curves[name] = run.curve

        def watch(row: dict[str, float]) -> bool:
            self._say(
                RUNNING,
                f"{settings.model}: step {row['step']:,.0f} of {settings.steps:,}, words of "
                f"{row['length']:.0f} letters, {row['accuracy']:.1%} right",
            )
            return not self.cancelled

        if self.cancelled or not run.advance(watch, self._path(settings)):
            return False
        self._say(RUNNING, f"{settings.model}: reading words of {settings.longest} letters")
        self.accuracy[name] = run.accuracy(_TEST_WORDS)
        beyond = summary(self.accuracy[name], settings.length)["beyond"]
        self._say(RUNNING, f"{settings.model}: {beyond:.1%} right beyond {settings.length}")
        return True
