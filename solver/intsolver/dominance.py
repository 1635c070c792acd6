"""States that cannot lead to an optimum, because another one leads at least as far with more.

Where an objective is what the states hold of it plus (or times) what later variables add, of states
that are otherwise the same only the best can. Where besides it they hold just what one upper bound
has used up, a state that used no less and has less cannot either. Solutions as good as the best
stay, all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low


@dataclass(frozen=True, slots=True)
class Preference:
    """Of which signal of the states more (`sign` 1) or less (-1) is better, all else being equal.

    `used` is the only other signal, where less of that is never worse.
    """

    signal: int
    sign: int
    used: int | None


def preference(
    objective: Low,
    sense: int,
    watched: Sequence[Low],
    held: Mapping[Low, tuple[Low, ...]],
    taken: Collection[str],
) -> Preference | None:
    """Return what is better after some variables are taken, None where that is not seen.

    `held` has what states hold of each of the `watched` constraints and the objective.
    """
    mine = held.get(objective, ())
    if len(mine) != 1 or objective.partial:
        return None
    sign = _sign(objective, mine[0], frozenset(taken))
    signals = list(dict.fromkeys([x for c in watched for x in held.get(c, ())]))
    others = {x for c in watched if c is not objective for x in held.get(c, ())}
    if sign is None or mine[0] in others:
        return None
    used = None
    if len(others) == 1:
        (other,) = others
        users = [c for c in watched if c is not objective and held.get(c)]
        if all(_is_used_up(c, other, frozenset(taken)) for c in users):
            used = signals.index(other)
    return Preference(signals.index(mine[0]), sign * sense, used)


def _is_used_up(node: Low, signal: Low, taken: frozenset[str]) -> bool:
    """Return whether a constraint is an upper bound that holds all the more the less the signal."""
    if node.kind not in ("le", "lt") or node.partial:
        return False
    left, right = node.of
    return right.names.isdisjoint(taken) and _sign(left, signal, taken) == 1


def _sign(node: Low, signal: Low, taken: frozenset[str]) -> int | None:
    """Return 1 (-1) if a node is more (less) the more the signal is, whatever is not taken yet."""
    if node is signal:
        return 1
    if node.kind == "product" and len(node.of) == 2 and node.of[0].constant:
        sign = _sign(node.of[1], signal, taken)
        return None if sign is None else sign if node.of[0].value > 0 else -sign
    done = tuple([x for x in node.of if x.names and x.names <= taken])
    rest = [x for x in node.of if x not in done]
    apart = all(x.names.isdisjoint(taken) for x in rest)
    rising = node.kind == "sum" or (node.kind == "product" and all(x.low > 0 for x in rest))
    if not apart or not rising:
        return None
    if len(done) == 1:
        return _sign(done[0], signal, taken)
    return 1 if done and signal.kind == node.kind and signal.of == done else None


def undominated(
    prefer: Preference, key: NDArray[Any], columns: Sequence[NDArray[Any]]
) -> NDArray[np.bool_] | None:
    """Return which states to go on with, None: all; `key` tells the other signals apart."""
    value = columns[prefer.signal]
    value = value.astype(np.int64) * prefer.sign
    if prefer.used is not None:
        used = columns[prefer.used]
        order = np.lexsort((-value, used))
        ranked = value[order]
        best = np.maximum.accumulate(ranked)
        keep = np.empty(value.size, bool)
        keep[order] = ranked == best
    else:
        order = np.lexsort((value, key))
        ranked = key[order]
        last = np.append(ranked[1:] != ranked[:-1], True)  # the best of those with a key
        group = last.cumsum() - last
        keep = np.empty(value.size, bool)
        keep[order] = value[order] == value[order][last][group]
    return None if keep.all() else keep
