"""What a launch of the cluster strategy is made of: its knobs, and what follows from them.

The byte counts are those of the constants in cluster_forward.cu and cluster_backward.cu, which
refuse to compile if the two differ. Formulas are written once, in a `Ledger`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkernels.cuda import cluster_registers as registers
from rnnkernels.cuda.ledger import Integer, Ledger, Numbers, exceeds, is_one, parts, up
from rnnkernels.cuda.sizes import Grid, Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intsolver import Condition

    from rnnkernels.problem import Problem

_FORWARD: Mapping[str, tuple[int, ...]] = {
    "cluster": (1, 2, 4, 8, 16),  # blocks that share a head's units
    "tile": (4, 8, 16, 24, 32),  # batch rows
    "split": (1, 2),  # warps that share a sum over K
    "ring": (2, 3, 4, 6, 8),  # stages of inputs in shared memory, the prefetch depth
    "resident": tuple(range(50)),  # tiles of K of R in registers; the others in shared memory
}
_BACKWARD: Mapping[str, tuple[int, ...]] = {
    **_FORWARD,
    "groups": (1, 2, 3, 4, 6, 8),  # of `split` warps each, that share the rows of dh
}
PARAMETERS = (
    *("head_dim", "heads", "batch", "registers", "shared_memory", "block_threads"),
    *("multiprocessors", "max_cluster", "clusters_of_2", "clusters_of_4", "clusters_of_8"),
    "clusters_of_16",
)
FOLLOWING = ("resident",)


def knobs(*, backward: bool) -> Mapping[str, tuple[int, ...]]:
    """Return what is free to choose, with its values; forward's warps follow from its units."""
    return _BACKWARD if backward else _FORWARD


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
    copy_registers: int  # a copying thread is left with, 0: as many as a computing one
    shared: int  # bytes

    def clusters(self, problem: Problem) -> int:
        """Return how many clusters the launch has."""
        return problem.heads * int(parts(problem.batch, self.tile))

    def grid(self, problem: Problem) -> Grid:
        """Return the launch of this plan."""
        threads = 32 * (self.warps + self.copiers)
        return Grid(self.clusters(problem) * self.cluster, threads, self.shared, self.cluster)


def plan_of(z: Sizes, values: Mapping[str, int], *, backward: bool, dstates: bool = True) -> Plan:
    """Return the plan of a configuration: values of all knobs and `PARAMETERS`."""
    book = Numbers()
    formulas(book, z, values, backward=backward, dstates=dstates)
    found = {name: int(value) for name, value in book.values.items()}
    hands = found["registers_needed"] > found["registers_equal"]
    return Plan(
        cluster=values["cluster"],
        tile=values["tile"],
        warps=found["warps"],
        copiers=found["copiers"],
        split=values["split"],
        ring=values["ring"],
        resident=values["resident"],
        registers=found["registers_handed"] if hands else 0,
        copy_registers=found["registers_copying"] if hands else 0,
        shared=found["shared"],
    )


