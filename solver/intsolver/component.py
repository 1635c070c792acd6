"""A group of variables that constraints connect, and how it is solved: by a chain of levels.

Where parameters occur, what does not depend on them stands from one solve to the next. Each is made
when it is first needed. Groups of few assignments are `Small`.
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from intsolver.build import build
from intsolver.errors import TooManySolutions
from intsolver.order import arrange
from intsolver.parts import Diagram, Table
from intsolver.search import search
from intsolver.standing import Standing, stand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intsolver.chain import Chain
    from intsolver.lower import Low, Pool
    from intsolver.narrow import Domains
    from intsolver.parts import Part

N = TypeVar("N")
_PATIENCE = 1 << 21  # states looked at depth first before those of a level are merged
_ROWS, _MOST_ROWS = 1 << 15, 1 << 23  # merged states of a level at first, and at most
SMALL = 30_000  # below that many assignments looking ahead costs more than it saves


class Component:
    """Some variables and the constraints between them; the set is lexicographic in `order`."""

    def __init__(
        self, pool: Pool, names: Sequence[str], constraints: Sequence[Low], domains: Domains
    ) -> None:
        self.pool, self.constraints, self.domains = pool, constraints, domains
        self.names = tuple(names)
        self._large = assignments(names, domains) > SMALL

    @cached_property
    def _arranged(self) -> tuple[tuple[str, ...], list[tuple[Low, ...]] | None]:
        return arrange(self.pool, self.names, self.constraints, self.domains, large=self._large)

    @property
    def order(self) -> tuple[str, ...]:
        """The variables in the order in which the set is lexicographic."""
        return self._arranged[0]

    @cached_property
    def _chain(self) -> Chain:
        return build(
            self.pool,
            self.order,
            self.constraints,
            self.domains,
            after=self._arranged[1],
            prune=self._large,
        )

    @cached_property
    def _failing(self) -> Chain:
        """A chain that begins with what most constraints read, so that it ends early in vain.

        Those that read little else count for more.
        """
        weight = {
            name: sum([1 / len(c.names) for c in self.constraints if name in c.names])
            for name in self.names
        }
        order = sorted(self.names, key=lambda name: (-weight[name], self.domains[name].size))
        return build(self.pool, order, self.constraints, self.domains, eager=True)

    @cached_property
    def standing(self) -> Standing | None:
        """The rows that no parameter rules out, None where they are not kept."""
        return stand(self.pool, self.order, self.constraints, self.domains)

    def solve(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], max_rows: int
    ) -> Part:
        """Return every solution; raises as `Solver.solve`."""
        standing = self.standing
        if standing is not None and standing.rows <= max_rows:
            return standing.solve(parameters, pinned)
        return self._levels(parameters, pinned, max_rows)

    def _levels(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], max_rows: int
    ) -> Table | Diagram:
        layers, _, states = self._chain.run(parameters, pinned, max_rows)
        if not states:
            return Table({name: self.domains[name][:0] for name in self.order}, 0)
        return Diagram(self.order, [level.domain for level in self._chain.levels], layers)

    def limit(
        self,
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        n: int,
        max_states: int | None,
    ) -> Table:
        """Return the first `n` solutions, or more where that is as easy; raises as `search`.

        Depth first, a mistake in an early variable may be found out late, again and again. So
        where that takes long, all states of each level are looked at together, as far as they
        are not too many; then depth first again, each time with more patience.
        """
        if (standing := self.__dict__.get("standing")) is not None:  # solved before
            part = standing.solve(parameters, pinned)
            return Table(part.at(np.arange(min(n, part.count))), min(n, part.count))
        if max_states is not None:
            return search(self._failing, parameters, pinned, n, max_states)
        patience, rows = _PATIENCE, _ROWS
        while True:
            with contextlib.suppress(TooManySolutions):
                return search(self._chain, parameters, pinned, n, patience)
            try:
                part = self._levels(parameters, pinned, rows)
                return Table(part.at(np.arange(min(n, part.count))), min(n, part.count))
            except TooManySolutions:
                patience, rows = 4 * patience, min(4 * rows, _MOST_ROWS)


def assignments(names: Iterable[str], domains: Domains) -> float:
    """Return how many assignments there are of some variables."""
    cells = 1.0
    for name in names:
        cells *= domains[name].size
    return cells


def components(
    names: Sequence[str], constraints: Iterable[tuple[N, frozenset[str]]]
) -> list[tuple[list[str], list[N]]]:
    """Return groups of variables that constraints connect, each with its constraints.

    A constraint comes with the variables among `names` that it reads, at least one.
    """
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    constraints = list(constraints)
    for _, reads in constraints:
        first = None
        for name in reads:
            leader.setdefault(name, name)
            if first is None:
                first = find(name)
            else:
                leader[find(name)] = first
    groups: dict[str, tuple[list[str], list[N]]] = {}
    for name in names:
        if name in leader:
            groups.setdefault(find(name), ([], []))[0].append(name)
    for node, reads in constraints:
        groups[find(next(iter(reads)))][1].append(node)
    return list(groups.values())
