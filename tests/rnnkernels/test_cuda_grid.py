"""The grid strategy without a GPU: what is launched, and that every kernel compiles and fits.

Results are compared with the reference on a GPU by the tests marked `gpu`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from test_cuda_cluster import A100, BF16, F16, F32, GPUS, H200, planned, problem, usage

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from rnnkernels.gpus import Gpu

grid = pytest.importorskip("rnnkernels.cuda.grid", reason="needs cuda-core")

from rnnkernels.cuda.compile import cubin  # noqa: E402 - after the check that it can be imported

# Every cell, dtype and architecture; R all in registers, in shared memory too, and read again.
COMPILED = [
    ("lstm", 1024, BF16, 16, "sm_90a"),
    ("lstm", 2048, BF16, 16, "sm_90a"),
    ("lstm", 2560, BF16, 16, "sm_90a"),
    ("lstm", 2560, F16, 65, "sm_90a"),
    ("lstm", 1024, F32, 16, "sm_90a"),
    ("lstm", 256, BF16, 16, "sm_80"),
    ("gru", 1024, BF16, 16, "sm_90a"),
    ("gru", 2048, BF16, 16, "sm_80"),
    ("slstm", 1024, F16, 16, "sm_90a"),
    ("slstm", 2560, BF16, 65, "sm_100a"),
    ("elman", 2048, BF16, 16, "sm_90a"),
    ("elman", 2560, F32, 3, "sm_100a"),
    ("minimal_gated_unit", 2048, F16, 3, "sm_90a"),
]


@pytest.mark.parametrize(("cell", "head_dim", "dtype", "batch", "arch"), COMPILED)
def test_compiles_without_spilling(  # noqa: PLR0917 - a row of the table
    cell: str, head_dim: int, dtype: torch.dtype, batch: int, arch: str, tmp_path: Path
) -> None:
    p = problem(cell, head_dim, dtype, batch=batch)
    for backward, dstates in ((False, False), (True, False), (True, True)):
        plan = planned(p, GPUS[arch], "grid", backward=backward)
        source = grid.source(p, plan, backward=backward, dstates=dstates)
        used = usage(cubin(source, arch), tmp_path)
        assert used["STACK"] == used["LOCAL"] == 0, used
        assert used["REG"] * 32 * plan.warps <= 65536


@pytest.mark.parametrize("gpu", GPUS.values(), ids=GPUS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "slstm", "elman"])
@pytest.mark.parametrize("dtype", [BF16, F32], ids=str)
def test_every_plan_is_resident_and_covers_the_problem(
    gpu: Gpu, cell: str, dtype: torch.dtype
) -> None:
    for head_dim in (256, 768, 1000, 1024, 2048, 2560):
        for batch, heads in ((1, 1), (16, 3), (300, 1)):
            p = problem(cell, head_dim, dtype, batch=batch, heads=heads)
            for backward in (False, True):
                plan = planned(p, gpu, "grid", backward=backward)
                assert plan.grid(p).cooperative
                assert plan.grid(p).blocks <= gpu.multiprocessors
                assert plan.shared <= gpu.shared_memory
                assert plan.blocks * plan.units >= head_dim
                assert plan.tile * plan.jobs(p) >= batch * heads


def test_what_is_supported() -> None:
    for gpu in (A100, H200):
        for dtype in (BF16, F16, F32):
            for backward in (False, True):
                p = problem("lstm", 2560, dtype)
                assert planned(p, gpu, "grid", backward=backward) is not None
    assert planned(problem("lstm", 10_000), H200, "grid") is None
    found = grid.missing(problem("lstm", 10_000), H200)
    assert re.search(r"head_dim 10000 with 4 gates.*132 multiprocessors", found)
