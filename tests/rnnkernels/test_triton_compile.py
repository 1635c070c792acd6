"""Triton kernels compile to machine code without a GPU, and keep to its registers and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from rnn_inputs import minimal_gated_unit
from rnnkernels.cells import CELLS
from rnnkernels.errors import CompileError
from rnnkernels.problem import Problem
from rnnkernels.triton import fused
from rnnkernels.triton.compile import Build, code, compiled, usage

if TYPE_CHECKING:
    from pathlib import Path

    from rnnkernels.definition import Cell

# shared memory that one program can have, in bytes
SM_80, SM_90 = (8, 0), (9, 0)
ROOM = {SM_80: 163 * 1024, SM_90: 227 * 1024}
CELLS_SHIPPED = {**CELLS, "minimal_gated_unit": minimal_gated_unit}


def problem(cell: Cell, head_dim: int, dtype: torch.dtype, *, options: bool) -> Problem:
    sizes = (16, 1024, 12, head_dim)
    return Problem(cell, *sizes, dtype, torch.device("cuda", 0), options, options, needs_grad=True)


def builds(cell: Cell, head_dim: int, dtype: torch.dtype, *, options: bool) -> list[Build]:
    asked = problem(cell, head_dim, dtype, options=options)
    backward = fused.backward_build(asked, has_dstates=True, has_dlast=options)
    return [fused.forward_build(asked), backward]


@pytest.mark.parametrize("capability", [SM_80, SM_90], ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("head_dim", [16, 32, 64, 128])
@pytest.mark.parametrize("cell", CELLS_SHIPPED)
def test_kernels_fit_registers_and_shared_memory(
    cell: str, head_dim: int, capability: tuple[int, int], tmp_path: Path
) -> None:
    for dtype in (torch.bfloat16, torch.float32):
        if head_dim > fused.largest(dtype):
            continue
        # with initial states, lengths and a gradient of `last`: what needs most registers
        for build in builds(CELLS_SHIPPED[cell], head_dim, dtype, options=True):
            used = usage(build, capability, tmp_path)
            states = len(CELLS_SHIPPED[cell].states)
            allowed = fused.SPILLED.get((states, head_dim), fused.SPILLED_ELSEWHERE)
            assert used.spilled <= allowed, build
            assert used.registers * 32 * build.warps <= 65536
            assert used.shared <= ROOM[capability]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_time_step_waits_at_two_barriers_only(dtype: torch.dtype) -> None:
    # h (or dr) goes through shared memory; tiles to and from memory must not
    for build in builds(CELLS["lstm"], 64, dtype, options=False):
        ptx = compiled(build, SM_90).asm["ptx"]
        loop = max(ptx.split("\n$L__BB"), key=lambda block: block.count("mma.sync"))
        assert loop.count("mma.sync") == 4 * 64 * 64 // (8 * 16) // build.warps
        assert loop.count("bar.sync") == 2


def test_shared_memory_is_estimated_from_above(tmp_path: Path) -> None:
    for head_dim, dtype in ((64, torch.bfloat16), (128, torch.float16), (64, torch.float32)):
        asked = problem(CELLS["lstm"], head_dim, dtype, options=False)
        for build in builds(CELLS["lstm"], head_dim, dtype, options=False):
            used = usage(build, SM_90, tmp_path).shared
            assert 0.5 * fused.shared_bytes(asked) < used <= fused.shared_bytes(asked)


def test_a_kernel_that_does_not_compile_says_which() -> None:
    build = builds(CELLS["elman"], 16, torch.float32, options=False)[0]
    constants = tuple((k, "none" if k == "PRECISION" else v) for k, v in build.constants)
    wrong = Build(build.cell, build.template, build.pointers, build.scalars, constants, 1)
    with pytest.raises(CompileError, match="fused_forward of cell elman does not compile"):
        code(wrong, SM_90)
