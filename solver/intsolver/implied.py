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
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from intsolver.expr import Constraint, Expr, Node

Term = tuple["Expr", ...]  # in a fixed order, a node as often as it is a factor
Polynomial = dict[Term, int]
_MOST_TERMS = 40


def implied(
    constraints: Iterable[Constraint], domains: Mapping[str, Sequence[int]]
) -> list[tuple[Constraint, Constraint, Constraint]]:
    """Return pairs of constraints with what follows from them and has fewer terms than these."""
    order: dict[Expr, int] = {}
    known = []
    for node in constraints:
        for small, large in _inequalities(node):
            found = _difference(small, large, order)
            if found is not None:
                known.append((node, _without_common(found, domains)))
    positive = {name for name, domain in domains.items() if min(domain) > 0}
    sums = []
    for (node, one), (other_node, other) in combinations(known, 2):
        total = _added(one, other, 1)
        if len(total) + 2 >= len(one) + len(other):  # no more is gone than one pair of terms
            total = _without_shared(one, other, order, positive)
            total = total or _without_shared(other, one, order, positive)
        if total:
            rest = _without_common(total, domains)
            sums.append((node, other_node, e.Compare("<=", _node(rest), e.Constant(0))))
    return list[tuple[e.Constraint, e.Constraint, e.Constraint]](sums)


def _without_shared(
    one: Polynomial, other: Polynomial, order: dict[Expr, int], positive: Collection[str]
) -> Polynomial:
    """Return a sum of a polynomial and a positive multiple of the other in which a term is gone.

    The term is no product of variables alone, and the multiple is by variables that are positive.
    Nothing where there is no such term.
    """
    shared = [(part, times) for part, times in other.items() if times > 0 and _computes(part)]
    if not shared:
        return {}
    lower = [(term, factor) for term, factor in one.items() if factor < 0 and _computes(term)]
    for (part, times), (term, factor) in product(shared, lower):
        by = _divided(term, part)
        if by is not None and all(isinstance(x, e.Name) and x.name in positive for x in by):
            kept, taken = _product(one, {(): times}, order), _product(other, {by: factor}, order)
            return _added(kept, taken, -1)
    return {}


def _computes(term: Term) -> bool:
    """Return whether a term is more than a product of names."""
    return not all(isinstance(node, e.Name) for node in term)


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


def _difference(small: Expr, large: Expr, order: dict[Expr, int]) -> Polynomial | None:
    one, other = _polynomial(small, order), _polynomial(large, order)
    return None if one is None or other is None else _added(one, other, -1)


def _polynomial(node: Node, order: dict[Expr, int]) -> Polynomial | None:
    """Return the terms of an expression, None for too many or a quotient that may be fractional."""
    found: Polynomial | None = None
    match node:
        case e.Constant(value):
            found = {(): value} if value else {}
        case e.Sum(left, right) | e.Difference(left, right) | e.Product(left, right):
            one, other = _polynomial(left, order), _polynomial(right, order)
            if one is None or other is None or len(one) * len(other) > _MOST_TERMS**2:
                return None
            if isinstance(node, e.Product):
                found = _product(one, other, order)
            else:
                found = _added(one, other, 1 if isinstance(node, e.Sum) else -1)
        case e.Negative(of):
            found = _polynomial(e.Product(e.Constant(-1), of), order)
        case e.Expr() if not has_quotient(node):
            order.setdefault(node, len(order))
            found = {(node,): 1}
    return found if found is not None and len(found) <= _MOST_TERMS else None


def _product(one: Polynomial, other: Polynomial, order: dict[Expr, int]) -> Polynomial:
    found: Polynomial = {}
    for a, times in one.items():
        for b, by in other.items():
            term = tuple(sorted((*a, *b), key=order.__getitem__))
            found[term] = found.get(term, 0) + times * by
    return {term: factor for term, factor in found.items() if factor}


def _added(one: Polynomial, other: Polynomial, sign: int) -> Polynomial:
    found = dict(one)
    for term, factor in other.items():
        found[term] = found.get(term, 0) + sign * factor
    return {term: factor for term, factor in found.items() if factor}


def _without_common(found: Polynomial, domains: Mapping[str, Sequence[int]]) -> Polynomial:
    """Return what is left of ``found <= 0`` without the positive variables common to its terms.

    A constant besides them that is at least 0 does no harm: of ``1 + x * rest <= 0``, ``rest < 0``
    is left.
    """
    constant = found.get((), 0)
    terms = {term: factor for term, factor in found.items() if term}
    if constant < 0 or not terms:
        return found
    common = [
        node
        for node in dict.fromkeys(next(iter(terms)))
        if isinstance(node, e.Name) and node.name in domains and min(domains[node.name]) > 0
        if all(node in term for term in terms)
    ]
    if not common:
        return found
    rest: Polynomial = {}
    for term, factor in terms.items():
        left = list(term)
        for node in common:
            left.remove(node)
        rest[tuple(left)] = rest.get(tuple(left), 0) + factor
    return _added(rest, {(): int(constant > 0)}, 1)


def _node(found: Polynomial) -> Expr:
    total: Expr = e.Constant(0)
    for term, factor in found.items():
        part: Expr = e.Constant(factor)
        for node in term:
            part = e.Product(part, node)
        total = e.Sum(total, part)
    return total
