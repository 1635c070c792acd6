"""A component of a problem as levels, one variable each, and the states between them.

After each level a state is what the constraints still to be decided have to know of the variables
so far: partial sums and products, finished operands, values. Assignments with the same state have
the same continuations and are merged, so the solutions of a chain are the paths of a decision
diagram, whose size is that of the states and not that of the solutions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.dominance import Preference, undominated
from intsolver.errors import TooManySolutions
from intsolver.spans import spans
from intsolver.vector import Env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low
    from intsolver.vector import Function

Columns = list[Any]
INT64 = 1 << 62
_GRID = 1 << 21  # cells of states x values that are checked at a time
_DENSE = 2_048  # cells up to which all of them go through every check
_BISECTED = 1 << 15  # cells from which bisection is worth its steps
_MANY = 1_024  # states from where on those that cannot lead to an optimum are left out
_FEW = 64  # rows that are cheaper to go on with than to merge
LONG = 256  # values, from where on those of monotone checks are found by bisection
_SPREAD = 4  # keys to a row, up to which a table of all keys is quicker than hashing
_GOLDEN = 0x9E3779B97F4A7C15  # odd, its bits without a pattern: multiplication by it scatters keys
_NONE = np.zeros(0, np.intp)


@dataclass(slots=True)
class Level:
    """A variable, its values, what is checked once it is known, and the states after it."""

    name: str
    domain: NDArray[Any]
    slot: int
    reads: tuple[int, ...]  # slots of the states before
    checks: tuple[Function, ...]
    writes: tuple[tuple[int, Function | None], ...]  # None: carried over from the same slot
    signals: tuple[Low, ...]
    parameters: frozenset[str]
    solved: Function | None = None  # the one value that an equation leaves of each state
    bisected: tuple[Function, ...] = ()  # checks that are monotone in the variable
    others: tuple[Function, ...] = ()  # the checks besides these
    prefer: Preference | None = None  # which states after it lead to an optimum
    ascending: NDArray[np.intp] | None = None  # indices of the domain's values, if out of order


@dataclass(slots=True)
class Layer:
    """The edges of a level, sorted by source: source, value (its index in the domain), target."""

    states: int  # sources there are
    source: NDArray[np.intp]
    value: NDArray[np.intp]
    target: NDArray[np.intp] | None  # None: all lead to the one state


@dataclass(slots=True)
class Spans:
    """A last level whose values are one span for each source: from `start`, below `stop`."""

    states: int
    start: NDArray[np.intp]
    stop: NDArray[np.intp]


@dataclass(slots=True)
class Chain:
    """The levels of a component, and where the last run got: layers and the states after each."""

    order: tuple[str, ...]
    levels: list[Level]
    slots: int
    parameter_slots: Mapping[str, int]
    wide: bool
    objective: Low | None = None
    _done: list[tuple[object, Layer | Spans, Columns, int]] = field(default_factory=list)

    def env(self, parameters: Mapping[str, int]) -> Env:
        """Return columns with the parameters in their slots."""
        columns: Columns = [None] * self.slots
        for name, slot in self.parameter_slots.items():
            columns[slot] = parameters[name]
        return Env(columns)

    def run(
        self, parameters: Mapping[str, int], pinned: Mapping[str, int], max_rows: int
    ) -> tuple[list[Layer | Spans], Columns, int]:
        """Return the layers, the columns of the last states and their number.

        Levels that nothing changed since the last run are taken from it.
        """
        env = self.env(parameters)
        done, states = self._done, 1
        columns: Columns = []
        changed = False
        for depth, level in enumerate(self.levels):
            key = (pinned.get(level.name), tuple(parameters[p] for p in sorted(level.parameters)))
            if not changed and depth < len(done) and done[depth][0] == key:
                _, _, columns, states = done[depth]
                continue
            if not changed:
                changed = True
                del done[depth:]
            picks = self.picks(level, pinned)
            if picks is None and self._spanned(level, states):
                start, stop = _spans(level, env, columns, level.domain, states)
                columns, after = [], int((stop > start).any())
                done.append((key, Spans(states, start, stop), columns, after))
                states = after
                break
            few = _FEW if depth + 1 < len(self.levels) else 0
            source, value, columns_after = expand(
                level, env, columns, states, picks=picks, max_rows=max_rows
            )
            target, columns_after, after = merge(level.signals, columns_after, source.size, few=few)
            if after > max_rows:
                raise TooManySolutions(
                    f"more than {max_rows:,} states after {level.name!r} ({after:,} so far); "
                    "raise max_rows, or ask for first() or limit()",
                    after,
                )
            if level.prefer is not None and target is not None and after > _MANY:
                keep = _preferred(level, level.prefer, columns_after)
                if keep is not None:
                    left = keep[target]
                    source, value, target = source[left], value[left], target[left]
                    target = (keep.cumsum() - 1)[target]
                    columns_after = [column[keep] for column in columns_after]
                    after = int(np.count_nonzero(keep))
            done.append((key, Layer(states, source, value, target), columns_after, after))
            columns, states = columns_after, after
            if not states:
                break
        return [layer for _, layer, _, _ in done], columns, states

    def _spanned(self, level: Level, states: int) -> bool:
        """Return whether a level is the last one, and its values are one span for each state."""
        last = level is self.levels[-1] and not level.signals and not level.others
        return last and bool(level.bisected) and level.ascending is None and _is_long(level, states)

    @staticmethod
    def picks(level: Level, pinned: Mapping[str, int]) -> NDArray[np.intp] | None:
        """Return the indices of the values that a pinned variable may take, None: all."""
        if level.name not in pinned:
            return None
        return np.flatnonzero(level.domain == pinned[level.name])


def expand(
    level: Level,
    env: Env,
    columns: Columns,
    states: int,
    *,
    picks: NDArray[np.intp] | None,
    max_rows: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Columns]:
    """Return the edges from states over a variable (source, value) and the columns after them."""
    domain = level.domain if picks is None else level.domain[picks]
    if not domain.size or not states:
        return _NONE, _NONE, [np.zeros(0, np.int64) for _ in level.writes]
    cells = states * domain.size
    if level.solved is not None and cells > _DENSE:
        look, cuts = _solve, [*range(0, states, _GRID), states]
    elif level.bisected and picks is None and _is_long(level, states):
        variable = level.domain if level.ascending is None else level.domain[level.ascending]
        start, stop = _spans(level, env, columns, variable, states)
        cuts = _cuts(stop - start)
        columns = [*columns, start, stop]
        look = _bisect
    else:
        step = max(1, _GRID // domain.size)
        look, cuts = _check, [*range(0, states, step), states]
    found = []
    total = 0
    for begin, end in pairwise(cuts):
        part = columns if end - begin == states else [c[begin:end] for c in columns]
        source, value = look(level, env, part, end - begin, domain)
        total += source.size
        if total > 4 * max_rows:
            raise TooManySolutions(
                f"more than {max_rows:,} rows at {level.name!r} ({total:,} so far); "
                "raise max_rows, or ask for first() or limit()",
                total,
            )
        found.append((source + begin if begin else source, value))
    if len(found) > 1:
        source = np.concatenate([s for s, _ in found])
        value = np.concatenate([v for _, v in found])
    columns = columns[: len(level.reads)]
    source, value, after = _after(level, env, columns, domain, (source, value))
    return source, (value if picks is None else picks[value]), after


def _check(
    level: Level, env: Env, columns: Columns, states: int, domain: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of a state and a value that pass every check.

    All pairs are laid out as a grid at first; once a check has left few, only those go on.
    """
    for slot, column in zip(level.reads, columns, strict=True):
        env.columns[slot] = column[:, None]
    env.columns[level.slot] = domain[None, :]
    cells = states * domain.size
    mask: Any = True
    for done, check in enumerate(level.checks, start=1):
        verdict = _verdict(check, env)
        mask = verdict if mask is True else mask & verdict
        if isinstance(mask, np.ndarray) and cells > _DENSE and done < len(level.checks):
            pairs = np.broadcast_to(mask, (states, domain.size)).nonzero()
            if 2 * pairs[0].size < cells:
                return _sparse(level, env, columns, domain, (pairs, done))
    if not isinstance(mask, np.ndarray):
        if not mask:
            return _NONE, _NONE
        return np.repeat(np.arange(states), domain.size), np.tile(np.arange(domain.size), states)
    if mask.shape != (states, domain.size):
        mask = np.broadcast_to(mask, (states, domain.size))
    source, value = mask.nonzero()
    return source, value


