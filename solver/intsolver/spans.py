"""Values by bisection: where a constraint is monotone in a variable, what it allows is one span.

``x * y <= 1000`` at a given x holds up to some y, or from some y on, whatever the other variables
are; so the values that are left of a long domain are found by looking at a few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from intsolver.lower import Low
    from intsolver.vector import Compiler, Env, Function

_EITHER = 2  # up or down, depending on the other variables
_COMPARISONS = frozenset({"le", "lt", "eq"})


def monotone_parts(compiler: Compiler, node: Low, name: str) -> tuple[Function, ...]:
    """Return conditions that together say what a constraint does, each monotone in a variable.

    There are none where that is not seen.
    """
    if node.kind not in _COMPARISONS or node.partial:
        return ()
    left, right = node.of
    if not _opposed(_trend(left, name), _trend(right, name)):
        return ()
    if node.kind != "eq":
        return (compiler(node),)
    a, b = compiler(left), compiler(right)
    return (lambda env: a(env) <= b(env), lambda env: a(env) >= b(env))


def _opposed(left: int | None, right: int | None) -> bool:
    """Return whether a difference is monotone."""
    if left is None or right is None:
        return False
    return 0 in (left, right) or (left == -right and left != _EITHER)


def _trend(node: Low, name: str) -> int | None:
    """Return 1 where a node never falls as a variable rises, -1 where it never rises, 0: neither.

    _EITHER is one of both, None anything else.
    """
    if name not in node.names:
        return 0
    if node.kind == "name":
        return 1
    trends = [_trend(x, name) for x in node.of]
    moving = [trend for trend in trends if trend != 0]
    if None in moving:
        return None
    return _TRENDS[node.kind](node, trends, moving) if node.kind in _TRENDS else None


def _together(_: Low, __: Sequence[int | None], moving: Sequence[int | None]) -> int | None:
    """Return the trend of what rises with each of its operands."""
    if len(moving) == 1:
        return moving[0]
    return moving[0] if len(set(moving)) == 1 and moving[0] != _EITHER else None


def _product(node: Low, trends: Sequence[int | None], moving: Sequence[int | None]) -> int | None:
    if len(moving) > 1:
        positive = all(x.low >= 0 for x in node.of)
        return _together(node, trends, moving) if positive else None
    sign = 1
    for x, trend in zip(node.of, trends, strict=True):
        if trend == 0:
            if x.low < 0 < x.high:
                return _EITHER
            sign *= 1 if x.low >= 0 else -1
    assert moving[0] is not None
    return moving[0] if moving[0] == _EITHER else moving[0] * sign


def _quotient(node: Low, trends: Sequence[int | None], moving: Sequence[int | None]) -> int | None:
    bottom = node.of[1]
    if len(moving) == 1 and (trends[1] == 0 or bottom.low > 0 or bottom.high < 0):
        return _EITHER
    return None


def _power(node: Low, _: Sequence[int | None], moving: Sequence[int | None]) -> int | None:
    return moving[0] if node.of[0].low >= 0 or node.value % 2 else None


def _absolute(node: Low, _: Sequence[int | None], __: Sequence[int | None]) -> int | None:
    return _EITHER if node.of[0].low >= 0 or node.of[0].high <= 0 else None


_TRENDS = {
    "sum": _together,
    "product": _product,
    "quotient": _quotient,
    "power": _power,
    "absolute": _absolute,
    "min": _together,
    "max": _together,
}


def spans(
    conditions: Iterable[Function],
    env: Env,
    columns: Sequence[tuple[int, NDArray[Any]]],
    variable: tuple[int, NDArray[Any]],
    states: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return from where to where in an ascending domain all of some monotone conditions hold.

    `columns` are slots and what is in them at each state, `variable` the slot and the domain of the
    variable. The result, (states,) each, is half open.
    """
    slot, domain = variable
    start, stop = np.zeros(states, np.intp), np.full(states, domain.size, np.intp)

    def holds(
        condition: Function, rows: NDArray[np.intp] | slice, place: NDArray[np.intp] | int
    ) -> NDArray[np.bool_]:
        for other, column in columns:
            env.columns[other] = column[rows]
        env.columns[slot] = domain[place]
        count = states if isinstance(rows, slice) else rows.size
        return np.broadcast_to(np.asarray(condition(env), bool), (count,))

    everywhere = slice(None)
    for condition in conditions:
        first, last = (holds(condition, everywhere, place) for place in (0, domain.size - 1))
        stop[~(first | last)] = 0
        rows = np.flatnonzero(first != last)
        truth = first[rows]
        low, high = np.zeros(rows.size, np.intp), np.full(rows.size, domain.size - 1, np.intp)
        for _ in range(int(domain.size - 1).bit_length()):
            middle = (low + high) >> 1
            as_low = holds(condition, rows, middle) == truth
            low, high = np.where(as_low, middle, low), np.where(as_low, high, middle)
        stop[rows] = np.where(truth, np.minimum(stop[rows], high), stop[rows])
        start[rows] = np.where(truth, start[rows], np.maximum(start[rows], high))
    return start, np.maximum(start, stop)
