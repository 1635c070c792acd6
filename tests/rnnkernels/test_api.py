"""The public call: shapes, options, errors; and the registry behind `backend=`."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from rnn_inputs import ALL_CELLS, make_inputs, peephole_lstm
from rnnkernels import ArgumentError, CellError, UnsupportedError, available, registry, rnn
from rnnkernels.cells import CELLS
from rnnkernels.problem import Problem

# smallest, one step, odd everything, a head dim no power of two
SHAPES = [(1, 1, 1, 1), (3, 1, 3, 5), (2, 7, 1, 3), (1, 2, 12, 48)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_every_shape_is_rows_and_heads_on_their_own(name: str, shape: tuple[int, ...]) -> None:
    B, T, N, D = shape
    inputs = make_inputs(CELLS[name], shape)
    states, last = rnn(*inputs.leaves()[:3], cell=name, initial=inputs.initial)
    S = len(CELLS[name].states)
    assert states.shape == (S, B, T, N, D)
    assert last.shape == (S, B, N, D)
    torch.testing.assert_close(last, states[:, :, -1])
    row, head = B - 1, N - 1
    alone, _ = rnn(
        inputs.wx[row : row + 1, :, :, head : head + 1],
        inputs.r[:, head : head + 1],
        inputs.b[:, head : head + 1],
        cell=name,
        initial=inputs.initial[:, row : row + 1, head : head + 1],
    )
    torch.testing.assert_close(states[:, row : row + 1, :, head : head + 1], alone)


def test_without_bias_and_state_is_zeros() -> None:
    inputs = make_inputs(CELLS["gru"])
    implicit, _ = rnn(inputs.wx, inputs.r, cell="gru")
    explicit, _ = rnn(
        inputs.wx,
        inputs.r,
        torch.zeros_like(inputs.b),
        cell="gru",
        initial=torch.zeros_like(inputs.initial),
    )
    assert torch.equal(implicit, explicit)


def test_non_contiguous_inputs_give_the_same() -> None:
    inputs = make_inputs(CELLS["lstm"])
    expected, _ = rnn(*inputs.leaves()[:3], initial=inputs.initial)
    strided = [leaf.detach().mT.contiguous().mT.requires_grad_() for leaf in inputs.leaves()]
    assert not any(leaf.is_contiguous() for leaf in strided)
    states, _ = rnn(*strided[:3], initial=strided[3])
    assert torch.equal(states, expected)
    # a gradient that is expanded, so not contiguous either
    ours = torch.autograd.grad(states.sum(), strided)
    theirs = torch.autograd.grad(expected.sum(), inputs.leaves())
    for grad, truth in zip(ours, theirs, strict=True):
        torch.testing.assert_close(grad, truth)


def test_parameters_are_rows_of_b_with_exact_gradients() -> None:
    inputs = make_inputs(peephole_lstm)
    states, last = rnn(*inputs.leaves()[:3], cell=peephole_lstm, initial=inputs.initial)
    assert states.shape[0] == last.shape[0] == 2
    x, p = inputs.wx + inputs.b[:4], inputs.b[4:]
    h, c = inputs.initial
    outputs = []
    for t in range(inputs.wx.shape[1]):
        i, f, z, o = (x[:, t] + torch.einsum("gnoi,bni->bgno", inputs.r, h)).unbind(1)
        i, f = torch.sigmoid(i + p[0] * c), torch.sigmoid(f + p[1] * c)
        c = f * c + i * torch.tanh(z)
        h = torch.sigmoid(o + p[2] * c) * torch.tanh(c)
        outputs.append(h)
    expected = torch.stack(outputs, 1)
    torch.testing.assert_close(states[0], expected)
    ours = torch.autograd.grad(states[0].square().sum(), inputs.leaves())
    theirs = torch.autograd.grad(expected.square().sum(), inputs.leaves())
    for grad, truth in zip(ours, theirs, strict=True):
        torch.testing.assert_close(grad, truth)


@pytest.mark.parametrize("lengths", [[5, 2, 0], (5, 2, 0), torch.tensor([5, 2, 0])], ids=type)
def test_lengths_may_be_any_integers(lengths: object) -> None:
    inputs = make_inputs(CELLS["elman"])
    states, _ = rnn(*inputs.leaves()[:3], cell="elman", lengths=lengths)
    assert (states != 0).any(-1).any(-1).sum(-1).tolist() == [[5, 2, 0]]


CPU_PROBLEM = Problem(CELLS["lstm"], 3, 6, 2, 5, torch.float32, torch.device("cpu"))


def call(**changes: object) -> None:
    inputs = make_inputs(CELLS["lstm"])
    arguments = {"wx": inputs.wx, "r": inputs.r, "b": inputs.b, "cell": "lstm"} | changes
    rnn(**arguments)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"wx": torch.zeros(2, 3, 8)},
            ArgumentError,
            (
                r"wx: expected shape \(B, T, 4, N, D\) for cell lstm with gates i, f, z, o, "
                r"got \(2, 3, 8\)"
            ),
        ),
        ({"wx": torch.zeros(3, 5, 3, 2, 4)}, ArgumentError, r"wx: expected .* got \(3, 5, 3, 2, 4"),
        ({"wx": torch.zeros(3, 0, 4, 2, 4)}, ArgumentError, r"every size to be at least 1"),
        ({"wx": torch.zeros(3, 5, 4, 2, 4).int()}, ArgumentError, r"wx: expected a floating dtype"),
        (
            {"r": torch.zeros(4, 2, 4, 5, dtype=torch.float64)},
            ArgumentError,
            r"r: expected shape \(4, 2, 4, 4\), which is \(G, N, D_out, D_in\), got \(4, 2, 4, 5\)",
        ),
        ({"r": torch.zeros(4, 2, 4, 4)}, ArgumentError, r"r: expected dtype torch.float64 as wx"),
        (
            {"r": torch.zeros(4, 2, 4, 4, dtype=torch.float64, device="meta")},
            ArgumentError,
            r"r: expected device cpu as wx has, got meta",
        ),
        ({"wx": [[0.0]]}, ArgumentError, r"wx: expected a tensor, got list"),
        ({"r": None}, ArgumentError, r"r: expected a tensor, got NoneType"),
        ({"b": torch.zeros(3, 2, 4)}, ArgumentError, r"b: expected shape \(4, 2, 4\)"),
        ({"initial": torch.zeros(1, 3, 2, 4)}, ArgumentError, r"initial: expected shape \(2, 3, 2"),
        ({"lengths": [1, 2]}, ArgumentError, r"lengths: expected 3 integers, shape \(3,\)"),
        ({"lengths": [1.0, 2.0, 3.0]}, ArgumentError, r"lengths: expected 3 integers"),
        ({"lengths": [6, 1, 1]}, ArgumentError, r"lengths: expected 0 to 5 \(T\), got 1 to 6"),
        ({"lengths": [5, -1, 1]}, ArgumentError, r"lengths: expected 0 to 5 \(T\), got -1 to 5"),
        ({"cell": "lsmt"}, CellError, r"unknown cell 'lsmt'; known: elman, gru, lstm, slstm"),
        (
            {"backend": "cudda"},
            ArgumentError,
            r"unknown backend 'cudda'; known: auto, cuda, triton, alternating, reference",
        ),
    ],
)
def test_errors_say_what_was_expected(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(**changes)


def test_available_tells_why_the_rest_does_not_run() -> None:
    reasons = available()
    assert list(reasons) == ["cuda", "triton", "alternating", "reference"]
    assert reasons["reference"] is None
    assert reasons.names[-1] == "reference"
    assert "reference    loop in PyTorch" in repr(reasons)
    if not torch.cuda.is_available():
        assert reasons["cuda"]
        assert reasons["triton"]
        assert f"cuda         not here: {reasons['cuda']}" in repr(reasons)


ON_CPU = [n for n in available().names if registry.obstacle(n, CPU_PROBLEM) is None]


@pytest.mark.parametrize("lengths", [None, [6, 0, 3]], ids=["full", "lengths"])
@pytest.mark.parametrize("name", ALL_CELLS)
@pytest.mark.parametrize("backend", ON_CPU)
def test_backends_on_this_cpu_are_as_accurate_as_the_reference(
    backend: str, name: str, lengths: list[int] | None
) -> None:
    inputs = make_inputs(ALL_CELLS[name], (3, 6, 2, 5), torch.float32)
    results = []
    for dtype, runs_on in (
        (torch.float64, "reference"),
        (torch.float32, "reference"),
        (torch.float32, backend),
    ):
        leaves = [leaf.detach().to(dtype).requires_grad_() for leaf in inputs.leaves()]
        states, last = rnn(
            *leaves[:3], cell=ALL_CELLS[name], backend=runs_on, initial=leaves[3], lengths=lengths
        )
        grads = torch.autograd.grad(states.square().sum() + last.sum(), leaves)
        results.append((states, last, *grads))
    for truth, reference, ours in zip(*results, strict=True):
        allowed = 2 * (reference - truth).abs().max() + torch.finfo(torch.float32).eps * (
            1 + truth.abs().max()
        )
        assert (ours - truth).abs().max() <= allowed


@pytest.mark.parametrize("name", ["cuda", "triton", "alternating"])
def test_a_backend_that_cannot_run_names_those_that_can(name: str) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"backend '{name}' cannot run this call: .+; these can: reference"
    ):
        call(backend=name)  # float64 on a CPU


@pytest.fixture
def two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a backend whose module is missing and one that takes even batches only."""
    entries = {
        "absent": registry.Entry("absent", "rnnkernels.no_such_module", ""),
        "even": registry.Entry("even", "even_backend", ""),
        "reference": registry.BACKENDS["reference"],
    }
    even = SimpleNamespace(
        name="even",
        missing=lambda: None,
        unsupported=lambda problem: "odd batch; use an even one" if problem.batch % 2 else None,
    )
    monkeypatch.setitem(sys.modules, "even_backend", even)
    monkeypatch.setattr(registry, "BACKENDS", entries)


@pytest.mark.usefixtures("two_more")
def test_auto_takes_the_first_that_can() -> None:
    assert registry.select("auto", CPU_PROBLEM).name == "reference"
    even = Problem(CELLS["lstm"], 2, 1, 1, 1, torch.float32, torch.device("cpu"))
    assert registry.select("auto", even).name == "even"
    assert registry.select("reference", even).name == "reference"


@pytest.mark.usefixtures("two_more")
def test_named_backends_are_never_replaced() -> None:
    with pytest.raises(UnsupportedError, match="odd batch; use an even one; these can: reference"):
        registry.select("even", CPU_PROBLEM)
    with pytest.raises(UnsupportedError, match=r"No module named 'rnnkernels\.no_such"):
        registry.select("absent", CPU_PROBLEM)
    assert "cannot be imported here" in str(available()["absent"])
