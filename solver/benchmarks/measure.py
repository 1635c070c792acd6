"""Measuring contenders in turn, each in its process, within a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

_WORKER = Path(__file__).with_name("worker.py")
_POLL_SECONDS = 0.5
_ROUNDS = ((0.02, 9), (0.1, 5), (1.0, 2))  # below so many CPU seconds, so many repetitions


class Worker:
    """A contender's process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._child = 0

    def open(self, path: Path) -> dict[str, Any]:
        """Fork a child for one problem file."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(_WORKER), self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
            )
            self._hear()
        self._say({"open": str(path)})
        opened = self._hear()
        self._child = opened["opened"]
        return opened

    def run(self, task: str, limit: float) -> dict[str, Any]:
        """Run a task once; after `limit` CPU seconds the child is ended."""
        self._say({"task": task})
        return self._hear(limit)

    def close(self) -> None:
        """End the child; the process stays for the next file."""
        if self._process is not None:
            self._say({"close": True})

    def end(self) -> None:
        """End the process and its child."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None

    def _say(self, request: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self, limit: float | None = None) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line, before = b"", _cpu_seconds(self._child) if limit else 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(_POLL_SECONDS):
                    if limit and _cpu_seconds(self._child) - before > limit:
                        os.kill(self._child, signal.SIGKILL)
                    continue
                part = os.read(self._process.stdout.fileno(), 1 << 16)
                if not part:
                    raise RuntimeError(f"the process of {self.name} ended")
                line += part
        return dict(json.loads(line))


def _cpu_seconds(child: int) -> float:
    """Return the CPU seconds of a process, all threads, 0 where it is gone."""
    try:
        fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_space(
    workers: list[Worker], path: Path, tasks: dict[str, list[str]], limit: float, *, quick: bool
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, by task and contender, what one problem file took.

    `tasks` lists the contenders of each task; repetitions of a task take turns.
    """
    opened = {w.name: w.open(path) for w in workers}
    measured: dict[str, dict[str, dict[str, Any]]] = {}
    for task, names in tasks.items():
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(10):
            for worker in workers:
                if worker.name in runs and _needs_more(runs[worker.name], quick=quick):
                    runs[worker.name].append(_once(worker, path, task, limit))
        measured[task] = {name: _summary(some) for name, some in runs.items()}
        if task == "count" and "peak_mb" in measured[task].get("intsolver", {}):
            measured[task]["intsolver"]["base_mb"] = opened["intsolver"].get("base_mb")
    for worker in workers:
        worker.close()
    return measured


def _once(worker: Worker, path: Path, task: str, limit: float) -> dict[str, Any]:
    answer = worker.run(task, limit)
    if "ended" in answer:
        worker.open(path)
        return {"timeout": limit} if answer["ended"] == "SIGKILL" else {"error": str(answer)}
    return answer


def _needs_more(runs: list[dict[str, Any]], *, quick: bool) -> bool:
    if not runs:
        return True
    last = runs[-1]
    if "cpu" not in last or (isinstance(last["result"], dict) and "moves" in last["result"]):
        return False
    wanted = next((rounds for below, rounds in _ROUNDS if last["cpu"] < below), 0)
    return len(runs) <= (min(wanted, 2) if quick else wanted)  # the first is a rehearsal


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return medians; the first run counts only where it is the only one."""
    if "cpu" not in runs[-1]:
        return runs[-1]
    kept = runs[1:] or runs
    return {
        "cpu": statistics.median(run["cpu"] for run in kept),
        "wall": statistics.median(run["wall"] for run in kept),
        "rehearsal": runs[0]["cpu"],
        "runs": len(kept),
        "result": kept[-1]["result"],
        "peak_mb": round(kept[-1]["peak_mb"], 1),
    }
