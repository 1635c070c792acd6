"""The operators as PyTorch sees them: opcheck, compile, autocast, second derivatives, streams."""

from __future__ import annotations

import pytest
import torch
from rnn_inputs import ALL_CELLS, make_inputs, minimal_gated_unit
from rnnkernels import CELLS, LSTM, DerivativeError, ops, rnn
from torch import Tensor
from torch.library import opcheck

LENGTHS = torch.tensor([5, 0, 2], dtype=torch.int32)


@pytest.mark.parametrize("name", ["gru", "slstm"])
def test_opcheck(name: str) -> None:
    inputs = make_inputs(CELLS[name], dtype=torch.float32)
    key = CELLS[name].kernel_key
    full = (*inputs.leaves(), LENGTHS, key, "auto", True)
    opcheck(ops.forward, full)
    opcheck(ops.forward, (*inputs.leaves()[:3], None, None, key, "reference", True))
    leaves = [leaf.detach() for leaf in inputs.leaves()]
    results = ops.forward(*leaves, LENGTHS, key, "reference", True)
    adjoints = [torch.randn_like(result) for result in results]
    opcheck(ops.backward, (*leaves, LENGTHS, results, *adjoints, key, "reference"))
    opcheck(ops.backward, (*leaves[:3], None, None, results, adjoints[0], None, key, "auto"))


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_compiles_as_one_graph(name: str) -> None:
    found = ALL_CELLS[name]

    def loss(wx: Tensor, r: Tensor, b: Tensor, initial: Tensor) -> Tensor:
        states, last = rnn(wx * 2, r, b, cell=found, initial=initial)
        return states[0].square().sum() + last.sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    leaves = make_inputs(found).leaves()
    torch.testing.assert_close(compiled(*leaves), loss(*leaves))
    ours = torch.autograd.grad(compiled(*leaves), leaves)
    for grad, truth in zip(ours, torch.autograd.grad(loss(*leaves), leaves), strict=True):
        torch.testing.assert_close(grad, truth)


@pytest.mark.parametrize(
    ("name", "dtype"), [("gru", torch.float32), ("lstm", torch.bfloat16)], ids=str
)
def test_compiles_once_for_every_length_of_sequence(name: str, dtype: torch.dtype) -> None:
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")

    def total(wx: Tensor, r: Tensor, lengths: Tensor) -> Tensor:
        return rnn(wx, r, cell=name, lengths=lengths)[0].float().sum()

    compiled = torch.compile(total, fullgraph=True, dynamic=True, backend=counter)
    for steps in (5, 6, 9):  # no other size is 5, so that sizes stay independent
        inputs = make_inputs(CELLS[name], (3, steps, 2, 7), dtype, seed=steps)
        lengths = torch.tensor([steps, 0, 2])
        ours = torch.autograd.grad(compiled(inputs.wx, inputs.r, lengths), inputs.wx)
        theirs = torch.autograd.grad(total(inputs.wx, inputs.r, lengths), inputs.wx)
        torch.testing.assert_close(ours, theirs)
    assert counter.frame_count == 1


def test_a_bidirectional_module_with_lengths_compiles_as_one_graph() -> None:
    torch.manual_seed(0)
    module = LSTM(5, 8, 2, bidirectional=True, proj_size=3)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x, lengths = torch.randn(6, 3, 5), torch.tensor([6, 0, 2])
    initial = torch.randn(4, 3, 3), torch.randn(4, 3, 8)
    for got, expected in zip(
        [*compiled(x, initial, lengths=lengths)[1]],
        [*module(x, initial, lengths=lengths)[1]],
        strict=True,
    ):
        torch.testing.assert_close(got, expected)


