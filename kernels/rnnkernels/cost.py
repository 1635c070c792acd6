"""What a step of a launch costs: a sum of what it does, each item at its measured price.

    time of a step = turns * (price of a step + sum over items of price * amount)

Amounts are integers that follow from the configuration: product tiles that a scheduler issues,
bytes that a block gets from the others, tiles of R read from shared memory, and so on. Four of them
say what happens where a resource is full or a wait is not hidden:

    tiles_of_h_read    by at least six warps: fewer wait for each tile, more queue for it
    KB_in_network      of a cluster, whose blocks share what connects them
    idle_warps         have no cells of their own, but take part in each barrier
    asked_in_a_crowd   pieces asked for at once, for each MB a step beyond what L2 hands out at once

Prices are picoseconds at the H200's clock, fitted by `kernels/benchmarks/fit_prices.py` to what was
measured (docs/decisions/0006-launch-plan.md); a new item begins at 0. On another GPU those of a
multiprocessor's own work scale with its clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkernels.cuda.ledger import Integer, Ledger, exceeds, is_one, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnkernels.cuda.sizes import Sizes
    from rnnkernels.gpus import Gpu

_REFERENCE_CLOCK = 1980  # MHz, of the H200 that the prices were measured on
_READERS = 6  # warps that it takes to keep the reading of h busy; fewer wait for each tile
_QUIET = 16  # MB a step that L2 hands out as they are asked for

PRICES: Mapping[tuple[str, bool], Mapping[str, int]] = {
    ("cluster", False): {
        "step": 64_776,
        "exchange": 173_350,
        "bytes_received": 19,
        "KB_in_network": 2_102,
        "peers": 0,
        "sends": 1_717,
        "products": 35,
        "product_chain": 1_637,
        "exact_products": 25_584,
        "exact_chain": 0,
        "tiles_of_R_read": 1_701,
        "tiles_of_h_read": 1_546,
        "operations": 1_240,
        "operation_chain": 1_534,
        "exact_operations": 0,
        "exact_operation_chain": 13_190,
        "copies": 15_512,
        "shared_sum": 364_597,
        "late_inputs": 3_620,
    },
    ("cluster", True): {
        "step": 240_634,
        "exchange": 89_303,
        "peers": 0,
        "bytes_received": 41,
        "KB_in_network": 0,
        "sends": 0,
        "products": 1_066,
        "product_chain": 4_269,
        "exact_products": 21_028,
        "exact_chain": 6_855,
        "tiles_of_R_read": 1_043,
        "tiles_of_h_read": 953,
        "operations": 1_144,
        "operation_chain": 697,
        "exact_operations": 0,
        "exact_operation_chain": 8_231,
        "copies": 18_858,
        "shares": 11_838,
        "idle_warps": 10_965,
        "late_inputs": 3_411,
    },
    ("grid", False): {
        "step": 953_289,
        "questions": 114_385,
        "asked_at_once": 0,
        "asked_in_a_crowd": 0,
        "products": 0,
        "product_chain": 0,
        "exact_products": 93_782,
        "exact_chain": 0,
        "KB_of_rows": 264,
        "KB_of_R_again": 256,
        "KB_of_R_shared": 2_964,
        "sums": 0,
        "operations": 0,
        "operation_chain": 22_597,
        "exact_operations": 0,
        "exact_operation_chain": 129,
    },
    ("grid", True): {
        "step": 377_447,
        "questions": 249_474,
        "asked_at_once": 22_817,
        "asked_in_a_crowd": 12_672,
        "products": 22_072,
        "product_chain": 1_712,
        "exact_products": 147_271,
        "exact_chain": 0,
        "KB_of_rows": 126,
        "KB_of_R_again": 177,
        "KB_of_R_shared": 326,
        "sums": 19_434,
        "operations": 0,
        "operation_chain": 4_808,
        "exact_operations": 0,
        "exact_operation_chain": 15_149,
    },
}
# Of the GPU's memory system, not of a multiprocessor.
_UNCLOCKED = {"KB_of_rows", "KB_of_R_again", "asked_in_a_crowd", "late_inputs"}


def prices(strategy: str, gpu: Gpu, *, backward: bool) -> dict[str, int]:
    """Return the price of each item in picoseconds on a GPU."""
    return {
        item: price if item in _UNCLOCKED else price * _REFERENCE_CLOCK // gpu.clock
        for item, price in PRICES[strategy, backward].items()
    }


def amounts(
    b: Ledger, z: Sizes, k: Mapping[str, Integer], strategy: str, *, backward: bool
) -> dict[str, Integer]:
    """Return how much of each item a step takes; `k`: knobs, parameters and formulas."""
    if strategy == "grid":
        return _grid(b, z, k, backward=backward)
    return _cluster_backward(b, z, k) if backward else _cluster_forward(b, z, k)


def picoseconds(
    b: Ledger, z: Sizes, k: Mapping[str, Integer], strategy: str, gpu: Gpu, *, backward: bool
) -> Integer:
    """Return the cost of a step, named `picoseconds` in the ledger, all turns together."""
    price = prices(strategy, gpu, backward=backward)
    items = amounts(b, z, k, strategy, backward=backward).items()
    return b.let("picoseconds", k["turns"] * sum([price[item] * amount for item, amount in items]))


def _cluster_forward(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> dict[str, Integer]:
    warps, tiles_k, columns, cluster = k["warps"], k["tiles_k"], k["columns"], k["cluster"]
    sharing = k["sharing"]
    together, scheduled = 1 - is_one(cluster), parts(warps, 4)
    wide = 1 + exceeds(b, k["tile"], 4)  # batch rows of a lane in a column of product tiles
    eights, owned = z.slab // 8, parts(columns, k["split"])
    chain, cells = tiles_k * z.rows * columns, owned * eights * wide * z.steps
    bytes_in = k["tile"] * (z.gates + z.states) * k["units"] * z.size
    bytes_received = cluster * k["units"] * k["tile"] * z.size
    return {
        "step": 1,
        "exchange": together,
        "bytes_received": together * bytes_received,
        "KB_in_network": together * cluster * bytes_received // 1024,
        "peers": together * cluster,
        "sends": together * owned * eights * _sends(z, cluster, wide),
        **_products(z, sharing * scheduled * chain, chain),
        "tiles_of_R_read": sharing * warps * z.rows * (tiles_k - k["resident"]),
        "tiles_of_h_read": b.most(sharing * warps, _READERS) * tiles_k * columns,
        **_cells(z, sharing * scheduled * cells, cells),
        "copies": parts(bytes_in, 512 * k["copiers"]),
        "shared_sum": k["split"] - 1,
        "late_inputs": 12 // (k["ring"] - 1),
    }


def _cluster_backward(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> dict[str, Integer]:
    warps, tiles_k, columns, cluster = k["warps"], k["tiles_k"], k["columns"], k["cluster"]
    sharing = k["sharing"]
    together, scheduled = 1 - is_one(cluster), parts(warps, 4)
    wide = 1 + exceeds(b, k["tile"], 4)
    chain, cells = tiles_k * k["rows"] * columns, k["mine"] * wide * z.back_steps
    bytes_in = k["tile"] * (3 * z.gates + z.states) * k["units"] * z.size
    bytes_received = cluster * k["split"] * k["units"] * k["tile"] * z.size
    return {
        "step": 1,
        "exchange": together,
        "peers": together * cluster,
        "bytes_received": together * bytes_received,
        "KB_in_network": together * cluster * bytes_received // 1024,
        "sends": scheduled * parts(k["rows"] * columns, 2),
        **_products(z, sharing * scheduled * chain, chain),
        "tiles_of_R_read": sharing * warps * k["rows"] * (tiles_k - k["resident"]),
        "tiles_of_h_read": b.most(sharing * warps, _READERS) * tiles_k * columns,
        **_cells(z, sharing * parts(k["units"] // 8 * columns, 4) * wide * z.back_steps, cells),
        "copies": parts(bytes_in, 512 * k["copiers"]),
        "shares": k["mine"] * cluster * k["split"],
        "idle_warps": b.most(0, warps - k["units"] // 8 * columns),
        "late_inputs": 12 // (k["ring"] - 1),
    }


def _sends(z: Sizes, cluster: Integer, wide: Integer) -> Integer:
    """Return the stores of a lane that give an eight of units to all blocks."""
    return wide * cluster if z.size == 4 else parts(cluster, 4 * (3 - wide))


def _products(z: Sizes, issued: Integer, chain: Integer) -> dict[str, Integer]:
    """Products that a scheduler issues, and that a warp takes one after the other."""
    exact = z.size == 4  # four products of the halves of their factors
    return {
        "products": 0 if exact else issued,
        "product_chain": 0 if exact else chain,
        "exact_products": issued if exact else 0,
        "exact_chain": chain if exact else 0,
    }


def _cells(z: Sizes, issued: Integer, chain: Integer) -> dict[str, Integer]:
    """Operations of cells that a scheduler issues, and that a warp takes one after the other."""
    return {
        "operations": issued if z.fast else 0,
        "operation_chain": chain if z.fast else 0,
        "exact_operations": 0 if z.fast else issued,
        "exact_operation_chain": 0 if z.fast else chain,
    }


def _grid(b: Ledger, z: Sizes, k: Mapping[str, Integer], *, backward: bool) -> dict[str, Integer]:
    active = b.least(k["groups_at_a_time"], k["jobs"])
    rows = k["tile"] * k["k_all"] * z.size
    moved = active * k["blocks"] * rows // 1024
    pieces = k["warps"] * k["tiles_n"] * 512
    chain = k["pairs"] * k["tiles_n"] * k["tiles_m"]
    mine = parts(k["tile"] * k["units"], 32 * k["warps"])  # cells of a thread
    return {
        "step": 1,
        "questions": parts(k["pairs"], k["at_once"]),
        "asked_at_once": k["asked"],
        "asked_in_a_crowd": k["asked"] * b.most(0, moved // 1024 - _QUIET),
        **_products(z, parts(k["warps"], 4) * chain, chain),
        "KB_of_rows": moved,
        "KB_of_R_again": active * k["blocks"] * k["again"] * pieces // 1024,
        "KB_of_R_shared": k["in_shared"] * pieces // 1024,
        "sums": k["warps"] * k["tiles_n"] * k["tiles_m"],
        **_cells(z, 0, mine * (z.back_steps if backward else z.steps)),
    }
