"""Inequalities that follow from two others: their sum, where terms cancel.

``free >= 1`` and ``mh * (free + used) <= smem * mh * bn`` say together that ``used < smem * bn``,
whatever goes into `free`. From ``size - per // x * bn <= smem`` and ``per // x <= regs`` follows
``size <= smem + regs * bn``, the second taken `bn` times. An inequality is kept as the terms of a
polynomial that is at most 0, a term as the nodes that are multiplied in it.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.evaluate import has_quotient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intsolver.expr import Constraint, Expr, Node

Term = tuple[int, ...]  # numbers of nodes in ascending order, each as often as it is a factor
Polynomial = dict[Term, int]
_MOST_TERMS = 40


def implied(
    constraints: Iterable[Constraint], domains: Mapping[str, Sequence[int]]
) -> list[tuple[Constraint, Constraint, Constraint]]:
    """Return pairs of constraints with what follows from them and has fewer terms than these."""
    numbers: dict[Expr, int] = {}
    known = []
    for node in constraints:
        for small, large in _inequalities(node):
            found = _difference(small, large, numbers)
            if found is not None:
                known.append((node, found))
    nodes = list(numbers)
    positive = {
        number
        for node, number in numbers.items()
        if isinstance(node, e.Name) and node.name in domains and min(domains[node.name]) > 0
    }
    computed = {number for node, number in numbers.items() if not isinstance(node, e.Name)}
    known = [(node, _without_common(found, positive)) for node, found in known]
    sums = []
    for (node, one), (other_node, other) in combinations(known, 2):
        total = _added(one, other, 1)
        if len(total) + 2 >= len(one) + len(other):  # no more is gone than one pair of terms
            total = _without_shared(one, other, computed, positive)
            total = total or _without_shared(other, one, computed, positive)
        if total:
            rest = _node(_without_common(total, positive), nodes)
            sums.append((node, other_node, e.Compare("<=", rest, e.Constant(0))))
    return list[tuple[e.Constraint, e.Constraint, e.Constraint]](sums)


def _without_shared(
    one: Polynomial, other: Polynomial, computed: set[int], positive: set[int]
) -> Polynomial:
    """Return a sum of a polynomial and a positive multiple of the other in which a term is gone.

    The term has a `computed` factor, and the multiple is by variables that are `positive`.
    Nothing where there is no such term.
    """
    shared = [
        (part, times)
        for part, times in other.items()
        if times > 0 and not computed.isdisjoint(part)
    ]
    if not shared:
        return {}
    lower = [(term, factor) for term, factor in one.items() if factor < 0]
    for (part, times), (term, factor) in product(shared, lower):
        by = _divided(term, part)
        if by is not None and positive.issuperset(by):
            return _added(_product(one, {(): times}), _product(other, {by: factor}), -1)
    return {}


def _divided(term: Term, part: Term) -> Term | None:
    """Return a term without the factors of another, None where it does not have them all."""
    left = list(term)
    for node in part:
        if node not in left:
            return None
        left.remove(node)
    return tuple(left)


def _inequalities(node: Constraint) -> list[tuple[Expr, Expr]]:
    """Return pairs of which the first is at most the second, to say what a comparison says."""
    if not isinstance(node, e.Compare):
        return []
    left, right, one = node.left, node.right, e.Constant(1)
    match node.relation:
        case "<=":
            return [(left, right)]
        case "<":
            return [(e.Sum(left, one), right)]
        case ">=":
            return [(right, left)]
        case ">":
            return [(e.Sum(right, one), left)]
    return []


def _difference(small: Expr, large: Expr, numbers: dict[Expr, int]) -> Polynomial | None:
    one, other = _polynomial(small, numbers), _polynomial(large, numbers)
    return None if one is None or other is None else _added(one, other, -1)


def _polynomial(node: Node, numbers: dict[Expr, int]) -> Polynomial | None:
    """Return the terms of an expression, None for too many or a quotient that may be fractional."""
    found: Polynomial | None = None
    match node:
        case e.Constant(value):
            found = {(): value} if value else {}
        case e.Sum(left, right) | e.Difference(left, right) | e.Product(left, right):
            one, other = _polynomial(left, numbers), _polynomial(right, numbers)
            if one is None or other is None or len(one) * len(other) > _MOST_TERMS**2:
                return None
            if isinstance(node, e.Product):
                found = _product(one, other)
            else:
                found = _added(one, other, 1 if isinstance(node, e.Sum) else -1)
        case e.Negative(of):
            found = _polynomial(e.Product(e.Constant(-1), of), numbers)
        case e.Expr() if not has_quotient(node):
            found = {(numbers.setdefault(node, len(numbers)),): 1}
    return found if found is not None and len(found) <= _MOST_TERMS else None


def _product(one: Polynomial, other: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for a, times in one.items():
        for b, by in other.items():
            term = tuple(sorted(a + b))
            found[term] = found.get(term, 0) + times * by
    return {term: factor for term, factor in found.items() if factor}


def _added(one: Polynomial, other: Polynomial, sign: int) -> Polynomial:
    found = dict(one)
    for term, factor in other.items():
        found[term] = found.get(term, 0) + sign * factor
    return {term: factor for term, factor in found.items() if factor}


def _without_common(found: Polynomial, positive: set[int]) -> Polynomial:
    """Return what is left of ``found <= 0`` without the positive variables common to its terms.

    A constant besides them that is at least 0 does no harm: of ``1 + x * rest <= 0``, ``rest < 0``
    is left.
    """
    constant = found.get((), 0)
    terms = {term: factor for term, factor in found.items() if term}
    if constant < 0 or not terms:
        return found
    common = positive.intersection(*terms)
    if not common:
        return found
    rest: Polynomial = {}
    for term, factor in terms.items():
        left = list(term)
        for node in common:
            left.remove(node)
        rest[tuple(left)] = rest.get(tuple(left), 0) + factor
    return _added(rest, {(): int(constant > 0)}, 1)


def _node(found: Polynomial, nodes: Sequence[Expr]) -> Expr:
    total: Expr = e.Constant(0)
    for term, factor in found.items():
        part: Expr = e.Constant(factor)
        for number in term:
            part = e.Product(part, nodes[number])
        total = e.Sum(total, part)
    return total
