"""Sums over batch and time on a GPU, for heads that a library's products are too small for.

A head of 64 units makes products of 64 rows or columns: a library's kernels leave most of the GPU
idle on them, and want h shifted by one step in memory. These read h_{t-1} where it is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from rnnkernels.triton.compile import Build, aligned, run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

LARGEST = 128  # head_dim: products of one tile; larger ones suit the library
_ROWS = 64  # of batch and time that one product takes
_PROGRAMS = 528  # to fill 132 multiprocessors a few times over


def fits(tensor: Tensor) -> bool:
    """Whether these kernels serve tensors (.., D) like this one, where it is.

    float32 takes more registers: it stays with the library, in two levels of sums.
    """
    if not tensor.is_cuda or tensor.dtype not in {torch.bfloat16, torch.float16}:
        return False
    return tensor.shape[-1] <= LARGEST and _capable(tensor.get_device())


@lru_cache(maxsize=64)
def _capable(device: int) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)


def recurrent_products(hidden: Tensor, initial: Tensor | None, r: Tensor, out: Tensor) -> None:
    """Fill out (B, T, G, N, D) with R h_{t-1}; h (B, T, N, D), initial (B, N, D) or None."""
    B, T, N, D = hidden.shape
    storage = hidden.dtype
    pointers = (("hidden", storage), ("initial", storage), ("r", storage), ("out", out.dtype))
    constants = _constants(hidden, initial, r.shape[0]) | {"ROWS": 2 * _ROWS}
    warps = 8 if D > 64 else 4
    build = Build(None, "products", pointers, ("B", "T", "N"), tuple(constants.items()), warps, 8)
    tensors = {"hidden": hidden, "initial": initial, "r": r}
    arguments = {name: aligned(tensor) for name, tensor in tensors.items()} | {"out": out}
    programs = N * -(-B * T // (2 * _ROWS))
    run(build, hidden.device, programs, {**arguments, "B": B, "T": T, "N": N})


def weight_gradient(
    runs: Iterable[tuple[Tensor, int, int]], gates: int, hidden: Tensor, initial: Tensor | None
) -> Tensor:
    """Return sums of dr h_{t-1}^T (gates, N, D, D), float32.

    `runs` are (dr (B, T, K, N, D), first, count): gates first to first + count of dr; all runs, one
    after the other, are the gates. hidden (B, T, N, D), initial (B, N, D) or None.
    """
    B, T, N, D = hidden.shape
    most = -(-B * T // _ROWS)
    parts = max(1, min(most, _PROGRAMS // (gates * N)))
    each = _ROWS * -(-most // parts)
    parts = -(-B * T // each)
    out = torch.empty((parts, gates, N, D, D), dtype=torch.float32, device=hidden.device)
    storage = hidden.dtype
    pointers = (("dr", storage), ("hidden", storage), ("initial", storage), ("out", out.dtype))
    sizes = ("B", "T", "N", "K", "FIRST", "ALL", "INTO", "EACH")
    warps = 8 if D > 64 else 4
    read, into = {"hidden": aligned(hidden), "initial": aligned(initial), "out": out}, 0
    for dr, first, count in runs:
        constants = _constants(hidden, initial, count) | {"ROWS": _ROWS}
        build = Build(None, "weights", pointers, sizes, tuple(constants.items()), warps, 8)
        numbers = (B, T, N, dr.shape[2], first, gates, into, each)
        given = {"dr": aligned(dr), **read, **dict(zip(sizes, numbers, strict=True))}
        run(build, hidden.device, parts * count * N, given)
        into += count
    return out.sum(0)


def _constants(hidden: Tensor, initial: Tensor | None, gates: int) -> dict[str, Any]:
    D = hidden.shape[-1]
    return {
        "D": D,
        "BLOCK_D": max(16, 1 << (D - 1).bit_length()),
        "GATES": gates,
        "HAS_INITIAL": initial is not None,
    }
