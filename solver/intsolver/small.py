"""A component with so few assignments that all of them are looked at in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.parts import Table
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool

MOST = 32_768  # assignments; levels cost more than these
MOST_AGAIN = 1_024  # where parameters change, and much would be worked out again
MOST_VARIABLES = 16  # axes that an array is given, of the 64 that it may have


class Small:
    """The constraints of a component over a grid with one axis for each variable.

    `order` are the variables in the order in which the rows are lexicographic.
    """

    def __init__(
        self,
        pool: Pool,
        order: Sequence[str],
        constraints: Sequence[Low],
        domains: Mapping[str, NDArray[Any]],
    ) -> None:
        self.order = tuple(order)
        self._domains = [domains[name] for name in order]
        names = frozenset[str]().union(*[c.parameters for c in constraints])
        self._parameters = sorted(names)
        slots = {id(pool.name(name)): i for i, name in enumerate([*order, *self._parameters])}
        compiler = Compiler(pool, slots)
        self._checks = [compiler(c) for c in constraints]

    def solve(self, parameters: Mapping[str, int], pinned: Mapping[str, int]) -> Table:
        """Return the solutions of the component."""
        domains = [
            domain[domain == pinned[name]] if name in pinned else domain
            for name, domain in zip(self.order, self._domains, strict=True)
        ]
        axes = len(domains)
        columns: list[Any] = [
            domain.reshape([-1 if i == axis else 1 for i in range(axes)])
            for axis, domain in enumerate(domains)
        ]
        env = Env([*columns, *[parameters[name] for name in self._parameters]])
        mask: Any = True
        for check in self._checks:
            env.bad = None
            verdict = check(env)
            if env.bad is not None:
                verdict = verdict & ~np.asarray(env.bad)
            mask = verdict & mask
        shape = tuple(domain.size for domain in domains)
        where = np.asarray(mask, bool)
        if where.shape != shape:
            where = np.broadcast_to(where, shape)
        places = where.nonzero()
        rows = {
            name: domain[place]
            for name, domain, place in zip(self.order, domains, places, strict=True)
        }
        return Table(rows, places[0].size)
