"""From the constraints of a component, and an order of its variables, to the levels of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.chain import INT64, LONG, Chain, Level
from intsolver.dominance import preference
from intsolver.lookahead import relaxed
from intsolver.spans import monotone_parts
from intsolver.vector import Compiler

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool
    from intsolver.vector import Function

_FEW = 500  # assignments up to which pruning costs more than it saves
_RANK = {"eq": 0, "divides": 0, "le": 1, "lt": 1}  # what leaves few rows is checked first


def build(
    pool: Pool,
    order: Sequence[str],
    constraints: Sequence[Low],
    domains: Mapping[str, NDArray[Any]],
    objective: Low | None = None,
    *,
    sense: int = 0,
    after: Sequence[tuple[Low, ...]] | None = None,
    prune: bool = True,
    eager: bool = False,
) -> Chain:
    """Return the chain of a component whose variables are taken in this order.

    `after` is what the states after each level hold, where that is known already. `prune` checks
    constraints with some variables still open, as far as they are decided, `eager` all of these
    from the start. With a `sense` (1: the
    largest, -1: the least value wanted) states that cannot lead to the best are left out.
    """
    wide = any(domains[name].dtype.hasobject for name in order)
    builder = _Builder(pool, list(constraints), objective, wide=wide)
    builder.prune = (prune or eager) and not builder.wide
    builder.eager = eager
    frontier: tuple[Low, ...] = ()
    levels = []
    for name, held in zip(
        order, after or frontiers(pool, order, builder.watched, objective), strict=True
    ):
        domain = domains[name].astype(object) if builder.wide else domains[name]
        levels.append(builder.level(name, domain, frontier, held))
        frontier = held
    if sense and objective is not None and not builder.wide:
        steps = _steps(pool, order, [*constraints, objective], objective)
        for level, (watched, kept, taken) in zip(levels, steps, strict=True):
            level.prefer = preference(objective, sense, watched, kept, taken)
    slots, parameters = builder.count, builder.parameters
    return Chain(tuple(order), levels, slots, parameters, builder.wide, objective)


class _Builder:
    """Numbers the slots of a chain and compiles one level after the other."""

    def __init__(
        self, pool: Pool, constraints: list[Low], objective: Low | None, *, wide: bool
    ) -> None:
        self.pool, self.objective = pool, objective
        self.watched = constraints if objective is None else [*constraints, objective]
        names = frozenset[str]().union(*[c.parameters for c in self.watched])
        self.parameters = {name: slot for slot, name in enumerate(sorted(names))}
        self.fixed = {id(pool.name(name)): slot for name, slot in self.parameters.items()}
        self.slots = dict(self.fixed)
        self.count = len(self.slots)
        self.wide = wide or any(c.peak >= INT64 for c in self.watched)
        self.prune = True
        self.eager = False
        self.assigned: set[str] = set()
        self.cells = 1.0  # assignments of them

    def take(self, node: Low) -> int:
        """Return a new slot for a node."""
        self.slots[id(node)] = slot = self.count
        self.count += 1
        return slot

    def level(
        self, name: str, domain: NDArray[Any], before: tuple[Low, ...], after: tuple[Low, ...]
    ) -> Level:
        """Return the level of a variable between two kinds of states."""
        earlier = frozenset(self.assigned)
        self.assigned.add(name)
        self.cells *= domain.size
        held = {id(x): self.slots[id(x)] for x in before}
        reads = tuple(held.values())
        variable = self.pool.name(name)
        slot = self.take(variable)
        here = {**self.fixed, **held, id(variable): slot}
        whole = Compiler(self.pool, here, earlier, wide=self.wide)
        raw = Compiler(self.pool, here, wide=self.wide)
        checks, uses, bisected, others = self.checks(name, domain, whole, raw)
        writes: list[tuple[int, Function | None]] = []
        for signal in after:
            if id(signal) in here:
                writes.append((here[id(signal)], None))
                continue
            f = (raw if signal.logical and signal.partial else whole)(signal)
            uses |= signal.parameters
            writes.append((self.take(signal), f))
        solved = None if self.wide else self.solved(name, whole)
        self.close()
        return Level(
            name,
            domain,
            slot,
            reads,
            checks,
            tuple(writes),
            after,
            frozenset(uses),
            solved,
            bisected,
            others,
            ascending=_out_of_order(domain) if bisected else None,
        )

    def solved(self, name: str, whole: Compiler) -> Function | None:
        """Return the value that a linear equation leaves a variable, rounded where it is none."""
        for c in self.watched:
            if c.kind != "eq" or c.partial or name not in c.names or not c.names <= self.assigned:
                continue
            left, right = c.of
            terms = left.of if left.kind == "sum" else (left,)
            mine = [x for x in terms if name in x.names]
            if len(mine) != 1 or name in right.names:
                continue
            factors = mine[0].of if mine[0].kind == "product" else (mine[0],)
            if factors[-1].label != name or len(factors) > 2 or factors[0].names - {name}:
                continue
            times = factors[0] if len(factors) == 2 else self.pool.constant(1)
            if not times.constant:
                continue
            rest = self.pool.sum([x for x in terms if x is not mine[0]])
            amount, total, by = whole(rest), whole(right), times.value
            return lambda env: (total(env) - amount(env)) // by
        return None

    def checks(
        self, name: str, domain: NDArray[Any], whole: Compiler, raw: Compiler
    ) -> tuple[tuple[Function, ...], set[str], tuple[Function, ...], tuple[Function, ...]]:
        """Return what can be checked once a variable is known, and the parameters in that.

        Of a long domain, also what of it is monotone in the variable, and the rest of it.
        """
        checks: list[Function] = []
        bisected: list[Function] = []
        others: list[Function] = []
        uses: set[str] = set()
        long = domain.size > LONG and not self.wide
        for c in sorted(self.watched, key=lambda c: _RANK.get(c.kind, 2)):
            if name not in c.names or c is self.objective:
                continue
            check: Function | None = None
            if c.names <= self.assigned:
                check = (raw if c.partial and c.logical else whole)(c)
            elif self.prune and (self.eager or self.cells > _FEW):
                check = relaxed(self.pool, whole, c, self.assigned, eager=self.eager)
            if check is not None:
                checks.append(check)
                uses |= c.parameters
                exact = long and c.names <= self.assigned
                found = monotone_parts(whole, c, name) if exact else ()
                bisected += found
                others += () if found else (check,)
        return tuple(checks), uses, tuple(bisected), tuple(others)

    def close(self) -> None:
        """Be done with the constraints whose variables are all known."""
        open_ = (c for c in self.watched if c is self.objective or not c.names <= self.assigned)
        self.watched = list(open_)


def _out_of_order(domain: NDArray[Any]) -> NDArray[np.intp] | None:
    """Return the indices of values in ascending order, None where they are in it."""
    return None if (domain[1:] > domain[:-1]).all() else np.argsort(domain, kind="stable")


def frontiers(
    pool: Pool, order: Sequence[str], watched: Sequence[Low], objective: Low | None = None
) -> list[tuple[Low, ...]]:
    """Return what the states after each level hold."""
    return [
        tuple(dict.fromkeys([x for c in open_ for x in held.get(c, ())]))
        for open_, held, _ in _steps(pool, order, watched, objective)
    ]


def _steps(
    pool: Pool, order: Sequence[str], watched: Sequence[Low], objective: Low | None
) -> Iterator[tuple[list[Low], Mapping[Low, tuple[Low, ...]], Collection[str]]]:
    """Yield what is undecided after each level, what states hold of each, the variables taken."""
    residuals = _Residuals(pool, order)
    open_ = list(watched)
    held: dict[Low, tuple[Low, ...]] = {}
    for name in order:
        residuals.take(name)
        open_ = [c for c in open_ if c is objective or not c.names <= residuals.taken]
        held.update([(c, residuals.whole(c)) for c in open_ if name in c.names])
        yield open_, held, residuals.taken


class _Residuals:
    """What has to be kept of the variables taken so far to go on with a node.

    Most of a node stays as it is from one variable to the next, and nodes have parts in common.
    """

    def __init__(self, pool: Pool, order: Sequence[str]) -> None:
        self.pool, self.order = pool, order
        self.taken: set[str] = set()
        self._last = ""
        self._known: dict[Low, tuple[int, tuple[Low, ...]]] = {}  # with how many were taken then

    def take(self, name: str) -> None:
        """Take one more variable."""
        self.taken.add(name)
        self._last = name

    def whole(self, node: Low) -> tuple[Low, ...]:
        """Return what has to be kept for a constraint or an objective."""
        if node.names <= self.taken:
            return (node,)
        if node.partial and node.logical:
            return tuple([self.pool.name(v) for v in self.order if v in self.taken & node.names])
        return self._of(node)

    def _of(self, node: Low) -> tuple[Low, ...]:
        if node.names.isdisjoint(self.taken):
            return ()
        count = len(self.taken)
        known = self._known.get(node)
        if known is not None and (known[0] == count or self._last not in node.names):
            return known[1]
        kept = self._worked_out(node)
        self._known[node] = count, kept
        return kept

    def _worked_out(self, node: Low) -> tuple[Low, ...]:
        if node.kind == "product" and len(node.of) == 2 and node.of[0].constant:
            return self._of(node.of[1])  # a multiple of it says no more
        if node.names <= self.taken:
            return (node,)
        kept: list[Low] = []
        rest = node.of
        if node.kind in ("sum", "product"):
            done = [x for x in rest if x.names and x.names <= self.taken]
            if len(done) > 1:
                kept.append(self.pool.make(node.kind, tuple(done)))
                rest = tuple([x for x in rest if x not in done])
        for x in rest:
            kept += self._of(x)
        return tuple(kept)
