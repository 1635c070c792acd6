"""The study: every model on every task, several runs at once, recorded as they finish."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.statetracking.settings import POSITIONS, Settings
from workbench.statetracking.tasks import TASKS
from workbench.statetracking.training import Training, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Words of 64 letters on S5 are not learnt at twice this learning rate on an H200; words of 16 are,
# and the sLSTM then goes on further.
FULL = {
    "parity": Settings("parity", hidden=64, steps=1500),
    "modular": Settings("modular", hidden=64, steps=1500),
    "s5": Settings("s5", hidden=128, steps=4000),
}
_SHORT: dict[str, Any] = {"length": 16, "learning_rate": 6e-3}
SMALL = {
    "parity": replace(FULL["parity"], **_SHORT, hidden=32, batch=128, steps=800),
    "modular": replace(FULL["modular"], **_SHORT, batch=128, steps=800),
    "s5": replace(FULL["s5"], **_SHORT, steps=1000),
}
# What is tried, the best of which is compared: the Transformer is given twice as many chances.
RECURRENT_RATES = (3e-3, 6e-3)
TRANSFORMER_RATES = (1e-3, 3e-4)


def candidates(base: Settings) -> list[Settings]:
    """Return the runs that are tried for the model of these settings, the likeliest first.

    That is the rate of `base` for a recurrent network.
    """
    if base.model != "transformer":
        rates = sorted(RECURRENT_RATES, key=lambda rate: rate != base.learning_rate)
        return [replace(base, learning_rate=rate) for rate in rates]
    return [
        replace(base, positions=positions, learning_rate=rate)
        for positions in POSITIONS
        for rate in TRANSFORMER_RATES
    ]


def plan(tasks: Sequence[str], models: Sequence[str], *, full: bool) -> list[Settings]:
    """Return all runs of the study: the likeliest of each model and task, then the others."""
    sizes = FULL if full else SMALL
    hardest_first = sorted(tasks, key=lambda name: -TASKS[name].states)
    tried = [
        candidates(replace(sizes[task], model=model)) for task in hardest_first for model in models
    ]
    return [one[0] for one in tried] + [settings for one in tried for settings in one[1:]]


def compared(
    task: str, models: Sequence[str], *, full: bool, steps: int | None = None
) -> list[Settings]:
    """Return one run a model on a task, of `steps` instead of the study's number."""
    base = (FULL if full else SMALL)[task]
    base = base if steps is None else replace(base, steps=steps)
    return [candidates(replace(base, model=model))[0] for model in models]


def train_one(settings: Settings, folder: Path, device: str) -> dict[str, Any]:
    """Train a run or go on with it, and return what is recorded of it."""
    path = folder / f"{settings.name}.safetensors"
    run = Training.resumed(path, settings, device)
    run.advance(path=path)
    return describe(run)


def train_all(
    runs: Sequence[Settings], folder: Path, device: str, jobs: int
) -> Iterator[tuple[Settings, dict[str, Any] | Exception]]:
    """Yield each run with its record as it finishes, or with the error that ended it.

    `jobs` runs are at work at a time; one that fails does not end the others.
    """
    if jobs == 1:
        for settings in runs:
            try:
                yield settings, train_one(settings, folder, device)
            except Exception as error:  # noqa: BLE001 - handed on
                yield settings, error
        return
    # A fresh process for each worker: CUDA does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        futures = {pool.submit(train_one, one, folder, device): one for one in runs}
        for future in as_completed(futures):
            failure = future.exception()
            if failure is not None and not isinstance(failure, Exception):
                raise failure  # Ctrl+C in a worker
            yield futures[future], future.result() if failure is None else failure


def in_order(done: Sequence[dict[str, Any]], runs: Sequence[Settings]) -> list[dict[str, Any]]:
    """Return the records in the order of the plan, whichever finished first."""
    order = {settings.name: k for k, settings in enumerate(runs)}
    return sorted(done, key=lambda run: order[run["name"]])
