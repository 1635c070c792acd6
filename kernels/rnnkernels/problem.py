"""What a backend is asked to run: everything that decides whether and how it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
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

    def saved_like(self) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """Return shape and dtype of what forward keeps for backward, whichever backend runs.

        All states but h, (S - 1, B, T, N, D) in float32, if storage would round them. Backends do
        not differ in this, so that shapes are known where no backend can be chosen: under
        torch.compile, whose sizes are symbols.
        """
        states = len(self.cell.states)
        if not self.needs_grad or states == 1 or self.dtype.itemsize != 2:
            return []
        return [((states - 1, self.batch, self.steps, self.heads, self.head_dim), torch.float32)]
