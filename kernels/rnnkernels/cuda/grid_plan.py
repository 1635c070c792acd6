"""What a launch of the grid strategy is made of: its knobs, and what follows from them.

The byte counts are those of the constants in grid_common.cuh, which refuses to compile if the two
differ. Formulas are written once, in a `Ledger`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkernels.cuda.ledger import Integer, Ledger, Numbers, exceeds, is_one, parts
from rnnkernels.cuda.sizes import Grid, Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intsolver import Condition

    from rnnkernels.problem import Problem

_SUMS = 96  # registers of a thread that sums may take
_LIGHT = 5_000_000  # bytes of a step that may as well be asked for before they are there

_KNOBS: Mapping[str, tuple[int, ...]] = {
    "groups": (1, 2, 3, 4, 6, 8),  # of blocks that at least run at a time, each on a head's tile
    "tile": (8, 16, 32),  # batch rows
    "warps": (8, 16),  # of a block, that share the sums
    "at_once": (1, 2, 3, 4, 6, 8, 12, 16),  # pairs of product tiles asked for at once
    "resident": tuple(range(49)),  # pairs of a warp's tiles of R in registers
}
PARAMETERS = (
    *("head_dim", "heads", "batch", "registers", "shared_memory", "block_threads"),
    "multiprocessors",
)
FOLLOWING: tuple[str, ...] = ()


def knobs(*, backward: bool) -> Mapping[str, tuple[int, ...]]:
    """Return what is free to choose, with its values."""
    del backward  # the same both ways
    return _KNOBS


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
        return problem.heads * int(parts(problem.batch, self.tile))

    def grid(self, problem: Problem) -> Grid:
        """Return one launch; `jobs` over `groups` of them, rounded up, run the problem."""
        groups = min(self.groups, self.jobs(problem))
        return Grid(groups * self.blocks, 32 * self.warps, self.shared, cooperative=True)


def plan_of(z: Sizes, values: Mapping[str, int], *, backward: bool, dstates: bool = True) -> Plan:
    """Return the plan of a configuration: values of all knobs and `PARAMETERS`."""
    del dstates  # are not kept in shared memory
    book = Numbers()
    formulas(book, z, values, backward=backward)
    found = {name: int(value) for name, value in book.values.items()}
    return Plan(
        blocks=found["blocks"],
        groups=found["groups_at_a_time"],
        units=found["units"],
        tile=values["tile"],
        warps=values["warps"],
        k_all=found["k_all"],
        tiles_n=found["tiles_n"],
        resident=values["resident"],
        in_shared=found["in_shared"],
        again=found["again"],
        at_once=values["at_once"],
        shared=found["shared"],
        alone=bool(found["alone"]),
    )


def formulas(
    b: Ledger, z: Sizes, v: Mapping[str, Integer], *, backward: bool, dstates: bool = True
) -> None:
    """Name what follows from the knobs and parameters `v`."""
    del dstates  # are not kept in shared memory
    dim, tile, warps = v["head_dim"], v["tile"], v["warps"]
    units = b.let("units", 8 * parts(parts(dim, v["multiprocessors"] // v["groups"]), 8))
    blocks = b.let("blocks", parts(dim, units))
    k_all = b.let("k_all", dim * z.gates if backward else dim)
    tiles_n = b.let("tiles_n", units // 8 if backward else z.gates * units // 8)
    pairs = b.let("pairs", parts(parts(k_all * z.size // 16, 4), warps))
    b.let("threads", 32 * warps)
    tiles = b.let("tiles_m", parts(tile, 16)) * tiles_n
    chains = 2 - exceeds(b, tiles, 4)
    b.let("sums", 4 * tiles * chains)
    b.let("asked", v["at_once"] * (tile // 8))
    exchange = b.let("shared_sums", warps * (tile // 8) * tiles_n * 256)
    each = b.let("shared_of_a_pair", warps * tiles_n * 512)
    fitting = b.most(0, v["shared_memory"] - exchange) // each
    rest = b.let("rest", pairs - v["resident"])
    in_shared = b.let("in_shared", b.least(b.most(0, rest), fitting))
    b.let("again", rest - in_shared)
    b.let("shared", exchange + in_shared * each)
    b.let("alone", exceeds(b, blocks * tile * k_all * z.size, _LIGHT))
    _registers(b, z, v, backward=backward)
    jobs = b.let("jobs", v["heads"] * parts(v["batch"], tile))
    at_a_time = b.let("groups_at_a_time", v["multiprocessors"] // blocks)
    b.let("turns", parts(jobs, at_a_time))


def _registers(b: Ledger, z: Sizes, v: Mapping[str, Integer], *, backward: bool) -> None:
    k = {**v, **b.values}
    mine = parts(v["tile"] * k["units"], 32 * v["warps"])  # cells of a thread
    kept = z.gates + z.states + z.biases
    if backward:
        kept = 2 * z.gates + 3 * z.states + 2 * z.biases
    # Found by compiling, as the bounds in cluster_registers.py.
    others, of_an_eight = (82, 4) if backward else (72, 8)
    of_a_tile = 4
    if z.size == 4:  # products take their factors apart, forward ahead of time
        others, of_an_eight = 140 if backward else 72, 4
        of_a_tile = 4 if backward else 16
    if backward and z.distinct:  # two tensors to read dr from
        others += 36
    besides = others + mine * kept + k["sums"] + 4 * k["asked"]
    besides = besides + of_an_eight * b.least(k["tiles_n"], 4)
    if z.size == 2 and not backward:  # half of each product tile is empty
        besides = besides - 6 * is_one(v["tile"] // 8)
    # Reading R again takes addresses, and more of it at once.
    addresses = 20 if z.size == 4 else 52 + 4 * b.most(0, k["tiles_n"] - 4)
    besides = besides + b.least(1, k["again"]) * addresses
    of_a_pair = b.let("registers_of_a_pair", of_a_tile * k["tiles_n"])
    b.let("registers_needed", besides + of_a_pair * v["resident"])
    b.let("registers_available", b.least(255, v["registers"] // (32 * v["warps"])))


def first_choice(k: Mapping[str, Integer], _b: Ledger) -> Condition:
    """Return the constraint of a configuration worth planning: R in registers as far as it fits."""
    room: Condition = k["registers_needed"] + k["registers_of_a_pair"] > k["registers_available"]
    found: Condition = room | (k["resident"] == k["pairs"])
    return found


def limits(z: Sizes, k: Mapping[str, Integer], *, backward: bool) -> dict[str, Condition]:
    """Return the constraints by name, of the terms of all knobs, parameters and formulas."""
    most_asked = 4 if z.size == 4 else 8 if backward and z.distinct else 16
    return {
        "rows are read 16 bytes at a time": k["head_dim"] * z.size % 16 == 0,
        "tiles of R in registers are there": k["resident"] <= k["pairs"],
        "registers of a thread": k["registers_needed"] <= k["registers_available"],
        "registers of the sums": k["sums"] <= _SUMS,
        "registers of what is asked for": (k["asked"] <= most_asked)
        & (k["at_once"] <= (2 if z.size == 4 else 16)),
        "registers where R is read again": (k["again"] <= 0) | (k["asked"] <= 8),
        "threads of a block": k["threads"] <= k["block_threads"],
        "shared memory of a block": k["shared"] <= k["shared_memory"],
        "as many groups as jobs": k["groups"] <= k["jobs"],
        "a group is resident": k["groups_at_a_time"] >= 1,
        "asked for is there": k["at_once"] <= k["pairs"],
    }
