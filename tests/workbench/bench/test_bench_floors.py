"""Bounds and floors against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from rnnkernels.gpus import find_gpu
from workbench.bench import floors
from workbench.bench.case import Case
from workbench.bench.problem import Problem, allowed, relative, rotation
from workbench.errors import WorkbenchError

CASE = Case("auto", "lstm", "bfloat16", "forward", 16, 1024, 12, 64)
CPU = torch.device("cpu")


def test_bytes_and_products_of_an_lstm() -> None:
    elements = 16 * 1024 * 12 * 64
    assert floors.moved(CASE) == 2 * elements * (4 + 2)  # four gates in, h and c out
    assert floors.products(CASE) == 2 * elements * 64 * 4
    both = replace(CASE, direction="both")
    # c in float32 out and in; W x, h, dh in and the gradient of W x out
    assert floors.moved(both) == 2 * elements * 6 + 2 * 4 * elements + 2 * elements * 10
    assert floors.products(both) == 3 * floors.products(CASE)
    elman = replace(both, cell="elman", dtype="float32")
    assert floors.moved(elman) == 4 * elements * (2 + 4)


def test_a_step_takes_at_least_the_barrier_of_those_that_hold_r() -> None:
    sizes = {64: 14.1, 128: 14.1, 256: 183, 768: 183, 1024: 727}  # 4 D D bfloat16 in 483 KiB each
    for head_dim, barrier in sizes.items():
        found = floors.step_ns(replace(CASE, head_dim=head_dim))
        assert found == pytest.approx(barrier + 13.7 + 46)
    elman = replace(CASE, cell="elman", head_dim=1024)  # a quarter of the LSTM's
    assert floors.step_ns(elman) == pytest.approx(183 + 13.7 + 46)


def test_a_cpu_has_no_floors() -> None:
    assert floors.current_gpu(CPU) is None
    assert floors.floors(CASE, None) is None


def test_floors_are_in_ms_at_the_peaks_of_the_gpu() -> None:
    found = floors.floors(CASE, find_gpu("H200"))
    assert found is not None
    assert found["bytes"] == pytest.approx(floors.moved(CASE) / 4.8e12 * 1e3)
    assert found["products"] == pytest.approx(floors.products(CASE) / 989e12 * 1e3)
    assert found["steps"] == pytest.approx(1024 * 73.8e-6)
    assert "steps" not in (floors.floors(CASE, find_gpu("A100")) or {})  # measured on Hopper alone
    assert floors.floors(replace(CASE, backend="nn"), find_gpu("H200")) is None


def test_the_bound_comes_from_the_type_and_the_sums() -> None:
    assert allowed(CASE, "h") == pytest.approx(4 * 2**-7 + 8 * 2**-23)
    single = replace(CASE, dtype="float32")
    assert allowed(single, "h") == pytest.approx(12 * 2**-23)
    assert allowed(single, "dr") == pytest.approx((4 + 128) * 2**-23)


def test_a_wrong_result_is_found_wrong() -> None:
    problem = Problem(replace(CASE, dtype="float32", batch=2, steps=5, heads=1), CPU)
    truth = problem.truth()
    found = problem.results("reference", torch.float32, "both")
    for name, exact in truth.items():
        bound = allowed(problem.case, name)
        assert relative(found[name], exact) <= bound
        spoilt = found[name].clone()
        spoilt.view(-1)[3] += 1e-3 * spoilt.norm()
        assert relative(spoilt, exact) > bound
        assert not relative(torch.full_like(spoilt, torch.nan), exact) <= bound


def test_inputs_are_rotated_beyond_a_cache() -> None:
    gpu = torch.device("cuda")
    assert [rotation(size, gpu) for size in (1, 30_000_000, 10**9)] == [32, 5, 2]
    problem = Problem(replace(CASE, batch=1, steps=4, heads=1), CPU)
    assert len(problem.wx) == problem.sets
    assert not torch.equal(problem.wx[0], problem.wx[1])


def test_a_case_names_what_is_known() -> None:
    with pytest.raises(WorkbenchError, match="unknown cell 'rwkv'; known: lstm, gru"):
        replace(CASE, cell="rwkv")
    with pytest.raises(WorkbenchError, match="steps: expected at least 1, got 0"):
        replace(CASE, steps=0)
    assert Case.of(CASE.as_dict() | {"ms": 1.0}) == CASE
