"""A component of a problem as levels, one variable each, and the states between them.

After each level a state is what the constraints still to be decided have to know of the variables
so far: partial sums and products, finished operands, values. Assignments with the same state have
the same continuations and are merged, so the solutions of a chain are the paths of a decision
diagram, whose size is that of the states and not that of the solutions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.errors import TooManySolutions
from intsolver.lookahead import relaxed
from intsolver.vector import Compiler, Env

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intsolver.lower import Low, Pool
    from intsolver.vector import Column, Function
    from numpy.typing import NDArray

Columns = list[Any]
_RANK = {"eq": 0, "divides": 0, "le": 1, "lt": 1}  # what leaves few rows is checked first
INT64 = 1 << 62
_GRID = 1 << 21  # cells of states x values that are checked at a time
_DENSE = 2_048  # cells up to which all of them go through every check
_NONE = np.zeros(0, np.intp)


@dataclass(slots=True)
class Gate:
    """A constraint with soft parameters, over values that are kept for every edge of its level.

    `kept` are slots and functions of what the parameters have no part in.
    """

    parameters: tuple[str, ...]
    kept: tuple[tuple[int, Function], ...]
    check: Function


@dataclass(slots=True)
class Level:
    """A variable, its values, what is checked once it is known, and the states after it."""

    name: str
    domain: NDArray[Any]
    slot: int
    reads: tuple[int, ...]  # slots of the states before
    checks: tuple[Function, ...]  # with soft parameters as intervals
    exact: tuple[Function, ...]  # the same with their values
    gates: tuple[Gate, ...]
    writes: tuple[tuple[int, Function | None], ...]  # None: carried over from the same slot
    signals: tuple[Low, ...]
    parameters: frozenset[str]


@dataclass(slots=True)
class Layer:
    """The edges of a level, sorted by source: source, value (its index in the domain), target."""

    states: int  # sources there are
    source: NDArray[np.intp]
    value: NDArray[np.intp]
    target: NDArray[np.intp] | None  # None: all lead to the one state
    open: NDArray[np.bool_] | None = None  # which edges parameters and pins let pass, None: all


@dataclass(slots=True)
class _Done:
    """A level that has run: what it depended on, its edges, the states after it."""

    key: object
    layer: Layer
    columns: Columns
    states: int
    gated: list[Columns]  # for each gate, the kept values at the edges


@dataclass(slots=True)
class Chain:
    """The levels of a component, and where the last run got: layers and the states after each."""

    order: tuple[str, ...]
    levels: list[Level]
    slots: int
    parameter_slots: Mapping[str, int]
    wide: bool
    objective: Low | None = None
    soft: frozenset[str] = frozenset()
    _done: list[_Done] = field(default_factory=list)
    _reach: dict[str, tuple[int, int]] = field(default_factory=dict)

    def env(self, parameters: Mapping[str, int], reach: Mapping[str, tuple[int, int]]) -> Env:
        """Return columns with the parameters in their slots."""
        columns: Columns = [None] * self.slots
        for name, slot in self.parameter_slots.items():
            columns[slot] = parameters[name]
        return Env(columns, reach)

    def run(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], max_rows: int
    ) -> tuple[list[Layer], Columns, int]:
        """Return the layers, the columns of the last states and their number.

        What was built for other parameters serves again: a soft parameter within what it was
        built for, and a pinned variable, only close edges.
        """
        mine = {name: value for name, value in pinned.items() if name in self.order}
        self._extend(parameters)
        env = self.env(parameters, self._reach)
        if mine and len(self._done) < len(self.levels):
            done: list[_Done] = []
            self._build(done, env, parameters, mine, max_rows)
        else:
            done = self._done
            self._build(done, env, parameters, {}, max_rows)
        layers = [
            self._gated(level, entry, env, mine)
            for level, entry in zip(self.levels, done, strict=False)
        ]
        return layers, done[-1].columns, done[-1].states

    def _extend(self, parameters: Mapping[str, int]) -> None:
        """Make sure that what is built holds for the soft parameters as they are now."""
        for name in self.soft:
            value = parameters[name]
            low, high = self._reach.get(name, (value, value))
            if not low <= value <= high:
                # Further than asked for: a slider that moved moves on.
                low, high = min(low, value, 0), max(high, value + abs(value) // 4)
                self._done.clear()
            self._reach[name] = low, high

    def _build(
        self,
        done: list[_Done],
        env: Env,
        parameters: Mapping[str, int],
        pinned: Mapping[str, int],
        max_rows: int,
    ) -> None:
        columns, states = [], 1
        for depth, level in enumerate(self.levels):
            key = tuple(parameters[p] for p in sorted(level.parameters - self.soft))
            if depth < len(done):
                if done[depth].key == key:
                    columns, states = done[depth].columns, done[depth].states
                    continue
                del done[depth:]
            picks = self.picks(level, pinned)
            source, value, after = expand(level, env, columns, states, picks, max_rows)
            gated, source, value, after = self._keep(level, env, columns, source, value, after)
            target, after, count = merge(level.signals, after, source.size)
            if count > max_rows:
                raise TooManySolutions(
                    f"more than {max_rows:,} states after {level.name!r} ({count:,} so far); "
                    "raise max_rows, or ask for first() or limit()",
                    count,
                )
            layer = Layer(states, source, value, target)
            done.append(_Done(key, layer, after, count, gated))
            columns, states = after, count
            if not states:
                break

    @staticmethod
    def _keep(
        level: Level,
        env: Env,
        columns: Columns,
        source: NDArray[np.intp],
        value: NDArray[np.intp],
        after: Columns,
    ) -> tuple[list[Columns], NDArray[np.intp], NDArray[np.intp], Columns]:
        """Return what the gates read at every edge, and the edges at which that is defined."""
        if not level.gates or not source.size:
            return [], source, value, after
        for slot, column in zip(level.reads, columns, strict=True):
            env.columns[slot] = column[source]
        env.columns[level.slot] = level.domain[value]
        env.bad = None
        gated = [[f(env) for _, f in gate.kept] for gate in level.gates]
        bad, env.bad = env.bad, None
        if bad is not None and np.any(bad):
            ok = np.broadcast_to(~np.asarray(bad, bool), source.shape)
            gated = [[x[ok] if isinstance(x, np.ndarray) else x for x in xs] for xs in gated]
            source, value, after = source[ok], value[ok], [x[ok] for x in after]
        return gated, source, value, after

    @staticmethod
    def _gated(
        level: Level,
        entry: _Done,
        env: Env,
        pinned: Mapping[str, int],
    ) -> Layer:
        """Return the layer of a level with the edges closed that parameters and pins close."""
        layer = entry.layer
        open_: Any = None
        if entry.gated:
            for gate, kept in zip(level.gates, entry.gated, strict=True):
                for (slot, _), column in zip(gate.kept, kept, strict=True):
                    env.columns[slot] = column
                verdict = np.broadcast_to(_verdict(gate.check, env), layer.source.shape)
                open_ = verdict if open_ is None else open_ & verdict
        if level.name in pinned:
            chosen = level.domain[layer.value] == pinned[level.name]
            open_ = chosen if open_ is None else open_ & chosen
        if open_ is None:
            return layer
        return Layer(layer.states, layer.source, layer.value, layer.target, open_)

    @staticmethod
    def picks(level: Level, pinned: Mapping[str, int]) -> NDArray[np.intp] | None:
        """Return the indices of the values that a pinned variable may take, None: all."""
        if level.name not in pinned:
            return None
        return np.flatnonzero(level.domain == pinned[level.name])


def build(
    pool: Pool,
    order: Sequence[str],
    constraints: Iterable[Low],
    domains: Mapping[str, NDArray[Any]],
    objective: Low | None = None,
    *,
    prune: bool = True,
) -> Chain:
    """Return the chain of a component whose variables are taken in this order."""
    pending = list(constraints)
    slots: dict[int, int] = {}
    names: dict[str, int] = {}
    parameters = frozenset[str]().union(*[c.parameters for c in pending])
    if objective is not None:
        parameters |= objective.parameters
    for parameter in sorted(parameters):
        slots[id(pool.name(parameter))] = names[parameter] = len(slots)
    fixed = dict(slots)
    count = len(slots)
    wide = any(c.peak >= INT64 for c in pending) or (
        objective is not None and objective.peak >= INT64
    )
    wide = wide or any(domains[v].dtype == object for v in order)
    watched = [*pending, objective] if objective is not None else pending
    soft = softness(watched)
    frontier: tuple[Low, ...] = ()
    after = frontiers(pool, order, watched, objective)
    assigned: set[str] = set()
    levels = []
    for name in order:
        earlier = frozenset(assigned)
        assigned.add(name)
        variable = pool.name(name)
        here = {**fixed, **{id(x): slots[id(x)] for x in frontier}, id(variable): count}
        slot, count = count, count + 1
        whole = Compiler(pool, here, earlier, wide=wide, soft=soft)
        raw = Compiler(pool, here, wide=wide)
        checks: list[Function] = []
        exact: list[Function] = []
        gates: list[Gate] = []
        uses: set[str] = set()
        for c in sorted(watched, key=lambda c: _RANK.get(c.kind, 2)):
            if name not in c.names or c is objective:
                continue
            if c.names <= assigned and not soft.isdisjoint(c.parameters):
                exact.append(whole(c))
                gate, count = _gate(pool, whole, c, slots, count, wide=wide)
                gates.append(gate)
                check = None if wide else relaxed(pool, whole, c, assigned)
                if check is not None:
                    checks.append(check)
            elif c.names <= assigned:
                checks.append((raw if c.partial and c.logical else whole)(c))
                exact.append(checks[-1])
            elif prune and not wide:
                check = relaxed(pool, whole, c, assigned)
                if check is not None:
                    checks.append(check)
                    exact.append(check)
            uses |= c.parameters
        watched = [c for c in watched if not c.names <= assigned or c is objective]
        writes: list[tuple[int, Function | None]] = []
        for signal in after[len(levels)]:
            key = id(signal)
            if key in here and signal is not variable:
                writes.append((here[key], None))
                continue
            if signal is variable:
                slots[key] = slot
                writes.append((slot, None))
                continue
            slots[key] = count
            count += 1
            f = (raw if signal.logical and signal.partial else whole)(signal)
            uses |= signal.parameters
            writes.append((slots[key], f))
        reads = tuple(slots[id(x)] for x in frontier)
        frontier = after[len(levels)]
        levels.append(
            Level(
                name,
                _as(domains[name], wide),
                slot,
                reads,
                tuple(checks),
                tuple(exact),
                tuple(gates),
                tuple(writes),
                frontier,
                frozenset(uses),
            )
        )
    return Chain(tuple(order), levels, count, names, wide, objective, soft)


def softness(constraints: Iterable[Low]) -> frozenset[str]:
    """Return the parameters that stand in inequalities alone: limits, most of the time."""
    soft: set[str] = set()
    hard: set[str] = set()
    for c in constraints:
        plain = c.kind in ("le", "lt") and not c.logical and c.peak < INT64
        (soft if plain else hard).update(c.parameters)
    return frozenset(soft - hard)


def _gate(
    pool: Pool, compiler: Compiler, node: Low, slots: dict[int, int], count: int, *, wide: bool
) -> tuple[Gate, int]:
    """Return a constraint as a gate, and the next free slot."""
    kept: dict[int, tuple[int, Function]] = {}

    def visit(x: Low) -> None:
        nonlocal count
        if id(x) in kept or not x.names:
            return
        if not x.parameters:
            kept[id(x)] = count, compiler(x)
            count += 1
            return
        for t in x.of:
            visit(t)

    visit(node)
    parameters = {id(pool.name(p)): slots[id(pool.name(p))] for p in node.parameters}
    held = {**parameters, **{key: slot for key, (slot, _) in kept.items()}}
    top = Compiler(pool, held, wide=wide)(node)
    return Gate(tuple(sorted(node.parameters)), tuple(kept.values()), top), count


def _as(domain: NDArray[Any], wide: bool) -> NDArray[Any]:
    return domain.astype(object) if wide else domain


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
    if names <= assigned and not node.parameters:
        found[id(node)] = node
        return
    rest = node.of
    if node.kind in ("sum", "product"):
        done = [x for x in node.of if x.names and x.names <= assigned and not x.parameters]
        if len(done) > 1:
            part = pool.make(node.kind, tuple(done))
            found[id(part)] = part
            rest = tuple(x for x in node.of if x not in done)
    for x in rest:
        _residual(pool, x, assigned, found)


def expand(
    level: Level,
    env: Env,
    columns: Columns,
    states: int,
    picks: NDArray[np.intp] | None,
    max_rows: int,
    *,
    exact: bool = False,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Columns]:
    """Return the edges from states over a variable (source, value) and the columns after them.

    Soft parameters are intervals, unless `exact`.
    """
    checks = level.exact if exact else level.checks
    domain = level.domain if picks is None else level.domain[picks]
    if not domain.size or not states:
        return _NONE, _NONE, [np.zeros(0, np.int64) for _ in level.writes]
    step = max(1, _GRID // domain.size)
    if states <= step:
        source, value = _check(level, checks, env, columns, states, domain)
    else:
        found = []
        total = 0
        for start in range(0, states, step):
            part = [c[start : start + step] for c in columns]
            source, value = _check(level, checks, env, part, min(step, states - start), domain)
            total += source.size
            if total > 4 * max_rows:
                raise TooManySolutions(
                    f"more than {max_rows:,} rows at {level.name!r} ({total:,} so far); "
                    "raise max_rows, or ask for first() or limit()",
                    total,
                )
            found.append((source + start, value))
        source = np.concatenate([s for s, _ in found])
        value = np.concatenate([v for _, v in found])
    return _after(level, env, columns, domain, picks, source, value)


def _check(
    level: Level,
    checks: Sequence[Function],
    env: Env,
    columns: Columns,
    states: int,
    domain: NDArray[Any],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of a state and a value that pass every check.

    All pairs are laid out as a grid at first; once a check has left few, only those go on.
    """
    for slot, column in zip(level.reads, columns, strict=True):
        env.columns[slot] = column[:, None]
    env.columns[level.slot] = domain[None, :]
    cells = states * domain.size
    mask: Any = True
    for done, check in enumerate(checks, start=1):
        verdict = _verdict(check, env)
        mask = verdict if mask is True else mask & verdict
        if isinstance(mask, np.ndarray) and cells > _DENSE and done < len(checks):
            pairs = np.broadcast_to(mask, (states, domain.size)).nonzero()
            if 2 * pairs[0].size < cells:
                return _sparse(level, env, columns, domain, pairs, checks[done:])
    if not isinstance(mask, np.ndarray):
        if not mask:
            return _NONE, _NONE
        return np.repeat(np.arange(states), domain.size), np.tile(np.arange(domain.size), states)
    if mask.shape != (states, domain.size):
        mask = np.broadcast_to(mask, (states, domain.size))
    source, value = mask.nonzero()
    return source, value


