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
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from intsolver.errors import ProblemError, TooManySolutions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from intsolver.chain import Layer

_EXACT = 1 << 62
_INT64 = 1 << 63
MAX_LISTED = 100_000_000  # cells of a listing


class Part(Protocol):
    """A factor of a set: its variables, how many rows it has, and those rows."""

    names: tuple[str, ...]
    count: int

    def column(self, name: str) -> NDArray[Any]:
        """Return a variable at every row."""

    def at(self, rank: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""

    def distinct(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the distinct rows over some of the variables."""


@dataclass(eq=False)
class Grid:
    """Variables that take all their values, whatever the others do."""

    domains: Mapping[str, NDArray[Any]]
    names: tuple[str, ...] = field(init=False)
    count: int = field(init=False)

    def __post_init__(self) -> None:
        self.names = tuple(self.domains)
        self.count = 1
        for domain in self.domains.values():
            self.count *= domain.size

    def _repeats(self) -> Iterator[tuple[str, NDArray[Any], int]]:
        inner = self.count
        for name, domain in self.domains.items():
            inner = inner // domain.size if domain.size else 0
            yield name, domain, inner

    def column(self, name: str) -> NDArray[Any]:
        """Return a variable at every row."""
        for other, domain, inner in self._repeats():
            if other == name:
                outer = self.count // (inner * domain.size) if self.count else 0
                return np.tile(np.repeat(domain, inner), outer)
        raise KeyError(name)

    def at(self, rank: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""
        return {
            name: domain[((rank // inner) % domain.size).astype(np.intp)]
            for name, domain, inner in self._repeats()
        }

    def distinct(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the distinct rows over some of the variables."""
        if not self.count:
            return {name: self.domains[name][:0] for name in names}
        part = Grid({name: self.domains[name] for name in names})
        return {name: part.column(name) for name in names}


@dataclass(eq=False)
class Table:
    """Rows as they are."""

    columns: Mapping[str, NDArray[Any]]
    rows: int
    names: tuple[str, ...] = field(init=False)
    count: int = field(init=False)

    def __post_init__(self) -> None:
        self.names, self.count = tuple(self.columns), self.rows

    def column(self, name: str) -> NDArray[Any]:
        """Return a variable at every row."""
        return self.columns[name]

    def at(self, rank: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""
        return {name: column[rank.astype(np.intp)] for name, column in self.columns.items()}

    def distinct(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the distinct rows over some of the variables."""
        return _distinct({name: self.columns[name] for name in names}, self.rows)


@dataclass(slots=True)
class _Edges:
    starts: NDArray[np.intp]  # of each state's edges, and the end
    value: NDArray[np.intp]
    target: NDArray[np.intp] | None
    below: NDArray[Any]  # exclusive sums of the rows under the edges: (edges + 1,)


class Diagram:
    """The rows of a chain: paths through its layers, edges that lead nowhere left out."""

    def __init__(
        self,
        order: tuple[str, ...],
        domains: Sequence[NDArray[Any]],
        layers: Sequence[Layer],
        last: NDArray[Any] | None = None,
    ) -> None:
        self.names = order
        self.domains = domains
        self._edges: list[_Edges] = []
        most = 1
        for domain in domains:
            most *= domain.size
        kind: Any = np.int64 if most < _EXACT else object
        below = np.ones(1, kind) if last is None else last.astype(kind)
        if len(layers) < len(order):
            self.count = 0
            return
        for layer in reversed(layers):
            rows = (
                np.repeat(below[:1], layer.source.size)
                if layer.target is None and below.size
                else below[layer.target]
                if layer.target is not None
                else np.zeros(layer.source.size, kind)
            )
            source, value, target = layer.source, layer.value, layer.target
            if not rows.all():
                keep = rows != 0
                source, value, rows = source[keep], value[keep], rows[keep]
                target = None if target is None else target[keep]
            starts = np.zeros(layer.states + 1, np.intp)
            np.cumsum(np.bincount(source, minlength=layer.states), out=starts[1:])
            sums = np.zeros(rows.size + 1, kind)
            np.cumsum(rows, out=sums[1:])
            below = sums[starts[1:]] - sums[starts[:-1]]
            self._edges.append(_Edges(starts, value, target, sums))
        self._edges.reverse()
        self.count = int(below.sum())

    def column(self, name: str, *, compact: bool = False) -> NDArray[Any]:
        """Return a variable at every row; `compact`: in the fewest bytes that hold its values."""
        depth = self.names.index(name)
        edge = self._walk[depth]
        domain = self.domains[depth]
        if compact and domain.dtype != object:
            ends = [np.min_scalar_type(end) for end in (domain.min(), domain.max())]
            domain = domain.astype(np.result_type(*ends))
        values = domain[self._edges[depth].value[edge]]
        sums = self._edges[depth].below
        if depth == len(self.names) - 1:
            return values
        repeats = (sums[1:] - sums[:-1])[edge]
        return np.repeat(values, repeats.astype(np.intp))

    @cached_property
    def _walk(self) -> list[NDArray[np.intp]]:
        """The edge that each distinct beginning of a row ends in, by level."""
        if self.count * max(1, len(self.names)) > 4 * MAX_LISTED:
            raise TooManySolutions(
                f"{self.count:,} rows are too many to list; sample, limit or index the set",
                self.count,
            )
        state = np.zeros(1, np.intp)
        walked = []
        for edges in self._edges:
            starts = edges.starts[state]
            sizes = edges.starts[state + 1] - starts
            ends = sizes.cumsum()
            total = int(ends[-1]) if ends.size else 0
            edge = np.repeat(starts - (ends - sizes), sizes) + np.arange(total)
            walked.append(edge)
            state = np.zeros(total, np.intp) if edges.target is None else edges.target[edge]
        return walked

    def at(self, rank: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""
        rank = rank.astype(self._edges[0].below.dtype) if self._edges else rank
        state = np.zeros(rank.size, np.intp)
        found = {}
        for name, domain, edges in zip(self.names, self.domains, self._edges, strict=False):
            wanted = edges.below[edges.starts[state]] + rank
            edge = np.searchsorted(edges.below, wanted, side="right") - 1
            rank = wanted - edges.below[edge]
            found[name] = domain[edges.value[edge]]
            state = np.zeros(rank.size, np.intp) if edges.target is None else edges.target[edge]
        return found

    def distinct(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the distinct rows over some of the variables."""
        wanted = set(names)
        state = np.zeros(1 if self.count else 0, np.intp)
        held: dict[str, NDArray[np.intp]] = {}
        for depth, (name, edges) in enumerate(zip(self.names, self._edges, strict=False)):
            starts = edges.starts[state]
            sizes = edges.starts[state + 1] - starts
            ends = sizes.cumsum()
            total = int(ends[-1]) if ends.size else 0
            edge = np.repeat(starts - (ends - sizes), sizes) + np.arange(total)
            row = np.repeat(np.arange(state.size), sizes)
            held = {key: column[row] for key, column in held.items()}
            if name in wanted:
                held[name] = edges.value[edge]
            state = np.zeros(total, np.intp) if edges.target is None else edges.target[edge]
            last = wanted <= set(self.names[: depth + 1])
            columns: list[Any] = list(held.values()) if last else [state, *held.values()]
            first = _first_of_each(columns, total)
            state, held = state[first], {key: column[first] for key, column in held.items()}
            if last:
                break
        domains = dict(zip(self.names, self.domains, strict=True))
        return {
            name: domains[name][held[name]] if name in held else domains[name][:0] for name in names
        }


def _int64(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column as int64 where its values fit."""
    if column.dtype != object or not all(-_INT64 <= value < _INT64 for value in set(column)):
        return column
    return column.astype(np.int64)


def _first_of_each(columns: Sequence[NDArray[Any]], rows: int) -> NDArray[np.intp]:
    """Return the rows at which each distinct combination is seen first, ascending."""
    if rows < 2 or not columns:
        return np.arange(min(rows, 1) if not columns else rows)
    key: Any = None
    for column in columns:
        _, codes = np.unique(column, return_inverse=True)
        if key is None:
            key = codes
        else:
            _, key = np.unique(key * (int(codes.max()) + 1) + codes, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    first.sort()
    return first


def _spread(column: NDArray[Any], inner: int, row: NDArray[Any]) -> None:
    """Write a part's column into a row of the whole, each value `inner` times, again and again."""
    if row.size:
        row.reshape(-1, column.size, inner)[:] = column[None, :, None]


def _distinct(columns: Mapping[str, NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
    first = _first_of_each(list(columns.values()), rows)
    return {name: column[first] for name, column in columns.items()}


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
        for place, name in enumerate(self.names):
            part, inner = self._part_of(name)
            column = _int64(part.column(name))
            if column.dtype == object and table.dtype != object:
                table = table.astype(object)
            _spread(column, inner, table[place])
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
                raise ProblemError(f"unknown variable {name!r}; known: {', '.join(self.names)}")

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
        kind: Any = np.int64 if self.count < _EXACT else object
        rank = np.array(ranks, kind) if len(ranks) else np.zeros(0, kind)
        inner, found = self.count, {}
        for part in self._parts:
            inner = inner // part.count if part.count else 1
            found.update(part.at((rank // inner) % max(part.count, 1)))
        return found
