"""Plain text to tree in one pass: what nearly all constraints are written in, read quickly.

Integers, names, ``+ - * // / %``, comparisons (chained too), ``and or not`` and
brackets. Whatever else there is, a mistake included, is left to Python's own parser (`parse`),
which takes several times as long and says what is wrong; both read the same tree.
"""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.combine import as_constraint, as_expr, conjoin, disjoin, negative

if TYPE_CHECKING:
    from collections.abc import Callable

    from intsolver.expr import Comparison, Expr

MAX_LENGTH = 2_000
MAX_WORDS = 140  # each nests at most one deeper, so that no limit of depth is passed
_MAX_DIGITS = 18
_WORDS = re.compile(r"[A-Za-z_]\w*|\d+|\*\*|//|[<>=!]=|[-+*/%<>()]", re.ASCII)
_RELATIONS: dict[str, Comparison] = {
    "<=": "<=",
    "<": "<",
    "==": "==",
    "!=": "!=",
    ">=": ">=",
    ">": ">",
}
_BINARY: dict[str, Callable[[Expr, Expr], Expr]] = {
    "+": e.Sum,
    "-": e.Difference,
    "*": e.Product,
    "%": e.Modulo,
    "//": e.FloorDivision,
    "/": e.ExactDivision,
}
# How tightly an operator binds; a bracket that is open keeps everything before it waiting.
_OPEN, _OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _MINUS = range(8)
_RANKS = {
    "or": _OR,
    "and": _AND,
    **dict.fromkeys(_RELATIONS, _COMPARE),
    **dict.fromkeys("+-", _ADD),
    **dict.fromkeys(("*", "%", "//", "/"), _MULTIPLY),
}
_MANY = frozenset({_OR, _AND, _COMPARE})  # of one rank: taken together
_RESERVED = frozenset(keyword.kwlist)


# One loop: a call for each word or rank would cost more than the rest.
def read_plain(text: str) -> tuple[e.Node, tuple[str, ...]] | None:  # noqa: C901, PLR0911, PLR0912
    """Return the tree of `text` and its names as they first appear, None where it is not plain."""
    if len(text) > MAX_LENGTH:
        return None
    words = _WORDS.findall(text)
    if len(words) > MAX_WORDS or len("".join(words)) + text.count(" ") != len(text):
        return None
    names: dict[str, e.Node] = {}
    waiting: list[tuple[int, str]] = []  # operators that wait for what is on their right
    values: list[e.Node] = []
    wanted = True  # an operand is
    for word in words:
        if wanted:
            node = names.get(word)
            if node is None:
                if word == "(":
                    waiting.append((_OPEN, word))
                    continue
                if word == "-":
                    waiting.append((_MINUS, word))
                    continue
                if word == "not" and (not waiting or waiting[-1][0] <= _NOT):
                    waiting.append((_NOT, word))
                    continue
                if word.isidentifier():
                    if word in _RESERVED:
                        return None
                    node = names[word] = e.Name(word)
                elif word.isdigit() and (len(word) == 1 or _plain(word)):
                    node = e.Constant(int(word))
                else:
                    return None
            values.append(node)
            wanted = False
            continue
        if word == ")":
            _finish(waiting, values, _OR)
            if not waiting:
                return None
            waiting.pop()
            continue
        rank = _RANKS.get(word)
        if rank is None:
            return None
        if waiting and waiting[-1][0] >= rank:
            _finish(waiting, values, rank + 1 if rank in _MANY else rank)
        waiting.append((rank, word))
        wanted = True
    if wanted:
        return None
    _finish(waiting, values, _OR)
    return None if waiting else (values[0], tuple(names))


def _plain(digits: str) -> bool:
    return len(digits) <= _MAX_DIGITS and digits[0] != "0"


def _finish(waiting: list[tuple[int, str]], values: list[e.Node], least: int) -> None:
    """Apply the operators at the end that bind as tightly as `least` or more."""
    while waiting and waiting[-1][0] >= least:
        rank, word = waiting.pop()
        right = values.pop()
        if rank == _MINUS:
            values.append(negative(as_expr(right)))
        elif rank >= _ADD:
            values.append(_BINARY[word](as_expr(values.pop()), as_expr(right)))
        elif rank == _NOT:
            values.append(e.Not(as_constraint(right)))
        else:
            words, operands = [word], [right, values.pop()]
            while waiting and waiting[-1][0] == rank:
                words.append(waiting.pop()[1])
                operands.append(values.pop())
            values.append(_joined(rank, words[::-1], operands[::-1]))


def _joined(rank: int, words: list[str], operands: list[e.Node]) -> e.Node:
    """Return ``a < b <= c``, ``a and b and c`` or ``a or b or c``."""
    if rank != _COMPARE:
        return (conjoin if rank == _AND else disjoin)([as_constraint(node) for node in operands])
    sides = [as_expr(node) for node in operands]
    parts = [
        e.Compare(_RELATIONS[word], left, right)
        for word, left, right in zip(words, sides, sides[1:], strict=False)
    ]
    return parts[0] if len(parts) == 1 else conjoin(parts)