def _sparse(
    level: Level,
    env: Env,
    columns: Columns,
    domain: NDArray[Any],
    pairs: tuple[NDArray[np.intp], ...],
    checks: Sequence[Function],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which of some pairs pass the remaining checks."""
    source, value = pairs
    stale = True
    for check in checks:
        if stale:
            for slot, column in zip(level.reads, columns, strict=True):
                env.columns[slot] = column[source]
            env.columns[level.slot] = domain[value]
        verdict = np.broadcast_to(np.asarray(_verdict(check, env), bool), source.shape)
        kept = np.count_nonzero(verdict)
        stale = kept < source.size
        if stale:
            source, value = source[verdict], value[verdict]
        if not kept:
            break
    return source, value


def _verdict(check: Function, env: Env) -> Any:
    env.bad = None
    verdict = check(env)
    if env.bad is not None:
        verdict = verdict & ~env.bad
        env.bad = None
    return verdict


def _after(
    level: Level,
    env: Env,
    columns: Columns,
    domain: NDArray[Any],
    picks: NDArray[np.intp] | None,
    source: NDArray[np.intp],
    value: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp], Columns]:
    if level.writes:
        for slot, column in zip(level.reads, columns, strict=True):
            env.columns[slot] = column[source]
        env.columns[level.slot] = domain[value]
        env.bad = None
        after = [env.columns[slot] if f is None else f(env) for slot, f in level.writes]
        after = [x if isinstance(x, np.ndarray) else np.full(source.size, x) for x in after]
        bad, env.bad = env.bad, None
        if bad is not None and np.any(bad):
            keep = np.broadcast_to(~np.asarray(bad, bool), source.shape)
            source, value, after = source[keep], value[keep], [x[keep] for x in after]
    else:
        after = []
    return source, (value if picks is None else picks[value]), after


def merge(
    signals: Sequence[Low], columns: Columns, rows: int
) -> tuple[NDArray[np.intp] | None, Columns, int]:
    """Return for each row the number of its state, and the columns and number of the states."""
    if not signals:
        return None, [], min(rows, 1)
    if rows < 2:
        return np.zeros(rows, np.intp), columns, rows
    key, span = _key(signals, columns)
    if span <= 4 * rows + 1024:
        seen = np.zeros(span, np.intp)
        seen[key] = 1
        number = seen.cumsum()
        number -= 1
        target = number[key]
        states = int(number[-1]) + 1
        if states == rows:
            first = np.empty(rows, np.intp)
            first[target] = np.arange(rows)
        else:
            first = np.empty(states, np.intp)
            first[target[::-1]] = np.arange(rows - 1, -1, -1)
    else:
        _, first, target = np.unique(key, return_index=True, return_inverse=True)
        states = first.size
    return target, [c[first] for c in columns], states


def _key(signals: Sequence[Low], columns: Columns) -> tuple[NDArray[Any], int]:
    key: Any = None
    span = 1
    for signal, column in zip(signals, columns, strict=True):
        size = signal.high - signal.low + 1
        if column.dtype == object or size > 1 << 31 or span * size >= INT64:
            values, codes = np.unique(column, return_inverse=True)
            size = values.size
        elif column.dtype == bool:
            codes = column.astype(np.int64)
            codes -= signal.low
        else:
            codes = column - signal.low if signal.low else column
        if key is None:
            key, span = codes, size
            continue
        if span * size >= INT64:
            values, key = np.unique(key, return_inverse=True)
            span = values.size
        key = key * size + codes
        span *= size
    return key, span
