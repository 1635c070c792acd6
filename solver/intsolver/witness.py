"""Many assignments at once, and which constraints each violates.

Most sets of constraints are met by some assignment that is easily come by; to know a few thousand
spares most of the searching when a conflict is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.chain import INT64, as_array
from intsolver.lower import Pool
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.expr import Constraint
    from intsolver.known import Known

_ROWS = 1_024
_MOST_MEMBERS = 60  # one bit each
_SETS = 64


class Witnesses:
    """Assignments drawn at random, with the members that each violates as bits of a number."""

    def __init__(
        self,
        domains: Mapping[str, tuple[int, ...]],
        constraints: Sequence[Constraint],
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        known: Known | None,
    ) -> None:
        self.columns: dict[str, NDArray[Any]] = {}
        self.keys: list[int] = []
        self.rows: list[int] = []
        if len(constraints) + len(pinned) > _MOST_MEMBERS:
            return
        box = {name: (min(domain), max(domain)) for name, domain in domains.items()}
        reach = max([abs(value) for value in parameters.values()], default=0)
        pool = Pool(box, {}, dict.fromkeys(parameters, (-reach, reach)))
        nodes = [pool.lower(node) for node in constraints]
        if any(node.peak >= INT64 for node in nodes) or reach >= INT64:
            return
        if any(not -INT64 < low <= high < INT64 for low, high in box.values()):
            return
        self.columns = _drawn(domains, pinned, known)
        names = [*self.columns, *parameters]
        compiler = Compiler(pool, {id(pool.name(name)): i for i, name in enumerate(names)})
        given = [*self.columns.values(), *parameters.values()]
        rows = next(iter(self.columns.values())).size
        violated = np.zeros(rows, np.int64)
        for bit, node in enumerate(nodes):
            env = Env(given)
            holds = np.broadcast_to(np.asarray(compiler(node)(env), bool), (rows,))
            if env.bad is not None:
                holds = holds & ~np.asarray(env.bad, bool)
            violated |= (~holds).astype(np.int64) << bit
        for bit, (name, value) in enumerate(pinned.items(), start=len(nodes)):
            violated |= (self.columns[name] != value).astype(np.int64) << bit
        keys, first = np.unique(violated, return_index=True)
        self.keys, self.rows = keys.tolist(), first.tolist()

    def at(self, members: frozenset[int]) -> dict[str, int] | None:
        """Return an assignment of every variable that violates none of some members, or None."""
        bits = sum([1 << member for member in members])
        for key, row in zip(self.keys, self.rows, strict=True):
            if not key & bits:
                return {name: int(column[row]) for name, column in self.columns.items()}
        return None

    def sets(self) -> list[frozenset[int]]:
        """Return the smallest sets of members that an assignment violates, none within another."""
        kept: list[int] = []
        for key in sorted(self.keys, key=int.bit_count):
            if key and all(one & ~key for one in kept):
                kept.append(key)
            if len(kept) == _SETS:
                break
        return [
            frozenset([bit for bit in range(key.bit_length()) if key >> bit & 1]) for key in kept
        ]


def _drawn(
    domains: Mapping[str, tuple[int, ...]],
    pinned: Mapping[str, int],
    known: Known | None,
) -> dict[str, NDArray[Any]]:
    """Return assignments: values anywhere, ends of domains, pins, and some `known` rows."""
    generator = np.random.default_rng(0)
    drawn = {}
    some = generator.random(_ROWS)  # how much of each assignment is ends, and is pins
    for name, domain in domains.items():
        values = as_array(domain)
        column = values[generator.integers(0, values.size, _ROWS)]
        ends = np.array([values.min(), values.max()])[generator.integers(0, 2, _ROWS)]
        column = np.where(generator.random(_ROWS) < some, ends, column)
        if name in pinned and pinned[name] in domain:
            column = np.where(
                generator.random(_ROWS) < generator.permuted(some), pinned[name], column
            )
        drawn[name] = column
    if known is None:
        return drawn
    total = known.rows
    places = generator.integers(0, total, min(total, _ROWS)) if total else np.zeros(0, np.intp)
    rows = known.some(places)
    if rows is None or set(rows) != set(drawn):
        return drawn
    return {name: np.concatenate([column, rows[name]]) for name, column in drawn.items()}
