"""The study: every model on every task, several runs at once, recorded as they finish."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from workbench.statetracking.settings import POSITIONS, Settings
from workbench.statetracking.tasks import TASKS
from workbench.statetracking.training import Training, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

# Found on a CPU at a quarter of the length: wide and slow enough that every seed tried is learnt.
FULL = {
    "parity": Settings("parity", hidden=64, steps=1500),
    "modular": Settings("modular", hidden=64, steps=1500),
    "s5": Settings("s5", hidden=128, steps=3000),
}
SMALL = {
    "parity": replace(FULL["parity"], length=16, hidden=32, batch=128, steps=500),
    "modular": replace(FULL["modular"], length=16, hidden=32, batch=128, steps=1000),
    "s5": replace(FULL["s5"], length=16, steps=1000),
}
# The Transformer's share of the tuning: the best of these is compared.
LEARNING_RATES = (1e-3, 3e-4)


def plan(tasks: Sequence[str], models: Sequence[str], *, full: bool) -> list[Settings]:
    """Return the runs: one of each recurrent network, several of the Transformer, longest first."""
    sizes = FULL if full else SMALL
    made: list[Settings] = []
    for task in sorted(tasks, key=lambda name: -TASKS[name].states):
        for model in models:
            base = replace(sizes[task], model=model)
            made += transformers(base) if model == "transformer" else [base]
    return made


def transformers(base: Settings) -> list[Settings]:
    """Return the Transformers that are tried with these settings."""
    return [
        replace(base, model="transformer", positions=positions, learning_rate=rate)
        for positions in POSITIONS
        for rate in LEARNING_RATES
    ]


def train_one(settings: Settings, folder: Path, device: str, *, alone: bool) -> dict[str, Any]:
    """Train a run or go on with it, and return what is recorded of it."""
    if not alone:
        torch.set_num_threads(1)  # the other runs have the other cores
    path = folder / f"{settings.name}.safetensors"
    run = Training.resumed(path, settings, device)
    run.advance(path=path)
    return describe(run)


def train_all(
    runs: Sequence[Settings],
    folder: Path,
    device: str,
    jobs: int,
    started: Callable[[Settings], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the record of each run as it finishes, `jobs` of them at work at a time."""
    if jobs == 1:
        for settings in runs:
            if started is not None:
                started(settings)
            yield train_one(settings, folder, device, alone=True)
        return
    # A fresh process for each worker: CUDA does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        futures = [pool.submit(train_one, one, folder, device, alone=False) for one in runs]
        for future in as_completed(futures):
            yield future.result()


def in_order(done: Sequence[dict[str, Any]], runs: Sequence[Settings]) -> list[dict[str, Any]]:
    """Return the records in the order of the plan, whichever finished first."""
    order = {settings.name: k for k, settings in enumerate(runs)}
    return sorted(done, key=lambda run: order[run["name"]])
