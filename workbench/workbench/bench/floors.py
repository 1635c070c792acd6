"""What no kernel can beat: its bytes, its products, its steps one after another.

Bytes and products at the peaks of the GPU's row in `rnnkernels.gpus` (data sheets). A step takes at
least a barrier, one product and the cell's arithmetic, as measured on an H200
(`data/reference/floors_h200.jsonl`); GPUs of the same chip use it, others have no floor of steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkernels import CELLS, RnnError
from rnnkernels.gpus import Gpu

from workbench.bench.case import BOTH, KERNELS, Case

if TYPE_CHECKING:
    import torch

# Nanoseconds, the least of each kind. A barrier of threads of one block, of a cluster, of blocks
# through L2; a dependent mma.sync; an LSTM's arithmetic with tanh.approx.
_BLOCK_NS, _CLUSTER_NS, _GPU_NS = 14.1, 183.0, 727.0
_MMA_NS, _POINTWISE_NS = 13.7, 46.0
_SM_BYTES = (227 + 256) * 1024  # shared memory and registers of a multiprocessor
_CLUSTER = 16  # multiprocessors at most
_SAME_CHIP = ("H100", "H200")
_ITEMSIZE = {"bfloat16": 2, "float16": 2, "float32": 4}
_SAME_WORK = (*KERNELS, "compiled", "vanilla")


def current_gpu(device: torch.device) -> Gpu | None:
    """Return the row of a device, None for a CPU or a GPU that is too old to have one."""
    if device.type != "cuda":
        return None
    try:
        return Gpu.current(device)
    except RnnError:
        return None


def floors(case: Case, gpu: Gpu | None) -> dict[str, float] | None:
    """Return floors in ms, None where none is known: on a CPU, or for another kind of work."""
    if gpu is None or case.backend not in _SAME_WORK:
        return None
    found = {
        "bytes": moved(case) / (gpu.bandwidth * 1e6),
        "products": products(case) / (gpu.peak * 1e9),
    }
    if gpu.name in _SAME_CHIP:
        found["steps"] = (2 if case.direction == BOTH else 1) * case.steps * step_ns(case) / 1e6
    return found


def moved(case: Case) -> int:
    """Return the bytes that have to cross the memory's bus, each once.

    Forward reads W x and writes all states. Backward, in addition, writes the states but h in
    float32 on the way, reads them with h, W x and the gradient of h, and writes that of W x.
    """
    cell, size = CELLS[case.cell], _ITEMSIZE[case.dtype]
    elements = case.batch * case.steps * case.heads * case.head_dim
    gates, states = len(cell.gates), len(cell.states)
    forward = size * elements * (gates + states)
    if case.direction != BOTH:
        return forward
    kept = 4 * elements * (states - 1) if size == 2 else 0
    return forward + kept + kept + size * elements * (gates + 1 + 1 + gates)


def products(case: Case) -> int:
    """Return the floating point operations: R h, and backward R^T dr and dR."""
    gates = len(CELLS[case.cell].gates)
    once = 2 * case.batch * case.steps * case.heads * case.head_dim**2 * gates
    return 3 * once if case.direction == BOTH else once


def step_ns(case: Case) -> float:
    """Return the least that a step takes: a barrier among those that hold R, a product, the cell.

    R (G D D) of a head lies in one multiprocessor if it fits, else in a cluster, else in all.
    """
    held = len(CELLS[case.cell].gates) * case.head_dim**2 * _ITEMSIZE[case.dtype]
    if held <= _SM_BYTES:
        barrier = _BLOCK_NS
    else:
        barrier = _CLUSTER_NS if held <= _CLUSTER * _SM_BYTES else _GPU_NS
    return barrier + _MMA_NS + _POINTWISE_NS
