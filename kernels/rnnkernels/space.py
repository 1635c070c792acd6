"""The launches that a recurrent kernel may have on a GPU, as an integer constraint problem.

    space("lstm", batch=16, heads=12, head_dim=64, gpu="H200").solve().count

Variables are what a strategy leaves to choose: blocks of a cluster, batch rows of a tile, warps,
tiles of R in registers, the prefetch depth. Definitions are what follows, down to the bytes of
shared memory and the registers of a thread; constraints are the GPU's limits, in CUDA's words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from intsolver import Problem

from rnnkernels import cost
from rnnkernels.cells import find
from rnnkernels.cuda import cluster_plan, grid_plan
from rnnkernels.cuda.ledger import Integer, Ledger, Terms
from rnnkernels.cuda.sizes import Sizes
from rnnkernels.errors import ArgumentError
from rnnkernels.gpus import Gpu, find_gpu

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from intsolver import Condition

    from rnnkernels.definition import Cell


class Layout(Protocol):
    """What a strategy says about its launches; a module."""

    PARAMETERS: tuple[str, ...]
    FOLLOWING: tuple[str, ...]  # knobs that `formulas` can choose by `first_choice`

    def knobs(self, *, backward: bool) -> Mapping[str, tuple[int, ...]]:
        """Return what is free to choose, with its values."""
        ...

    def formulas(
        self,
        b: Ledger,
        z: Sizes,
        v: Mapping[str, Integer],
        *,
        backward: bool,
        dstates: bool = True,
    ) -> None:
        """Name what follows from the knobs and parameters `v`."""
        ...

    def limits(self, z: Sizes, k: Mapping[str, Integer], *, backward: bool) -> dict[str, Condition]:
        """Return the constraints by name."""
        ...

    def first_choice(self, k: Mapping[str, Integer], b: Ledger) -> Condition:
        """Return the constraint of a configuration worth planning."""
        ...


LAYOUTS: dict[str, Layout] = {
    "cluster": cast("Layout", cluster_plan),
    "grid": cast("Layout", grid_plan),
}
DIRECTIONS = ("forward", "backward")
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
_CLUSTER_FAMILIES = {9, 10}  # for which the kernels are written to use clusters


def space(
    cell: str | Cell = "lstm",
    *,
    batch: int = 16,
    heads: int = 12,
    head_dim: int = 64,
    dtype: str | torch.dtype = "bfloat16",
    direction: str = "forward",
    gpu: str | Gpu = "H200",
    strategy: str = "cluster",
    free: Collection[str] | None = None,
) -> Problem:
    """Return every launch of a strategy as a problem, whose objective is the predicted cost.

    `strategy`: "cluster" (one block, or a cluster of them, per head and batch tile) or "grid" (the
    whole GPU). Sizes and the GPU's limits are parameters, only those named by `free` if it is
    given; `picoseconds` is the predicted time of a step.

    Raises
    ------
    ArgumentError
        A size below 1, or an unknown cell, data type, direction, GPU or strategy.
    """
    row, backward = find_gpu(gpu), check(DIRECTIONS, direction, "direction") == "backward"
    check(LAYOUTS, strategy, "strategy")
    sizes = checked_sizes(batch=batch, heads=heads, head_dim=head_dim)
    z = Sizes.of(find(cell), as_dtype(dtype))
    values = parameters(row, **sizes)
    problem = declare(z, strategy, values, backward=backward, free=free)
    terms = Terms(problem)
    terms.values = _names(problem)
    cost.picoseconds(terms, z, terms.values, strategy, row, backward=backward)
    problem.objective = ("picoseconds", "min")
    return problem


def declare(
    z: Sizes,
    strategy: str,
    values: Mapping[str, int],
    *,
    backward: bool,
    dstates: bool = True,
    free: Collection[str] | None = None,
) -> Problem:
    """Return the problem of a strategy without its costs.

    `values` are the parameters' defaults; those not in `free`, if it is given, are put in as
    definitions.
    """
    layout = LAYOUTS[strategy]
    problem = Problem(f"{strategy} strategy, {'backward' if backward else 'forward'}")
    known: dict[str, Integer] = {}
    for name in layout.PARAMETERS:
        fixed = free is not None and name not in free
        make = problem.define if fixed else problem.param
        known[name] = make(name, values[name])
    for name, domain in layout.knobs(backward=backward).items():
        known[name] = problem.var(name, domain)
    terms = Terms(problem)
    layout.formulas(terms, z, known, backward=backward, dstates=dstates)
    known |= terms.values
    for name, condition in layout.limits(z, known, backward=backward).items():
        problem.add(condition, name=name)
    return problem


def parameters(gpu: Gpu, *, batch: int, heads: int, head_dim: int) -> dict[str, int]:
    """Return the values of all parameters: the sizes and the GPU's limits."""
    return {"batch": batch, "heads": heads, "head_dim": head_dim, **_of_gpu(gpu)}


@lru_cache(maxsize=64)
def _of_gpu(gpu: Gpu) -> dict[str, int]:
    clusters = gpu.max_cluster if gpu.capability[0] in _CLUSTER_FAMILIES else 1
    return {
        "registers": gpu.registers,
        "shared_memory": gpu.shared_memory,
        "block_threads": gpu.compute.block_threads,
        "multiprocessors": gpu.multiprocessors,
        "max_cluster": clusters,
        **{
            f"clusters_of_{size}": gpu.resident_clusters(size) if size <= clusters else 0
            for size in (2, 4, 8, 16)
        },
    }


def _names(problem: Problem) -> dict[str, Integer]:
    """Return a term for every parameter, variable and definition."""
    names = (*problem.params, *(v.name for v in problem.variables), *problem.definitions)
    return {name: problem.parse(name) for name in names}


def check(known: Mapping[str, object] | tuple[str, ...], given: str, what: str) -> str:
    """Return a name if it is known; raises ArgumentError with those that are."""
    if given not in known:
        raise ArgumentError(f"unknown {what} {given!r}; known: {', '.join(known)}")
    return given


def checked_sizes(**sizes: Any) -> dict[str, int]:
    """Return sizes that are integers from 1 on; raises ArgumentError."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ArgumentError(f"{name}: expected an integer from 1 on, got {size!r}")
    return sizes


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return a storage type of the kernels; raises ArgumentError for another."""
    if isinstance(dtype, str):
        check(DTYPES, dtype, "data type")
        return DTYPES[dtype]
    if dtype not in DTYPES.values():
        raise ArgumentError(f"data type {dtype}: expected one of {', '.join(DTYPES)}")
    return dtype
