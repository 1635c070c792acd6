"""A sweep in the background of a notebook: started, cancelled, gone on with, started again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.background import CANCELLED, DONE, FAILED, READY, RUNNING, Background
from workbench.bench import record
from workbench.bench import supervisor as phases
from workbench.bench.supervisor import Progress, Supervisor
from workbench.bench.sweep import Sweep
from workbench.bench.worker import Job
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.bench.case import Case


class Session(Background):
    """One sweep into one file; the file is the state, so that a new session goes on with it.

    Attributes
    ----------
    done, of
        Cases in the file, and in all.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        path: Path | str,
        device: str,
        plan: str = "notebook",
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.cases, self.path, self.device, self.plan = tuple(cases), Path(path), device, plan
        super().__init__("nothing timed yet", changed)
        self._supervisor: Supervisor | None = None
        self._lock = threading.Lock()
        self.of = len(self.cases)
        self.done = self._finished()
        if self.done:
            self._concluded()

    @property
    def sweep(self) -> Sweep:
        """What the file has, as measured here; raises WorkbenchError before anything has begun."""
        return Sweep.open(self.path, here=True)

    def start(self) -> None:
        """Begin, or go on with what the file has not; nothing happens while running."""
        with self._lock:
            if self.phase == RUNNING:
                return
            job = Job(str(self.path), self.cases, self.plan, ("a notebook",), self.device)
            self._supervisor = Supervisor(job)
            self._begin(self._run)
        self.tell()

    def cancel(self) -> None:
        """End the process that times at once; what is in the file stays."""
        if self._supervisor is not None:
            self._supervisor.cancel()

    def forget(self) -> None:
        """Delete the file, to start again.

        Raises
        ------
        WorkbenchError
            The sweep is running.
        """
        self._idle()
        self.path.unlink(missing_ok=True)
        self.done = 0
        self._say(READY, "nothing timed yet")

    def _finished(self) -> int:
        """Return how many of the cases the file has."""
        if not self.path.exists():
            return 0
        try:
            found = record.results(record.read(self.path))
        except WorkbenchError:
            return 0  # starting says what is wrong with it
        return sum(case.key in found for case in self.cases)

    def _run(self) -> None:
        assert self._supervisor is not None
        try:
            for progress in self._supervisor.follow():
                self.done = progress.done
                self._say(RUNNING, told(progress))
        except WorkbenchError as error:
            self._say(FAILED, str(error))
        else:
            cancelled = self._supervisor.progress.phase == phases.CANCELLED
            self._concluded(cancelled=cancelled)

    def _concluded(self, *, cancelled: bool = False) -> None:
        if self.done >= self.of:
            self._say(DONE, f"done: {self.done} cases in {self.path.name}")
        else:
            how = "cancelled after" if cancelled else "broken off earlier at"
            self._say(CANCELLED, f"{how} {self.done} of {self.of} cases; Resume goes on")


def told(progress: Progress) -> str:
    """Return what goes on, for people."""
    if progress.phase == phases.COMPILING:
        return "compiling kernels"
    if progress.phase == phases.STARTING:
        return "starting the process that times"
    failed = f", {progress.failed} failed" if progress.failed else ""
    left = "" if progress.left is None else f", {progress.left:.0f} s left"
    now = f": {progress.case.key}" if progress.case is not None else ""
    return f"{progress.done} of {progress.of} cases{failed}{left}{now}"
