"""The reference loop against equations written out by hand, finite differences and torch.nn."""

# ruff: noqa: ANN001, ANN201, ARG001, PLR0917 - the equations are written plainly

from __future__ import annotations

from functools import partial

import pytest
import torch
from rnn_inputs import ALL_CELLS, make_inputs
from rnnkernels import api
from torch import Tensor
from torch.nn.functional import logsigmoid

sigmoid, tanh = torch.sigmoid, torch.tanh
rnn = partial(api.rnn, backend="reference")


def elman_step(x, r, h):
    return (tanh(x[0] + r[0]),)


def lstm_step(x, r, h, c):
    i, f, z, o = x + r
    c = sigmoid(f) * c + sigmoid(i) * tanh(z)
    return sigmoid(o) * tanh(c), c


def gru_step(x, r, h):
    reset, update = sigmoid(x[0] + r[0]), sigmoid(x[1] + r[1])
    n = tanh(x[2] + reset * r[2])
    return ((1 - update) * n + update * h,)


def slstm_step(x, r, h, c, n, m):
    i, f, z, o = x + r
    new = torch.maximum(logsigmoid(f) + m, i)
    keep, add = torch.exp(logsigmoid(f) + m - new), torch.exp(i - new)
    c, n = keep * c + add * tanh(z), keep * n + add
    return sigmoid(o) * c / n, c, n, new


STEPS = {"elman": elman_step, "gru": gru_step, "lstm": lstm_step, "slstm": slstm_step}


