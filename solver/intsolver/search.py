"""The first solutions of a component, depth first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from intsolver.chain import Chain, expand
from intsolver.errors import TooManySolutions
from intsolver.parts import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_CELLS = 1 << 21  # pairs of a state and a value looked at in one go
_STEPS = 20  # of a bisection


def _most(chain: Chain, states: int) -> int:
    """Return how many states, at most `states`, meet all values of any variable in one go."""
    longest = max([level.domain.size for level in chain.levels], default=1)
    return max(1, min(states, _CELLS // max(longest, 1)))


def search(
    chain: Chain,
    parameters: Mapping[str, int],
    pinned: Mapping[str, int],
    n: int,
    max_states: int | None = None,
) -> Table:
    """Return the first `n` rows of a chain, depth first in blocks that grow.

    Raises
    ------
    TooManySolutions
        Looked at more than `max_states` states without telling.
    """
    env = chain.env(parameters)
    picks = [chain.picks(level, pinned) for level in chain.levels]
    depth_all = len(chain.levels)
    start = np.zeros((0, 1), np.intp)
    stack: list[tuple[int, list[Any], NDArray[np.intp]]] = [(0, [], start)]
    found: list[NDArray[np.intp]] = []
    total, block, looked_at = 0, _most(chain, 32), 0
    while stack and total < n:
        depth, columns, values = stack.pop()
        states, level = values.shape[1], chain.levels[depth]
        few = block if level.bisected else max(1, min(block, _CELLS // max(level.domain.size, 1)))
        if states > few:
            stack.append((depth, [c[few:] for c in columns], values[:, few:]))
            columns, values, states = [c[:few] for c in columns], values[:, :few], few
        looked_at += states * (_STEPS if level.bisected else level.domain.size)
        if max_states is not None and looked_at > max_states:
            raise TooManySolutions(f"{looked_at:,} states without a solution", looked_at)
        source, value, after = expand(
            level, env, columns, states, picks=picks[depth], max_rows=1 << 40
        )
        looked_at += source.size if level.bisected else 0
        if not source.size:
            block = min(block * 2, 1 << 14)  # in vain: look at more at once
            continue
        rows = np.concatenate([values[:, source], value[None, :]])
        if depth + 1 == depth_all:
            found.append(rows)
            total += rows.shape[1]
            block = min(block * 2, 1 << 14)
        else:
            stack.append((depth + 1, after, rows))
    rows = np.concatenate(found, axis=1)[:, :n] if found else np.zeros((depth_all, 0), np.intp)
    columns_by_name = {
        level.name: level.domain[row] for level, row in zip(chain.levels, rows, strict=True)
    }
    return Table(columns_by_name, rows.shape[1])
