"""How large an expression is, so that none grows past what recursion and memory can take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from intsolver import expr as e
from intsolver.errors import ExpressionError
from intsolver.evaluate import children

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NODES = 20_000
MAX_DEPTH = 150  # every pass over a tree is recursive, and Python's own limit is 1,000 frames
MAX_DEGREE = 256


class Extent(NamedTuple):
    """Nodes of a tree, the longest way down, and the degree (names and constants count 1)."""

    nodes: int
    depth: int
    degree: int


LEAF = Extent(1, 1, 1)


def extent_of(node: e.Node, known: Mapping[str, Extent]) -> Extent:
    """Return the extent of a tree in which some names stand for trees of a `known` extent."""
    if isinstance(node, e.Name):
        return known.get(node.name, LEAF)
    return extent_over(node, [extent_of(child, known) for child in children(node)])


def extent_over(node: e.Node, below: Iterable[Extent]) -> Extent:
    """Return the extent of a node from those of the nodes directly below.

    Raises
    ------
    ExpressionError
        It is past the limits.
    """
    nodes, depth, degree = 1, 0, 1
    for one in below:
        nodes += one.nodes
        depth = max(depth, one.depth)
        degree = max(degree, one.degree)
    if isinstance(node, e.Product):
        degree = sum(one.degree for one in below)
    elif isinstance(node, e.Power):
        degree *= node.exponent
    found = Extent(nodes, depth + 1, degree)
    if (
        nodes > MAX_NODES
        or depth >= MAX_DEPTH
        or (degree > MAX_DEGREE and isinstance(node, e.Power))
    ):
        raise ExpressionError(
            f"an expression of {nodes:,} terms, nested {depth + 1} deep, of degree {degree}; "
            f"at most {MAX_NODES:,} terms, {MAX_DEPTH} deep, powers of degree {MAX_DEGREE}"
        )
    return found
