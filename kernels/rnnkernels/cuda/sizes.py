"""What every launch derives from the cell and the storage type, and a launch's dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from rnnkernels.definition import Cell
    from rnnkernels.problem import Problem

_MAGNIFYING = {"exp", "log", "div", "sqrt"}


@dataclass(frozen=True)
class Grid:
    """Blocks (a multiple of `cluster`), threads a block, dynamic shared memory in bytes."""

    blocks: int
    threads: int
    shared: int = 0
    cluster: int = 1
    cooperative: bool = False


def whole_rows(head_dim: int, dtype: torch.dtype) -> int:
    """Return the head_dim that runs: the kernels want rows of a multiple of 16 bytes."""
    step = 16 // dtype.itemsize
    return -(-head_dim // step) * step


def product_type(problem: Problem) -> torch.dtype:
    """Return the type in which backward gets R h.

    Float32 where the equations magnify what rounding it would leave: gates that differ from those
    of forward by 0.4 % moved the gradients of sLSTM by 3 %.
    """
    return torch.float32 if _magnifies(problem.cell) else problem.dtype


def _magnifies(cell: Cell) -> bool:
    return any(node.op in _MAGNIFYING for node in cell.forward.nodes)


@dataclass(frozen=True)
class Sizes:
    """What the formulas need of a cell and a type; in elements unless said."""

    gates: int
    states: int
    distinct: int  # gates whose dr is not their dx
    biases: int
    reads_h: bool  # the equations read h itself
    size: int  # bytes of an element
    product: int  # bytes of an element of R h as backward reads it
    steps: int  # operations of a cell's forward step
    back_steps: int  # and of its derivative
    fast: bool  # the equations take exp and tanh of the hardware, as exact as 16 bits can tell

    @classmethod
    def of(cls, cell: Cell, dtype: torch.dtype) -> Sizes:
        """Return the sizes of a cell stored in a type."""
        return cls(
            len(cell.gates),
            len(cell.states),
            sum(cell.distinct),
            cell.biases,
            cell.uses_state[0],
            dtype.itemsize,
            4 if _magnifies(cell) else dtype.itemsize,
            len(cell.forward.nodes),
            len(cell.backward.nodes),
            dtype.itemsize == 2,
        )

    @property
    def k(self) -> int:
        """Elements of K in a product tile of 32 bytes."""
        return 32 // self.size

    @property
    def splitting(self) -> int:
        """Registers that products of float32 take for the halves of their factors."""
        return 136 if self.size == 4 else 0

    @property
    def slab(self) -> int:
        """Units of a forward warp: as many as fill whole tiles of 16 rows with their gates."""
        return 16 if self.gates % 2 else 8

    @property
    def rows(self) -> int:
        """Product tiles of 16 rows that a slab's gates fill."""
        return self.gates * self.slab // 16
