"""What no kernel can beat: its bytes, its products, its steps one after another.

Bytes and products at the peaks of the GPU's row in `rnnkernels.gpus` (data sheets). The latency of
a step was measured on an H200 (`data/reference/floors_h200.jsonl`); GPUs of the same chip use it,
for others there is no floor of steps.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from rnnkernels import CELLS, RnnError
from rnnkernels.gpus import Gpu

from workbench.bench.case import BOTH, KERNELS, Case

if TYPE_CHECKING:
    import torch

# Nanoseconds of one exchange of h by its bytes: in a cluster of 8 blocks, and through L2.
_CLUSTER_NS = ((2048, 342.0), (8192, 625.0), (24576, 1121.0))
_GPU_NS = ((2048, 1159.0), (24576, 2450.0), (65536, 4476.0))
_BARRIER_NS, _POINTWISE_NS, _MMA_NS = 20.0, 46.0, 13.7
_SAME_CHIP = ("H100", "H200")
_ITEMSIZE = {"bfloat16": 2, "float16": 2, "float32": 4}
_SAME_WORK = (*KERNELS, "compiled", "vanilla")


def floors(case: Case, device: torch.device) -> dict[str, float] | None:
    """Return floors in ms, None where none is known: on a CPU, or for another kind of work."""
    if device.type != "cuda" or case.backend not in _SAME_WORK:
        return None
    try:
        gpu = Gpu.current(device)
    except RnnError:
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
    """Return the least a step takes: an exchange of 8 rows of h, products in a chain, the cell.

    Up to head_dim 64 a barrier within a block, up to 512 a cluster, else through L2.
    """
    if case.head_dim <= 64:
        exchange = _BARRIER_NS
    else:
        exchange = _between(_CLUSTER_NS if case.head_dim <= 512 else _GPU_NS, 16 * case.head_dim)
    return exchange + _POINTWISE_NS + max(1.0, case.head_dim / 64) * _MMA_NS


def _between(points: tuple[tuple[int, float], ...], size: int) -> float:
    """Interpolate, and go on from the last two points beyond them."""
    pairs = list(itertools.pairwise(points))
    (x0, y0), (x1, y1) = next((p for p in pairs if size <= p[1][0]), pairs[-1])
    return y0 + (y1 - y0) * max(size - x0, 0) / (x1 - x0)
