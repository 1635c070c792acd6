"""The CUDA backend: `rnnkernels.plan` chooses strategy and launch of a call, one of these runs it.

To add a strategy: a module with the functions of `Strategy`, and what `space.LAYOUTS` wants of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from rnnkernels.cuda import cluster, grid
from rnnkernels.cuda.padding import Padding
from rnnkernels.gpus import Gpu
from rnnkernels.plan import Call, Choice, choose

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem

name = "cuda"


class Strategy(Protocol):
    """What a strategy module offers; tensors as in `registry.Backend`."""

    def missing(self, problem: Problem, device: Gpu) -> str:
        """Return why no launch of it runs the problem on this GPU, where there is none."""
        ...

    def keeps_carried(self, problem: Problem) -> bool:
        """Whether forward keeps the states but h, (S - 1, B, T, N, D) float32, for backward."""
        ...

    def source(self, problem: Problem, plan: Any, *, backward: bool, dstates: bool = False) -> str:
        """Return the translation unit of the forward or the backward kernel of a plan."""
        ...

    def forward(  # noqa: PLR0917 - one order for every strategy
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
        plan: Any,
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
        plan: Any,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return dwx, dr, db and dinitial (None without an initial state)."""
        ...


STRATEGIES: dict[str, Strategy] = {
    "cluster": cast("Strategy", cluster),
    "grid": cast("Strategy", grid),
}


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
    major, minor = torch.cuda.get_device_capability(problem.device)
    if major < 8:
        return f'{problem.device} is sm_{major}{minor}: needs sm_80; use backend="alternating"'
    device = Gpu.current(problem.device)
    return unplanned(problem, device)


def unplanned(problem: Problem, device: Gpu) -> str | None:
    """Return why no launch runs this problem on a GPU, in both directions, or None."""
    calls = (Call.of(problem, device, backward=backward) for backward in (False, True))
    if all(choose(call) is not None for call in calls):
        return None
    reasons = [strategy.missing(problem, device) for strategy in STRATEGIES.values()]
    return f'{"; ".join(reasons)}; use backend="alternating"'


@lru_cache(maxsize=4096)
def _call(problem: Problem, *, backward: bool, dstates: bool) -> Call:
    gpu = Gpu.current(problem.device)
    return Call.of(problem, gpu, backward=backward, dstates=dstates)


def choice_of(problem: Problem, *, backward: bool = False, dstates: bool = True) -> Choice:
    """Return what runs a supported problem, forward or backward."""
    found = choose(_call(problem, backward=backward, dstates=dstates))
    assert found is not None  # unsupported() came first
    return found


def forward(  # noqa: PLR0917 - as registry.Backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return states, last and what is kept; shapes as in `registry.Backend`."""
    choice, pad = choice_of(problem), Padding(problem)
    run = STRATEGIES[choice.config.strategy].forward
    states, last, saved = run(pad.problem, *pad.inputs(wx, r, b, initial), lengths, choice.layout)
    return pad.cut(states), pad.cut(last), tuple(pad.cut(tensor) for tensor in saved)


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
    choice = choice_of(problem, backward=True, dstates=dstates is not None)
    pad = Padding(problem)
    run = STRATEGIES[choice.config.strategy].backward
    dwx, dr, db, dinitial = run(
        pad.problem,
        *pad.inputs(wx, r, b, initial),
        lengths,
        pad.repeat(states),
        tuple(pad.repeat(tensor) for tensor in saved),
        pad.fill(dstates),
        pad.fill(dlast),
        choice.layout,
    )
    dr = pad.cut(dr[..., : problem.head_dim, :])
    return pad.cut(dwx), dr, pad.cut(db), None if dinitial is None else pad.cut(dinitial)
