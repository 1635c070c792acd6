"""The cluster strategy without a GPU: what is launched, and that every kernel compiles and fits.

Results are compared with the reference on a GPU by the tests marked `gpu`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from rnn_inputs import ALL_CELLS
from rnnkernels.definition import by_key
from rnnkernels.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

cluster = pytest.importorskip("rnnkernels.cuda.cluster", reason="needs cuda-core")
triton = pytest.importorskip("triton", reason="brings the tool that reads cubins")

from rnnkernels.cuda.cluster_plan import (  # noqa: E402 - after the checks that it can be imported
    _equal_registers,
    backward_plan,
    forward_plan,
)
from rnnkernels.cuda.compile import architecture, cubin  # noqa: E402
from rnnkernels.cuda.launch import Gpu  # noqa: E402

A100 = Gpu((8, 0), 108, 166_912)
H200 = Gpu((9, 0), 132, 232_448)
B200 = Gpu((10, 0), 148, 232_448)
GPUS = {"sm_80": A100, "sm_90a": H200, "sm_100a": B200}
BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32


def problem(
    cell: str,
    head_dim: int,
    dtype: torch.dtype = BF16,
    *,
    batch: int = 16,
    heads: int = 1,
    tf32: bool = False,
) -> Problem:
    kernel_cell = by_key(ALL_CELLS[cell].kernel_key)
    device = torch.device("cuda")
    shape = (batch, 1024, heads, head_dim)
    return Problem(kernel_cell, *shape, dtype, device, needs_grad=True, tf32=tf32)


def sources(p: Problem, gpu: Gpu) -> Iterator[str]:
    """The forward kernel, and the backward one without and with gradients of all states."""
    yield cluster.forward_source(p, forward_plan(p, gpu))
    for dstates in (False, True):
        plan = backward_plan(p, gpu, dstates=dstates)
        yield cluster.backward_source(p, plan, dstates=dstates)


def usage(code: bytes, folder: Path) -> dict[str, int]:
    path = folder / "kernel.cubin"
    path.write_bytes(code)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    report = subprocess.run(
        [tool, "-res-usage", path], check=True, capture_output=True, text=True
    ).stdout
    return {key: int(n) for key, n in re.findall(r"(REG|STACK|LOCAL|SHARED):(\d+)", report)}


# Every cell, dtype and architecture, and each head_dim that takes another path: one unit, odd rows,
# rows of 4 bytes, one block, clusters of 2 to 16, R in registers and in shared memory.
COMPILED = [
    ("lstm", 1, BF16, "sm_90a"),
    ("lstm", 37, F32, "sm_90a"),
    ("lstm", 50, F16, "sm_90a"),
    ("lstm", 64, BF16, "sm_80"),
    ("lstm", 64, BF16, "sm_100a"),
    ("lstm", 64, F32, "sm_90a"),
    ("lstm", 96, F16, "sm_100a"),
    ("lstm", 256, BF16, "sm_90a"),
    ("lstm", 512, BF16, "sm_90a"),
    ("lstm", 768, BF16, "sm_90a"),
    ("lstm", 768, BF16, "sm_100a"),
    ("gru", 16, F32, "sm_80"),
    ("gru", 64, BF16, "sm_90a"),
    ("gru", 128, F16, "sm_90a"),
    ("gru", 768, BF16, "sm_90a"),
    ("slstm", 48, F16, "sm_80"),
    ("slstm", 64, BF16, "sm_90a"),
    ("slstm", 128, F32, "sm_90a"),
    ("slstm", 768, BF16, "sm_90a"),
    ("elman", 16, F16, "sm_90a"),
    ("elman", 64, BF16, "sm_80"),
    ("elman", 128, F32, "sm_100a"),
    ("elman", 1024, BF16, "sm_90a"),
    ("peephole_lstm", 64, BF16, "sm_90a"),
    ("minimal_gated_unit", 128, BF16, "sm_90a"),
    ("maxout", 40, F32, "sm_90a"),
]


@pytest.mark.parametrize(("cell", "head_dim", "dtype", "arch"), COMPILED)
def test_compiles_without_spilling(
    cell: str, head_dim: int, dtype: torch.dtype, arch: str, tmp_path: Path
) -> None:
    p = problem(cell, head_dim, dtype)
    for source in sources(p, GPUS[arch]):
        used = usage(cubin(source, arch), tmp_path)
        assert used["STACK"] == used["LOCAL"] == 0, used
        assert used["REG"] <= 255


@pytest.mark.parametrize("batch", [64, 256])
@pytest.mark.parametrize(("cell", "head_dim"), [("lstm", 64), ("gru", 64), ("lstm", 768)])
def test_large_batches_compile_without_spilling(
    cell: str, head_dim: int, batch: int, tmp_path: Path
) -> None:
    p = problem(cell, head_dim, batch=batch, heads=768 // head_dim)
    for source in sources(p, H200):
        used = usage(cubin(source, "sm_90a"), tmp_path)
        assert used["STACK"] == used["LOCAL"] == 0, used


def test_tf32_is_another_kernel() -> None:
    exact, tf32 = (problem("lstm", 64, F32, tf32=tf32) for tf32 in (False, True))
    plan = forward_plan(exact, H200)
    assert cluster.forward_source(exact, plan) != cluster.forward_source(tf32, plan)


@pytest.mark.parametrize("gpu", GPUS.values(), ids=GPUS)
@pytest.mark.parametrize("cell", ALL_CELLS)
@pytest.mark.parametrize("dtype", [BF16, F32], ids=str)
def test_every_plan_fits_and_never_waits_for_registers(
    gpu: Gpu, cell: str, dtype: torch.dtype
) -> None:
    for head_dim in (*range(1, 130, 7), 192, 256, 384, 500, 512, 768, 1024):
        for batch in (1, 16, 300):
            p = problem(cell, head_dim, dtype, batch=batch, heads=3)
            for plan in (forward_plan(p, gpu), backward_plan(p, gpu, dstates=True)):
                if plan is None:
                    continue
                warps = plan.warps + plan.copiers
                assert plan.shared <= gpu.shared
                assert warps <= 32
                assert plan.cluster <= gpu.max_cluster
                assert plan.tile * plan.clusters(p) >= 3 * batch
                if plan.registers:
                    moved = plan.warps * plan.registers + plan.copiers * plan.copy_registers
                    assert moved <= warps * _equal_registers(warps)
                    assert plan.copy_registers >= 24  # the least that setmaxnreg takes


def test_what_is_supported() -> None:
    for head_dim in (1, 64, 100, 128, 256, 500, 512, 768):
        assert cluster.unsupported(problem("lstm", head_dim), H200) is None
    assert cluster.unsupported(problem("lstm", 64), A100) is None
    assert re.search(r"head_dim 2560 with 4 gates.*16 blocks", reason(2560, H200))
    assert "1 blocks" in reason(256, A100)


def reason(head_dim: int, gpu: Gpu) -> str:
    found = cluster.unsupported(problem("lstm", head_dim), gpu)
    assert found is not None
    return found


def test_source_names_the_cell_and_architecture_decides_the_instructions() -> None:
    p = problem("gru", 64)
    source = cluster.forward_source(p, forward_plan(p, H200))
    assert "gates r u n" in source
    assert architecture(H200.capability) == "sm_90a"
