"""Modules against torch.nn with the same state dict: outputs, states and every gradient."""

from __future__ import annotations

import copy
import io
from typing import TYPE_CHECKING

import pytest
import torch
from rnn_inputs import peephole_lstm
from rnnkernels import GRU, LSTM, SLSTM, ArgumentError, Elman, Recurrent, rnn
from rnnkernels.layers import reverse
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = {
    "lstm": (LSTM, nn.LSTM, {}),
    "projected": (LSTM, nn.LSTM, {"proj_size": 3}),
    "gru": (GRU, nn.GRU, {}),
    "tanh": (Elman, nn.RNN, {}),
    "relu": (Elman, nn.RNN, {"nonlinearity": "relu"}),
}
# one plain layer; everything at once; what is left of the options
OPTIONS = [
    {"num_layers": 1},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"num_layers": 2, "bias": False},
]
LENGTHS = torch.tensor([4, 6, 1])


def states_of(module: nn.Module, batch: int = 3) -> Tensor | tuple[Tensor, ...]:
    layers = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or 8] + [8] * isinstance(module, nn.LSTM)
    dtype = next(module.parameters()).dtype
    states = tuple(torch.randn(layers, batch, size, dtype=dtype) for size in sizes)
    return states if len(states) > 1 else states[0]


def run_torch(module: nn.Module, x: Tensor, initial: object, lengths: Tensor | None) -> tuple:
    if lengths is None:
        return module(x, initial)
    packed = pack_padded_sequence(x, lengths, batch_first=module.batch_first, enforce_sorted=False)
    packed, last = module(packed, initial)
    return pad_packed_sequence(packed, batch_first=module.batch_first)[0], last


def flat(states: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    return [states] if isinstance(states, Tensor) else list(states)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("start", [False, True], ids=["zero", "initial"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_torch_checkpoint_gives_the_same(
    pair: str, options: dict[str, int], start: bool, lengths: Tensor | None, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    Ours, Theirs, extra = PAIRS[pair]
    theirs = Theirs(5, 8, **options, **extra, dtype=dtype)
    ours = Ours(5, 8, **options, **extra, dtype=dtype)
    ours.load_state_dict(theirs.state_dict())
    shape = (3, 6, 5) if theirs.batch_first else (6, 3, 5)
    inputs = torch.randn(shape, dtype=dtype)
    initial = states_of(theirs) if start else None
    x, y = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    expected, expected_last = run_torch(theirs, x, initial, lengths)
    got, last = ours(y, initial, lengths=lengths)
    pairs = [("outputs", got, expected)]
    pairs += [("last", a, b) for a, b in zip(flat(last), flat(expected_last), strict=True)]
    weights = [torch.randn_like(value) for _, value, _ in pairs]
    torch.autograd.backward([value for _, value, _ in pairs], weights)
    torch.autograd.backward([value for _, _, value in pairs], weights)
    pairs.append(("dx", y.grad, x.grad))
    pairs += [
        (name, a.grad, b.grad)
        for (name, a), (_, b) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        )
    ]
    tolerance = 1e-11 if dtype == torch.float64 else 1e-5
    for name, ours_, theirs_ in pairs:
        scale = 1 + theirs_.abs().max()
        assert (ours_ - theirs_).abs().max() <= tolerance * scale, name


def test_unbatched_inputs() -> None:
    theirs, ours = nn.GRU(5, 8, 2), GRU(5, 8, 2)
    ours.load_state_dict(theirs.state_dict())
    x, h = torch.randn(6, 5), torch.randn(2, 8)
    for got, expected in zip(ours(x, h), theirs(x, h), strict=True):
        torch.testing.assert_close(got, expected)


def test_state_dicts_go_back_to_torch_too() -> None:
    ours = LSTM(5, 8, 2, bidirectional=True)
    theirs = nn.LSTM(5, 8, 2, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(6, 3, 5)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])


def test_heads_are_blocks_of_a_block_diagonal_matrix() -> None:
    torch.manual_seed(0)
    ours = LSTM(5, 12, num_heads=3, dtype=torch.float64)
    dense = nn.LSTM(5, 12, dtype=torch.float64)
    weights = ours.state_dict()
    blocks = weights["weight_hh_l0"].view(4, 3, 4, 4)
    matrix = torch.stack([torch.block_diag(*gate) for gate in blocks])
    dense.load_state_dict({**weights, "weight_hh_l0": matrix.view(48, 12)})
    x = torch.randn(6, 2, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(x)[0], dense(x)[0])


def test_slstm_layers_are_calls_of_rnn() -> None:
    torch.manual_seed(0)
    module = SLSTM(5, 8, num_heads=2, batch_first=True, dtype=torch.float64)
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    outputs, last = module(x)
    assert [tuple(state.shape) for state in last] == [(1, 3, 8)] * 4
    wx = (x @ module.weight_ih_l0.T).view(3, 6, 4, 2, 4)
    b = (module.bias_ih_l0 + module.bias_hh_l0).view(4, 2, 4)
    states, end = rnn(wx, module.weight_hh_l0.view(4, 2, 4, 4), b, cell="slstm")
    torch.testing.assert_close(outputs, states[0].reshape(3, 6, 8))
    torch.testing.assert_close(torch.stack(last), end.reshape(4, 1, 3, 8))


@pytest.mark.parametrize(
    "module",
    [
        LSTM(5, 8, 2, batch_first=True),
        LSTM(5, 8, proj_size=3),
        GRU(5, 8, num_heads=2),
        SLSTM(5, 8, 2),
        Elman(5, 8),
    ],
    ids=str,
)
def test_step_by_step_is_the_whole_sequence(module: Recurrent) -> None:
    x = torch.randn(3, 6, 5) if module.batch_first else torch.randn(6, 3, 5)
    axis = 1 if module.batch_first else 0
    with torch.no_grad():
        expected, last = module(x)
        state, outputs = None, []
        for token in x.unbind(axis):
            output, state = module.step(token, state)
            outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, axis), expected)
    for ours, truth in zip(flat(state), flat(last), strict=True):
        torch.testing.assert_close(ours, truth)


