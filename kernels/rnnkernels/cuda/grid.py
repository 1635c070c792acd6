"""The grid strategy: all blocks of the GPU share a head, and meet through the L2 cache.

For what does not fit a cluster, and for GPUs without clusters. grid_plan.py says what a launch is
made of; the kernels are in grid_forward.cu and grid_backward.cu, what they share in
grid_common.cuh.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from rnnkernels.cuda.cluster import STORE, keeps_carried
from rnnkernels.cuda.compile import architecture, cubin, program
from rnnkernels.cuda.launch import Launch, aligned
from rnnkernels.cuda.sizes import product_type
from rnnkernels.emit import cuda_source
from rnnkernels.gpus import Gpu
from rnnkernels.gradients import recurrent_gradient, recurrent_products

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.cuda.grid_plan import Plan
    from rnnkernels.problem import Problem

__all__ = ["backward", "forward", "keeps_carried", "missing", "source"]


def missing(problem: Problem, device: Gpu) -> str:
    """Return why no launch of this strategy runs a problem for which there is none."""
    return (
        f"head_dim {problem.head_dim} with {len(problem.cell.gates)} gates is too large for "
        f"{device.multiprocessors} multiprocessors"
    )


def source(problem: Problem, plan: Plan, *, backward: bool, dstates: bool = False) -> str:
    """Return the translation unit of the forward or the backward kernel."""
    constants: dict[str, int | bool | str] = {
        "Store": STORE[problem.dtype],
        "EXACT": not problem.tf32,
        "D": problem.head_dim,
        "BLOCKS": plan.blocks,
        "UNITS": plan.units,
        "TILE": plan.tile,
        "WARPS": plan.warps,
        "K_ALL": plan.k_all,
        "TILES_N": plan.tiles_n,
        "RESIDENT": plan.resident,
        "IN_SHARED": plan.in_shared,
        "AT_ONCE": plan.at_once,
        "ALONE": plan.alone,
        "SHARED": plan.shared,
    }
    if backward:
        constants |= {"HAS_DSTATES": dstates, "Product": STORE[product_type(problem)]}
    direction = "backward" if backward else "forward"
    cell = cuda_source(problem.cell, problem.dtype)
    parts = "grid_common.cuh", f"{direction}.cuh", f"grid_{direction}.cu"
    return program(cell, constants, *parts)


@lru_cache(maxsize=4096)
def launch(
    problem: Problem, plan: Plan, device: int, *, backward: bool, dstates: bool = False
) -> Launch:
    """Return a kernel, compiled and loaded."""
    text = source(problem, plan, backward=backward, dstates=dstates)
    code = cubin(text, architecture(Gpu.current(device).capability))
    name = "grid_backward" if backward else "grid_forward"
    return Launch(code, name, plan.grid(problem), device)


def _unset(tensor: Tensor) -> Tensor:
    """Fill with the words that no result is, by which readers know that they have to wait."""
    whole = torch.int32 if tensor.dtype == torch.float32 else torch.int16
    tensor.view(whole).fill_(-1)
    return tensor


def forward(  # noqa: PLR0917 - as registry.Backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    plan: Plan,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Run the forward kernel; shapes as in `registry.Backend`."""
    B, T, _, N, D = wx.shape
    S = len(problem.cell.states)
    states, last = wx.new_empty((S, B, T, N, D)), wx.new_empty((S, B, N, D))
    _unset(states[0])
    carried = None
    if keeps_carried(problem):
        carried = wx.new_empty((S - 1, B, T, N, D), dtype=torch.float32)
    run = launch(problem, plan, wx.get_device(), backward=False)
    tensors = [aligned(tensor) for tensor in (wx, r, b, initial)]
    for first in range(0, plan.jobs(problem), plan.groups):
        run(*tensors, lengths, states, last, carried, B, T, N, first)
    return states, last, () if carried is None else (carried,)


def backward(  # noqa: PLR0917 - as registry.Backend
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
    plan: Plan,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Run the products before, the backward kernel and the products after."""
    cell, hidden = problem.cell, states[0]
    B, T, _, N, D = wx.shape
    first = None if initial is None else initial[0]
    dx = _unset(torch.empty_like(wx))
    apart = None
    if any(cell.distinct):
        apart = _unset(wx.new_empty((B, T, sum(cell.distinct), N, D)))
    dinitial = None if initial is None else torch.empty_like(initial)
    db = wx.new_empty((B, *b.shape), dtype=torch.float32)
    carried = saved[0] if saved else states[1:] if len(cell.states) > 1 else None
    given = dstates is not None
    run = launch(problem, plan, wx.get_device(), backward=True, dstates=given)
    products = recurrent_products(hidden, first, r, dtype=product_type(problem))
    turned = r.permute(1, 3, 0, 2).contiguous()  # (N, D_in, G, D_out)
    tensors = [aligned(tensor) for tensor in (wx, products, turned, b, initial)]
    others = [aligned(tensor) for tensor in (hidden, carried, dstates, dlast)]
    for job in range(0, plan.jobs(problem), plan.groups):
        run(*tensors, lengths, *others, dx, apart, db, dinitial, B, T, N, job)
    dr = recurrent_gradient(cell, dx, apart, hidden, first)
    return dx, dr, db.sum(0).to(b.dtype), dinitial
