"""Watch the process that times: progress, cancel at once, a new one after a crash or a hang.

The worker has a process group of its own, so that cancelling ends it with all that it started; the
file stays valid, and what is in it is not timed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.bench import record
from workbench.bench.case import Case
from workbench.bench.worker import AGAIN, REFUSED, Job
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTING, COMPILING, TIMING = "starting", "compiling", "timing"
DONE, BUDGET, CANCELLED = "done", "budget", "cancelled"
_STARTS = 50  # crashes after which something is wrong with the machine


@dataclass
class Progress:
    """Where a sweep stands: cases done of all, failures, the case at work, seconds left."""

    phase: str = STARTING
    done: int = 0
    of: int = 0
    failed: int = 0
    case: Case | None = None
    row: dict[str, Any] | None = None  # the newest result
    left: float | None = None  # seconds, None until a case is done
    _began: float = field(default_factory=time.monotonic)
    _here: int = 0

    def begun(self, done: int, of: int) -> None:
        """Take up what the file has already."""
        self.done, self.of = done, of

    def finished(self, row: dict[str, Any]) -> None:
        """Count a result, and guess from the mean of those timed here."""
        if not self._here:
            self._began = time.monotonic() - row["seconds"]
        self.done, self._here, self.row = self.done + 1, self._here + 1, row
        self.failed += "failure" in row
        self.left = (time.monotonic() - self._began) / self._here * (self.of - self.done)


class Supervisor:
    """One sweep into one file: iterate over `follow`, `cancel` from anywhere.

    Parameters
    ----------
    job
        What to time, and where to write.
    patience
        Seconds that one case may take; then the worker is ended, and the case recorded as failed.
    """

    def __init__(self, job: Job, patience: float = 120.0) -> None:
        self.job, self.patience = job, patience
        self.progress = Progress(of=len(job.cases))
        self.path = Path(job.out)
        self._worker: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()
        self._began = time.monotonic()

    def cancel(self) -> None:
        """End the worker and all that it started, at once."""
        self._cancelled.set()
        self._kill()

    def follow(self) -> Iterator[Progress]:
        """Run to the end, yielding whenever something happened; `progress.phase` says how it ended.

        Raises
        ------
        WorkbenchError
            The file belongs to others, or no worker can work here.
        """
        try:
            for _ in range(_STARTS):
                yield from self._attend()
                if self.progress.phase in {DONE, BUDGET, CANCELLED}:
                    return
            raise WorkbenchError(f"{_STARTS} workers ended early; {self.path} has why")
        finally:
            self._kill()
            if self.path.exists() and self.progress.phase == CANCELLED:
                record.mend(self.path)

    def _attend(self) -> Iterator[Progress]:
        """Run one worker to its end, and write down what it could not."""
        if self._cancelled.is_set():
            self.progress.phase = CANCELLED
            yield self.progress
            return
        with tempfile.TemporaryFile() as errors:
            worker = self._start(errors)
            silent = False
            try:
                for event in _lines(worker, self.patience):
                    silent = event is None
                    if event is None:
                        break
                    self._take(event)
                    yield self.progress
            finally:
                self._kill()
                code = worker.wait()
                assert worker.stdin is not None
                worker.stdin.close()
            errors.seek(0)
            said = errors.read()[-4000:].decode(errors="replace")
        yield from self._conclude(code, said, silent=silent)

    def _start(self, errors: Any) -> subprocess.Popen[bytes]:
        budget = self.job.budget
        if budget is not None:
            budget = max(0.0, budget - (time.monotonic() - self._began))
        job = replace(self.job, budget=budget, again=self.job.again and not self.progress._here)  # noqa: SLF001
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "workbench.bench.worker", job.as_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # threads that spin hinder each other
        )
        if self._cancelled.is_set():  # between the check and the start
            self._kill()
        return self._worker

    def _take(self, event: dict[str, Any]) -> None:
        progress, kind = self.progress, event["event"]
        if kind == "plan":
            progress.begun(event["done"], event["of"])
        elif kind == "compiling":
            progress.phase = COMPILING
        elif kind == "begin":
            progress.phase, progress.case, progress.row = TIMING, Case.of(event["case"]), None
        elif kind == "row":
            progress.case = None
            progress.finished(event["row"])
        elif kind == "end":
            progress.phase = event["why"]
        elif kind == "refused":
            raise WorkbenchError(event["message"])

    def _conclude(self, code: int, said: str, *, silent: bool) -> Iterator[Progress]:
        """Decide what a worker's end means."""
        progress, case = self.progress, self.progress.case
        if progress.phase in {DONE, BUDGET}:
            return
        if self._cancelled.is_set():
            progress.phase, progress.case = CANCELLED, None
            yield progress
            return
        if code == AGAIN:
            return
        why = f"took longer than {self.patience:.0f} s" if silent else _ended(code)
        last = provenance.plain((said.strip().splitlines() or [""])[-1])[:300]
        if case is None or code == REFUSED:
            raise WorkbenchError(f"the process that times {why}: {last or 'it said nothing'}")
        row = {"kind": "result", "key": case.key, **case.as_dict()}
        row |= {"failure": f"{why}; {last}".rstrip("; "), "seconds": self.patience if silent else 0}
        record.mend(self.path)
        record.append(self.path, row)
        progress.case = None
        progress.finished(row)
        yield progress

    def _kill(self) -> None:
        if self._worker is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._worker.pid, signal.SIGKILL)


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _lines(worker: subprocess.Popen[bytes], patience: float) -> Iterator[dict[str, Any] | None]:
    """Yield what a worker says; None after `patience` seconds of silence while it times."""
    lines: queue.Queue[bytes | None] = queue.Queue()
    output = worker.stdout
    assert output is not None

    def read() -> None:
        with output:
            for line in output:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    limit = max(patience, 120.0)  # the first words come after imports, and compiling takes longer
    while True:
        try:
            line = lines.get(timeout=limit)
        except queue.Empty:
            yield None
            return
        if line is None:
            return
        with contextlib.suppress(ValueError):  # a library's word on standard output
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                limit = patience if event["event"] in {"begin", "row"} else max(patience, 300.0)
                yield event