def test_a_module_of_ones_own_cell() -> None:
    class Peephole(Recurrent):
        cell = peephole_lstm

    torch.manual_seed(0)
    module = Peephole(5, 8, 2, bidirectional=True, bias=False, dtype=torch.float64)
    assert module.weight_p_l1_reverse.shape == (3, 8)
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        plain = LSTM(5, 8, 2, bidirectional=True, bias=False, dtype=torch.float64)
        plain.load_state_dict(module.state_dict(), strict=False)
        assert not torch.allclose(module(x)[0], plain(x)[0])
        for name, parameter in module.named_parameters():
            if name.startswith("weight_p"):
                parameter.zero_()
        torch.testing.assert_close(module(x)[0], plain(x)[0])  # no peephole: the plain LSTM


def test_padding_may_hold_anything() -> None:
    torch.manual_seed(0)
    module = LSTM(5, 8, 2, bidirectional=True, batch_first=True)
    x = torch.randn(3, 6, 5)
    dirty = x.clone()
    for row, length in enumerate(LENGTHS):
        dirty[row, length:] = torch.nan
    results = []
    for inputs in (x, dirty):
        module.zero_grad()
        outputs, last = module(inputs, lengths=LENGTHS)
        (outputs.sum() + last[1].sum()).backward()
        results.append([outputs, *last, *(p.grad for p in module.parameters())])
    for clean, other in zip(*results, strict=True):
        assert torch.equal(clean, other)


def test_autocast_reaches_every_layer() -> None:
    torch.manual_seed(0)
    module = LSTM(5, 8, 2, bidirectional=True, proj_size=3)
    x, initial = torch.randn(6, 3, 5), (torch.randn(4, 3, 3), torch.randn(4, 3, 8))
    exact, _ = module(x, initial, lengths=LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, last = module(x, initial, lengths=LENGTHS)
    assert {outputs.dtype, *(state.dtype for state in last)} == {torch.bfloat16}
    error = (outputs.float() - exact).norm() / exact.norm()
    assert 0 < error < 4 * torch.finfo(torch.bfloat16).eps
    outputs.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in module.parameters())


