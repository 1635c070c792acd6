"""Sums and products of which only the remainder matters, over variables with many values.

``x * y % 97`` is told by ``x % 97`` and ``y % 97``: two of 97 values instead of two of a million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intsolver.lower import Low, Pool

_LONG = 1_024  # values from where on remainders are fewer to hold, and worth their division
_TIMES = 4  # as many values as there are remainders


def reduced(pool: Pool, node: Low, divisor: Low) -> Low:
    """Return a node with the same remainder: what it is computed from with its remainders taken."""
    if not divisor.constant or divisor.value <= 0 or node.kind not in ("sum", "product", "power"):
        return node
    return _reduced(pool, node, divisor)


def _reduced(pool: Pool, node: Low, divisor: Low) -> Low:
    if node.kind in ("sum", "product", "power"):
        of = tuple([_reduced(pool, x, divisor) for x in node.of])
        return node if of == node.of else pool.make(node.kind, of, node.value)
    values = node.high - node.low + 1
    if node.constant or values < max(_LONG, _TIMES * divisor.value):
        return node
    return pool.make("mod", (node, divisor))
