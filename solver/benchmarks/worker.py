"""One contender in a process of its own: `python worker.py NAME`, one JSON line per request.

``{"open": PATH}`` forks: the child has fresh memory and no memory of other problems, and serves
requests until ``{"close": true}``. ``{"task": T}`` runs a task once and answers with CPU seconds
(all threads), wall seconds, the result and the peak memory of the child so far. A child that is
ended from outside is reported as ``{"ended": SIGNAL}``.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from contenders import ALL, Contender

_MOST_BYTES = 4 << 30  # of address space: what does not fit is an error, not a dead machine
_SHORT = 0.02  # CPU seconds


def main() -> int:
    """Serve requests until the pipe closes."""
    requests = os.fdopen(os.dup(0), "rb", buffering=0)  # unbuffered: a forked child reads on
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some contenders print
    contender = ALL[sys.argv[1]]()
    _answer(answers, {"ready": sys.argv[1]})
    while line := requests.readline():
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _serve(contender, Path(request["open"]), requests, answers)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            _answer(answers, {"ended": signal.Signals(os.WTERMSIG(status)).name})
    return 0


def _serve(contender: Contender, path: Path, requests: BinaryIO, answers: BinaryIO) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    space = json.loads(path.read_text(encoding="utf-8"))
    _answer(answers, {"opened": os.getpid(), "base_mb": _peak_mb()})
    while line := requests.readline():
        request = json.loads(line)
        if "close" in request:
            return
        _answer(answers, _timed(contender, request["task"], space))


def _timed(contender: Contender, task: str, space: dict[str, Any]) -> dict[str, Any]:
    """Run a task once; a short one a second time at once, so that the processor knows it too."""
    answer = _run(contender, task, space)
    if answer.get("cpu", _SHORT) < _SHORT and task not in ("resolve", "explain"):
        answer = _run(contender, task, space)
    return answer


def _run(contender: Contender, task: str, space: dict[str, Any]) -> dict[str, Any]:
    contender.forget()
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        result = contender.run(task, space)
    except Exception as error:  # noqa: BLE001 - whatever a contender raises is its result
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "result": result, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _answer(answers: BinaryIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message, default=int).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