def by_hand(name: str, wx: Tensor, r: Tensor, b: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Loop over rows too: every length, head and layout written out."""
    states, outputs = list(initial), []
    for t in range(wx.shape[1]):
        rh = torch.einsum("gnoi,bni->gbno", r, states[0])
        if name == "gru":
            rh = torch.stack([rh[0], rh[1], rh[2] + b[3]])
        x = wx[:, t].transpose(0, 1) + b[: wx.shape[2], None]
        states = list(STEPS[name](x, rh, *states))
        outputs.append(torch.stack(states))
    return torch.stack(outputs, 2), torch.stack(states)


@pytest.mark.parametrize("start", [True, False], ids=["initial", "from zero"])
@pytest.mark.parametrize("name", STEPS)
def test_values_and_gradients_are_those_of_the_equations(name: str, start: bool) -> None:
    inputs = make_inputs(ALL_CELLS[name])
    if not start:
        inputs.initial = torch.zeros_like(inputs.initial)
    leaves = inputs.leaves() if start else inputs.leaves()[:3]
    states, last = rnn(*leaves[:3], cell=name, initial=inputs.initial if start else None)
    expected, expected_last = by_hand(name, *inputs.leaves())
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(last, expected_last)
    weights = torch.randn_like(states), torch.randn_like(last)
    ours = torch.autograd.grad((states, last), leaves, weights)
    theirs = torch.autograd.grad((expected, expected_last), leaves, weights)
    for grad, truth in zip(ours, theirs, strict=True):
        torch.testing.assert_close(grad, truth)


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]], ids=["full", "lengths"])
@pytest.mark.parametrize("name", ALL_CELLS)
def test_gradcheck(name: str, lengths: list[int] | None) -> None:
    inputs = make_inputs(ALL_CELLS[name], (3, 4, 2, 3))

    def call(wx: Tensor, r: Tensor, b: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
        return rnn(wx, r, b, cell=ALL_CELLS[name], initial=initial, lengths=lengths)

    assert torch.autograd.gradcheck(call, inputs.leaves())


@pytest.mark.parametrize("name", ALL_CELLS)
def test_lengths_are_shorter_sequences(name: str) -> None:
    found, lengths = ALL_CELLS[name], [5, 0, 3, 1]
    inputs = make_inputs(found, (4, 5, 2, 3))
    states, last = rnn(*inputs.leaves()[:3], cell=found, initial=inputs.initial, lengths=lengths)
    total, expected = last.square().sum() + states.square().sum(), 0.0
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        assert (states[:, row, length:] == 0).all()
        if length == 0:
            torch.testing.assert_close(last[:, one], inputs.initial[:, one])
            expected = expected + inputs.initial[:, one].square().sum()
            continue
        alone, end = rnn(
            inputs.wx[one, :length],
            inputs.r,
            inputs.b,
            cell=found,
            initial=inputs.initial[:, one],
        )
        torch.testing.assert_close(states[:, one, :length], alone)
        torch.testing.assert_close(last[:, one], end)
        expected = expected + alone.square().sum() + end.square().sum()
    ours = torch.autograd.grad(total, inputs.leaves())
    theirs = torch.autograd.grad(expected, inputs.leaves())
    for grad, truth in zip(ours, theirs, strict=True):
        torch.testing.assert_close(grad, truth)


def test_padding_may_hold_anything() -> None:
    for name, found in ALL_CELLS.items():
        inputs = make_inputs(found, (3, 4, 1, 3))
        poisoned = inputs.wx.detach().clone()
        for row, length in enumerate([4, 0, 2]):
            poisoned[row, length:] = torch.tensor([torch.nan, torch.inf, -torch.inf])
        poisoned.requires_grad_()
        results = []
        for wx in (inputs.wx, poisoned):
            leaves = (wx, *inputs.leaves()[1:])
            states, last = rnn(*leaves[:3], cell=found, initial=inputs.initial, lengths=[4, 0, 2])
            grads = torch.autograd.grad(states.sum() + last.square().sum(), leaves)
            results.append((states, last, *grads))
        for clean, dirty in zip(*results, strict=True):
            assert torch.equal(clean, dirty), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
# not maxout: where rounding moves a value across the corner, its gradient jumps
@pytest.mark.parametrize("name", [name for name in ALL_CELLS if name != "maxout"])
def test_lower_precision_follows_float64(name: str, dtype: torch.dtype) -> None:
    found = ALL_CELLS[name]
    inputs = make_inputs(found, (3, 12, 1, 16), dtype)
    exact = [leaf.detach().double().requires_grad_() for leaf in inputs.leaves()]
    results = []
    for leaves in (inputs.leaves(), exact):
        states, last = rnn(*leaves[:3], cell=found, initial=leaves[3])
        grads = torch.autograd.grad(states[0].float().square().sum() + last.sum(), leaves)
        results.append((states, last, *grads))
    names = ("states", "last", "dwx", "dr", "db", "dinitial")
    for what, ours, truth in zip(names, *results, strict=True):
        assert ours.dtype == dtype
        # Each product's result is rounded to the storage type, once a step, forward and back.
        error = (ours.double() - truth).norm() / truth.norm()
        assert error <= 4 * torch.finfo(dtype).eps, f"{what}: {error:.1e}"


def test_carried_states_keep_float32_between_steps() -> None:
    # A cell state that grows by 2^-10 a step: bfloat16 would lose every step beyond 0.25.
    T = 512
    wx = torch.zeros(1, T, 4, 1, 1, dtype=torch.bfloat16)
    wx[:, :, 0] = wx[:, :, 1] = 20.0  # i = f = 1
    wx[:, :, 2] = 2.0**-10  # tanh(z) = z
    wx[:, :, 3] = -20.0  # o = 0
    states, _ = rnn(wx, torch.zeros(4, 1, 1, 1, dtype=torch.bfloat16), cell="lstm")
    torch.testing.assert_close(states[1, 0, -1].float(), torch.full((1, 1), T * 2.0**-10))


def test_same_inputs_same_bits() -> None:
    inputs = make_inputs(ALL_CELLS["slstm"], dtype=torch.float32)
    runs = []
    for _ in range(2):
        states, last = rnn(*inputs.leaves()[:3], cell="slstm", initial=inputs.initial)
        runs.append((states, last, *torch.autograd.grad(states.sum(), inputs.leaves())))
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)
