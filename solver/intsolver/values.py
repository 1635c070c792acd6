"""Lists of integers that tuning files give as Python text, read without evaluating any of it.

::

    [16, 32, 64]     list(range(1, 9))     [2**i for i in range(5)]     [0] + list(range(8, 65))
"""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING

from intsolver.errors import ExpressionError
from intsolver.evaluate import evaluate
from intsolver.parse import python_tree, read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_VALUES = 1_000_000


def read_values(text: str) -> list[int]:
    """Return the integers of a list written in Python.

    Raises
    ------
    ExpressionError
        It is anything but lists, ranges, sums of these and comprehensions over these.
    """
    return _values(python_tree(text), text, {})


def _values(tree: ast.expr, text: str, at: Mapping[str, int]) -> list[int]:
    match tree:
        case ast.List(items) | ast.Tuple(items):
            found = [_integer(item, text, at) for item in items]
        case ast.Call(ast.Name("list" | "tuple" | "sorted"), [inner], []):
            found = _values(inner, text, at)
        case ast.Call(ast.Name("range"), [_, *_] as ends, []) if len(ends) <= 3:
            found = _range([_integer(end, text, at) for end in ends], text)
        case ast.BinOp(left, ast.Add(), right):
            found = _values(left, text, at) + _values(right, text, at)
        case ast.ListComp(element, [ast.comprehension(ast.Name(name), source, [], 0)]):
            over = _values(source, text, at)
            found = [_integer(element, text, {**at, name: value}) for value in over]
        case _:
            raise ExpressionError(
                "expected a list of integers, as in [1, 2, 4] or list(range(1, 9))",
                text,
                tree.col_offset,
            )
    if len(found) > MAX_VALUES:
        raise ExpressionError(f"{len(found):,} values, at most {MAX_VALUES:,}", text)
    return found


def _range(ends: list[int], text: str) -> list[int]:
    if len(ends) == 3 and ends[2] == 0:
        raise ExpressionError("a range with a step of 0", text)
    found = range(*ends)
    if not -MAX_VALUES <= (found.stop - found.start) // found.step <= MAX_VALUES:
        raise ExpressionError(f"a range of more than {MAX_VALUES:,} values", text)
    return list(found)


def _integer(tree: ast.expr, text: str, at: Mapping[str, int]) -> int:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, bool):
        raise ExpressionError(f"{tree.value} is a truth value, expected an integer", text)
    node, names = read_tree(_Put(at).visit(copy.deepcopy(tree)) if at else tree, text)
    if names:
        raise ExpressionError(f"{names[0]!r} has no value here", text, tree.col_offset)
    found = evaluate(node, {})
    if not isinstance(found, int):
        raise ExpressionError("expected an integer", text, tree.col_offset)
    return found


class _Put(ast.NodeTransformer):
    """Puts values in the place of names."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.values:
            return node
        return ast.copy_location(ast.Constant(self.values[node.id]), node)
