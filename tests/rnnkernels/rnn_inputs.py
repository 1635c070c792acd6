"""Random inputs of a call, and cells as a user would define them."""

# ruff: noqa: ANN001, ANN201 - cells are written as in a notebook

from __future__ import annotations

from dataclasses import dataclass

import torch
from rnnkernels import Cell, cell
from rnnkernels.cells import CELLS, elman_relu
from rnnkernels.trace import maximum, sigmoid, tanh
from torch import Tensor


@cell(gates=("i", "f", "z", "o"), states=("h", "c"), parameters=("i", "f", "o"))
def peephole_lstm(x, r, s, p):  # Gers and Schmidhuber, 2000
    i, f = sigmoid(x.i + r.i + p.i * s.c), sigmoid(x.f + r.f + p.f * s.c)
    c = f * s.c + i * tanh(x.z + r.z)
    return sigmoid(x.o + r.o + p.o * c) * tanh(c), c


@cell(gates=("f", "h"), states=("h",))
def minimal_gated_unit(x, r, s):  # in the form of Heck and Salem, 2017: R_h h is gated
    f = sigmoid(x.f + r.f)
    return (1 - f) * s.h + f * tanh(x.h + f * r.h)


@cell(gates=("a", "b"), states=("h",))
def maxout(x, r, s):  # a corner, a gate without recurrence, h read pointwise
    return maximum(tanh(x.a + r.a), 0.5 * s.h) + 0.1 * x.b


USER_CELLS = {c.name: c for c in (peephole_lstm, minimal_gated_unit, maxout, elman_relu)}
ALL_CELLS = {**CELLS, **USER_CELLS}


@dataclass
class Inputs:
    wx: Tensor
    r: Tensor
    b: Tensor
    initial: Tensor

    def leaves(self) -> tuple[Tensor, ...]:
        return self.wx, self.r, self.b, self.initial


def make_inputs(
    cell: Cell,
    shape: tuple[int, int, int, int] = (3, 5, 2, 4),  # B, T, N, D
    dtype: torch.dtype = torch.float64,
    *,
    seed: int = 0,
    requires_grad: bool = True,
) -> Inputs:
    """Inputs of unit scale; R scaled so that R h stays of unit scale too."""
    B, T, N, D = shape
    G, S = len(cell.gates), len(cell.states)
    generator = torch.Generator().manual_seed(seed)

    def draw(*sizes: int, scale: float = 1.0) -> Tensor:
        values = scale * torch.randn(*sizes, generator=generator, dtype=torch.float64)
        return values.to(dtype).requires_grad_(requires_grad)

    initial = draw(S, B, N, D, scale=0.5).detach()
    if "n" in cell.states:  # a sum of weights: near 0 it would be ill-conditioned
        initial[cell.states.index("n")].abs_().add_(0.5)
    return Inputs(
        draw(B, T, G, N, D),
        draw(G, N, D, D, scale=D**-0.5),
        draw(cell.bias_rows, N, D, scale=0.5),
        initial.requires_grad_(requires_grad),
    )
