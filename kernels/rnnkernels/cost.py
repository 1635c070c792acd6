"""What a step of a launch costs: a sum of what it does, each item at its measured price.

    time of a step = turns * (price of a step + sum over items of price * amount)

Amounts are integers that follow from the configuration: product tiles that a scheduler issues,
bytes that a block gets from the others, tiles of R read from shared memory, and so on. Prices are
picoseconds at the H200's clock, fitted to what was measured (docs/decisions/0006-launch-plan.md);
on another GPU those of a multiprocessor's own work scale with its clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkernels.cuda.ledger import Integer, Ledger, exceeds, is_one, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rnnkernels.cuda.sizes import Sizes
    from rnnkernels.gpus import Gpu

_REFERENCE_CLOCK = 1980  # MHz, of the H200 that the prices were measured on

PRICES: Mapping[tuple[str, bool], Mapping[str, int]] = {
    ("cluster", False): {
        "step": 90_000,
        "exchange": 250_000,
        "bytes_received": 40,
        "sends": 10_000,
        "products": 3_000,
        "depth": 2_000,
        "tiles_of_R_read": 1_500,
        "tiles_of_h_read": 500,
        "cells": 3_500,
        "copies": 3_000,
        "shared_sum": 60_000,
        "late_inputs": 10_000,
    },
    ("cluster", True): {
        "step": 150_000,
        "exchange": 250_000,
        "bytes_received": 40,
        "sends": 10_000,
        "products": 3_000,
        "depth": 2_000,
        "tiles_of_R_read": 1_500,
        "tiles_of_h_read": 500,
        "cells": 3_500,
        "copies": 3_000,
        "shares": 2_000,
        "late_inputs": 10_000,
    },
    ("grid", False): {
        "step": 1_400_000,
        "questions": 150_000,
        "products": 19_000,
        "KB_through_L2": 394,
        "warps": 0,
    },
    ("grid", True): {
        "step": 1_400_000,
        "questions": 150_000,
        "products": 19_000,
        "KB_through_L2": 394,
        "warps": 0,
    },
}
# Of the GPU's memory system, not of a multiprocessor.
_UNCLOCKED = {"KB_through_L2", "late_inputs"}


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
        return _grid(b, z, k)
    return _cluster_backward(b, z, k) if backward else _cluster_forward(b, z, k)


def picoseconds(
    b: Ledger, z: Sizes, k: Mapping[str, Integer], strategy: str, gpu: Gpu, *, backward: bool
) -> Integer:
    """Return the cost of a step, named `picoseconds` in the ledger, all turns together."""
    price = prices(strategy, gpu, backward=backward)
    total: Integer = 0
    for item, amount in amounts(b, z, k, strategy, backward=backward).items():
        total += price[item] * amount
    return b.let("picoseconds", k["turns"] * total)


def _cluster_forward(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> dict[str, Integer]:
    warps, tiles_k, columns, cluster = k["warps"], k["tiles_k"], k["columns"], k["cluster"]
    together = 1 - is_one(cluster)
    scheduled = parts(warps, 4)
    wide = 1 + exceeds(b, k["tile"], 4)  # batch rows of a lane in a column of product tiles
    eights = z.slab // 8
    owned = parts(columns, k["split"])
    bytes_in = k["tile"] * (z.gates + z.states) * k["units"] * z.size
    return {
        "step": 1,
        "exchange": together,
        "bytes_received": together * cluster * k["units"] * k["tile"] * z.size,
        "sends": together * owned * eights * parts(cluster, 4 * (3 - wide)),
        "products": scheduled * tiles_k * z.rows * columns,
        "depth": tiles_k,
        "tiles_of_R_read": warps * z.rows * (tiles_k - k["resident"]),
        "tiles_of_h_read": warps * tiles_k * columns,
        "cells": scheduled * owned * eights * wide * z.steps,
        "copies": parts(bytes_in, 512 * k["copiers"]),
        "shared_sum": k["split"] - 1,
        "late_inputs": 12 // (k["ring"] - 1),
    }


def _cluster_backward(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> dict[str, Integer]:
    warps, tiles_k, columns, cluster = k["warps"], k["tiles_k"], k["columns"], k["cluster"]
    together = 1 - is_one(cluster)
    scheduled = parts(warps, 4)
    wide = 1 + exceeds(b, k["tile"], 4)
    bytes_in = k["tile"] * (3 * z.gates + z.states) * k["units"] * z.size
    return {
        "step": 1,
        "exchange": together,
        "bytes_received": together * cluster * k["split"] * k["units"] * k["tile"] * z.size,
        "sends": scheduled * parts(k["rows"] * columns, 2),
        "products": scheduled * tiles_k * k["rows"] * columns,
        "depth": tiles_k,
        "tiles_of_R_read": warps * k["rows"] * (tiles_k - k["resident"]),
        "tiles_of_h_read": warps * tiles_k * columns,
        "cells": parts(k["units"] // 8 * columns, 4) * wide * z.back_steps,
        "copies": parts(bytes_in, 512 * k["copiers"]),
        "shares": k["mine"] * cluster * k["split"],
        "late_inputs": 12 // (k["ring"] - 1),
    }


def _grid(b: Ledger, z: Sizes, k: Mapping[str, Integer]) -> dict[str, Integer]:
    active = b.least(k["groups_at_a_time"], k["jobs"])
    rows = k["tile"] * k["k_all"] * z.size
    again = k["again"] * k["warps"] * k["tiles_n"] * 512
    return {
        "step": 1,
        "questions": parts(k["pairs"], k["at_once"]),
        "products": parts(k["warps"], 8) * k["pairs"] * k["tiles_n"] * k["tiles_m"],
        "KB_through_L2": active * k["blocks"] * (rows + again) // 1024,
        "warps": k["warps"],
    }