def _solve(
    level: Level, env: Env, columns: Columns, states: int, domain: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what `_check` does, where an equation leaves at most one value of each state."""
    assert level.solved is not None
    for slot, column in zip(level.reads, columns, strict=True):
        env.columns[slot] = column
    wanted = np.broadcast_to(level.solved(env), (states,))
    ranked = np.argsort(domain, kind="stable")
    place = np.searchsorted(domain, wanted, sorter=ranked)
    value = ranked[np.minimum(place, domain.size - 1)]
    source = np.flatnonzero(domain[value] == wanted)
    return _sparse(level, env, columns, domain, ((source, value[source]), 0))


def _is_long(level: Level, states: int) -> bool:
    return level.domain.size > LONG and states * level.domain.size > _BISECTED


def _spans(
    level: Level, env: Env, columns: Columns, domain: NDArray[Any], states: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return from where to where in the ascending domain the monotone checks hold."""
    parts = []
    for begin in range(0, states, _GRID):
        end = min(begin + _GRID, states)
        given = [(s, c[begin:end]) for s, c in zip(level.reads, columns, strict=True)]
        parts.append(spans(level.bisected, env, given, (level.slot, domain), end - begin))
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _cuts(counts: NDArray[np.intp]) -> list[int]:
    """Return where to cut states so that not much more than a grid of pairs is in each piece."""
    pieces = counts.cumsum() // _GRID
    return [0, *(np.flatnonzero(pieces[1:] != pieces[:-1]) + 1).tolist(), counts.size]


def _bisect(
    level: Level, env: Env, columns: Columns, states: int, domain: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what `_check` does, from spans of the values, which are the last two columns."""
    *columns, start, stop = columns
    counts = stop - start
    source = np.repeat(np.arange(states), counts)
    value = np.arange(source.size) - (counts.cumsum() - stop)[source]
    if level.ascending is not None:
        value = level.ascending[value]
        order = np.lexsort((value, source))
        source, value = source[order], value[order]
    return _sparse(level, env, columns, domain, ((source, value), None))


def _sparse(
    level: Level,
    env: Env,
    columns: Columns,
    domain: NDArray[Any],
    left: tuple[tuple[NDArray[np.intp], ...], int | None],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which of the pairs that passed the first so many checks pass the others.

    None: those that passed the monotone checks.
    """
    (source, value), done = left
    stale: bool | np.bool_ = True
    for check in level.others if done is None else level.checks[done:]:
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
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> tuple[NDArray[np.intp], NDArray[np.intp], Columns]:
    """Return the pairs of a state and a value that lead on, and the columns after them."""
    source, value = pairs
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
    return source, value, after


def _preferred(level: Level, prefer: Preference, columns: Columns) -> NDArray[np.bool_] | None:
    """Return which of the states after a level can lead to an optimum, None: all."""
    rows = columns[prefer.signal].size
    key: NDArray[Any] = np.zeros(rows, np.int64)
    if prefer.used is None and len(columns) > 1:
        other = [i for i in range(len(columns)) if i != prefer.signal]
        key, _ = _key([level.signals[i] for i in other], [columns[i] for i in other])
    return undominated(prefer, key, columns)


def merge(
    signals: Sequence[Low], columns: Columns, rows: int, *, few: int
) -> tuple[NDArray[np.intp] | None, Columns, int]:
    """Return for each row the number of its state, and the columns and number of the states.

    So `few` rows are states as they are.
    """
    if not signals:
        return None, [], min(rows, 1)
    if rows < 2 or rows <= few:
        return np.arange(rows), columns, rows
    key, span = _key(signals, columns)
    if span <= _SPREAD * (rows + 256):
        first = np.full(span, -1, np.intp)
        first[key] = np.arange(rows)
        row = first[key]
    else:
        row = _alike(key)
    leads = np.zeros(rows, bool)
    leads[row] = True
    states = np.flatnonzero(leads)
    if states.size == rows:
        return np.arange(rows), columns, rows
    number = leads.cumsum()
    number -= 1
    return number[row], [c[states] for c in columns], states.size


def _alike(key: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return for each row one and the same row among those with its key, by hashing.

    The last row in a bucket stands for those of its key; the others are hashed anew.
    """
    found = np.empty(key.size, np.intp)
    left, keys = np.arange(key.size), key
    factor = _GOLDEN
    while left.size:
        bits = int(left.size).bit_length() + 1
        bucket = ((keys.view(np.uint64) * np.uint64(factor)) >> np.uint64(64 - bits)).view(np.intp)
        last = np.empty(1 << bits, np.intp)
        last[bucket] = left
        row = last[bucket]
        found[left] = row
        left = left[key[row] != keys]
        keys = key[left]
        factor = (factor * _GOLDEN) % (1 << 64)
    return found


def _key(signals: Sequence[Low], columns: Columns) -> tuple[NDArray[Any], int]:
    key: Any = None
    span = 1
    for signal, column in zip(signals, columns, strict=True):
        size = signal.high - signal.low + 1
        if column.dtype.hasobject or size > 1 << 31 or span * size >= INT64:
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


def as_array(domain: Sequence[int], ends: tuple[int, int] | None = None) -> NDArray[Any]:
    """Return integers, `ends` the least and greatest of them, as int64 where they fit.

    Else they stay Python's integers.
    """
    low, high = ends or (min(domain, default=0), max(domain, default=0))
    return np.array(domain, np.int64 if low > -INT64 and high < INT64 else object)
