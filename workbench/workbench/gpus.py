"""What a thread block may use on a few GPUs: the limits that a kernel's launch has to respect.

Multiprocessors: NVIDIA's architecture whitepapers (A100; H100; GA102 for the RTX 3090) and the
H200 data sheet. Shared memory and registers: the table of technical specifications per compute
capability (8.0, 8.6, 9.0) in the CUDA C++ Programming Guide; shared memory is the most that one
block can have after opting in, 163, 99 and 227 KiB.
"""

from __future__ import annotations

from dataclasses import dataclass

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Gpu:
    """Limits of a GPU: multiprocessors, shared memory per block (bytes), registers (32 bit)."""

    name: str
    multiprocessors: int
    shared_memory: int
    registers: int = 65_536


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("A100", 108, 163 * _KIB),
        Gpu("H100", 132, 227 * _KIB),
        Gpu("H200", 132, 227 * _KIB),
        Gpu("RTX 3090", 82, 99 * _KIB),
    )
}


def find_gpu(name: str) -> Gpu:
    """Return the limits of a GPU by its name.

    Raises
    ------
    ValueError
        No such row; the message lists those there are.
    """
    if name not in GPUS:
        raise ValueError(f"unknown GPU {name!r}; known: {', '.join(GPUS)}")
    return GPUS[name]
