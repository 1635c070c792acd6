"""Measuring launches on the GPU: the best predicted ones and a random sample, predicted beside.

    report = autotune("lstm", (16, 1024, 12, 64))      # on this machine's GPU; keeps what was best
    report.rank_correlation, report.chosen_ratio

Only the recurrent kernel is timed, by events around its launches, with the L2 cache overwritten
before. Every configuration's results are compared with PyTorch's first.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnkernels import tuned
from rnnkernels.errors import RnnError, UnsupportedError
from rnnkernels.measuring import Measured, measure
from rnnkernels.plan import Call, describe, forget, layout_of, planned, ranked, sampled
from rnnkernels.space import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch

    from rnnkernels.config import Configuration
    from rnnkernels.definition import Cell


@dataclass(frozen=True)
class Report:
    """What was measured for a call: the planned configuration first."""

    call: Call
    rows: tuple[Measured, ...]

    @property
    def timed(self) -> tuple[Measured, ...]:
        """The rows that ran and are right."""
        return tuple(row for row in self.rows if row.right and row.measured is not None)

    @property
    def best(self) -> Measured:
        """The fastest row; raises UnsupportedError if none ran."""
        if not self.timed:
            failure = self.rows[0].failure if self.rows else "nothing fits"
            raise UnsupportedError(f"no launch of {self.call} ran and was right: {failure}")
        return min(self.timed, key=_measured)

    @property
    def chosen_ratio(self) -> float:
        """Time of the planned configuration over that of the fastest, 1 or more."""
        chosen = self.rows[0]
        return _measured(chosen) / _measured(self.best) if chosen in self.timed else float("inf")

    @property
    def rank_correlation(self) -> float:
        """Spearman's, of predicted and measured times."""
        times = [(row.predicted, _measured(row)) for row in self.timed]
        return spearman([a for a, _ in times], [b for _, b in times])


def autotune(
    cell: str | Cell,
    shape: tuple[int, int, int, int],
    dtype: str | torch.dtype = "bfloat16",
    *,
    direction: str = "forward",
    top: int = 4,
    random: int = 6,
    seed: int = 0,
    keep: bool = True,
) -> Report:
    """Measure the `top` predicted launches and `random` others; keep the best for later calls.

    `shape` (B, T, N, D) as in `plan`. With `keep`, `rnn(backend="cuda")` runs the best one from now
    on, also in later processes on this GPU with these kernels.

    Raises
    ------
    ArgumentError
        An unknown name, or a size below 1.
    UnsupportedError
        No CUDA device, no launch fits, or none ran.
    """
    call = describe(cell, shape, dtype, None, direction)
    configs = candidates(call, top=top, random=random, seed=seed)
    if not configs:
        raise UnsupportedError(f"no launch fits {call} on {call.gpu.name}")
    compile_all([(call, config) for config in configs])
    report = Report(call, tuple(measure(call, config) for config in configs))
    if keep:
        remember(report)
    return report


def remember(report: Report) -> None:
    """Keep the best launch of a report for later calls; raises OSError if it cannot be written."""
    tuned.store(report.call, report.best.config, _measured(report.best))
    forget()


def candidates(
    call: Call,
    *,
    top: int,
    random: int,
    seed: int = 0,
    also: Iterable[Configuration] = (),
) -> list[Configuration]:
    """Return what to measure: the planned one, others of the `top`, `also`, `random` ones.

    Random ones are drawn from everything that the model allows, half of them from each strategy.
    """
    planned_one = planned(call)
    if planned_one is None:
        return []
    best = sorted((row for name in LAYOUTS for row in ranked(call, name, top)), key=_first)
    found = [planned_one.config, *(config for _, config in best[:top]), *also]
    found += sampled(call, random, seed)
    return list(dict.fromkeys(found))


def compile_all(jobs: Sequence[tuple[Call, Configuration]], workers: int | None = None) -> None:
    """Fill the disk cache with the kernels of all jobs, in parallel processes."""
    count = min(workers or os.cpu_count() or 1, len(jobs))
    if count <= 1:
        for job in jobs:
            compile_one(job)
        return
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        list(pool.map(compile_one, jobs, chunksize=4))


def compile_one(job: tuple[Call, Configuration]) -> bytes | None:
    """Return the cubin of a call's configuration, None if it does not compile."""
    from rnnkernels.cuda.backend import STRATEGIES  # noqa: PLC0415 - not on every machine
    from rnnkernels.cuda.compile import architecture, cubin  # noqa: PLC0415

    call, config = job
    source = STRATEGIES[config.strategy].source(
        call.problem(),
        layout_of(call, config),
        backward=call.backward,
        dstates=call.dstates and call.backward,
    )
    with suppress(RnnError):
        return cubin(source, architecture(call.gpu.capability))
    return None


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Spearman's rank correlation of two sequences, ties at their mean rank."""
    if len(a) < 2:
        return 1.0
    x, y = _ranks(np.asarray(a)), _ranks(np.asarray(b))
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / spread) if spread else 0.0


def _ranks(values: Any) -> Any:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[where]


def _first(row: tuple[int, Configuration]) -> int:
    return row[0]


def _measured(row: Measured) -> float:
    assert row.measured is not None  # asked of rows that ran
    return row.measured
