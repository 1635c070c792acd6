"""Units that fill the last 16 bytes of a row change nothing: the CUDA backend over a reference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rnn_inputs import ALL_CELLS, make_inputs
from rnnkernels import reference

backend = pytest.importorskip("rnnkernels.cuda.backend", reason="needs cuda-core")

from rnnkernels.cuda.sizes import whole_rows  # noqa: E402 - after the check that it can be imported
from rnnkernels.definition import by_key  # noqa: E402
from rnnkernels.problem import Problem  # noqa: E402


class ByReference:
    """A strategy that runs the reference, and notes the head_dim that it is given."""

    head_dims: set[int]

    def __init__(self) -> None:
        self.head_dims = set()

    def forward(self, problem: Problem, *tensors: Any) -> Any:
        self.head_dims |= {problem.head_dim, *(t.shape[-1] for t in tensors[:4] if t is not None)}
        return reference.forward(problem, *tensors[:-1])

    def backward(self, problem: Problem, *tensors: Any) -> Any:
        *inputs, states, saved, dstates, dlast, _plan = tensors
        given = (*inputs[:4], states, *saved, dstates, dlast)
        self.head_dims |= {problem.head_dim, *(t.shape[-1] for t in given)}
        return reference.backward(problem, *inputs, states, dlast, saved, dstates, dlast)


@pytest.fixture
def strategy(monkeypatch: pytest.MonkeyPatch) -> ByReference:
    found = ByReference()
    choice = SimpleNamespace(config=SimpleNamespace(strategy="reference"), layout=None)
    monkeypatch.setitem(backend.STRATEGIES, "reference", found)
    monkeypatch.setattr(backend, "choice_of", lambda *_, **__: choice)
    return found


def test_rows_are_whole() -> None:
    sizes = [(1, torch.bfloat16), (8, torch.float16), (257, torch.float32), (260, torch.float32)]
    assert [whole_rows(*size) for size in sizes] == [8, 8, 260, 260]


@pytest.mark.parametrize("head_dim", [5, 8])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ALL_CELLS)
def test_added_units_change_nothing(
    name: str, dtype: torch.dtype, head_dim: int, strategy: ByReference
) -> None:
    cell = by_key(ALL_CELLS[name].kernel_key)
    shape = (3, 6, 2, head_dim)
    options = {"initial": True, "lengths": True, "needs_grad": True}
    problem = Problem(cell, *shape, dtype, torch.device("cpu"), **options)
    leaves = make_inputs(cell, shape, dtype, seed=3, requires_grad=False).leaves()
    call = (problem, *leaves, torch.tensor([6, 0, 4], dtype=torch.int32))
    dstates = torch.randn(len(cell.states), *shape).to(dtype)

    states, last, saved = reference.forward(*call)
    after = (states, last, saved, dstates, dstates[:, :, 0])
    expected = (states, last, *saved, *reference.backward(*call, *after))
    states, last, saved = backend.forward(*call)
    after = (states, last, saved, dstates, dstates[:, :, 0])
    found = (states, last, *saved, *backend.backward(*call, *after))

    assert strategy.head_dims == {whole_rows(head_dim, dtype)}
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.is_contiguous()
        torch.testing.assert_close(ours, theirs)
