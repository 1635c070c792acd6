"""The CUDA backend: which strategy runs a problem. To add a strategy: its module in `STRATEGIES`.

A strategy has the functions of `Strategy`; the first one without an objection runs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

import torch

from rnnkernels.cuda import cluster, grid
from rnnkernels.cuda.launch import Gpu, gpu

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem

name = "cuda"


class Strategy(Protocol):
    """What a strategy module offers; tensors as in `registry.Backend`."""

    def unsupported(self, problem: Problem, device: Gpu) -> str | None:
        """Return why it cannot run the problem on this GPU, or None if it can."""
        ...

    def keeps_carried(self, problem: Problem) -> bool:
        """Whether forward keeps the states but h, (S - 1, B, T, N, D) float32, for backward."""
        ...

    def forward(  # noqa: PLR0917 - one order for every strategy
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return states, last and what backward wants kept."""
        ...

    def backward(  # noqa: PLR0917 - forward's arguments, then its results
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
        states: Tensor,
        saved: tuple[Tensor, ...],
        dstates: Tensor | None,
        dlast: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return dwx, dr, db and dinitial (None without an initial state)."""
        ...


# Best first: a cluster exchanges h in a third of the time that the whole GPU takes.
STRATEGIES: tuple[Strategy, ...] = (cast("Strategy", cluster), cast("Strategy", grid))


def missing() -> str | None:
    """Return why the backend runs nowhere on this machine, or None if it can run."""
    if not torch.cuda.is_available():
        return "no CUDA device is available; on the CPU the reference runs"
    return None


def unsupported(problem: Problem) -> str | None:
    """Return why this problem cannot run here and what would work, or None if it can."""
    if problem.device.type != "cuda":
        return f"device {problem.device}: expected a CUDA device; the reference runs on any"
    if problem.dtype not in cluster.STORE:
        known = ", ".join(str(dtype) for dtype in cluster.STORE)
        return f"dtype {problem.dtype}: expected one of {known}; the reference runs any"
    device = gpu(problem.device)
    if device.capability < (8, 0):
        major, minor = device.capability
        return f'{problem.device} is sm_{major}{minor}: needs sm_80; use backend="alternating"'
    reasons = [strategy.unsupported(problem, device) for strategy in STRATEGIES]
    if None in reasons:
        return None
    return f'{"; ".join(str(reason) for reason in reasons)}; use backend="alternating"'


@lru_cache(maxsize=4096)
def strategy_of(problem: Problem) -> Strategy:
    """Return the strategy that runs a supported problem."""
    device = gpu(problem.device)
    return next(s for s in STRATEGIES if s.unsupported(problem, device) is None)


def saved_like(problem: Problem) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Return what forward keeps: c, n, m of every step in float32, for 16-bit storage."""
    if not strategy_of(problem).keeps_carried(problem):
        return []
    states = len(problem.cell.states)
    shape = (states - 1, problem.batch, problem.steps, problem.heads, problem.head_dim)
    return [(shape, torch.float32)]


def forward(  # noqa: PLR0917 - as registry.Backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return states, last and what is kept; shapes as in `registry.Backend`."""
    return strategy_of(problem).forward(problem, wx, r, b, initial, lengths)


def backward(  # noqa: PLR0917 - as registry.Backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    states: Tensor,
    _last: Tensor,
    saved: tuple[Tensor, ...],
    dstates: Tensor | None,
    dlast: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return dwx, dr, db and dinitial."""
    run = strategy_of(problem).backward
    return run(problem, wx, r, b, initial, lengths, states, saved, dstates, dlast)
