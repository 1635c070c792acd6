"""Free conditions over the columns of the gallery: ``boxes >= 3 and not done and top < 0.5``.

The text is parsed and checked node by node; nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

LONGEST = 500  # characters
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.In: lambda part, whole: np.char.find(np.asarray(whole, str), str(part)) >= 0,
    ast.NotIn: lambda part, whole: np.char.find(np.asarray(whole, str), str(part)) < 0,
}  # fmt: skip
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}  # fmt: skip


def select(text: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return (N,) where the condition holds; an empty text holds everywhere.

    Comparisons, ``and``, ``or``, ``not``, ``+ - * /``, numbers, names of columns, and
    ``"part" in name`` for text.

    Raises
    ------
    WorkbenchError
        The text is no such condition, or names no column.
    """
    length = len(next(iter(columns.values())))
    if not text.strip():
        return np.ones(length, np.bool_)
    if len(text) > LONGEST:
        raise WorkbenchError(f"a condition of {len(text)} characters; expected at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        with np.errstate(invalid="ignore", divide="ignore"):
            found = _value(tree.body, columns)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise WorkbenchError(f"condition {text!r}: not understood; {_HINT}") from error
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"condition {text!r}: {error}; {_HINT}") from error
    truth = np.broadcast_to(np.asarray(found), (length,))
    if truth.dtype != np.bool_:
        raise WorkbenchError(f"condition {text!r} is a number, not true or false; {_HINT}")
    return np.array(truth)


_HINT = 'try `boxes >= 3 and not done`, `top < 0.5`, `"587" in name`'


def _value(node: ast.expr, columns: Mapping[str, NDArray[Any]]) -> Any:  # noqa: PLR0911 - one a kind
    match node:
        case ast.Constant(value=int() | float() | str()):
            return node.value
        case ast.Name(id=name):
            if name not in columns:
                raise WorkbenchError(f"no column {name!r}; columns: {', '.join(columns)}")
            return columns[name]
        case ast.BoolOp(op=op, values=values):
            parts = [_truth(_value(value, columns)) for value in values]
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*parts))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_truth(_value(operand, columns))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, columns)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, columns), _value(right, columns))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(side, columns) for side in (left, *others)]
            links = [
                np.asarray(_comparison(op)(a, b))
                for op, a, b in zip(ops, sides, sides[1:], strict=False)
            ]
            return np.logical_and.reduce(np.broadcast_arrays(*links))
    raise WorkbenchError(f"condition: {ast.unparse(node)!r} is not allowed; {_HINT}")


def _comparison(op: ast.cmpop) -> Callable[[Any, Any], Any]:
    if type(op) not in _COMPARE:
        raise WorkbenchError(f"condition: {type(op).__name__} is not allowed; {_HINT}")
    return _COMPARE[type(op)]


def _truth(value: Any) -> NDArray[np.bool_]:
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise WorkbenchError(f"condition: a number where true or false is expected; {_HINT}")
    return array
