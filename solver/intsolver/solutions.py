"""Solution sets that stay factored: counted, indexed and sampled without being listed.

A set is a product of parts, a chain of layers for each component and a grid for the variables that
no constraint reads. The order is lexicographic in `Solutions.order`, each variable in the order of
its domain.
"""

from __future__ import annotations

import operator
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from intsolver.errors import ProblemError, TooManySolutions, shown
from intsolver.parts import EXACT, MAX_LISTED, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from intsolver.parts import Part

_INT64 = 1 << 63


def _int64(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column as int64 where its values fit."""
    if column.dtype != object or not all(-_INT64 <= value < _INT64 for value in set(column)):
        return column
    return column.astype(np.int64)


def _spread(column: NDArray[Any], inner: int, row: NDArray[Any]) -> None:
    """Write a part's column into a row of the whole, each value `inner` times, again and again."""
    if row.size:
        row.reshape(-1, column.size, inner)[:] = column[None, :, None]


class Check(Protocol):
    """What tells solutions from other assignments, without the set."""

    def holds(self, columns: Mapping[str, Sequence[int]]) -> NDArray[np.bool_]:
        """Return which rows are solutions; columns by variable, of one length."""

    def neighbours(self, solutions: Solutions, assignment: Mapping[str, int]) -> Solutions:
        """Return the solutions one variable away from an assignment."""


class Solutions(Sequence[Mapping[str, int]]):
    """Every solution of a problem, without duplicates, in a fixed order.

    `order` are the variables in the order in which the set is lexicographic.
    """

    count: int  # type: ignore[assignment]  # how many there are, not Sequence's method

    def __init__(
        self, names: tuple[str, ...], parts: Sequence[Part], check: Check | None = None
    ) -> None:
        self.names = names
        self._parts = tuple(parts)
        self._check = check
        count = 1
        for part in parts:
            count *= part.count
        self.count = count
        self.order = tuple(name for part in parts for name in part.names)

    def __len__(self) -> int:
        if self.count > sys.maxsize:
            raise OverflowError(f"{self.count:,} solutions are more than len() can say; use .count")
        return self.count

    def __bool__(self) -> bool:
        return self.count > 0

    def __repr__(self) -> str:
        return f"<Solutions: {self.count:,} over {', '.join(self.names)}>"

    @overload
    def __getitem__(self, index: int) -> dict[str, int]: ...
    @overload
    def __getitem__(self, index: slice) -> Solutions: ...
    def __getitem__(self, index: int | slice) -> dict[str, int] | Solutions:
        if isinstance(index, slice):
            start, stop, step = index.indices(self.count)
            if (start, stop, step) == (0, self.count, 1):
                return self
            return self._picked(range(start, stop, step))
        rank = operator.index(index)
        if not -self.count <= rank < self.count:
            raise IndexError(f"index {rank} of {self.count:,} solutions")
        columns = self._at([rank % self.count])
        return {name: int(columns[name][0]) for name in self.names}

    def __iter__(self) -> Iterator[dict[str, int]]:
        for start in range(0, self.count, 1024):
            columns = self._at(range(start, min(start + 1024, self.count)))
            lists = [columns[name].tolist() for name in self.names]
            for row in zip(*lists, strict=True):
                yield dict(zip(self.names, row, strict=True))
            if not self.names:
                yield from ({} for _ in range(min(1024, self.count - start)))

    def __contains__(self, item: object) -> bool:
        return isinstance(item, Mapping) and self.contains(item)

    def column(self, name: str) -> NDArray[Any]:
        """Return a variable at every solution, shape (count,), int64 where it fits.

        Raises
        ------
        ProblemError
            No such variable.
        TooManySolutions
            The set is too large to be listed.
        """
        self._know([name])
        self._listable(self.count)
        part, inner = self._part_of(name)
        column = _int64(part.column(name))
        if column.size == self.count:
            return column
        row = np.empty(self.count, column.dtype)
        _spread(column, inner, row)
        return row

    def to_numpy(self) -> NDArray[Any]:
        """Return the set as (count, variables) int64, columns as in `names`; raises as `column`."""
        if self.count * len(self.names) > MAX_LISTED:
            raise TooManySolutions(
                f"{self.count:,} x {len(self.names)} cells are too many to list; sample or limit",
                self.count,
            )
        shape = (len(self.names), self.count)
        table = np.empty(shape, np.int64)  # one large piece of memory: the system has large pages
        places = {name: place for place, name in enumerate(self.names)}
        inner = self.count
        for part in self._parts:
            inner = inner // part.count if part.count else 0
            for name in part.names:
                column = _int64(part.column(name))
                if column.dtype == object and table.dtype != object:
                    table = table.astype(object)
                _spread(column, inner, table[places[name]])
        return table.T

    def to_pandas(self) -> Any:
        """Return the set as a pandas DataFrame; raises as `column`."""
        import pandas as pd  # noqa: PLC0415 - optional, and slow to import

        return pd.DataFrame({name: self.column(name) for name in self.names})

    def sample(self, n: int, seed: int | None = None) -> Solutions:
        """Return `n` solutions drawn uniformly without replacement, in order; all if n >= count."""
        if n < 0:
            raise ProblemError(f"sample of {n}; expected 0 or more")
        if n >= self.count:
            return self
        generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
        if self.count <= sys.maxsize:
            return self._picked(sorted(generator.sample(range(self.count), n)))
        drawn: set[int] = set()  # of so many, hardly one is drawn twice
        while len(drawn) < n:
            drawn.add(generator.randrange(self.count))
        return self._picked(sorted(drawn))

    def limit(self, n: int) -> Solutions:
        """Return the first `n` solutions."""
        return self[: max(n, 0)]

    def project(self, *names: str) -> Solutions:
        """Return the distinct combinations of some of the variables.

        Raises
        ------
        ProblemError
            No such variable, or none named.
        """
        self._know(names)
        if not names:
            raise ProblemError(f"project needs a variable; known: {', '.join(self.names)}")
        parts: list[Part] = []
        for part in self._parts:
            kept = [name for name in part.names if name in names]
            if not kept:
                if not self.count:
                    return Solutions(names, [Table({n: np.zeros(0, np.int64) for n in names}, 0)])
                continue
            columns = part.distinct(kept)
            parts.append(Table(columns, next(iter(columns.values())).size if self.count else 0))
        return Solutions(tuple(dict.fromkeys(names)), parts)

    def contains(self, assignment: Mapping[str, int]) -> bool:
        """Return whether an assignment of all the variables is in the set."""
        if set(assignment) != set(self.names):
            return False
        try:
            columns = {name: [operator.index(assignment[name])] for name in self.names}
        except TypeError:  # no integer, so in no domain
            return False
        return bool(self._hits(columns)[0])

    def neighbours(self, assignment: Mapping[str, int]) -> Solutions:
        """Return the solutions that differ from an assignment in exactly one variable.

        Raises
        ------
        ProblemError
            A variable is missing or unknown.
        """
        if set(assignment) != set(self.names):
            raise ProblemError(
                f"neighbours of {sorted(assignment)}; expected exactly {', '.join(self.names)}"
            )
        if self._check is not None:
            return self._check.neighbours(self, dict(assignment))
        if not self.count:
            return self
        changed = sum((self.column(n) != assignment[n]).astype(np.int64) for n in self.names)
        return self._picked(np.flatnonzero(changed == 1).tolist())

    # -- within -----------------------------------------------------------------------------

    def _listable(self, rows: int) -> None:
        if rows > MAX_LISTED:
            raise TooManySolutions(
                f"{rows:,} solutions are too many to list; sample, limit or index the set", rows
            )

    def _part_of(self, name: str) -> tuple[Part, int]:
        """Return the part that has a variable, and how many rows of later parts each row meets."""
        inner = self.count
        for part in self._parts:
            inner = inner // part.count if part.count else 0
            if name in part.names:
                return part, inner
        raise AssertionError(name)

    def _know(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.names:
                raise ProblemError(
                    f"unknown variable {shown(name)}; known: {', '.join(self.names)}"
                )

    def _hits(self, columns: Mapping[str, Sequence[int]]) -> NDArray[np.bool_]:
        if self._check is not None:
            return self._check.holds(columns)
        rows = set(zip(*[self.column(n).tolist() for n in self.names], strict=True))
        wanted = zip(*[[int(v) for v in columns[n]] for n in self.names], strict=True)
        return np.array([row in rows for row in wanted])

    def _picked(self, ranks: Sequence[int]) -> Solutions:
        if isinstance(ranks, range):
            rows = max(0, -((ranks.start - ranks.stop) // ranks.step))  # len() may overflow
            self._listable(rows)
        columns = self._at(ranks)
        return Solutions(self.names, [Table({n: columns[n] for n in self.order}, len(ranks))], None)

    def _at(self, ranks: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return the columns at some places, each a non-negative index."""
        kind: Any = np.int64 if self.count < EXACT else object
        rank = np.array(ranks, kind) if len(ranks) else np.zeros(0, kind)
        inner, found = self.count, {}
        for part in self._parts:
            inner = inner // part.count if part.count else 1
            found.update(part.at((rank // inner) % max(part.count, 1)))
        return found
