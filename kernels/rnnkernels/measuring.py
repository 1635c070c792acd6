"""Measure one launch on the GPU: whether it is right, its time, and what the driver says it uses.

`Worker` does that in a process of its own, so that a launch that hangs or ends the CUDA context
costs only itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rnnkernels.api import rnn
from rnnkernels.errors import RnnError
from rnnkernels.plan import forced, predicted

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.config import Configuration
    from rnnkernels.plan import Call

STEPS = 512  # of a timed run: weights are loaded once, so few would count that too much
_CHECKED_STEPS = 48
_REPEATING = 0.03  # seconds spent on repeats of one configuration, about
_MESSAGE = 300  # characters of an error that are kept
_FLUSH = 256 * 1024**2  # bytes, more than any L2 cache


@dataclass(frozen=True)
class Measured:
    """One configuration: predicted and measured nanoseconds of a step, and whether it is right.

    `error`: norm of the difference to float64 over that of PyTorch in the same type, at most 2 if
    right. `failure`: why it did not run. `resources`: registers and spilled bytes of a thread,
    bytes of shared memory of a block, blocks or clusters that can be resident; the driver's words.
    """

    config: Configuration
    predicted: float
    measured: float | None = None
    error: float | None = None
    failure: str | None = None
    resources: dict[str, int] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        """Whether it ran and its results are as good as PyTorch's."""
        return self.failure is None and self.error is not None and self.error <= 2


def measure(call: Call, config: Configuration, steps: int = STEPS) -> Measured:
    """Run a configuration of a call on the current device; a failure is part of the result."""
    guess = predicted(call, config) / 1000
    try:
        small, truth, usual = _reference(call)
        with forced(**{"backward" if call.backward else "forward": config}):
            error = worst(small.results("cuda"), truth, usual)
            time, resources = _timed_inputs(call, steps).time()
    except (RnnError, RuntimeError) as failure:  # what CUDA says comes as a RuntimeError
        said = " ".join(str(failure).split())[:_MESSAGE]
        return Measured(config, guess, failure=f"{type(failure).__name__}: {said}")
    return Measured(config, guess, time / steps, error, None, resources)


class Inputs:
    """Inputs of a call on a device, and what may be done with them."""

    def __init__(self, call: Call, steps: int, device: str = "cuda") -> None:
        self.call = call
        B, N, D, G = call.batch, call.heads, call.head_dim, len(call.cell.gates)
        generator = torch.Generator(device).manual_seed(B + D)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, device=device, generator=generator).to(call.dtype)

        self.wx, self.b = draw(B, steps, G, N, D), draw(call.cell.bias_rows, N, D)
        self.r = draw(G, N, D, D) / D**0.5
        self.dstates = draw(len(call.cell.states), B, steps, N, D)
        if "m" in call.cell.states:  # rounding decides which side of a maximum has the gradient
            self.dstates[1:] = 0

    def leaves(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Return wx, r, b anew in a type, with gradients if the call is backward."""
        wants = self.call.backward
        wx, r, b = (
            t.detach().to(dtype).clone().requires_grad_(wants) for t in (self.wx, self.r, self.b)
        )
        return wx, r, b

    def results(self, backend: str, dtype: torch.dtype | None = None) -> list[Tensor]:
        """Return states, or the gradients of wx, r and b for a backward call."""
        wx, r, b = self.leaves(dtype or self.call.dtype)
        states, _ = rnn(wx, r, b, self.call.cell, backend)
        if not self.call.backward:
            return [states]
        return list(torch.autograd.grad(states, (wx, r, b), self.dstates.to(states.dtype)))

    def time(self) -> tuple[float, dict[str, int]]:
        """Return the median nanoseconds of the kernel's launches, and what one of them uses."""
        from rnnkernels.cuda import launch  # noqa: PLC0415 - not on every machine

        wx, r, b = self.leaves(self.call.dtype)
        states = rnn(wx, r, b, self.call.cell, "cuda")[0] if self.call.backward else None
        flush = torch.empty(_FLUSH, dtype=torch.int8, device="cuda")

        def once() -> tuple[float, dict[str, int]]:
            flush.zero_()
            with launch.timed() as marks:
                if states is None:
                    rnn(wx, r, b, self.call.cell, "cuda")
                else:
                    torch.autograd.grad(states, (wx, r, b), self.dstates, retain_graph=True)
            torch.cuda.synchronize()
            return sum(a.elapsed_time(b) for _, a, b in marks) * 1e6, marks[0][0].resources

        once()
        first, resources = once()
        repeats = int(min(9, max(3, _REPEATING * 1e9 / first)))
        return float(np.median([once()[0] for _ in range(repeats)])), resources


@lru_cache(maxsize=1)
def _reference(call: Call) -> tuple[Inputs, list[Tensor], list[Tensor]]:
    """Return short inputs of a call, their results in float64 and by PyTorch in the call's type."""
    inputs = Inputs(call, _CHECKED_STEPS)
    return inputs, inputs.results("reference", torch.float64), inputs.results("reference")


@lru_cache(maxsize=1)
def _timed_inputs(call: Call, steps: int) -> Inputs:
    return Inputs(call, steps)


def worst(found: list[Tensor], truth: list[Tensor], usual: list[Tensor]) -> float:
    """Return the largest ratio of errors, of these results and of PyTorch in the same type."""
    ratios = []
    for ours, exact, theirs in zip(found, truth, usual, strict=True):
        least = 1e-6 * exact.norm()  # float32 may be exact where nothing was rounded
        ratio = (ours.double() - exact).norm() / ((theirs.double() - exact).norm() + least)
        ratios.append(float(ratio) if bool(ratio.isfinite()) else float("inf"))
    return max(ratios)


class Worker:
    """A process that measures, started anew after a launch that hung or ended its CUDA context."""

    def __init__(self, seconds: float = 60) -> None:
        self.seconds = seconds  # that a measurement may take
        self._process: Any = None
        self._pipe: Any = None

    def measure(self, call: Call, config: Configuration, steps: int = STEPS) -> Measured:
        """Return `measure` of the other process, or a failure if it hung or died."""
        if self._process is None:
            self._start()
        self._pipe.send((call, config, steps))
        try:
            if self._pipe.poll(self.seconds):
                found: Measured
                found, alive = self._pipe.recv()
                if not alive:
                    self.close()
                return found
            why = f"did not end within {self.seconds:.0f} s"
        except (EOFError, OSError):
            why = "the process died"
        self.close()
        return Measured(config, predicted(call, config) / 1000, failure=why)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Any) -> None:
    while True:
        try:
            call, config, steps = pipe.recv()
        except EOFError:
            return
        pipe.send((measure(call, config, steps), _alive()))


def _alive() -> bool:
    """Whether the CUDA context still works after what was run."""
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
