"""A group of variables with so few assignments that all of them are looked at in one piece."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.cells import given, holds
from intsolver.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intsolver.expr import Constraint
    from intsolver.narrow import Domains

MOST = 32_768  # assignments; levels cost more than these
MOST_AGAIN = 1_024  # where parameters change, and all would be worked out again
MOST_VARIABLES = 16  # axes that an array is given, of the 64 that it may have


class Small:
    """The constraints of a group over a grid with one axis for each variable.

    Its rows are lexicographic in `names`. `ends` are the least and greatest value of each variable
    of the problem: those that have one value are read too. No rows stand between solves.
    """

    standing = None

    def __init__(
        self,
        names: Sequence[str],
        constraints: Sequence[Constraint],
        domains: Domains,
        ends: Mapping[str, tuple[int, int]],
    ) -> None:
        self.names = self.order = tuple(names)
        self._constraints = constraints
        self._domains = [domains[name] for name in names]
        self._ends = [ends[name] for name in names]
        self._fixed = {
            name: given(low, low, low) for name, (low, high) in ends.items() if low == high
        }

    @staticmethod
    def can(names: Sequence[str], domains: Domains, *, again: bool) -> bool:
        """Return whether assignments are that few; `again`: where there are parameters."""
        cells = math.prod([domains[name].size for name in names])
        most = min(MOST, MOST_AGAIN) if again else MOST
        return cells <= most and len(names) <= MOST_VARIABLES

    def solve(self, parameters: Mapping[str, int], pinned: Mapping[str, int], _most: int) -> Table:
        """Return the solutions of the group."""
        domains = [
            domain[domain == pinned[name]] if name in pinned else domain
            for name, domain in zip(self.names, self._domains, strict=True)
        ]
        numbers = {**self._fixed, **{k: given(v, v, v) for k, v in parameters.items()}}
        shape = [1] * len(domains)
        for axis, (name, domain) in enumerate(zip(self.names, domains, strict=True)):
            shape[axis] = domain.size
            numbers[name] = given(domain.reshape(shape), *self._ends[axis])
            shape[axis] = 1
        mask: Any = True
        for node in self._constraints:
            mask = holds(node, numbers) & mask
        where, sizes = np.asarray(mask, bool), tuple([domain.size for domain in domains])
        if where.shape != sizes:
            where = np.broadcast_to(where, sizes)
        places = where.nonzero()
        rows = {
            name: domain[place]
            for name, domain, place in zip(self.names, domains, places, strict=True)
        }
        return Table(rows, places[0].size)

    def limit(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], _n: int, _most: int | None
    ) -> Table:
        """Return the first solutions of the group: all of them."""
        return self.solve(parameters, pinned, MOST)