def test_a_compiled_model_trains() -> None:
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"rnn": LSTM(2, 16, num_heads=2), "out": torch.nn.Linear(16, 1)})
    x = torch.rand(12, 32, 2)
    target = x.prod(2).sum(0)

    def predict(x: Tensor) -> Tensor:
        return model["out"](model["rnn"](x)[0][-1]).squeeze(1)

    compiled = torch.compile(predict, fullgraph=True, backend="aot_eager")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = (compiled(x) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_runs_in_its_dtype(dtype: torch.dtype) -> None:
    inputs = make_inputs(CELLS["lstm"], dtype=torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        states, last = rnn(*inputs.leaves()[:3], initial=inputs.initial)
    assert states.dtype == last.dtype == dtype
    cast = [leaf.detach().to(dtype).requires_grad_() for leaf in inputs.leaves()]
    expected, _ = rnn(*cast[:3], initial=cast[3])
    assert torch.equal(states, expected)
    # backward runs outside autocast, and gradients come in the dtype of the parameters
    grads = torch.autograd.grad(states.sum(), inputs.leaves())
    for grad, truth in zip(grads, torch.autograd.grad(expected.sum(), cast), strict=True):
        assert grad.dtype == torch.float32
        assert torch.equal(grad, truth.float())


def test_a_second_derivative_is_a_clear_error() -> None:
    inputs = make_inputs(minimal_gated_unit)
    states, _ = rnn(*inputs.leaves()[:3], cell=minimal_gated_unit)
    (first,) = torch.autograd.grad(states.sum(), inputs.wx, create_graph=True)
    with pytest.raises(DerivativeError, match="rnn has no second derivative"):
        first.sum().backward()


def test_a_gradient_after_forward_without_it_is_a_clear_error() -> None:
    inputs = make_inputs(CELLS["elman"])
    key = CELLS["elman"].kernel_key
    states, _ = ops.forward(*inputs.leaves(), None, key, "reference", False)
    with pytest.raises(DerivativeError, match="needs_grad=False"):
        states.sum().backward()


def test_unused_results_cost_no_gradient() -> None:
    inputs = make_inputs(CELLS["lstm"])
    states, last = rnn(*inputs.leaves()[:3], initial=inputs.initial)
    from_last = torch.autograd.grad(last.sum(), inputs.leaves(), retain_graph=True)
    from_both = torch.autograd.grad(last.sum() + 0 * states.sum(), inputs.leaves())
    for one, both in zip(from_last, from_both, strict=True):
        torch.testing.assert_close(one, both)


def test_no_gradient_no_graph() -> None:
    inputs = make_inputs(CELLS["lstm"])
    with torch.no_grad():
        states, _ = rnn(*inputs.leaves()[:3])
    assert not states.requires_grad
    with torch.inference_mode():
        assert torch.equal(rnn(*inputs.leaves()[:3])[0], states)


def test_shapes_without_data() -> None:
    inputs = make_inputs(CELLS["slstm"])
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = [mode.from_tensor(leaf) for leaf in inputs.leaves()]
        states, last = rnn(*fake[:3], cell="slstm", initial=fake[3])
    assert states.shape == (4, 3, 5, 2, 4)
    assert last.shape == (4, 3, 2, 4)
    outputs, (h, c) = LSTM(5, 8, 2, device="meta")(torch.empty(6, 3, 5, device="meta"))
    assert outputs.shape == (6, 3, 8)
    assert h.shape == c.shape == (2, 3, 8)
    assert {outputs.device.type, h.device.type} == {"meta"}


def gpu_leaves(name: str, device: str = "cuda") -> list[Tensor]:
    leaves = make_inputs(CELLS[name], (4, 17, 2, 64), torch.bfloat16).leaves()
    return [leaf.detach().to(device).requires_grad_() for leaf in leaves]


def outputs_and_grads(name: str, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    states, last = rnn(*leaves[:3], cell=name, initial=leaves[3])
    return states, last, *torch.autograd.grad(states.sum() + last.sum(), leaves)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_runs_on_the_device_of_its_inputs() -> None:
    first = outputs_and_grads("lstm", gpu_leaves("lstm", "cuda:0"))
    second = outputs_and_grads("lstm", gpu_leaves("lstm", "cuda:1"))
    for ours, other in zip(first, second, strict=True):
        assert other.device.index == 1
        assert torch.equal(ours.cpu(), other.cpu())