def formulas(
    b: Ledger, z: Sizes, v: Mapping[str, Integer], *, backward: bool, dstates: bool = True
) -> None:
    """Name what follows from the knobs and parameters `v`: warps, registers, shared memory.

    Where `resident` is not given, it is what alone is worth planning with the other knobs: as much
    of R in registers as fits.
    """
    units = b.let("units", up(parts(v["head_dim"], v["cluster"]), 8 if backward else z.slab))
    b.let("columns", parts(v["tile"], 8))
    if backward:
        warps = b.let("warps", v["groups"] * v["split"])
    else:
        b.let("slabs", units // z.slab)
        warps = b.let("warps", units // z.slab * v["split"])
    few = 1 - exceeds(b, warps, 2)  # two warps need no warpgroup of copiers beside them
    copiers = b.let("copiers", few + (1 - few) * (up(warps + 1, 4) - warps))
    b.let("threads", 32 * (warps + copiers))
    if backward:
        _backward_products(b, z, v)
    else:
        b.let("tiles_k", parts(parts(v["head_dim"], z.k), v["split"]))
    registers.state_registers(b, z, {**v, **b.values}, backward=backward)
    if "resident" not in v:
        v = {**v, "resident": b.let("resident", _fitting(v, b))}
    registers.thread_registers(b, {**v, **b.values})
    if backward:
        _backward_memory(b, z, v, dstates=dstates)
    else:
        _forward_memory(b, z, v)
    registers.copying_registers(b, z, {**v, **b.values}, backward=backward, dstates=dstates)
    _residency(b, v, backward=backward)


def _fitting(v: Mapping[str, Integer], b: Ledger) -> Integer:
    """Return how many tiles of R fit into registers, worked out on a sheet of its own."""
    aside = Numbers()
    registers.thread_registers(aside, {**v, **b.values, "resident": 0})
    return _most_resident({**b.values, **aside.values}, aside)


def _forward_memory(b: Ledger, z: Sizes, v: Mapping[str, Integer]) -> None:
    k = {**v, **b.values}
    units, tile, columns, warps = (k[name] for name in ("units", "tile", "columns", "warps"))
    tiles_k = k["tiles_k"]
    width = b.most(tiles_k * v["split"] * z.k, v["cluster"] * units)
    h = b.let("shared_h", 2 * tile * (up(width * z.size, 32) + 16))
    inputs = b.let("shared_inputs", v["ring"] * tile * (z.gates * units * z.size + 16))
    results = b.let("shared_results", 2 * z.states * tile * (4 * units + 16))
    weights = b.let("shared_R", warps * (z.rows * 512) * (tiles_k - v["resident"]))
    sums = b.let("shared_sums", k["slabs"] * (v["split"] - 1) * (z.rows * 512) * columns)
    # With several columns biases and lengths are there too.
    aside = exceeds(b, columns, 1) * (4 * z.biases * units + 4 * tile)
    b.let("shared", h + inputs + results + weights + sums + aside + 16)


def _backward_products(b: Ledger, z: Sizes, v: Mapping[str, Integer]) -> None:
    k = {**v, **b.values}
    tiles_m = b.let("tiles_m", parts(v["cluster"] * k["units"], 16))
    b.let("rows", parts(tiles_m, v["groups"]))
    b.let("tiles_k", parts(parts(z.gates * k["units"], z.k), v["split"]))
    b.let("mine", parts(k["units"] // 8 * k["columns"], k["warps"]))


def _backward_memory(b: Ledger, z: Sizes, v: Mapping[str, Integer], *, dstates: bool) -> None:
    k = {**v, **b.values}
    units, tile, warps, tiles_k = (k[name] for name in ("units", "tile", "warps", "tiles_k"))
    cluster, split = v["cluster"], v["split"]
    one = is_one(cluster)
    line = units * z.size
    lines = z.gates + z.reads_h + (z.states if dstates else 0)
    wide = z.gates * z.product + (z.states - 1) * 4
    inputs = b.let("shared_inputs", v["ring"] * tile * (lines * line + wide * units + 16))
    results = tile * (tiles_k * split * 32 + 16)
    if z.distinct:
        results = results + tile * (z.distinct * line + 16)
    results = b.let("shared_results", results)
    sends = (1 - one) * exceeds(b, tile, 4)  # shares of 16 bits, else of 32
    share = 4 - sends * (4 - z.size)
    shares = b.let("shared_sums", (2 - one) * cluster * split * tile * units * share)
    weights = b.let("shared_R", warps * k["rows"] * 512 * (tiles_k - v["resident"]))
    b.let("shared", inputs + results + shares + weights + z.biases * units * 4 + 16)


def _residency(b: Ledger, v: Mapping[str, Integer], *, backward: bool) -> None:
    """How many clusters there are, run at a time at full speed, and the turns they take."""
    k = {**v, **b.values}
    cluster, together = v["cluster"], up(k["warps"] + k["copiers"], 4)
    jobs = b.let("clusters", v["heads"] * parts(v["batch"], v["tile"]))
    # 12 warps keep a multiprocessor busy: a second block makes both slower.
    each = b.least(16 // together, v["shared_memory"] // k["shared"])
    # What the compiler takes, as seen in 320 kernels: less than the bound, more for many sums.
    usual = k["registers_needed"] + (8 * k["product_sums"] if backward else 0) - 16
    taken = 32 * together * up(b.least(usual, k["registers_equal"]), 8)
    each = b.let("blocks_each", b.most(1, b.least(each, v["registers"] // taken)))
    fit = is_one(cluster) * v["multiprocessors"]
    for size in (2, 4, 8, 16):
        fit = fit + size // cluster * (cluster // size) * v[f"clusters_of_{size}"]
    b.let("resident_clusters", fit * each)
    b.let("turns", parts(jobs, b.most(1, fit * each)))
    # Blocks that work beside each other on a multiprocessor.
    b.let("sharing", b.least(each, parts(jobs * cluster, v["multiprocessors"])))


def _most_resident(k: Mapping[str, Integer], b: Ledger) -> Integer:
    """Return how many tiles of R fit into registers: all of a sum's, or as many as leave room."""
    each, room = k["registers_of_a_tile"], k["registers_available"] - k["registers_besides"]
    whole = exceeds(b, room + 1, each * k["tiles_k"])
    some = b.most(0, room - k["registers_reading_R"]) // each
    fits = b.most(whole * k["tiles_k"], b.least(k["tiles_k"] - 1, some))
    return b.most(0, fits)


def first_choice(k: Mapping[str, Integer], b: Ledger) -> Condition:
    """Return the constraint of a configuration worth planning: R in registers as far as it fits."""
    found: Condition = k["resident"] == _most_resident(k, b)
    return found


def limits(z: Sizes, k: Mapping[str, Integer], *, backward: bool) -> dict[str, Condition]:
    """Return the constraints by name, of the terms of all knobs, parameters and formulas."""
    depth = z.gates * k["units"] if backward else k["head_dim"]
    found = {
        "rows are read 16 bytes at a time": k["head_dim"] * z.size % 16 == 0,
        "tiles of R in registers are there": k["resident"] <= k["tiles_k"],
        "registers of a thread": k["registers_needed"] <= k["registers_available"],
        "threads of a block": k["threads"] <= k["block_threads"],
        "shared memory of a block": k["shared"] <= k["shared_memory"],
        "cluster size of the GPU": k["cluster"] <= k["max_cluster"],
        "a cluster can be resident": k["resident_clusters"] >= 1,
        "most blocks have units": k["cluster"] // 2 * k["units"] < k["head_dim"],
        "the batch fills the tile": k["tile"] <= up(k["batch"], 8),
        "warps that share a sum have tiles": (k["split"] - 1) * z.k < depth,
    }
    # Beyond these the loops that are unrolled over sums and cells make the compiler spill.
    found["registers of the sums"] = k["product_sums"] <= (4 if z.size == 4 else 8)
    found["registers of a copying thread"] = k["copying_needed"] <= k["copying_available"]
    if backward:
        found["registers of the cells"] = k["cells_of_a_lane"] <= (2 if z.size == 4 else 4)
        found["every warp has rows of dh"] = k["groups"] <= k["tiles_m"]
    return found
