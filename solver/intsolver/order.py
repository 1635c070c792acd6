"""In which order the variables of a component are taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intsolver.lower import Low, Pool
    from numpy.typing import NDArray

_SAMPLES = 256
# What is left of the rows by a constraint of a kind, where nothing better is known.
_LEFT = {"eq": 0.08, "divides": 0.35, "le": 0.6, "lt": 0.6, "ne": 0.9, "any": 0.7, "different": 0.5}


def arrange(
    pool: Pool,
    names: Sequence[str],
    constraints: Sequence[Low],
    domains: Mapping[str, NDArray[Any]],
    parameters: Mapping[str, int],
    *,
    sampled: bool,
) -> list[str]:
    """Return the variables in an order that keeps the number of rows small at every level."""
    left = _sampled(pool, names, constraints, domains, parameters) if sampled else None
    if left is None:
        left = [_LEFT.get(c.kind, 0.8) for c in constraints]
    weights = [math.log(max(x, 1e-4)) for x in left]
    todo = [[set(c.names), w] for c, w in zip(constraints, weights, strict=True)]
    by_name: dict[str, list[list[Any]]] = {name: [] for name in names}
    for item in todo:
        for name in item[0]:
            by_name[name].append(item)
    sizes = {name: math.log(max(domains[name].size, 1)) for name in names}
    order: list[str] = []
    remaining = list(names)
    touched: dict[str, int] = dict.fromkeys(names, 0)
    while remaining:
        best, best_score = remaining[0], math.inf
        for name in remaining:
            score = sizes[name]
            for item in by_name[name]:
                score += item[1] if len(item[0]) == 1 else item[1] * 0.3 / len(item[0])
            score -= 0.05 * touched[name]
            if score < best_score - 1e-9:
                best, best_score = name, score
        order.append(best)
        remaining.remove(best)
        for item in by_name[best]:
            item[0].discard(best)
            for other in item[0]:
                touched[other] += 1
    return order


def _sampled(
    pool: Pool,
    names: Sequence[str],
    constraints: Sequence[Low],
    domains: Mapping[str, NDArray[Any]],
    parameters: Mapping[str, int],
) -> list[float] | None:
    if any(domains[name].dtype == object or not domains[name].size for name in names):
        return None
    generator = np.random.default_rng(0)
    base: list[Any] = []
    slots: dict[int, int] = {}
    for name in names:
        slots[id(pool.name(name))] = len(base)
        base.append(domains[name][generator.integers(0, domains[name].size, _SAMPLES)])
    for name, value in parameters.items():
        slots[id(pool.name(name))] = len(base)
        base.append(value)
    compiler = Compiler(pool, slots)
    left = []
    for node in constraints:
        if node.peak >= 1 << 62:
            left.append(_LEFT.get(node.kind, 0.8))
            continue
        env = Env(base)
        verdict = compiler(node)(env)
        if env.bad is not None:
            verdict = verdict & ~env.bad
        left.append(max(float(np.mean(verdict)), 0.5 / _SAMPLES))
    return left
