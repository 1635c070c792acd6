"""Measure launches of many calls on this machine's GPU, in a process of their own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from rnnkernels import autotune as tuner
from rnnkernels.errors import RnnError
from rnnkernels.gpus import Gpu
from rnnkernels.measuring import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rnnkernels.config import Configuration
    from rnnkernels.measuring import Measured
    from rnnkernels.plan import Call

Jobs = list[tuple["Call", list["Configuration"]]]


@dataclass
class Device:
    """The GPU of this machine, and a process that measures launches on it."""

    gpu: Gpu
    worker: Worker = field(default_factory=Worker)

    @classmethod
    def here(cls) -> Device | None:
        """Return the GPU of this machine, None where there is none that the kernels know."""
        if not torch.cuda.is_available():
            return None
        try:
            return cls(Gpu.current())
        except RnnError:
            return None

    def measure(self, call: Call, config: Configuration) -> Measured:
        """Run a launch and time it; a failure is part of the result."""
        return self.worker.measure(call, config)

    def close(self) -> None:
        """End the process."""
        self.worker.close()


def jobs(
    calls: Sequence[Call],
    *,
    top: int,
    random: int,
    seed: int = 0,
    also: Callable[[Call], Sequence[Configuration]] = lambda _call: (),
) -> Jobs:
    """Return for each call what to measure: the planned launch, the `top` ones, random ones.

    Nothing for a call that no launch fits.
    """
    return [
        (call, tuner.candidates(call, top=top, random=random, seed=seed, also=also(call)))
        for call in calls
    ]


def compile_kernels(todo: Jobs, workers: int | None = None) -> int:
    """Fill the disk cache with all kernels, in parallel processes; return how many there are."""
    pairs = [(call, config) for call, configs in todo for config in configs]
    tuner.compile_all(pairs, workers)
    return len(pairs)


def tune(
    todo: Jobs, device: Device, *, keep: bool, seconds: float | None = None
) -> Iterator[tuner.Report]:
    """Yield the report of each call as it comes; none is begun after `seconds`.

    `keep`: later calls here run the fastest. A launch that hangs or ends the CUDA context is a
    failure of its own, and the others go on.

    Raises
    ------
    OSError
        What is kept cannot be written.
    """
    began = time.monotonic()
    try:
        for call, configs in todo:
            if seconds is not None and time.monotonic() - began > seconds:
                return
            report = tuner.Report(call, tuple(device.measure(call, one) for one in configs))
            if keep and report.timed:
                tuner.remember(report)
            yield report
    finally:
        device.close()