def test_dropout_lies_between_layers_and_only_in_training() -> None:
    torch.manual_seed(0)
    module = GRU(5, 8, 2, dropout=1.0)
    x = torch.randn(6, 3, 5)
    bias_only = GRU(8, 8)
    bias_only.load_state_dict(
        {k.replace("_l1", "_l0"): v for k, v in module.state_dict().items() if "_l1" in k}
    )
    torch.testing.assert_close(module(x)[0], bias_only(torch.zeros(6, 3, 8))[0])
    module.eval()
    assert not torch.allclose(module(x)[0], bias_only(torch.zeros(6, 3, 8))[0])


def test_reverse_turns_each_row_within_its_length() -> None:
    x = torch.arange(12.0).view(2, 6, 1)
    turned = reverse(x, torch.tensor([4, 6]))
    assert turned.squeeze(2).tolist() == [[3, 2, 1, 0, 4, 5], [11, 10, 9, 8, 7, 6]]
    assert torch.equal(reverse(turned, torch.tensor([4, 6])), x)
    leaf = torch.randn(3, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: reverse(x, LENGTHS), leaf)
    assert torch.autograd.gradgradcheck(lambda x: reverse(x, LENGTHS), leaf)


def test_copies_and_saved_modules_work() -> None:
    module = Elman(5, 8, nonlinearity="relu")
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    x = torch.randn(6, 3, 5)
    for other in (copy.deepcopy(module), torch.load(buffer, weights_only=False)):
        torch.testing.assert_close(other(x)[0], module(x)[0])


def test_repr_shows_what_is_not_the_default() -> None:
    assert repr(SLSTM(5, 8, num_heads=2)) == "SLSTM(5, 8, num_heads=2)"
    assert repr(Elman(5, 8, nonlinearity="relu")) == "Elman(5, 8, nonlinearity=relu)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(5, 8, num_heads=3), r"num_heads: expected a divisor of hidden_size 8, got 3"),
        (lambda: LSTM(0, 8), r"expected at least 1 each, got 0, 8, 1, 1"),
        (lambda: LSTM(5, 8, dropout=1.5), r"dropout: expected 0 to 1, got 1.5"),
        (lambda: LSTM(5, 8, proj_size=8), r"proj_size: expected 1 to hidden_size - 1 = 7"),
        (lambda: LSTM(5, 8, proj_size=2, num_heads=2), r"one head, got 2 with 2 heads"),
        (lambda: GRU(5, 8, proj_size=2), r"proj_size: cell gru reads the previous h unit by unit"),
        (lambda: Elman(5, 8, nonlinearity="elu"), r"expected tanh or relu, got 'elu'"),
        (lambda: LSTM(5, 8)(torch.zeros(3, 2, 4)), r"the last of size 5, got \(3, 2, 4\)"),
        (lambda: LSTM(5, 8)(torch.zeros(3, 2, 5), torch.zeros(1, 2, 8)), r"expected 2 states"),
        (
            lambda: GRU(5, 8)(torch.zeros(3, 2, 5), torch.zeros(1, 3, 8)),
            r"initial h: expected shape \(1, 2, 8\), got \(1, 3, 8\)",
        ),
        (
            lambda: GRU(5, 8)(pack_padded_sequence(torch.zeros(3, 2, 5), [3, 2])),
            r"got PackedSequence; instead of a packed sequence pass the padded tensor and lengths=",
        ),
        (lambda: GRU(5, 8, bidirectional=True).step(torch.zeros(2, 5)), r"step: a bidirectional"),
        (lambda: GRU(5, 8).step(torch.zeros(1, 2, 5)), r"step: expected inputs \(B, I\)"),
    ],
)
def test_mistakes_are_clear_errors(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
