"""Values that a constraint forbids whatever the other variables are.

Only the forms that tuning problems are full of, each by a formula: a product that divides a
number, that is equal to one, or that stays below one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from intsolver.lower import Low

Domains = dict[str, "NDArray[Any]"]
INT64 = 1 << 62


def narrowed(constraints: Iterable[Low], domains: Domains) -> bool:
    """Leave values out of `domains`; return whether there were any."""
    before = sum(domain.size for domain in domains.values())
    for node in constraints:
        rule = _RULES.get(node.kind)
        if rule is None or node.parameters or node.partial or node.peak >= INT64:
            continue
        if len(node.names) > 1:
            rule(node, domains)
    return sum(domain.size for domain in domains.values()) < before


def _divides(node: Low, domains: Domains) -> None:
    divisor, of = node.of
    if of.constant:
        _dividing(divisor, of.value, domains)


def _equal(node: Low, domains: Domains) -> None:
    product, number = node.of
    if number.constant and number.value and product.kind == "product":
        _dividing(product, number.value, domains)
        _at_most(product, number.value, domains)


def _less(node: Low, domains: Domains) -> None:
    small, large = node.of
    if large.constant:
        _at_most(small, large.value - (node.kind == "lt"), domains)


def _dividing(product: Low, number: int, domains: Domains) -> None:
    """Keep the values of the factors that divide a number together with the constant factor."""
    constant = 1
    for factor in _factors(product):
        if factor.constant:
            constant = factor.value
    for name in _variables(product):
        values = domains[name]
        if values.size > 1 and values.dtype != object:
            parts = values * constant
            kept = parts != 0  # what divides a number is not 0, and 0 is no factor of one
            np.remainder(number, parts, out=parts, where=kept)
            kept &= parts == 0
            if not kept.all():
                domains[name] = values[kept]


def _at_most(node: Low, number: int, domains: Domains) -> None:
    """Keep the values with which a product, or a sum of them, can stay at or below a number."""
    for term in node.of if node.kind == "sum" else (node,):
        factors = _factors(term)
        if any(x.low < 0 for x in factors) or not all(x.low > 0 for x in factors):
            continue
        room = number - (node.low - term.low)
        for name in _variables(term):
            values = domains[name]
            low = next(x.low for x in factors if x.label == name)
            rest = term.low // low
            if values.size > 1 and values.dtype != object and rest * int(values.max()) > room:
                domains[name] = values[values * rest <= room]


def _factors(node: Low) -> tuple[Low, ...]:
    return node.of if node.kind == "product" else (node,)


def _variables(node: Low) -> Iterator[str]:
    """Yield the variables that are factors of a product, those that are so once."""
    labels = [x.label for x in _factors(node) if x.kind == "name"]
    return (label for label in labels if labels.count(label) == 1)


_RULES = {"divides": _divides, "eq": _equal, "le": _less, "lt": _less}
