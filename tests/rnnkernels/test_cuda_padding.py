"""Units that fill the last 16 bytes of a row change nothing: padded and plain, by the reference."""

from __future__ import annotations

import pytest
import torch
from rnn_inputs import ALL_CELLS, make_inputs
from rnnkernels import rnn

padding = pytest.importorskip("rnnkernels.cuda.padding")

from rnnkernels.cuda.sizes import whole_rows  # noqa: E402
from rnnkernels.definition import by_key  # noqa: E402
from rnnkernels.problem import Problem  # noqa: E402


def test_rows_are_whole() -> None:
    sizes = [(1, torch.bfloat16), (8, torch.float16), (257, torch.float32), (260, torch.float32)]
    assert [whole_rows(*size) for size in sizes] == [8, 8, 260, 260]


@pytest.mark.parametrize("name", ALL_CELLS)
def test_added_units_change_nothing(name: str) -> None:
    cell = by_key(ALL_CELLS[name].kernel_key)
    shape = B, T, N, D = 3, 6, 2, 5
    problem = Problem(cell, B, T, N, D, torch.float64, torch.device("cpu"), initial=True)
    wx, r, b, initial = make_inputs(cell, shape, torch.float64, seed=3).leaves()
    dstates = torch.randn(len(cell.states), *shape, dtype=torch.float64)
    states, last = rnn(wx, r, b, cell, "reference", initial)
    expected = torch.autograd.grad((states, last), (wx, r, b, initial), (dstates, dstates[:, :, 0]))

    pad = padding.Padding(problem)
    assert pad.added == 1
    wide = [pad.repeat(wx), pad.matrix(r), pad.repeat(b), pad.repeat(initial)]
    leaves = [leaf.detach().requires_grad_() for leaf in wide]
    more, final = rnn(*leaves[:3], cell, "reference", leaves[3])
    adjoints = pad.fill(dstates), pad.fill(dstates[:, :, 0])
    found = torch.autograd.grad((more, final), leaves, adjoints)

    assert more.shape[-1] == padding.padded(problem).head_dim == 6
    torch.testing.assert_close(pad.cut(more), states)
    torch.testing.assert_close(pad.cut(final), last)
    for ours, theirs, index in zip(found, expected, "xrbi", strict=True):
        ours_cut = pad.cut(ours[..., :D, :] if index == "r" else ours)
        torch.testing.assert_close(ours_cut, theirs)
