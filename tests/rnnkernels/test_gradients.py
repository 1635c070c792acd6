"""The products before and after the reverse loop, against sums written out in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from rnnkernels.cells import elman, gru, lstm
from rnnkernels.gradients import bias_gradient, recurrent_gradient, recurrent_products

if TYPE_CHECKING:
    from rnnkernels.definition import Cell

# one row and step; several of each with one head (products of all gates at once); several heads
SHAPES = [(1, 1, 1, 1), (3, 5, 1, 7), (2, 4, 3, 6)]


def draw(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64).to(dtype)


def shifted(hidden: torch.Tensor, initial: torch.Tensor | None) -> torch.Tensor:
    first = torch.zeros_like(hidden[:, 0]) if initial is None else initial
    return torch.cat([first.unsqueeze(1), hidden[:, :-1]], 1).double()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("with_initial", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_recurrent_products_of_all_steps(
    shape: tuple[int, ...], with_initial: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    B, T, N, D = shape
    hidden, r = draw(B, T, N, D, dtype=dtype), draw(3, N, D, D, dtype=dtype)
    initial = draw(B, N, D, dtype=dtype) if with_initial else None
    truth = torch.einsum("gnde,btne->btgnd", r.double(), shifted(hidden, initial))
    for out_dtype in {dtype, torch.promote_types(dtype, torch.float32)}:
        out = recurrent_products(hidden, initial, r, dtype=out_dtype)
        assert out.dtype == out_dtype
        scale = truth.abs().max().clamp_min(1)
        assert (out - truth).abs().max() <= 2 * scale * torch.finfo(out_dtype).eps * D


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cell", [elman, lstm, gru], ids=lambda cell: cell.name)
@pytest.mark.parametrize("with_initial", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_of_recurrent_weights_and_biases(
    shape: tuple[int, ...], with_initial: bool, cell: Cell, dtype: torch.dtype
) -> None:
    torch.manual_seed(1)
    B, T, N, D = shape
    G = len(cell.gates)
    hidden, dx = draw(B, T, N, D, dtype=dtype), draw(B, T, G, N, D, dtype=dtype)
    initial = draw(B, N, D, dtype=dtype) if with_initial else None
    apart = [gate for gate in range(G) if cell.distinct[gate]]
    distinct = draw(B, T, len(apart), N, D, dtype=dtype) if apart else None
    dr = dx.double()
    if distinct is not None:
        dr[:, :, apart] = distinct.double()
    weights = torch.einsum("btgnd,btne->gnde", dr, shifted(hidden, initial))
    recurrent = [cell.gates.index(name) for name in cell.recurrent_bias]
    biases = torch.cat([dx.double().sum((0, 1)), dr[:, :, recurrent].sum((0, 1))])
    for ours, truth in (
        (recurrent_gradient(cell, dx, distinct, hidden, initial), weights),
        (bias_gradient(cell, dx, distinct), biases),
    ):
        assert ours.dtype == dtype
        allowed = torch.finfo(dtype).eps * truth.abs() + 1e-5 * (dtype != torch.float64) + 1e-12
        assert ((ours - truth).abs() <= allowed).all()


def test_a_missing_distinct_gradient_is_refused() -> None:
    dx = torch.zeros(1, 2, 3, 1, 4)
    with pytest.raises(ValueError, match="gate n of gru has a dr of its own"):
        bias_gradient(gru, dx, None)
