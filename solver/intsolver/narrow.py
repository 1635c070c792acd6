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
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from intsolver.expr import Constraint, Node

Domains = dict[str, "NDArray[Any]"]
Ends = dict[str, tuple[int, int]]
INT64 = 1 << 63


def narrow(constraints: Iterable[Constraint], domains: Domains, ends: Ends) -> None:
    """Leave out of `domains` (columns by variable) what one of the constraints alone forbids.

    `ends` are the least and greatest value of each, and are kept up to date.
    """
    for node in constraints:
        match node:
            case e.Compare("==", e.Modulo(e.Constant(number), divisor), e.Constant(0)):
                _dividing(divisor, number, domains, ends)
            case e.Divides(divisor, e.Constant(number)):
                _dividing(divisor, number, domains, ends)
            case e.Compare("==", small, e.Constant(number)):
                if number:
                    _dividing(small, number, domains, ends)
                _at_most(small, number, domains, ends)
                _at_most(small, -number, domains, ends, sign=-1)
            case e.Compare("<=" | "<" as sign, small, e.Constant(number)):
                _at_most(small, number - (sign == "<"), domains, ends)
            case e.Compare(">=" | ">" as sign, large, e.Constant(number)):
                _at_most(large, -number - (sign == ">"), domains, ends, sign=-1)
            case e.Compare(">=" | ">" as sign, e.Constant(number), small):
                _at_most(small, number - (sign == ">"), domains, ends)


def keep(name: str, kept: NDArray[Any], domains: Domains, ends: Ends) -> None:
    """Leave a variable these of its values."""
    domains[name] = kept
    if kept.size:
        ends[name] = int(kept.min()), int(kept.max())


def _dividing(node: Node, number: int, domains: Domains, ends: Ends) -> None:
    """Keep the values of the factors of a product that divide a number."""
    product = _factors(node, domains)
    if product is None or product[0] == 0:
        return
    constant, names = product
    for name in names:
        values = domains[name]
        if number % constant:
            keep(name, values[:0], domains, ends)
        elif abs(number) < INT64 and values.dtype != object:
            kept = values != 0  # what divides a number is not 0
            rest = np.ones_like(values)
            np.remainder(number // constant, values, out=rest, where=kept)
            kept &= rest == 0
            if not kept.all():
                keep(name, values[kept], domains, ends)


def _at_most(node: Node, number: int, domains: Domains, ends: Ends, *, sign: int = 1) -> None:
    """Keep the values with which a sum, or its negative, can stay at or below a number.

    Its terms are products of positive variables, or multiples of one variable.
    """
    terms = []
    for times, part in _terms(node, sign):
        term = _factors(part, domains)
        if term is None or any(domains[name].dtype == object for name in term[1]):
            return
        terms.append((times * term[0], term[1]))
    if not all(domains[name].size for _, names in terms for name in names):
        return
    lows = [_low(factor, [ends[name] for name in names]) for factor, names in terms]
    known = [low for low in lows if low is not None]
    if len(known) < len(lows):
        return
    room, before = number - sum(known), dict(ends)
    for (factor, names), low in zip(terms, known, strict=True):
        for name in names if factor else ():
            lowest, highest = before[name]
            times = factor if len(names) == 1 else low // lowest
            values = domains[name]
            if times > 0 and (most := (room + low) // times) < highest:
                keep(name, values[values <= most], domains, ends)
            elif times < 0 and (least := -((room + low) // -times)) > lowest:
                keep(name, values[values >= least], domains, ends)


def _low(factor: int, ends: Sequence[tuple[int, int]]) -> int | None:
    """Return the least value of a term from the ends of its variables, None for no idea."""
    if len(ends) == 1:
        return min(factor * end for end in ends[0])
    if not ends or (factor > 0 and all(low > 0 for low, _ in ends)):
        return factor * math.prod(low for low, _ in ends)
    return None


def _terms(node: Node, sign: int) -> list[tuple[int, Node]]:
    """Return what is added and taken away in a sum of sums."""
    match node:
        case e.Sum(left, right):
            return _terms(left, sign) + _terms(right, sign)
        case e.Difference(left, right):
            return _terms(left, sign) + _terms(right, -sign)
    return [(sign, node)]


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
