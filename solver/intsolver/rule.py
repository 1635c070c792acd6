"""Constraints and a cost given as one function over columns: for few assignments, asked for often.

    def rule(c):
        return c["tile"] * c["warps"] <= 64, c["tile"] + 10 * c["warps"]

    least({"tile": (8, 16), "warps": (2, 4, 8)}, rule)        # [(28, {"tile": 8, "warps": 2})]

A `Problem` analyses its constraints once and can then explain, count and solve again; that takes
milliseconds. Here every assignment is looked at and nothing is analysed: 1,000 of them take as long
as the function does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.declare import listed
from intsolver.errors import TooManySolutions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Rule = Callable[[dict[str, Any]], tuple[Any, Any]]

MOST = 1 << 20  # assignments


def least(
    domains: Mapping[str, Iterable[int]], rule: Rule, top: int | None = 1
) -> list[tuple[int, dict[str, int]]]:
    """Return the `top` assignments of least cost that satisfy a rule, with their costs.

    Parameters
    ----------
    domains
        The values of each variable, integers of at most 64 bits.
    rule
        Is given a column of int64 by name of variable, each on an axis of its own, so that what
        reads few variables is worked out for few assignments. Returns where the constraints hold,
        and the cost, both as numpy broadcasts them. Where it divides by zero, numpy has 0: it must
        not hold there.
    top
        None for all. Ties are in the order of the values.

    Raises
    ------
    ProblemError, ExpressionError
        A domain is empty, has a value twice, or something in it is no integer.
    TooManySolutions
        More than 2**20 assignments.
    """
    names = tuple(domains)
    values = [np.array(listed(name, domains[name]), np.int64) for name in names]
    shape = tuple(column.size for column in values)
    if (count := int(np.prod(shape, dtype=object))) > MOST:
        raise TooManySolutions(
            f"{count:,} assignments, at most {MOST:,} are looked at; state a Problem", count
        )
    axes = np.ix_(*values) if values else ()
    with np.errstate(divide="ignore", invalid="ignore"):
        holds, cost = rule(dict(zip(names, axes, strict=True)))
    places = np.flatnonzero(np.broadcast_to(holds, shape))
    costs = np.broadcast_to(cost, shape).reshape(-1)[places]
    if top == 1 and places.size:
        order = np.array([costs.argmin()])
    else:
        order = costs.argsort(kind="stable")[:top]
    found = np.unravel_index(places[order], shape)
    rows = zip(*[v[index].tolist() for v, index in zip(values, found, strict=True)], strict=True)
    return [
        (cost, dict(zip(names, row, strict=True)))
        for cost, row in zip(costs[order].tolist(), rows, strict=True)
    ]
