"""The Triton backend as `registry.Backend`: what it can run, and the fused strategy behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from triton import knobs

from rnnkernels.triton import fused
from rnnkernels.triton.compile import shared_memory

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem

name = "triton"

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def missing() -> str | None:
    """Return why no problem runs on this machine, or None."""
    if knobs.runtime.interpret or torch.cuda.is_available():
        return None
    return "no CUDA device is visible; on a CPU, TRITON_INTERPRET=1 runs it interpreted, slowly"


def unsupported(problem: Problem) -> str | None:  # noqa: PLR0911 - one per reason
    """Return why this problem does not run here and what would, or None."""
    device = problem.device
    if problem.dtype not in _DTYPES:
        return f'dtype {problem.dtype}: expected bfloat16, float16 or float32; use "reference"'
    largest = fused.largest(problem.dtype)
    if problem.head_dim > largest:
        return (
            f"head_dim {problem.head_dim}: at most {largest} for {problem.dtype}; "
            'use "cuda" or "alternating"'
        )
    if knobs.runtime.interpret:
        if device.type != "cpu":
            return f"device {device}: TRITON_INTERPRET=1 is set, which needs tensors on the CPU"
        if problem.dtype == torch.bfloat16:
            return "dtype torch.bfloat16: Triton's interpreter multiplies it wrongly; use float32"
        return None
    if device.type != "cuda":
        return f'device {device}: expected a CUDA device; use "reference" or "alternating"'
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        return f'{device} is sm_{capability[0]}{capability[1]}: needs sm_80; use "alternating"'
    room = shared_memory(device)
    if fused.shared_bytes(problem) > room:
        return (
            f"{len(problem.cell.gates)} gates of head_dim {problem.head_dim} take "
            f"{fused.shared_bytes(problem):,} B of shared memory, {device} has {room:,} B; "
            'use "cuda" or "alternating"'
        )
    return None


def saved_like(problem: Problem) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Return what forward keeps: c, n, m of every step in float32, for 16-bit storage."""
    if not fused.keeps_carried(problem):
        return []
    states = len(problem.cell.states)
    shape = (states - 1, problem.batch, problem.steps, problem.heads, problem.head_dim)
    return [(shape, torch.float32)]


def forward(  # noqa: PLR0917 - one order for every backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return states, last and what is kept; shapes as in `registry.Backend`."""
    return fused.forward(problem, wx, r, b, initial, lengths)


def backward(  # noqa: PLR0917 - forward's arguments, then its results
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
    return fused.backward(problem, wx, r, b, initial, lengths, states, saved, dstates, dlast)
