"""The cluster strategy: a cluster of thread blocks (or one block) per head and tile of batch rows.

cluster_plan.py says what a launch is made of; the kernels are in cluster_forward.cu and
cluster_backward.cu.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from rnnkernels.cuda.compile import architecture, cubin, program
from rnnkernels.cuda.launch import Launch, aligned
from rnnkernels.cuda.sizes import product_type
from rnnkernels.emit import cuda_source
from rnnkernels.gpus import Gpu
from rnnkernels.gradients import bias_gradient, recurrent_gradient, recurrent_products

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.cuda.cluster_plan import Plan
    from rnnkernels.problem import Problem

STORE = {torch.bfloat16: "bf16", torch.float16: "f16", torch.float32: "float"}


def forward_source(problem: Problem, plan: Plan) -> str:
    """Return the translation unit of the forward kernel."""
    cell = cuda_source(problem.cell, problem.dtype)
    return program(cell, _constants(problem, plan), "forward.cuh", "cluster_forward.cu")


def backward_source(problem: Problem, plan: Plan, *, dstates: bool) -> str:
    """Return the translation unit of the backward kernel."""
    constants = _constants(problem, plan) | {
        "WARPS": plan.warps,
        "HAS_DSTATES": dstates,
        "Product": STORE[product_type(problem)],
    }
    cell = cuda_source(problem.cell, problem.dtype)
    return program(cell, constants, "backward.cuh", "cluster_backward.cu")


def _constants(problem: Problem, plan: Plan) -> dict[str, int | bool | str]:
    return {
        "Store": STORE[problem.dtype],
        "EXACT": not problem.tf32,
        "D": problem.head_dim,
        "CLUSTER": plan.cluster,
        "TILE": plan.tile,
        "COPIERS": plan.copiers,
        "SPLIT": plan.split,
        "RING": plan.ring,
        "RESIDENT": plan.resident,
        "REGISTERS": plan.registers,
        "COPY_REGISTERS": plan.copy_registers,
        "SHARED": plan.shared,
    }


def source(problem: Problem, plan: Plan, *, backward: bool, dstates: bool = False) -> str:
    """Return the translation unit of the forward or the backward kernel."""
    return (
        backward_source(problem, plan, dstates=dstates)
        if backward
        else forward_source(problem, plan)
    )


def missing(problem: Problem, device: Gpu) -> str:
    """Return why no launch of this strategy runs a problem for which there is none."""
    largest = device.max_cluster if device.capability[0] in {9, 10} else 1
    return (
        f"R of head_dim {problem.head_dim} with {len(problem.cell.gates)} gates in {problem.dtype} "
        f"does not fit into a cluster of {largest} blocks"
    )


@lru_cache(maxsize=4096)
def forward_launch(problem: Problem, plan: Plan, device: int) -> Launch:
    """Return the forward kernel, compiled and loaded."""
    code = cubin(forward_source(problem, plan), architecture(Gpu.current(device).capability))
    return Launch(code, "cluster_forward", plan.grid(problem), device)


@lru_cache(maxsize=4096)
def backward_launch(problem: Problem, plan: Plan, device: int, *, dstates: bool) -> Launch:
    """Return the backward kernel, compiled and loaded."""
    code = cubin(
        backward_source(problem, plan, dstates=dstates),
        architecture(Gpu.current(device).capability),
    )
    return Launch(code, "cluster_backward", plan.grid(problem), device)


def keeps_carried(problem: Problem) -> bool:
    """Whether forward keeps c, n, m in float32: if storage would round them before backward."""
    return problem.needs_grad and len(problem.cell.states) > 1 and problem.dtype != torch.float32


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
    carried = None
    if keeps_carried(problem):
        carried = wx.new_empty((S - 1, B, T, N, D), dtype=torch.float32)
    run = forward_launch(problem, plan, wx.get_device())
    tensors = [aligned(tensor) for tensor in (wx, r, b, initial)]
    run(*tensors, lengths, states, last, carried, B, T, N, 0)
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
    dx = torch.empty_like(wx)
    apart = wx.new_empty((B, T, sum(cell.distinct), N, D)) if any(cell.distinct) else None
    dinitial = None if initial is None else torch.empty_like(initial)
    carried = saved[0] if saved else states[1:] if len(cell.states) > 1 else None
    given = dstates is not None
    run = backward_launch(problem, plan, wx.get_device(), dstates=given)
    sums = None
    if plan.cluster == 1:  # the kernel adds up db, in parts of 8 batch rows
        parts = -(-B // plan.tile) * -(-plan.tile // 8)
        sums = wx.new_empty((parts, *b.shape), dtype=torch.float32)
    products = recurrent_products(hidden, first, r, dtype=product_type(problem))
    tensors = [aligned(tensor) for tensor in (wx, products, r, b, initial)]
    others = [aligned(tensor) for tensor in (hidden, carried, dstates, dlast)]
    run(*tensors, lengths, *others, dx, apart, sums, dinitial, B, T, N, 0)
    dr = recurrent_gradient(cell, dx, apart, hidden, first)
    db = bias_gradient(cell, dx, apart) if sums is None else sums.sum(0).to(b.dtype)
    return dx, dr, db, dinitial
