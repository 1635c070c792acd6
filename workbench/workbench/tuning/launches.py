"""The launch space of a recurrent kernel, with its sliders for the configuration explorer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkernels.cells import CELLS
from rnnkernels.gpus import GPUS
from rnnkernels.space import DIRECTIONS, DTYPES, LAYOUTS, space

from workbench.widgets.controls import Choice, Range

if TYPE_CHECKING:
    from intsolver import Problem

SHAPE = (
    Choice("gpu", tuple(GPUS), "H200", "GPU"),
    Choice("cell", tuple(CELLS), "lstm"),
    Choice("head_dim", (16, 32, 64, 128, 256, 512, 768, 1024, 2048), 256, "head dimension"),
    Choice("heads", (1, 3, 6, 12, 24, 48), 3),
    Choice("batch", (1, 4, 8, 16, 32, 64, 128, 256), 16, "batch size"),
    Choice("dtype", tuple(DTYPES), "bfloat16", "data type"),
    Choice("direction", DIRECTIONS, "forward"),
    Choice("strategy", tuple(LAYOUTS), "cluster"),
)
LIMITS = (
    Range("shared_memory", 0, 256 * 1024, 1024, "shared memory", "B"),
    Range("registers", 0, 131_072, 1024),
    Range("multiprocessors", 1, 192),
    Range("block_threads", 32, 2048, 32, "threads per block"),
    Range("max_cluster", 1, 16, 1, "largest cluster", "blocks"),
)
_SHOWN = {control.name for control in LIMITS}


def launches(  # noqa: PLR0917 - the sliders, each with a default
    gpu: str = "H200",
    cell: str = "lstm",
    head_dim: int = 256,
    heads: int = 3,
    batch: int = 16,
    dtype: str = "bfloat16",
    direction: str = "forward",
    strategy: str = "cluster",
) -> Problem:
    """Return every launch of a strategy as a problem; its objective is the predicted cost.

    What the sliders of the shape say is put in as numbers; the GPU's limits stay parameters.

    Raises
    ------
    rnnkernels.ArgumentError
        As `rnnkernels.space.space`.
    """
    sizes = {"batch": batch, "heads": heads, "head_dim": head_dim}
    return space(
        cell, **sizes, dtype=dtype, direction=direction, gpu=gpu, strategy=strategy, free=_SHOWN
    )
