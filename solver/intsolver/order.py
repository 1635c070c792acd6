"""In which order the variables of a component are taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.build import frontiers
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool

Frontier = tuple["Low", ...]
_SAMPLES = 256
_HUGE = 1e8  # pairs by rule of thumb, from where on sampling is worth its time
_CHEAP = 100_000  # pairs of a state and a value for which no better order is looked for
# What a constraint of a kind leaves of the rows, by rule of thumb: sampling cost more than it won.
_LEFT = {"eq": 0.08, "divides": 0.35, "le": 0.6, "lt": 0.6, "ne": 0.9, "any": 0.7, "different": 0.5}


def arrange(
    pool: Pool,
    names: Sequence[str],
    constraints: Sequence[Low],
    domains: Mapping[str, NDArray[Any]],
    *,
    large: bool,
) -> tuple[tuple[str, ...], list[Frontier] | None]:
    """Return the variables in an order that keeps the number of states small at every level.

    With it comes what the states after each level hold, where that was worked out.

    In a large problem a second order, those in most constraints first, is weighed against the
    first by what their states are made of.
    """
    left = [_LEFT.get(c.kind, 0.8) for c in constraints]
    weights = [math.log(x) for x in left]
    order = _greedy(names, constraints, weights, domains)
    if not large:
        return tuple(order), None
    after = frontiers(pool, order, constraints)
    work = _work(order, after, constraints, weights, domains)
    if work < _CHEAP:
        return tuple(order), after
    sampled = _sampled(pool, names, constraints, domains) if work > _HUGE else None
    if sampled is not None:
        weights = [math.log(max(x, 1e-4)) for x in sampled]
        order = _greedy(names, constraints, weights, domains)
        after = frontiers(pool, order, constraints)
        work = _work(order, after, constraints, weights, domains)
    degree = dict.fromkeys(names, 0)
    for c in constraints:
        for name in c.names:
            degree[name] += 1
    other = sorted(names, key=lambda name: (-degree[name], domains[name].size))
    after_other = frontiers(pool, other, constraints)
    if _work(other, after_other, constraints, weights, domains) < work:
        return tuple(other), after_other
    return tuple(order), after


def _greedy(
    names: Sequence[str],
    constraints: Sequence[Low],
    weights: Sequence[float],
    domains: Mapping[str, NDArray[Any]],
) -> list[str]:
    """Return an order in which each next variable multiplies the rows least."""
    todo: list[tuple[set[str], float]] = [
        (set(c.names), w) for c, w in zip(constraints, weights, strict=True)
    ]
    by_name: dict[str, list[tuple[set[str], float]]] = {name: [] for name in names}
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
            score = sizes[name] - 0.05 * touched[name]
            for others, weight in by_name[name]:
                open_ = len(others)
                score += weight if open_ == 1 else weight * 0.3 / open_
            if score < best_score - 1e-9:
                best, best_score = name, score
        order.append(best)
        remaining.remove(best)
        for others, _ in by_name[best]:
            others.discard(best)
            for name in others:
                touched[name] += 1
    return order


def _work(
    order: Sequence[str],
    after: Sequence[Frontier],
    constraints: Sequence[Low],
    weights: Sequence[float],
    domains: Mapping[str, NDArray[Any]],
) -> float:
    """Estimate how many pairs of a state and a value an order leads to."""
    rows = states = 0.0  # logarithms
    work = 0.0
    assigned: set[str] = set()
    for name, signals in zip(order, after, strict=True):
        assigned.add(name)
        size = math.log(max(domains[name].size, 1))
        work += math.exp(min(states + size, 60.0))
        rows += size
        for c, weight in zip(constraints, weights, strict=True):
            if name in c.names and c.names <= assigned:
                rows += weight
        held = 0.0
        for signal in signals:
            values = sum(math.log(max(domains[v].size, 1)) for v in signal.names)
            held += min(values, math.log(signal.high - signal.low + 1))
        states = max(0.0, min(rows, states + size, held))
    return work


def _sampled(
    pool: Pool,
    names: Sequence[str],
    constraints: Sequence[Low],
    domains: Mapping[str, NDArray[Any]],
) -> list[float] | None:
    if any(domains[name].dtype.hasobject or not domains[name].size for name in names):
        return None
    generator = np.random.default_rng(0)
    base: list[Any] = []
    slots: dict[int, int] = {}
    for name in names:
        slots[id(pool.name(name))] = len(base)
        base.append(domains[name][generator.integers(0, domains[name].size, _SAMPLES)])
    compiler = Compiler(pool, slots)
    left = []
    for node in constraints:
        if node.parameters or node.peak >= 1 << 62:  # one order whatever the parameters
            left.append(_LEFT.get(node.kind, 0.8))
            continue
        env = Env(base)
        verdict = compiler(node)(env)
        if env.bad is not None:
            verdict = verdict & ~env.bad
        left.append(max(float(np.mean(verdict)), 0.5 / _SAMPLES))
    return left
