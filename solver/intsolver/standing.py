"""Solving again after parameters changed: the rows that stand whatever their values are.

The constraints of a component that read no parameter are solved once and listed; of the others,
what they compute from variables alone is kept as columns over those rows. A solve is then a
comparison of a few columns with a few numbers, and its solutions are a selection of the rows.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.build import build
from intsolver.chain import INT64
from intsolver.errors import TooManySolutions
from intsolver.lower import TRUTHS
from intsolver.parts import Diagram, Table
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool
    from intsolver.vector import Function

_MOST_ROWS = 1 << 20
_MOST_STATES = 1 << 18
_COMPARISONS = frozenset({"le", "lt", "eq", "ne"})
_INT32 = 1 << 31
_BLOCK = 1 << 14  # rows computed at a time


class Standing:
    """The rows of a component that no parameter rules out, and the checks that parameters decide.

    `bound` are the constraints that read parameters, each with its columns ready.
    """

    def __init__(self, pool: Pool, diagram: Diagram, bound: Sequence[Low]) -> None:
        self.names = diagram.names
        self.diagram = diagram
        self._columns: dict[str, NDArray[Any]] = {}
        self._pieces: list[Any] = []
        self._slots: dict[str, int] = {}
        self._checks: dict[int, Function] = {}  # by the id of the constraint as stated
        self._sides: dict[int, tuple[Function, Function, int]] = {}  # of inequalities; 1: below
        # Rows of the diagram where all is defined; None: every row.
        self._kept = self._compile(pool, bound)
        self.rows = diagram.count if self._kept is None else self._kept.size

    def _compile(self, pool: Pool, bound: Sequence[Low]) -> NDArray[np.intp] | None:
        """Compile the checks over their columns; return the rows where those are defined."""
        pieces: dict[int, Low] = {}
        computed: dict[int, Low] = {}  # pieces that something is computed from
        nodes = []
        for stated in bound:
            whole = stated.partial and stated.logical  # undefined only where it is looked at
            node = stated if whole else _regrouped(pool, _turned(pool, stated))
            nodes.append(node)
            _collect(node, pieces, whole=whole)
            compares = node.kind in _COMPARISONS and not whole and not node.of[1].names
            for operand in node.of[0].of if compares and node.of[0].parameters else ():
                _collect(operand, computed, whole=whole)
            if not compares:
                _collect(node, computed, whole=whole)
        small = [
            number not in computed and piece.low >= -_INT32 and piece.high < _INT32
            for number, piece in pieces.items()
        ]
        self._pieces, kept = self._values(pool, list(pieces.values()), small)
        slots = {number: slot for slot, number in enumerate(pieces)}
        for parameter in sorted(frozenset[str]().union(*[node.parameters for node in bound])):
            self._slots[parameter] = slots[id(pool.name(parameter))] = len(slots)
        compiler = Compiler(pool, slots)
        for stated, node in zip(bound, nodes, strict=True):
            self._checks[id(stated)] = compiler(node)
            if node.kind in ("le", "lt"):
                left, right = map(compiler, node.of)
                self._sides[id(stated)] = left, right, int(node.kind == "lt")
        return kept

    def _values(
        self, pool: Pool, pieces: Sequence[Low], small: Sequence[bool]
    ) -> tuple[list[NDArray[Any]], NDArray[np.intp] | None]:
        """Return columns of parts of constraints, at the rows where all of them are defined.

        They are computed a block of rows at a time, so that what comes between stays in cache.
        """
        names = sorted(frozenset[str]().union(*[piece.names for piece in pieces]))
        slots = {id(pool.name(name)): slot for slot, name in enumerate(names)}
        compiler = Compiler(pool, slots)
        functions = [compiler(piece) for piece in pieces]
        listed = [self._all(name) for name in names]
        rows = self.diagram.count
        kinds = [
            bool if p.kind in TRUTHS else np.int32 if s else np.int64
            for p, s in zip(pieces, small, strict=True)
        ]
        values: list[NDArray[Any]] = [np.empty(rows, kind) for kind in kinds]
        bad = np.zeros(rows, bool)
        for start in range(0, rows, _BLOCK):
            block = slice(start, start + _BLOCK)
            env = Env([column[block].astype(np.int64) for column in listed])
            for value, function in zip(values, functions, strict=True):
                value[block] = function(env)
            if env.bad is not None:
                bad[block] = env.bad
        if not bad.any():
            return values, None
        kept = np.flatnonzero(~bad)
        return [value[kept] for value in values], kept

    def _all(self, name: str) -> NDArray[Any]:
        """Return a variable at every row of the diagram, in as few bytes as it takes."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self.diagram.column(name, compact=True)
        return column

    def column(self, name: str, rows: NDArray[np.intp] | None = None) -> NDArray[Any]:
        """Return a variable at some rows (None: all), int64."""
        column = self._all(name)
        places = self._kept if rows is None else self._places(rows)
        return (column if places is None else column[places]).astype(np.int64)

    def solve(self, parameters: Mapping[str, int], pinned: Mapping[str, int]) -> Selection:
        """Return the rows at which every check holds."""
        return Selection(self, self.mask(parameters, pinned, self._checks))

    def checks(self, node: Low) -> bool:
        """Return whether a constraint is one of those that are kept as columns."""
        return id(node) in self._checks

    def mask(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], nodes: Iterable[int]
    ) -> NDArray[np.bool_]:
        """Return at which rows pins and some of the constraints, given by their ids, hold."""
        columns = self._given(parameters)
        mask = np.ones(self.rows, bool)
        for name, value in pinned.items():
            if name in self.names:
                mask &= self.column(name) == value
        for node in nodes:
            env = Env(columns)
            mask &= self._checks[node](env)
            if env.bad is not None:
                mask &= np.logical_not(env.bad)
        return mask

    def excess(self, node: Low, parameters: Mapping[str, int]) -> NDArray[np.int64] | None:
        """Return by how much an inequality is missed at every row (0 and less: met).

        None where it is not kept as a comparison, or is undefined somewhere.
        """
        sides = self._sides.get(id(node))
        if sides is None:
            return None
        left, right, strict = sides
        env = Env(self._given(parameters))
        found = np.subtract(left(env), right(env), dtype=np.int64) + strict
        return np.broadcast_to(found, (self.rows,)) if env.bad is None else None

    def _given(self, parameters: Mapping[str, int]) -> list[Any]:
        return [*self._pieces, *[parameters[name] for name in self._slots]]

    def _places(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return where some rows are in the diagram."""
        return rows if self._kept is None else self._kept[rows]

    def at(self, rows: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""
        return self.diagram.at(self._places(rows))


class Selection:
    """A part of a set of solutions: some rows of a `Standing`, in its order."""

    def __init__(self, standing: Standing, mask: NDArray[np.bool_]) -> None:
        self.names = standing.names
        self.count = int(np.count_nonzero(mask))
        self._standing, self._mask = standing, mask

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._mask)

    def column(self, name: str) -> NDArray[Any]:
        """Return a variable at every row."""
        return self._standing.column(name, self._rows)

    def at(self, rank: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the variables at some rows."""
        return self._standing.at(self._rows[rank.astype(np.intp)])

    def distinct(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the distinct rows over some of the variables."""
        columns = {name: self.column(name) for name in names}
        return Table(columns, self.count).distinct(names)


def stand(
    pool: Pool,
    order: Sequence[str],
    constraints: Sequence[Low],
    domains: Mapping[str, NDArray[Any]],
) -> Standing | None:
    """Return the standing rows of a component, None where they are too many or pass 64 bits."""
    bound = [c for c in constraints if c.parameters]
    wide = any(c.peak >= INT64 for c in bound) or any(domains[n].dtype.hasobject for n in order)
    if not bound or wide:
        return None
    free = [c for c in constraints if not c.parameters]
    try:
        base = build(pool, order, free, domains)
        layers, _, _ = base.run({}, {}, _MOST_STATES)
    except TooManySolutions:
        return None
    diagram = Diagram(base.order, [level.domain for level in base.levels], layers)
    if not 0 < diagram.count <= _MOST_ROWS:
        return None
    return Standing(pool, diagram, bound)


def _turned(pool: Pool, node: Low) -> Low:
    """Return a comparison of a sum with what reads no parameter on its left, the rest right."""
    if node.kind not in _COMPARISONS or node.of[0].kind != "sum" or node.of[1].names:
        return node
    left, right = node.of
    moved = [x for x in left.of if x.parameters or not x.names]
    kept = tuple(x for x in left.of if x.names and not x.parameters)
    if not moved or not kept:
        return node
    over = pool.sum((right, *[pool.scale(x, -1) for x in moved]))
    return pool.make(node.kind, (kept[0] if len(kept) == 1 else pool.make("sum", kept), over))


def _regrouped(pool: Pool, node: Low) -> Low:
    """Return a node whose sums and products have what reads no parameter as one operand."""
    if not node.parameters or not node.of:
        return node
    of = tuple(_regrouped(pool, x) for x in node.of)
    done = [x for x in of if x.names and not x.parameters]
    if node.kind in ("sum", "product") and 1 < len(done) < len(of):
        rest = tuple(x for x in of if not (x.names and not x.parameters))
        of = (pool.make(node.kind, tuple(done)), *rest)
    return node if of == node.of else pool.make(node.kind, of, node.value)


def _collect(node: Low, pieces: dict[int, Low], *, whole: bool) -> None:
    """Collect the largest parts that read variables and no parameter, or just variables."""
    if node.names and not (node.parameters or (whole and node.of)):
        pieces[id(node)] = node
        return
    for x in node.of:
        _collect(x, pieces, whole=whole)
