"""The fused strategy: one persistent program per (head, batch tile), R on the chip.

How large a program is follows from head_dim and dtype alone; the numbers of warps are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from rnnkernels.gradients import recurrent_gradient, recurrent_products
from rnnkernels.triton.compile import Build, aligned, run

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem

BLOCK_B = 16  # batch rows of a program: the smallest side of a product on the tensor cores


@dataclass(frozen=True)
class Tile:
    """The columns of a program, those of a warp, and how many steps ahead backward loads.

    A warp has 8 columns, or 16: then a thread moves 4 of a row at once, and a time step half as
    many lines of the L1 cache, which bound it (`tiles.tpl`).
    """

    block_d: int
    forward_group: int
    backward_group: int
    ahead: int
    forward_warps: int
    backward_warps: int


def largest(dtype: torch.dtype) -> int:
    """Return the largest head_dim: above it R does not fit into registers and shared memory."""
    return 64 if dtype == torch.float32 else 128


def tile(problem: Problem) -> Tile:
    """Return the tile of a problem whose head_dim is at most `largest`.

    A warp per 8 columns, or per 16 in wide tiles, unless the cell is so small (one gate) that
    halving its instructions matters more, or so large that its registers spill. 16 columns take one
    warp, which needs no barrier at all. Loading one step ahead is worth a little spilling; two
    steps cost more instructions than they hide.
    """
    columns = max(16, 1 << (problem.head_dim - 1).bit_length())
    full = problem.dtype == torch.float32
    gates = len(problem.cell.gates)
    many = gates + 2 * len(problem.cell.states) > 8
    if columns == 16:
        return Tile(16, 8, 8, 0, 2, 4) if full or many else Tile(16, 8, 8, 1, 1, 1)
    double = columns >= 64 and gates > 1 and not full
    forward, backward = 16 if double else 8, 16 if double and not many else 8
    ahead = 0 if many and (full or columns == 128) else 1
    return Tile(columns, forward, backward, ahead, columns // forward, columns // backward)


# Bytes that a thread of a kernel spills at most, by states of the cell and columns: what no choice
# avoided. Elsewhere the assembler parks up to four constants of the loop.
SPILLED = {(4, 16): 96, (4, 128): 192}
SPILLED_ELSEWHERE = 16


def shared_bytes(problem: Problem) -> int:
    """Return about how much shared memory a program takes: R, and room to exchange tiles."""
    size = 2 if problem.dtype != torch.float32 else 4 if problem.tf32 else 6
    columns = tile(problem).block_d
    return len(problem.cell.gates) * size * columns**2 + 10 * BLOCK_B * columns


def precision(problem: Problem) -> str:
    """Return Triton's name of how products are taken.

    Six products of bfloat16 thirds carry the 24 bits of float32 at a third of the registers that
    its multiply-add units would take, which spill from head_dim 64 on.
    """
    if problem.dtype != torch.float32 or problem.device.type == "cpu":
        return "ieee"  # the interpreter, on the CPU, knows no other
    return "tf32" if problem.tf32 else "bf16x6"


def keeps_carried(problem: Problem) -> bool:
    """Whether forward keeps c, n, m in float32: if storage would round them before backward."""
    return (
        problem.needs_grad
        and len(problem.cell.states) > 1
        and problem.dtype in {torch.bfloat16, torch.float16}
    )


def forward_build(problem: Problem) -> Build:
    """Return the forward kernel of a problem."""
    storage, shape = problem.dtype, tile(problem)
    pointers = dict.fromkeys(("wx", "r", "b", "initial"), storage) | {"lengths": torch.int32}
    pointers |= {"states": storage, "last": storage, "carried": torch.float32}
    constants = _constants(problem, shape) | {"KEEP": keeps_carried(problem)}
    constants["GROUP"] = shape.forward_group
    return Build(
        problem.cell,
        "fused_forward",
        tuple(pointers.items()),
        ("B", "T"),
        tuple(constants.items()),
        shape.forward_warps,
        alignment=shape.forward_group // 4,
        fast=_fast(problem),
    )


def backward_build(problem: Problem, *, has_dstates: bool, has_dlast: bool) -> Build:
    """Return the backward kernel of a problem."""
    storage, shape = problem.dtype, tile(problem)
    names = "wx products r b initial lengths hidden carried dstates dlast dx apart dinitial db"
    pointers = dict.fromkeys(names.split(), storage) | {"lengths": torch.int32}
    pointers |= {"carried": torch.float32 if keeps_carried(problem) else storage}
    pointers |= {"db": torch.float32}
    constants = _constants(problem, shape)
    constants |= {"HAS_DSTATES": has_dstates, "HAS_DLAST": has_dlast}
    constants["FIRST"] = 1 if keeps_carried(problem) else 0
    constants["AHEAD"] = int(shape.ahead)
    constants["GROUP"] = shape.backward_group
    return Build(
        problem.cell,
        "fused_backward",
        tuple(pointers.items()),
        ("B", "T"),
        tuple(constants.items()),
        shape.backward_warps,
        alignment=shape.backward_group // 4,
        fast=_fast(problem),
    )


def _fast(problem: Problem) -> bool:
    return problem.dtype == torch.bfloat16 and problem.device.type == "cuda"


def _constants(problem: Problem, shape: Tile) -> dict[str, Any]:
    return {
        "N": problem.heads,
        "D": problem.head_dim,
        "BLOCK_D": shape.block_d,
        "HAS_INITIAL": problem.initial,
        "HAS_LENGTHS": problem.lengths,
        "PRECISION": precision(problem),
    }


def _sizes(problem: Problem) -> dict[str, int]:
    return {"B": problem.batch, "T": problem.steps}


def _batch_tiles(problem: Problem) -> int:
    return -(-problem.batch // BLOCK_B)


def forward(  # noqa: PLR0917 - one order for every backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Run the forward kernel; shapes as in `registry.Backend`."""
    B, T, _, N, D = wx.shape
    S = len(problem.cell.states)
    states, last = wx.new_empty((S, B, T, N, D)), wx.new_empty((S, B, N, D))
    keep = keeps_carried(problem)
    carried = wx.new_empty((S - 1, B, T, N, D), dtype=torch.float32) if keep else None
    inputs = {"wx": wx, "r": r, "b": b, "initial": initial, "lengths": lengths}
    arguments = {name: aligned(tensor) for name, tensor in inputs.items()}
    arguments |= {"states": states, "last": last, "carried": carried}
    run(
        forward_build(problem),
        wx.device,
        problem.heads * _batch_tiles(problem),
        {**arguments, **_sizes(problem)},
    )
    return states, last, () if carried is None else (carried,)


