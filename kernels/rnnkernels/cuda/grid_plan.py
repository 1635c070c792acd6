"""Which launch the grid strategy makes of a problem: everything it chooses is a `Plan`.

The byte counts are those of the constants in grid_common.cuh, which refuses to compile if the two
differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from rnnkernels.cuda.launch import Gpu, Grid

if TYPE_CHECKING:
    from rnnkernels.problem import Problem

_REGISTERS = 65536  # of an SM
_SUMS = 96  # registers of a thread that sums may take
_LIGHT = 5e6  # bytes of a step that may as well be asked for before they are there


def _parts(n: int, of: int) -> int:
    """Return n / of, rounded up."""
    return (n + of - 1) // of


@dataclass(frozen=True)
class Plan:
    """How a kernel is laid out; the names are those of the constants in grid_common.cuh."""

    blocks: int  # of a group: one head and `tile` batch rows
    groups: int  # at a time
    units: int  # of a block
    tile: int  # batch rows
    warps: int
    k_all: int  # length of the sums
    tiles_n: int  # eights of rows of R of a block
    resident: int  # pairs of product tiles of a warp in registers
    in_shared: int  # and in shared memory
    again: int  # and that are read again each step
    at_once: int  # pairs of the other factor that are asked for at once
    shared: int  # bytes
    alone: bool = True  # wait for one piece before asking for all

    def jobs(self, problem: Problem) -> int:
        """Return how many groups the problem takes in all."""
        return problem.heads * _parts(problem.batch, self.tile)

    def grid(self, problem: Problem) -> Grid:
        """Return one launch; `jobs` over `groups` of them, rounded up, run the problem."""
        groups = min(self.groups, self.jobs(problem))
        return Grid(groups * self.blocks, 32 * self.warps, self.shared, cooperative=True)

    def microseconds(self, problem: Problem) -> float:
        """Estimate the time of a step, all launches together.

        Measured on an H100: 1.4 us and the bytes that all blocks read through L2, at 2.6 TB/s;
        19 ns for the products of a pair, two warps to a scheduler.
        """
        active = min(self.groups, self.jobs(problem))
        rows = self.tile * self.k_all * problem.dtype.itemsize
        again = self.again * self.warps * self.tiles_n * 512
        pairs = self.resident + self.in_shared + self.again
        step = 1.4 + 0.15 * _parts(pairs, self.at_once)
        step += 0.019 * pairs * self.tiles_n * _parts(self.tile, 16)
        step += active * self.blocks * (rows + again) / 2.6e6
        return _parts(self.jobs(problem), self.groups) * step


def layout(
    problem: Problem,
    device: Gpu,
    *,
    tile: int,
    at_once: int,
    backward: bool,
    groups: int = 1,
    warps: int = 8,
) -> Plan | None:
    """Return the plan of these choices, or None if they take too many registers.

    `groups`: how many at least run at a time.
    """
    cell, dim, size = problem.cell, problem.head_dim, problem.dtype.itemsize
    gates, states = len(cell.gates), len(cell.states)
    units = 8 * _parts(_parts(dim, device.sms // groups), 8)
    blocks = _parts(dim, units)
    if groups > problem.heads * _parts(problem.batch, tile):
        return None
    k_all, tiles_n = (dim * gates, units // 8) if backward else (dim, gates * units // 8)
    pairs = _parts(_parts(k_all * size // 16, 4), warps)
    at_once = min(at_once, pairs)
    tiles_m, eights = _parts(tile, 16), tile // 8
    asked = at_once * eights
    sums = 4 * tiles_m * tiles_n * (2 if tiles_m * tiles_n <= 4 else 1)
    if sums > _SUMS or (at_once > 2 or asked > 4 if size == 4 else asked > 16):
        return None
    mine = _parts(tile * units, 32 * warps)
    kept = 2 * gates + 3 * states + 2 * cell.biases if backward else gates + states + cell.biases
    others = 80 + mine * kept + sums + 4 * asked + (58 if size == 4 else 0)
    others += 4 * min(tiles_n, 4)
    exchange, each = warps * eights * tiles_n * 256, warps * tiles_n * 512
    room = min(255, _REGISTERS // (32 * warps)) - others
    fitting = (device.shared - exchange) // each
    resident = min(pairs, room // (4 * tiles_n))
    if pairs > resident + fitting:  # reading R again takes addresses, and more of it at once
        room -= 20 if size == 4 else 40 + 4 * max(0, tiles_n - 4)
        resident = min(pairs, room // (4 * tiles_n))
    again = pairs > resident + max(0, fitting)
    if room < 0 or fitting < 0 or (again and asked > 8):
        return None
    in_shared = min(pairs - resident, fitting)
    return Plan(
        blocks=blocks,
        groups=device.sms // blocks,
        units=units,
        tile=tile,
        warps=warps,
        k_all=k_all,
        tiles_n=tiles_n,
        resident=resident,
        in_shared=in_shared,
        again=pairs - resident - in_shared,
        at_once=at_once,
        shared=exchange + in_shared * each,
        alone=blocks * tile * k_all * size > _LIGHT,
    )


@lru_cache(maxsize=4096)
def best_plan(problem: Problem, device: Gpu, *, backward: bool) -> Plan | None:
    """Return the launch for a problem, or None if the strategy has none."""
    found = []
    for tile, at_once, groups in product((8, 16, 32), (16, 8, 4, 2, 1), (1, 2, 3, 4, 6, 8)):
        plan = layout(problem, device, tile=tile, at_once=at_once, backward=backward, groups=groups)
        if plan is not None:
            found.append(plan)
    return min(found, key=lambda plan: plan.microseconds(problem), default=None)
