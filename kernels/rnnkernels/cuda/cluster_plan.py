"""Which launch the cluster strategy makes of a problem: everything it chooses is a `Plan`.

The byte counts are those of the constants in cluster_forward.cu and cluster_backward.cu, which
refuse to compile if the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from math import gcd
from typing import TYPE_CHECKING

import torch

from rnnkernels.cuda.launch import Gpu, Grid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rnnkernels.problem import Problem

REGISTERS = 65536  # of an SM, 32 bits each, on every architecture from sm_80 on


def _up(n: int, to: int) -> int:
    return to * _parts(n, to)


def _parts(n: int, of: int) -> int:
    """Return n / of, rounded up."""
    return (n + of - 1) // of


_MAGNIFYING = {"exp", "log", "div", "sqrt"}


def chunk(problem: Problem) -> int:
    """Return the bytes of the widest copy that every row of a tensor starts at a multiple of."""
    return gcd(16, problem.head_dim * problem.dtype.itemsize)


def product_type(problem: Problem) -> torch.dtype:
    """Return the type in which backward gets R h.

    Float32 where the equations magnify what rounding it would leave: gates that differ from those
    of forward by 0.4 % moved the gradients of sLSTM by 3 %.
    """
    operations = {node.op for node in problem.cell.forward.nodes}
    return torch.float32 if operations & _MAGNIFYING else problem.dtype


@dataclass(frozen=True)
class Plan:
    """How a kernel is laid out; the names are those of the constants in the templates."""

    cluster: int  # blocks that share a head's units
    tile: int  # batch rows: 4, or a multiple of 8
    warps: int  # that compute
    copiers: int  # further warps, that fetch inputs and write results
    split: int  # warps that share a sum over K
    ring: int  # stages of inputs in shared memory
    resident: int  # tiles of K of R in registers; the others are in shared memory
    registers: int  # a computing thread takes from the copying ones, 0: as many as they
    shared: int  # bytes

    @property
    def copy_registers(self) -> int:
        """Registers that a copying thread is left with, 0: as many as a computing one."""
        if not self.registers:
            return 0
        total = _equal_registers(self.warps + self.copiers) * (self.warps + self.copiers)
        return (total - self.warps * self.registers) // self.copiers // 8 * 8

    def clusters(self, problem: Problem) -> int:
        """Return how many clusters the launch has."""
        return problem.heads * _parts(problem.batch, self.tile)

    def grid(self, problem: Problem) -> Grid:
        """Return the launch of this plan."""
        threads = 32 * (self.warps + self.copiers)
        return Grid(self.clusters(problem) * self.cluster, threads, self.shared, self.cluster)


@dataclass(frozen=True)
class Sizes:
    """What both kernels derive from head_dim, dtype and cell; in elements unless said."""

    gates: int
    states: int
    distinct: int
    biases: int
    reads_h: bool
    dim: int
    size: int  # bytes of an element
    product: int  # bytes of an element of R h as backward reads it
    moves: bool  # the GPU lets warps hand registers over

    @classmethod
    def of(cls, problem: Problem, device: Gpu) -> Sizes:
        """Return the sizes of a problem on a GPU."""
        cell = problem.cell
        return cls(
            len(cell.gates),
            len(cell.states),
            sum(cell.distinct),
            cell.biases,
            cell.uses_state[0],
            problem.head_dim,
            problem.dtype.itemsize,
            product_type(problem).itemsize,
            device.max_cluster > 1,
        )

    @property
    def k(self) -> int:
        """Elements of K in a tile of 32 bytes."""
        return 32 // self.size

    @property
    def splitting(self) -> int:
        """Registers that products of float32 take for the halves of their factors."""
        return 136 if self.size == 4 else 0

    @property
    def slab(self) -> int:
        """Units of a forward warp: as many as fill whole tiles of 16 rows with their gates."""
        return 16 if self.gates % 2 else 8


def _copiers(warps: int) -> int:
    """Return how many warps copy beside so many that compute."""
    return 1 if warps <= 2 else _up(warps + 1, 4) - warps


def _equal_registers(warps: int) -> int:
    """Return the registers of a thread if all have as many; four warps get theirs at once."""
    return min(255, REGISTERS // (32 * _up(warps, 4)) // 8 * 8)


def _resident(
    z: Sizes, warps: int, copiers: int, *, others: int, per_tile: int, tiles: int
) -> tuple[int, int]:
    """Return how many tiles of K fit into registers, and the registers a thread must ask for.

    Only if the tiles do not fit, computing warps take registers from copying ones, which need 56.
    """
    equal = _equal_registers(warps + copiers)
    fit = min(tiles, max(0, equal - others) // per_tile)
    if fit == tiles or not z.moves or warps % 4 or copiers % 4:
        return fit, 0
    asked = min(232, (equal * (warps + copiers) - copiers * 56) // warps // 8 * 8)
    return (min(tiles, max(0, asked - others) // per_tile), asked) if asked > equal else (fit, 0)


def forward_layout(
    z: Sizes, *, cluster: int, tile: int, split: int, ring: int, others: int = 72
) -> Plan:
    """Return the forward plan of these choices; `others`: registers a thread keeps for all else."""
    units = _up(_parts(z.dim, cluster), z.slab)
    slabs = units // z.slab
    warps, copiers = slabs * split, _copiers(slabs * split)
    rows, columns = z.gates * z.slab // 16, _parts(tile, 8)
    tiles_k = _parts(_parts(z.dim, z.k), split)
    others += 4 * rows * columns + z.splitting
    resident, asked = _resident(z, warps, copiers, others=others, per_tile=4 * rows, tiles=tiles_k)
    width = max(tiles_k * split * z.k, cluster * units)
    shared = 2 * tile * (_up(width * z.size, 32) + 16)  # h
    shared += ring * tile * (z.gates * units * z.size + 16)  # wx
    shared += 2 * z.states * tile * (4 * units + 16)  # results
    shared += warps * rows * (tiles_k - resident) * 512  # R
    shared += slabs * (split - 1) * rows * columns * 512  # partial sums
    return Plan(cluster, tile, warps, copiers, split, ring, resident, asked, shared + 16)


def backward_layout(
    z: Sizes,
    *,
    cluster: int,
    tile: int,
    groups: int,
    split: int,
    ring: int,
    dstates: bool = True,
    others: int = 80,
) -> Plan:
    """Return the backward plan of these choices; `groups` of `split` warps share the rows of dh."""
    units = _up(_parts(z.dim, cluster), 8)
    warps, copiers = groups * split, _copiers(groups * split)
    rows, columns = _parts(_parts(cluster * units, 16), groups), _parts(tile, 8)
    tiles_k = _parts(_parts(z.gates * units, z.k), split)
    others += 4 * rows * columns
    others += z.splitting
    if cluster == 1:  # sums of db
        others += _parts(units // 8 * columns, warps) * z.biases
    resident, asked = _resident(z, warps, copiers, others=others, per_tile=4 * rows, tiles=tiles_k)
    line = units * z.size
    lines = z.gates + z.reads_h + (z.states if dstates else 0)
    wide = z.gates * z.product + (z.states - 1) * 4
    shared = ring * tile * (lines * line + wide * units + 16)  # inputs
    shared += tile * (tiles_k * split * 32 + 16)  # dr
    shared += tile * (z.distinct * line + 16) if z.distinct else 0  # dx where it differs
    share = z.size if cluster > 1 and tile > 4 else 4
    shared += (2 if cluster > 1 else 1) * cluster * split * tile * units * share  # shares of dh
    shared += warps * rows * (tiles_k - resident) * 512  # R
    shared += z.biases * units * 4
    return Plan(cluster, tile, warps, copiers, split, ring, resident, asked, shared + 16)


# Measured on an H200, LSTM, bfloat16, T 1024: one block is fastest while R is at most this many
# bytes (head_dim 64: 0.28 ms forward); beyond it, blocks of 32 units (head_dim 128: 0.86, 0.54,
# 0.52 ms for clusters of 1, 2, 4; 256: 0.72, 0.68 ms for 4, 8): an exchange costs all sizes alike.
_ONE_BLOCK = 66_000
_UNITS = 32
_TILES, _RINGS = (4, 8, 16, 32), (8, 6, 4, 3, 2)


def _cluster_size(z: Sizes, device: Gpu) -> int:
    if z.gates * z.dim**2 * z.size <= _ONE_BLOCK:
        return 1
    return min(device.max_cluster, 1 << (_parts(z.dim, _UNITS) - 1).bit_length())


def _resident_clusters(plan: Plan, device: Gpu) -> int:
    """Return how many clusters run at a time at full speed (the larger ones measured, 132 SMs)."""
    if plan.cluster == 1:  # 12 warps keep an SM busy: a second block makes both slower
        each = min(16 // _up(plan.warps + plan.copiers, 4), device.shared // plan.shared)
        return max(1, each) * device.sms
    return max(1, {2: 66, 4: 30, 8: 15, 16: 7}[plan.cluster] * device.sms // 132)


def _cost(problem: Problem, plan: Plan, device: Gpu, one_block: float) -> float:
    """Return the time of a step, in that of 4 batch rows, times the turns that the clusters take.

    Measured for tiles of 4 and 8: 0.28, 0.42 ms in one block, 1.99, 2.57 ms in a cluster of 16.
    `one_block`: what a further row costs there.
    """
    turns = _parts(plan.clusters(problem), _resident_clusters(plan, device))
    per_row = one_block if plan.cluster == 1 else 0.075
    return turns * (1 + per_row * (plan.tile - 4))


def _best(
    problem: Problem, device: Gpu, plans: Iterable[Plan], one_block: float = 0.12
) -> Plan | None:
    """Return the cheapest plan that fits, None if none does."""
    fitting = (p for p in plans if p.shared <= device.shared and p.warps + p.copiers <= 32)
    return min(fitting, key=lambda p: (_cost(problem, p, device, one_block), -p.ring), default=None)


@lru_cache(maxsize=4096)
def forward_plan(problem: Problem, device: Gpu) -> Plan | None:
    """Return the forward launch for a problem, or None if R does not fit."""
    z = Sizes.of(problem, device)
    layout = partial(forward_layout, z, cluster=_cluster_size(z, device), split=1)
    return _best(problem, device, (layout(tile=t, ring=r) for t, r in product(_TILES, _RINGS)))


@lru_cache(maxsize=4096)
def backward_plan(problem: Problem, device: Gpu, *, dstates: bool) -> Plan | None:
    """Return the backward launch for a problem, or None if R does not fit."""
    z = Sizes.of(problem, device)
    cluster = _cluster_size(z, device)
    rows = _parts(cluster * _up(_parts(z.dim, cluster), 8), 16)
    layout = partial(
        backward_layout,
        z,
        cluster=cluster,
        groups=min(rows, 8),
        split=2 if cluster == 1 and rows <= 4 else 1,
        dstates=dstates,
    )
    plans = (layout(tile=t, ring=r) for t, r in product(_TILES, _RINGS))
    return _best(problem, device, plans, one_block=0.2)