def backward(  # noqa: PLR0917 - forward's arguments, then its results
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
    """Run the products before, the backward kernel and the products after."""
    cell, hidden = problem.cell, states[0]
    first = None if initial is None else initial[0]
    B, T, _, N, D = wx.shape
    apart = wx.new_empty((B, T, sum(cell.distinct), N, D)) if any(cell.distinct) else None
    dx, dinitial = torch.empty_like(wx), None if initial is None else torch.empty_like(initial)
    tiles = _batch_tiles(problem)
    partial = wx.new_empty((tiles, cell.biases, N, D), dtype=torch.float32)
    outputs = {"dx": dx, "apart": apart, "dinitial": dinitial, "db": partial}
    inputs = {
        "wx": wx,
        "products": recurrent_products(hidden, first, r),
        "r": r,
        "b": b,
        "initial": initial,
        "lengths": lengths,
        "hidden": hidden,
        "carried": saved[0] if saved else states,
        "dstates": dstates,
        "dlast": dlast,
    }
    arguments = {name: aligned(tensor) for name, tensor in inputs.items()} | outputs
    build = backward_build(problem, has_dstates=dstates is not None, has_dlast=dlast is not None)
    run(build, wx.device, N * tiles, {**arguments, **_sizes(problem)})
    dr = recurrent_gradient(cell, dx, apart, hidden, first)
    return dx, dr, partial.sum(0).to(b.dtype), dinitial
