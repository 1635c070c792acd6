"""Values that a constraint forbids whatever the other variables are.

Only the forms that tuning problems are full of, each by a formula: a product of variables that
divides a number, that is equal to one, or that stays below one, alone or in a sum.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from intsolver import expr as e

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from intsolver.expr import Constraint, Node

Domains = dict[str, "NDArray[Any]"]
Ends = dict[str, tuple[int, int]]
INT64 = 1 << 63
_TURNED: dict[e.Comparison, e.Comparison] = {"<=": ">=", "<": ">", ">=": "<=", ">": "<", "==": "=="}


def narrow(constraints: Iterable[Constraint], domains: Domains, ends: Ends) -> None:
    """Leave out of `domains` (columns by variable) what one of the constraints alone forbids.

    `ends` are the least and greatest value of each, and are kept up to date.
    """
    for node in constraints:
        if type(node) is e.Divides:
            if type(node.of) is e.Constant:
                _dividing(node.divisor, node.of.value, domains, ends)
        elif type(node) is e.Compare:
            relation, left, right = node.relation, node.left, node.right
            if type(left) is e.Constant and relation in _TURNED:
                relation, left, right = _TURNED[relation], right, left
            if type(right) is e.Constant:
                _compared(relation, left, right.value, domains, ends)


def _compared(relation: str, node: Node, number: int, domains: Domains, ends: Ends) -> None:
    if relation in ("<=", "<"):
        _at_most(node, number - (relation == "<"), domains, ends)
    elif relation in (">=", ">"):
        _at_most(node, -number - (relation == ">"), domains, ends, sign=-1)
    elif relation == "==":
        if type(node) is e.Modulo and type(node.left) is e.Constant and not number:
            _dividing(node.right, node.left.value, domains, ends)
            return
        if number:
            _dividing(node, number, domains, ends)
        _at_most(node, number, domains, ends)
        _at_most(node, -number, domains, ends, sign=-1)


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
        if ends[name][0] == ends[name][1] and domains[name].size:
            constant *= ends[name][0]
    if not constant or number % constant:
        for name in names:
            keep(name, domains[name][:0], domains, ends)
        return
    number //= constant
    for name in names:
        values, (low, high) = domains[name], ends[name]
        if low == high or abs(number) >= INT64 or values.dtype.hasobject:
            continue
        if low <= 0 <= high:
            values = values[values != 0]  # what divides a number is not 0
        kept = number % values == 0
        if values.size < domains[name].size or not kept.all():
            keep(name, values[kept], domains, ends)


def _at_most(node: Node, number: int, domains: Domains, ends: Ends, *, sign: int = 1) -> None:
    """Keep the values with which a sum, or its negative, can stay at or below a number.

    Its terms are products of positive variables, or multiples of one variable.
    """
    terms = []
    for times, part in _terms(node, sign):
        term = _factors(part, domains)
        if term is None or any(domains[name].dtype.hasobject for name in term[1]):
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
    if type(node) is e.Sum:
        return _terms(node.left, sign) + _terms(node.right, sign)
    if type(node) is e.Difference:
        return _terms(node.left, sign) + _terms(node.right, -sign)
    return [(sign, node)]


def _factors(node: Node, domains: Domains) -> tuple[int, list[str]] | None:
    """Return the constant and the variables of a product, None where it is of anything else."""
    constant, names, left = 1, [], [node]
    while left:
        part = left.pop()
        if type(part) is e.Product:
            left += part.right, part.left
        elif type(part) is e.Name and part.name in domains:
            names.append(part.name)
        elif type(part) is e.Constant:
            constant *= part.value
        else:
            return None
    return constant, names
