"""Plain text to tree in one pass: what nearly all constraints are written in, read quickly.

Integers, names, ``+ - * // / %``, powers of a name, comparisons (chained too), ``and or not`` and
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
MAX_TOKENS = 140  # each nests at most one deeper, so that no limit of depth is passed
_MAX_DIGITS = 18
_TOKENS = re.compile(r"[A-Za-z_]\w*|\d+|\*\*|//|[<>=!]=|[-+*/%<>()]", re.ASCII)
_RELATIONS: dict[str, Comparison] = {
    "<=": "<=",
    "<": "<",
    "==": "==",
    "!=": "!=",
    ">=": ">=",
    ">": ">",
}
_ADDING: dict[str, Callable[[Expr, Expr], Expr]] = {"+": e.Sum, "-": e.Difference}
_MULTIPLYING: dict[str, Callable[[Expr, Expr], Expr]] = {
    "*": e.Product,
    "%": e.Modulo,
    "//": e.FloorDivision,
    "/": e.ExactDivision,
}
_WORDS = frozenset(keyword.kwlist)
_END = ""


class _NotPlain(Exception):  # noqa: N818 - internal: for the other parser to look at
    pass


def read_plain(text: str) -> tuple[e.Node, tuple[str, ...]] | None:
    """Return the tree of `text` and its names as they first appear, None where it is not plain."""
    if len(text) > MAX_LENGTH:
        return None
    tokens = _TOKENS.findall(text)
    if len(tokens) > MAX_TOKENS or len("".join(tokens)) + text.count(" ") != len(text):
        return None
    reader = _Reader(tokens)
    try:
        node = reader.disjunction()
    except _NotPlain:
        return None
    return (node, tuple(reader.names)) if reader.word == _END else None


class _Reader:
    """Goes over the tokens once, one method for each rank of operators."""

    def __init__(self, tokens: list[str]) -> None:
        tokens.append(_END)
        self._next = iter(tokens).__next__
        self.word = self._next()
        self.names: dict[str, e.Name] = {}

    def disjunction(self) -> e.Node:
        node = self.conjunction()
        if self.word != "or":
            return node
        parts = [as_constraint(node)]
        while self.word == "or":
            self.word = self._next()
            parts.append(as_constraint(self.conjunction()))
        return disjoin(parts)

    def conjunction(self) -> e.Node:
        node = self.negation()
        if self.word != "and":
            return node
        parts = [as_constraint(node)]
        while self.word == "and":
            self.word = self._next()
            parts.append(as_constraint(self.negation()))
        return conjoin(parts)

    def negation(self) -> e.Node:
        if self.word == "not":
            self.word = self._next()
            return e.Not(as_constraint(self.negation()))
        node = self.sum()
        if self.word not in _RELATIONS:
            return node
        left, parts = as_expr(node), []
        while (relation := _RELATIONS.get(self.word)) is not None:
            self.word = self._next()
            right = as_expr(self.sum())
            parts.append(e.Compare(relation, left, right))
            left = right
        return parts[0] if len(parts) == 1 else conjoin(parts)

    def sum(self) -> e.Node:
        add: Callable[[Expr, Expr], Expr] | None = None
        total: e.Node = e.Truth(value=True)
        while True:
            node = self.factor()
            while (make := _MULTIPLYING.get(self.word)) is not None:
                self.word = self._next()
                node = make(as_expr(node), as_expr(self.factor()))
            total = node if add is None else add(as_expr(total), as_expr(node))
            add = _ADDING.get(self.word)
            if add is None:
                return total
            self.word = self._next()

    def factor(self) -> e.Node:
        word = self.word
        node: e.Node | None = self.names.get(word)
        if word != _END:
            self.word = self._next()
        if node is not None:
            pass
        elif word.isdigit():
            if len(word) > _MAX_DIGITS or (word[0] == "0" and len(word) > 1):
                raise _NotPlain
            node = e.Constant(int(word))
        elif word == "(":
            node = self.disjunction()
            if self.word != ")":
                raise _NotPlain
            self.word = self._next()
        elif word == "-":
            return negative(as_expr(self.factor()))
        elif word.isidentifier() and word not in _WORDS and self.word != "(":
            node = self.names[word] = e.Name(word)
        else:
            raise _NotPlain
        return self.power(node) if self.word == "**" else node

    def power(self, base: e.Node) -> Expr:
        self.word = self._next()
        exponent = self.word
        if not isinstance(base, e.Name) or not exponent.isdigit() or len(exponent) > 1:
            raise _NotPlain
        self.word = self._next()
        if self.word == "**":
            raise _NotPlain
        return e.Power(base, int(exponent))
