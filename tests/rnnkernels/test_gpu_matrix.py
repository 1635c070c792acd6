"""Every backend on the GPU against float64: no less accurate than PyTorch in the same dtype."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import pytest
import torch
from gpu_cases import (
    BACKENDS,
    NAMES,
    Case,
    compile_all,
    covering,
    drawn,
    expected,
    given,
    run,
)
from rnnkernels import CELLS
from rnnkernels.errors import UnsupportedError
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.gpu
CASES = covering() + drawn()


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    if not torch.cuda.is_available():
        pytest.fail("make test-gpu needs a CUDA device, and torch sees none")
    if "PYTEST_XDIST_WORKER" not in os.environ:  # whose workers compile side by side anyway
        compile_all(CASES)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill what `empty` returns with NaN, so that an element nothing wrote is seen."""

    def filling(empty: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def filled(*args: object, **kwargs: object) -> Tensor:
            tensor = empty(*args, **kwargs)
            return tensor.fill_(math.nan if tensor.is_floating_point() else -7)

        return filled

    monkeypatch.setattr(torch, "empty", filling(torch.empty))
    monkeypatch.setattr(torch, "empty_like", filling(torch.empty_like))
    monkeypatch.setattr(torch.Tensor, "new_empty", filling(torch.Tensor.new_empty))


def results(case: Case, backend: str) -> tuple[Tensor, ...]:
    try:
        return run(case, expected(case)[0], backend, case.dtype)
    except UnsupportedError as error:
        if backend != "triton" or case.head_dim <= 64:
            raise  # has to run
        pytest.skip(str(error))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_error_is_at_most_twice_that_of_pytorch(case: Case, backend: str) -> None:
    ours = results(case, backend)
    _, exact, reference = expected(case)
    too_large = []
    for name, a, truth, b in zip(NAMES, ours, exact, reference, strict=False):
        error, theirs = ((x.double() - truth).abs().max().item() for x in (a, b))
        # Where the reference happens to be exact, half a unit in the last place is still fair.
        allowed = 2 * theirs + 0.5 * torch.finfo(case.dtype).eps * truth.abs().max().item()
        if not error <= allowed:  # also catches nan
            too_large.append(f"{name}: {error:.2e} > {allowed:.2e}")
    assert not too_large, "; ".join(too_large)
    again = results(case, backend)
    for name, first, second in zip(NAMES, ours, again, strict=False):
        assert torch.equal(first, second), f"{name} differs between two equal calls"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(16, 128, 12, 64), (16, 128, 1, 768)], ids=str)
def test_relative_error_of_h_in_bfloat16(
    cell: str, shape: tuple[int, int, int, int], backend: str
) -> None:
    case = Case(cell, torch.bfloat16, *shape)
    h = results(case, backend)[0][0].double()
    truth = expected(case)[1][0][0]
    assert (h - truth).norm() / truth.norm() <= 2.5e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_finished_rows_keep_their_states_and_get_no_gradient(backend: str) -> None:
    case = Case("lstm", torch.bfloat16, 5, 20, 2, 64, initial=True, lengths=True)
    states, last, dwx, *_ = results(case, backend)
    lengths = given(case).lengths
    assert lengths is not None
    for row, length in enumerate(lengths.tolist()):
        assert (states[:, row, length:] == 0).all()
        assert (dwx[row, length:] == 0).all()
        if length:
            assert torch.equal(last[0, row], states[0, row, length - 1])
