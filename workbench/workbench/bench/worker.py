"""The process that times: one case after another, each a line of the file before the next begins.

Its standard output tells the supervisor what goes on, a JSON object a line; when its standard input
ends, so does it, whatever it is doing: nobody is left who would want the results.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench import provenance
from workbench.bench import record
from workbench.bench.case import BOTH, KERNELS, Case
from workbench.bench.contestants import Stage, judged
from workbench.bench.floors import current_gpu, floors
from workbench.bench.measure import measure, synchronize
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedRandom

    from workbench.bench.record import Row

AGAIN = 75  # exit code: the device is unusable after a failure, start me anew
REFUSED = 2
_MESSAGE = 600  # characters of an error that are kept


@dataclass(frozen=True)
class Job:
    """What a worker is asked to do; it travels as JSON on the command line."""

    out: str
    cases: tuple[Case, ...]
    plan: str
    command: tuple[str, ...]
    device: str
    repeats: int = 25
    budget: float | None = None  # seconds from the worker's start to its last case's
    again: bool = False  # time failures of earlier parts once more

    def as_json(self) -> str:
        """Return the job as text."""
        fields = {**self.__dict__, "cases": [case.as_dict() for case in self.cases]}
        return json.dumps(fields)

    @classmethod
    def of(cls, text: str) -> Job:
        """Return the job of a text."""
        fields = json.loads(text)
        cases = tuple(Case.of(row) for row in fields["cases"])
        return cls(**{**fields, "cases": cases, "command": tuple(fields["command"])})


def run(job: Job, tell: Callable[[Row], None]) -> int:
    """Time what the file has not; return an exit code.

    Raises
    ------
    WorkbenchError
        The file is another one's, or was measured elsewhere.
    """
    began = time.monotonic()
    path, device = Path(job.out), torch.device(job.device)
    with _alone(path):
        done = _begin(path, job, device)
        left = [case for case in job.cases if case.key not in done]
        tell({"event": "plan", "done": len(job.cases) - len(left), "of": len(job.cases)})
        prepared = any(row["kind"] == "compiled" for row in record.read(path))
        if left and device.type == "cuda" and not prepared:
            tell({"event": "compiling"})
            record.append(path, {"kind": "compiled", "seconds": compile_all(left, job.device)})
        stage = Stage(device)
        for case in left:
            if job.budget is not None and time.monotonic() - began > job.budget:
                record.append(path, {"kind": "end", "why": "budget", "date": provenance.now()})
                tell({"event": "end", "why": "budget"})
                return 0
            tell({"event": "begin", "case": case.as_dict()})
            row = timed(stage, case, job.repeats)
            record.append(path, row)
            tell({"event": "row", "row": row})
            if "failure" in row and not _usable(device):
                return AGAIN
        record.append(path, {"kind": "end", "why": "done", "date": provenance.now()})
        tell({"event": "end", "why": "done"})
    return 0


def _begin(path: Path, job: Job, device: torch.device) -> set[str]:
    """Write the line that a part begins with; return the keys of what earlier parts timed."""
    record.mend(path)
    here = record.about(device, job.command, job.plan, len(job.cases))
    rows = record.read(path) if path.stat().st_size else []
    if rows:
        record.check_same(path, rows[0], here)
    found = record.results(rows)
    record.append(path, here | {"part": sum(row["kind"] == "about" for row in rows) + 1})
    return {key for key, row in found.items() if not (job.again and "failure" in row)}


class _alone:  # noqa: N801 - reads like a function where it is used
    """Hold a results file for this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: BufferedRandom | None = None

    def __enter__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self.file = self.path.open("rb+")
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkbenchError(
                f"{self.path}: another benchmark writes this file; wait for it or cancel it, or "
                "give another --out"
            ) from None
        except OSError as error:
            raise WorkbenchError(f"{self.path} cannot be written: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()


def timed(stage: Stage, case: Case, repeats: int) -> Row:
    """Time a case and check its results; a failure is a result as well."""
    row: Row = {"kind": "result", "key": case.key, **case.as_dict()}
    began = time.monotonic()
    try:
        contestant = stage.prepare(case)
        row["ran"] = contestant.ran
        row |= judged(case, contestant.errors())
        row |= measure(contestant.call, stage.device, repeats)
        row |= _against_floors(case, stage.device, row["ms"])
        synchronize(stage.device)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this case's result
        message = " ".join(str(error).split())[:_MESSAGE]
        row["failure"] = provenance.plain(f"{type(error).__name__}: {message}")
        stage.clear_quietly()
    return row | {"seconds": round(time.monotonic() - began, 3)}


def _against_floors(case: Case, device: torch.device, ms: float) -> Row:
    found = floors(case, current_gpu(device))
    if found is None:
        return {}
    return {"floor_ms": found, "fraction": max(found.values()) / ms}


def _usable(device: torch.device) -> bool:
    """Whether the device still works: an illegal access spoils it for the whole process."""
    try:
        synchronize(device)
        torch.zeros(1, device=device).add_(1).cpu()
    except Exception:  # noqa: BLE001 - whatever it is
        return False
    return True


def compile_all(cases: Sequence[Case], device: str) -> float:
    """Fill the kernel caches in processes of their own; return the seconds it took.

    What fails to compile fails again, and is recorded, where it is timed.
    """
    began = time.monotonic()
    kernels = list(_distinct(cases))
    workers = min(12, os.cpu_count() or 1, len(kernels))
    if workers:
        context = multiprocessing.get_context("spawn")
        with suppress(BrokenProcessPool), ProcessPoolExecutor(workers, context) as pool:
            list(pool.map(_compile, kernels, [device] * len(kernels)))
    return round(time.monotonic() - began, 2)


def _distinct(cases: Sequence[Case]) -> Iterator[Case]:
    """Yield one case a kernel, forward and backward in one; steps do not matter."""
    kernels = [case for case in cases if case.backend in KERNELS and case.backend != "reference"]
    yield from dict.fromkeys(replace(case, steps=2, direction=BOTH) for case in kernels)


def _compile(case: Case, device: str) -> None:
    try:
        stage = Stage(torch.device(device))
        for direction in (case.direction, "forward"):
            stage.prepare(replace(case, direction=direction)).call(0)
        synchronize(stage.device)
    except Exception:  # noqa: BLE001, S110 - timing it will say what is wrong
        pass


def _end_with_input() -> None:
    """End this process and its children when whoever started it is gone."""
    while os.read(0, 1):  # not sys.stdin: its lock would be held at the interpreter's end
        pass
    os.killpg(os.getpgid(0), 9)


def _tell(row: Row) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the job on the command line; say what goes on, a JSON line each."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        return run(Job.of(sys.argv[1]), _tell)
    except WorkbenchError as error:
        _tell({"event": "refused", "message": str(error)})
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
