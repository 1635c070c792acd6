"""What a backend is asked to run: everything that decides whether and how it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from rnnkernels.definition import Cell


@dataclass(frozen=True)
class Problem:
    """One call's cell, sizes and options; two calls with equal problems run the same kernels."""

    cell: Cell
    batch: int
    steps: int
    heads: int
    head_dim: int
    dtype: torch.dtype  # of storage; arithmetic is float32 (float64 for float64)
    device: torch.device
    initial: bool = False
    lengths: bool = False
    needs_grad: bool = False
    tf32: bool = False  # float32 products may round their factors to TF32
