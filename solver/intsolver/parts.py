"""The factors of a solution set: rows as they are, products of domains, paths of a diagram."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from intsolver.chain import Spans
from intsolver.errors import TooManySolutions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.chain import Layer

EXACT = 1 << 62
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
    _inner: dict[str, int] = field(init=False)  # rows in a row with the same value

    def __post_init__(self) -> None:
        self.names = tuple(self.domains)
        self._inner = {}
        self.count = 1
        for name in reversed(self.names):
            self._inner[name] = self.count
            self.count *= self.domains[name].size

    def column(self, name: str) -> NDArray[Any]:
        """Return a variable at every row."""
        domain, inner = self.domains[name], self._inner[name]
        row = np.empty(self.count, domain.dtype)
        if row.size:
            row.reshape(-1, domain.size, inner)[:] = domain[:, None]
        return row

    def at(self, rank: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""
        return {
            name: domain[((rank // self._inner[name]) % domain.size).astype(np.intp)]
            for name, domain in self.domains.items()
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


class _LastSpans:
    """The edges of a last level that are spans of values, laid out only where each is needed."""

    def __init__(self, spans: Spans, kind: Any) -> None:
        self.start = spans.start
        sizes = (spans.stop - spans.start).astype(kind)
        self.sums = np.zeros(sizes.size + 1, kind)  # exclusive, of the rows under each state
        np.cumsum(sizes, out=self.sums[1:])
        self.sizes = sizes

    @cached_property
    def laid_out(self) -> _Edges:
        total = int(self.sums[-1])
        if total > MAX_LISTED:
            raise TooManySolutions(
                f"{total:,} rows are too many to list; sample, limit or index the set", total
            )
        starts = self.sums.astype(np.intp)
        value = np.arange(total) - np.repeat(starts[:-1] - self.start, self.sizes.astype(np.intp))
        return _Edges(starts, value, None, np.arange(total + 1))


class Diagram:
    """The rows of a chain: paths through its layers, edges that lead nowhere left out."""

    def __init__(
        self,
        order: tuple[str, ...],
        domains: Sequence[NDArray[Any]],
        layers: Sequence[Layer | Spans],
        last: NDArray[Any] | None = None,
    ) -> None:
        self.names = order
        self.domains = domains
        self._reached: list[_Edges | _LastSpans] = []
        most = 1
        for domain in domains:
            most *= domain.size
        kind: Any = np.int64 if most < EXACT else object
        below = np.ones(1, kind) if last is None else last.astype(kind)
        if len(layers) < len(order):
            self.count = 0
            return
        for layer in reversed(layers):
            if isinstance(layer, Spans):
                last_spans = _LastSpans(layer, kind)
                self._reached.append(last_spans)
                below = last_spans.sizes
                continue
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
            self._reached.append(_Edges(starts, value, target, sums))
        self._reached.reverse()
        self.count = int(below.sum())

    @property
    def _edges(self) -> list[_Edges]:
        return [e.laid_out if isinstance(e, _LastSpans) else e for e in self._reached]

    def column(self, name: str, *, compact: bool = False) -> NDArray[Any]:
        """Return a variable at every row; `compact`: in the fewest bytes that hold its values."""
        depth = self.names.index(name)
        edge = self._walk[depth]
        domain = self.domains[depth]
        if compact and not domain.dtype.hasobject:
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
        state = np.zeros(rank.size, np.intp)
        found = {}
        for name, domain, edges in zip(self.names, self.domains, self._reached, strict=False):
            if isinstance(edges, _LastSpans):
                found[name] = domain[edges.start[state] + rank.astype(np.intp)]
                break
            rank = rank.astype(edges.below.dtype)
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
        for depth, (name, reached) in enumerate(zip(self.names, self._reached, strict=False)):
            edges = reached.laid_out if isinstance(reached, _LastSpans) else reached
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


def _distinct(columns: Mapping[str, NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
    first = _first_of_each(list(columns.values()), rows)
    return {name: column[first] for name, column in columns.items()}
