"""Heads whose rows are no multiple of 16 bytes run with a few units more, which change nothing.

The kernels read and write whole pieces of 16 bytes. The units that fill the last piece repeat unit
0, so no cell meets numbers that its user never gave it. Nothing depends on them: their columns of R
are 0, and so are the gradients of their states.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from rnnkernels.cuda.sizes import whole_rows

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem


def padded(problem: Problem) -> Problem:
    """Return the problem whose rows are whole: itself where they are."""
    head_dim = whole_rows(problem.head_dim, problem.dtype)
    return problem if head_dim == problem.head_dim else replace(problem, head_dim=head_dim)


class Padding:
    """What turns the tensors of a problem into those of the padded one, `problem`, and back."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.head_dim = padded(problem), problem.head_dim
        self.added = self.problem.head_dim - problem.head_dim

    def inputs(
        self, wx: Tensor, r: Tensor, b: Tensor, initial: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return the tensors that forward and backward read."""
        start = None if initial is None else self.repeat(initial)
        return self.repeat(wx), self.matrix(r), self.repeat(b), start

    def repeat(self, tensor: Tensor) -> Tensor:
        """Return (.., D) with unit 0 once more for each added unit."""
        if not self.added:
            return tensor
        first = tensor[..., :1].expand(*tensor.shape[:-1], self.added)
        return torch.cat([tensor, first], -1)

    def fill(self, tensor: Tensor | None) -> Tensor | None:
        """Return (.., D) with zeros for the added units."""
        if tensor is None or not self.added:
            return tensor
        return functional.pad(tensor, (0, self.added))

    def matrix(self, r: Tensor) -> Tensor:
        """Return R (.., D_out, D_in): the added units read what unit 0 does, and nothing them."""
        if not self.added:
            return r
        first = r[..., :1, :].expand(*r.shape[:-2], self.added, r.shape[-1])
        return functional.pad(torch.cat([r, first], -2), (0, self.added))

    def cut(self, tensor: Tensor) -> Tensor:
        """Return (.., D) of a result without the added units."""
        return tensor[..., : self.head_dim].contiguous() if self.added else tensor
