"""Values that a constraint forbids whatever the other variables are.

Only the forms that tuning problems are full of, each by a formula: a product of variables that
divides a number, that is equal to one, or that stays below one, alone or in a sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver import expr as e

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from intsolver.expr import Constraint, Node

Domains = dict[str, "NDArray[Any]"]
INT64 = 1 << 63


def narrow(constraints: Iterable[Constraint], domains: Domains) -> None:
    """Leave out of `domains` (columns by variable) what one of the constraints alone forbids."""
    for node in constraints:
        match node:
            case e.Compare("==", e.Modulo(e.Constant(number), divisor), e.Constant(0)):
                _dividing(divisor, number, domains)
            case e.Divides(divisor, e.Constant(number)):
                _dividing(divisor, number, domains)
            case e.Compare("==", product, e.Constant(number)) if number:
                _dividing(product, number, domains)
                _at_most(product, number, domains)
            case e.Compare("<=" | "<" as sign, small, e.Constant(number)):
                _at_most(small, number - (sign == "<"), domains)
            case e.Compare(">=" | ">" as sign, e.Constant(number), small):
                _at_most(small, number - (sign == ">"), domains)


def _dividing(node: Node, number: int, domains: Domains) -> None:
    """Keep the values of the factors of a product that divide a number."""
    product = _factors(node, domains)
    if product is None or product[0] == 0:
        return
    constant, names = product
    for name in names:
        values = domains[name]
        if number % constant:
            domains[name] = values[:0]
        elif abs(number) < INT64 and values.dtype != object:
            kept = values != 0  # what divides a number is not 0
            rest = np.ones_like(values)
            np.remainder(number // constant, values, out=rest, where=kept)
            kept &= rest == 0
            if not kept.all():
                domains[name] = values[kept]


def _at_most(node: Node, number: int, domains: Domains) -> None:
    """Keep the values with which a sum of products of positive factors can stay at a number."""
    terms = [_factors(term, domains) for term in _terms(node)]
    least: dict[str, int] = {}
    lows = []
    for term in terms:
        if term is None:
            return
        for name in term[1]:
            values = domains[name]
            if name not in least:
                least[name] = int(values.min()) if values.size and values.dtype != object else 0
        lows.append(term[0] * math.prod(least[name] for name in term[1]))
        if term[1] and (term[0] <= 0 or min(least[name] for name in term[1]) <= 0):
            return
    room = number - sum(lows)
    for term, low in zip(terms, lows, strict=True):
        for name in term[1] if term else ():
            rest = low // least[name]
            values = domains[name]
            most = (room + low) // rest
            if most < int(values.max(initial=0)):
                domains[name] = values[values <= most]


def _terms(node: Node) -> list[Node]:
    return [*_terms(node.left), *_terms(node.right)] if isinstance(node, e.Sum) else [node]


def _factors(node: Node, domains: Domains) -> tuple[int, list[str]] | None:
    """Return the constant and the variables of a product, None where it is of anything else."""
    match node:
        case e.Constant(value):
            return value, []
        case e.Name(name):
            return (1, [name]) if name in domains else None
        case e.Product(left, right):
            one, other = _factors(left, domains), _factors(right, domains)
            return one and other and (one[0] * other[0], one[1] + other[1])
    return None
