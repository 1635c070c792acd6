"""The cluster strategy without a GPU: what is launched, and that every kernel compiles and fits.

Results are compared with the reference on a GPU by the tests marked `gpu`.
"""

from __future__ import annotations

import re
import subprocess
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from rnn_inputs import ALL_CELLS
from rnnkernels.definition import by_key
from rnnkernels.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

cluster = pytest.importorskip("rnnkernels.cuda.cluster", reason="needs cuda-core")
triton = pytest.importorskip("triton", reason="brings the tool that reads cubins")

from rnnkernels.cuda.backend import unplanned  # noqa: E402 - after the checks that it can be imported
from rnnkernels.cuda.compile import architecture, cubin  # noqa: E402
from rnnkernels.cuda.padding import padded  # noqa: E402
from rnnkernels.gpus import Gpu, find_gpu  # noqa: E402
from rnnkernels.plan import Call, layout_of, ranked  # noqa: E402

A100, H200, B200 = (find_gpu(name) for name in ("A100", "H200", "B200"))
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
    return padded(Problem(kernel_cell, *shape, dtype, device, needs_grad=True, tf32=tf32))


def planned(
    p: Problem, gpu: Gpu, strategy: str, *, backward: bool = False, dstates: bool = True
) -> Any:
    """What is launched of a strategy, None if nothing fits."""
    call = Call.of(p, gpu, backward=backward, dstates=dstates)
    found = ranked(call, strategy, top=1)
    return layout_of(call, found[0][1]) if found else None


def sources(p: Problem, gpu: Gpu) -> Iterator[str]:
    """The forward kernel, and the backward one without and with gradients of all states."""
    yield cluster.forward_source(p, planned(p, gpu, "cluster"))
    for dstates in (False, True):
        plan = planned(p, gpu, "cluster", backward=True, dstates=dstates)
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
    plan = planned(exact, H200, "cluster")
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
            for backward in (False, True):
                plan = planned(p, gpu, "cluster", backward=backward)
                if plan is None:
                    continue
                warps = plan.warps + plan.copiers
                assert plan.shared <= gpu.shared_memory
                assert warps <= 32
                assert plan.cluster <= gpu.max_cluster
                assert plan.tile * plan.clusters(p) >= 3 * batch
                if plan.registers:
                    moved = plan.warps * plan.registers + plan.copiers * plan.copy_registers
                    equal = 65536 // (128 * -(-warps // 4)) // 8 * 8  # that a launch starts with
                    assert moved <= warps * equal
                    assert plan.copy_registers >= 24  # the least that setmaxnreg takes


def test_what_is_supported() -> None:
    for cell, dtype in product(ALL_CELLS, (BF16, F16, F32)):
        for head_dim in (1, 64, 77, 257, 333, 512, 767, 1001, 2560):
            for gpu in (H200, A100):
                assert unplanned(problem(cell, head_dim, dtype), gpu) is None
    found = unplanned(problem("lstm", 10_000), H200)
    assert found is not None
    assert re.search(r"head_dim 10000 with 4 gates.*16 blocks.*132 multi.*alternating", found)


def test_source_names_the_cell_and_architecture_decides_the_instructions() -> None:
    p = problem("gru", 64)
    source = cluster.forward_source(p, planned(p, H200, "cluster"))
    assert "gates r u n" in source
    assert architecture(H200.capability) == "sm_90a"
