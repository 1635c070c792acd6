"""What constraints mean, told by Python itself: the texts evaluated over every assignment.

Nothing of intsolver is used. ``/`` is the exact quotient (a fraction where it leaves a remainder),
division by zero makes a constraint violated, and Python's own short circuits apply. Only for texts
that the tests generate or that come with the project: this evaluates.
"""

from __future__ import annotations

import ast
import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import CodeType

Row = tuple[int, ...]


class _Exact(ast.NodeTransformer):
    """Writes ``a / b`` as ``_quotient(a, b)``, and ``min(a)`` of one as what it says."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        return ast.Call(ast.Name("_quotient", ast.Load()), [node.left, node.right], [])


_MEANING: dict[str, Any] = {
    "__builtins__": {},
    "_quotient": lambda a, b: Fraction(int(a) if isinstance(a, bool) else a) / b,
    "min": lambda *of: min(of),
    "max": lambda *of: max(of),
    "abs": abs,
    "divides": lambda divisor, of: of % divisor == 0,
    "all_different": lambda *of: len(set(of)) == len(of),
}


def compiled(text: str) -> CodeType:
    tree = ast.fix_missing_locations(_Exact().visit(ast.parse(text, mode="eval")))
    return compile(tree, "<oracle>", "eval")


def value(code: CodeType, at: Mapping[str, int]) -> int | None:
    """Return the value as an integer, None where it is undefined or has a fraction."""
    try:
        found = eval(code, _MEANING, dict(at))  # noqa: S307 - our own text
    except ZeroDivisionError:
        return None
    found = Fraction(found)
    return int(found) if found.denominator == 1 else None


def holds(code: CodeType, at: Mapping[str, int]) -> bool:
    try:
        return bool(eval(code, _MEANING, dict(at)))  # noqa: S307 - our own text
    except ZeroDivisionError:
        return False


def inlined(text: str, definitions: Mapping[str, str]) -> str:
    """Return `text` with definitions, which may use earlier ones, put in."""

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            if node.id not in definitions:
                return node
            body = ast.parse(definitions[node.id], mode="eval").body
            return Put().visit(body)

    return ast.unparse(Put().visit(ast.parse(text, mode="eval")))


def solutions(
    domains: Mapping[str, Sequence[int]],
    constraints: Iterable[str],
    parameters: Mapping[str, int],
    pinned: Mapping[str, int] | None = None,
) -> list[Row]:
    """Return every satisfying row, columns as in `domains`, lexicographic in the domains' order."""
    codes = [compiled(text) for text in constraints]
    pins = pinned or {}
    found = []
    for row in itertools.product(*domains.values()):
        at = dict(zip(domains, row, strict=True))
        if any(at[name] != wanted for name, wanted in pins.items()):
            continue
        at.update(parameters)
        if all(holds(code, at) for code in codes):
            found.append(row)
    return found
