"""From the constraints of a component, and an order of its variables, to the levels of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intsolver.chain import INT64, Chain, Level
from intsolver.lookahead import relaxed
from intsolver.vector import Compiler

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low, Pool
    from intsolver.vector import Function

_RANK = {"eq": 0, "divides": 0, "le": 1, "lt": 1}  # what leaves few rows is checked first


def build(
    pool: Pool,
    order: Sequence[str],
    constraints: Iterable[Low],
    domains: Mapping[str, NDArray[Any]],
    objective: Low | None = None,
    *,
    prune: bool = True,
) -> Chain:
    """Return the chain of a component whose variables are taken in this order.

    `prune` checks constraints with some variables still open, as far as they are decided.
    """
    wide = any(domains[name].dtype == object for name in order)
    builder = _Builder(pool, list(constraints), objective, wide=wide)
    builder.prune = prune and not builder.wide
    frontier: tuple[Low, ...] = ()
    levels = []
    for name, after in zip(order, frontiers(pool, order, builder.watched, objective), strict=True):
        domain = domains[name].astype(object) if builder.wide else domains[name]
        levels.append(builder.level(name, domain, frontier, after))
        frontier = after
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
        self.assigned: set[str] = set()

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
        held = {id(x): self.slots[id(x)] for x in before}
        reads = tuple(held.values())
        variable = self.pool.name(name)
        slot = self.take(variable)
        here = {**self.fixed, **held, id(variable): slot}
        whole = Compiler(self.pool, here, earlier, wide=self.wide)
        raw = Compiler(self.pool, here, wide=self.wide)
        checks, uses = self.checks(name, whole, raw)
        writes: list[tuple[int, Function | None]] = []
        for signal in after:
            if id(signal) in here:
                writes.append((here[id(signal)], None))
                continue
            f = (raw if signal.logical and signal.partial else whole)(signal)
            uses |= signal.parameters
            writes.append((self.take(signal), f))
        return Level(name, domain, slot, reads, checks, tuple(writes), after, frozenset(uses))

    def checks(
        self, name: str, whole: Compiler, raw: Compiler
    ) -> tuple[tuple[Function, ...], set[str]]:
        """Return what can be checked once a variable is known, and the parameters in that."""
        checks: list[Function] = []
        uses: set[str] = set()
        for c in sorted(self.watched, key=lambda c: _RANK.get(c.kind, 2)):
            if name not in c.names or c is self.objective:
                continue
            check: Function | None = None
            if c.names <= self.assigned:
                check = (raw if c.partial and c.logical else whole)(c)
            elif self.prune:
                check = relaxed(self.pool, whole, c, self.assigned)
            if check is not None:
                checks.append(check)
                uses |= c.parameters
        open_ = (c for c in self.watched if c is self.objective or not c.names <= self.assigned)
        self.watched = list(open_)
        return tuple(checks), uses


def frontiers(
    pool: Pool, order: Sequence[str], watched: Sequence[Low], objective: Low | None = None
) -> list[tuple[Low, ...]]:
    """Return what the states after each level hold."""
    known: dict[int, tuple[Low, ...]] = {}
    assigned: set[str] = set()
    found = []
    for name in order:
        assigned.add(name)
        signals: dict[int, Low] = {}
        open_ = []
        for c in watched:
            if name in c.names:
                if c.names <= assigned:
                    if c is not objective:
                        known.pop(id(c), None)
                        continue
                    known[id(c)] = (c,)
                else:
                    known[id(c)] = residual(pool, c, assigned, order)
            open_.append(c)
            for signal in known.get(id(c), ()):
                signals[id(signal)] = signal
        watched = open_
        found.append(tuple(signals.values()))
    return found


def residual(pool: Pool, node: Low, assigned: set[str], order: Sequence[str]) -> tuple[Low, ...]:
    """Return what has to be kept of the assigned variables to go on with a node."""
    if node.partial and node.logical:
        return tuple(pool.name(v) for v in order if v in assigned and v in node.names)
    found: dict[int, Low] = {}
    _residual(pool, node, assigned, found)
    return tuple(found.values())


def _residual(pool: Pool, node: Low, assigned: set[str], found: dict[int, Low]) -> None:
    names = node.names
    if names.isdisjoint(assigned):
        return
    if node.kind == "product" and len(node.of) == 2 and node.of[0].constant:
        _residual(pool, node.of[1], assigned, found)  # a multiple of it says no more
        return
    if names <= assigned:
        found[id(node)] = node
        return
    rest = node.of
    if node.kind in ("sum", "product"):
        done = [x for x in node.of if x.names and x.names <= assigned]
        if len(done) > 1:
            part = pool.make(node.kind, tuple(done))
            found[id(part)] = part
            rest = tuple(x for x in node.of if x not in done)
    for x in rest:
        _residual(pool, x, assigned, found)
