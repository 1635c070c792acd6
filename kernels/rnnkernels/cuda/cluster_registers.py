"""How many registers a thread of the cluster strategy needs: a bound found by compiling.

The terms are what a thread holds: tiles of R, sums, its cells, sums of db. Their constants are such
that of 1,468 random launches compiled for sm_90a none within the bounds spills, with a few
registers to spare (docs/decisions/0006-launch-plan.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkernels.cuda.ledger import Integer, Ledger, exceeds, is_one, parts, up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnkernels.cuda.sizes import Sizes

_COPYING = 56  # registers that a copying thread keeps when it hands over the others
_COPYING_OTHERS = 40  # that it needs for all but the places of its copies
_MOST_HANDED = 232  # that `setmaxnreg` may ask for here; its own limit is 240


def state_registers(b: Ledger, z: Sizes, k: Mapping[str, Integer], *, backward: bool) -> None:
    """Name `registers_of_a_tile`, `registers_besides` (R), and the same while some R is shared."""
    if backward:
        _backward(b, z, k)
    else:
        _forward(b, z, k)


def _forward(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> None:
    sums = b.let("product_sums", z.rows * k["columns"])
    b.let("registers_of_a_tile", 4 * z.rows)
    if z.size == 4:  # products take their factors apart, and the compiler overlaps many of them
        b.let("registers_besides", 137 + 12 * sums + 5 * k["tiles_k"])
        b.let("registers_reading_R", 0)
        return
    eights, wide = z.slab // 8, 1 + exceeds(b, k["tile"], 4)
    owned = parts(k["columns"], k["split"])
    cells = eights * owned * wide * (z.states + 1) + eights * z.biases
    chains = 2 - exceeds(b, sums, 3)
    several = exceeds(b, k["columns"], 1)
    if z.rows == 1:  # loads start early, since products of one row leave registers
        further = 64 * several
    else:  # the compiler saves some where it has to
        further = (z.states - 20) * (several - exceeds(b, k["columns"], 2)) * (2 - k["split"])
    b.let("registers_besides", 57 + further + 4 * sums * chains + cells)
    b.let("registers_reading_R", 0)


def _backward(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> None:
    sums = b.let("product_sums", k["rows"] * k["columns"])
    b.let("registers_of_a_tile", 4 * k["rows"])
    wide = 1 + exceeds(b, k["tile"], 4)
    lanes = b.let("cells_of_a_lane", k["mine"] * wide)
    cells, one = lanes * (z.states + 1), is_one(k["cluster"])
    if z.size == 4:
        products = 2 * k["tiles_k"] * sums + 4 * sums
        besides = 145 + products + z.back_steps // 2 + one * k["mine"] * z.biases
        b.let("registers_besides", besides)
        b.let("registers_reading_R", 0)
        return
    # One block adds up db too; its sums run in up to four chains.
    chains = 2 - exceeds(b, sums, 4) + 2 * is_one(sums)
    alone = 56 + 4 * sums * chains + cells + 2 * k["mine"] * z.biases + z.back_steps // 4
    b.let("registers_besides", one * alone + (1 - one) * (80 + 4 * sums))
    b.let("registers_reading_R", 32 * one)


def thread_registers(b: Ledger, k: Mapping[str, Integer]) -> None:
    """Name what a thread has: as many as any other, or more that copying warps hand over."""
    warps, copiers = k["warps"], k["copiers"]
    tiles = k["registers_of_a_tile"] * k["resident"]
    reading = k["registers_reading_R"] * exceeds(b, k["tiles_k"], k["resident"])
    b.let("registers_needed", k["registers_besides"] + reading + tiles)
    together = warps + copiers
    # Four warps get theirs at once, a thread a multiple of 8.
    each = k["registers"] // (32 * up(together, 4)) // 8 * 8
    equal = b.let("registers_equal", b.least(255, each))
    handed = b.least(_MOST_HANDED, (equal * together - copiers * _COPYING) // warps // 8 * 8)
    handed = b.let("registers_handed", handed)
    left = b.let("registers_copying", (equal * together - warps * handed) // copiers // 8 * 8)
    whole = is_one(1 + warps % 4 + copiers % 4)  # whole warpgroups only
    moves = exceeds(b, k["max_cluster"], 1)  # the architectures that have clusters
    b.let("registers_available", equal + whole * moves * b.most(0, handed - equal))
    hands = exceeds(b, b.values["registers_needed"], equal)
    b.let("copying_available", equal - hands * (equal - left))


def copying_registers(
    b: Ledger, z: Sizes, k: Mapping[str, Integer], *, backward: bool, dstates: bool
) -> None:
    """Name `copying_needed`: registers of a copying thread, most of them places of its copies."""
    threads = 32 * k["copiers"]
    if backward:
        lines = (z.gates + z.reads_h + (z.states if dstates else 0)) * z.size
        lines += z.gates * z.product + (z.states - 1) * 4
        pieces = parts(k["tile"] * (k["units"] * lines // 16), threads)
        b.let("copying_needed", _COPYING_OTHERS + 3 * pieces)
        return
    pieces = parts(k["tile"] * (z.gates * k["units"] * z.size // 16), threads)
    runs = parts(z.states * k["tile"] * (k["units"] * z.size // 16), threads)
    held = 1 - exceeds(b, runs, 4)  # more are worked out anew each step
    b.let("copying_needed", _COPYING_OTHERS + 3 * pieces + 6 * (held * runs + (1 - held)))
