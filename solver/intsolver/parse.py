"""Text to tree: Python's own grammar, a whitelist of its nodes; nothing is ever evaluated.

::

    32 <= bm * warps <= 1024      divides(bm, 1024)      x in [1, 2, 4]
    blocks == 0 or smem * blocks <= 102400               all_different(a, b, c)

Arithmetic is Python's on integers. ``/`` is the exact quotient, never rounded: an equation or a
divisibility holds only where it divides, and ``3 / 2 <= 1`` does not hold. A comparison used as a
number counts 0 or 1, a number used as a condition holds where it is not 0. Length, depth, constants
and powers are capped, so hostile text costs no time.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from intsolver import expr as e
from intsolver.combine import applied, as_constraint, as_expr, conjoin, disjoin, member, negative
from intsolver.errors import ExpressionError, shown
from intsolver.expr import Constraint, Expr
from intsolver.extent import MAX_DEGREE, MAX_DEPTH, extent_of
from intsolver.parse_plain import read_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_LENGTH = 10_000  # characters; the longest published restriction has about 400
MAX_BITS = 512  # of a constant
MAX_EXPONENT = 64

FUNCTIONS = ("abs", "all_different", "divides", "max", "min")
_LANGUAGE = (
    "the language has integers, names, + - * // % / **, comparisons, `and` `or` `not`, `in [...]`, "
    "`a if c else b`, " + ", ".join(f"{name}()" for name in FUNCTIONS)
)
_FOREIGN = re.compile(r"[^\w\s()\[\]{}+\-*/%<>=!,.]")
_JOINED = re.compile(r"\d[A-Za-z]")
_ADVICE = {
    "&": "write `and` (no bit operations)",
    "|": "write `or` (no bit operations)",
    "^": "write `**` for a power (no bit operations)",
    "~": "write `not`",
    "'": "no strings",
    '"': "no strings",
    ":": "no slices, dictionaries or `lambda`",
}
_SIGNS: dict[type, str] = {ast.LShift: "<<", ast.RShift: ">>", ast.Invert: "~", ast.MatMult: "@"}
_BINARY: dict[type, Callable[[Expr, Expr], Expr]] = {
    ast.Add: e.Sum,
    ast.Sub: e.Difference,
    ast.Mult: e.Product,
    ast.FloorDiv: e.FloorDivision,
    ast.Mod: e.Modulo,
    ast.Div: e.ExactDivision,
}
_RELATIONS: dict[type, e.Comparison] = {
    ast.LtE: "<=",
    ast.Lt: "<",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.GtE: ">=",
    ast.Gt: ">",
}


Parsed = tuple[e.Node, tuple[str, ...]]  # a tree, and its names as they first appear


def parse(text: str) -> e.Node:
    """Return the expression or constraint that `text` says.

    Raises
    ------
    ExpressionError
        The text is not of the language; the message points at the place.
    """
    return read(text)[0]


def parse_constraint(text: str) -> Constraint:
    """Return the constraint that `text` says; raises as `parse` does."""
    return as_constraint(read(text)[0])


def parse_expression(text: str) -> Expr:
    """Return the integer expression that `text` says; raises as `parse` does."""
    return as_expr(read(text)[0])


def read(text: str) -> Parsed:
    """Return the tree of `text` and its names; raises as `parse` does."""
    if not isinstance(text, str):
        raise ExpressionError(f"expected text, got {type(text).__name__}: {shown(text)}")
    return _read(text)


def column_of(text: str, name: str) -> int | None:
    """Return where `name` first stands in a text that parses, in characters."""
    text = _one_line(text)
    found = [tree for tree in ast.walk(_tree(text)) if isinstance(tree, ast.Name)]
    offsets = [tree.col_offset for tree in found if tree.id == name]
    return _column(text, min(offsets)) if offsets else None


@lru_cache(maxsize=16_384)
def _read(text: str) -> Parsed:
    line = _one_line(text)
    return read_plain(line) or read_tree(python_tree(line), line)


def read_tree(tree: ast.expr, text: str) -> Parsed:
    """Return a tree of Python's, of which `text` is the text, as ours; raises as `parse` does."""
    reader = _Reader()
    try:
        node = reader.node(tree)
    except _Misplaced as error:
        raise ExpressionError(error.message, text, _column(text, error.tree.col_offset)) from None
    return node, tuple(reader.names)


def python_tree(text: str) -> ast.expr:
    """Return Python's own tree of a line; raises as `parse` does."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the text has {len(text):,} characters, at most {MAX_LENGTH:,}")
    if not text:
        raise ExpressionError("the text is empty; expected for example 'x * y <= 1024'")
    foreign = _FOREIGN.search(text)
    if foreign is not None:
        advice = _ADVICE.get(foreign[0], _LANGUAGE)
        message = f"{foreign[0]!r} does not belong here: {advice}"
        raise ExpressionError(message, text, foreign.start())
    return _tree(text)


def _one_line(text: str) -> str:
    return text.replace("\n", " ").strip()


def _tree(text: str) -> ast.expr:
    """Return Python's own tree of `text`."""
    try:
        if _JOINED.search(text) is None:
            return ast.parse(text, mode="eval").body
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python may warn of `1or 2`
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        column = min(error.offset - 1, len(text)) if error.offset else len(text)  # 0: at the end
        raise ExpressionError(f"not an expression: {error.msg}", text, column) from None
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise ExpressionError(
            f"not an expression: {str(error) or type(error).__name__}", text
        ) from None


def _column(text: str, offset: int) -> int:
    """Return the place of a byte of the UTF-8 text, which is what `ast` counts, in characters."""
    return len(text.encode()[:offset].decode(errors="replace"))


class _Misplaced(Exception):  # noqa: N818 - internal: a message on its way to its place
    def __init__(self, tree: ast.expr, message: str) -> None:
        self.tree, self.message = tree, message
        super().__init__(message)


class _Reader:
    """Turns one tree of Python into one of ours, and collects the names."""

    def __init__(self) -> None:
        self.names: dict[str, e.Name] = {}
        self.depth = 0

    def node(self, tree: ast.expr) -> e.Node:
        visit = _VISITS.get(type(tree))
        if visit is None:
            _fail(tree, f"{_describe(tree)} does not belong here: {_LANGUAGE}")
        self.depth += 1
        if self.depth >= MAX_DEPTH:
            advice = "split it, for example with Problem.define"
            _fail(tree, f"the expression is nested more than {MAX_DEPTH} deep: {advice}")
        node = visit(self, tree)
        self.depth -= 1
        return node

    def expr(self, tree: ast.expr) -> Expr:
        node = self.node(tree)
        return node if isinstance(node, Expr) else as_expr(node)

    def constraint(self, tree: ast.expr) -> Constraint:
        return as_constraint(self.node(tree))

    def constant(self, tree: ast.Constant) -> e.Node:
        value = tree.value
        if isinstance(value, bool):
            return e.Truth(value)
        if not isinstance(value, int):
            _fail(tree, f"{shown(value)} is {_kind(value)}, expected an integer")
        if value.bit_length() > MAX_BITS:
            _fail(tree, f"a constant of {value.bit_length():,} bits, at most {MAX_BITS}")
        return e.Constant(value)

    def name(self, tree: ast.Name) -> Expr:
        node = self.names.get(tree.id)
        if node is None:
            node = self.names[tree.id] = e.Name(tree.id)
        return node

    def binary(self, tree: ast.BinOp) -> Expr:
        make = _BINARY.get(type(tree.op))
        if make is not None:
            return make(self.expr(tree.left), self.expr(tree.right))
        if isinstance(tree.op, ast.Pow):
            return self.power(tree)
        return self.foreign_operator(tree)

    def foreign_operator(self, tree: ast.BinOp) -> NoReturn:
        sign = _SIGNS.get(type(tree.op), type(tree.op).__name__)
        advice = "write `* 2**n` or `// 2**n`" if sign in ("<<", ">>") else _LANGUAGE
        _fail(tree.right, f"`{sign}` does not belong here: {advice}")

    def power(self, tree: ast.BinOp) -> Expr:
        right = tree.right
        exponent = right.value if isinstance(right, ast.Constant) else None
        if type(exponent) is not int or not 0 <= exponent <= MAX_EXPONENT:
            _fail(right, f"an exponent is a constant from 0 to {MAX_EXPONENT}")
        base = self.expr(tree.left)
        if exponent * extent_of(base, {}).degree > MAX_DEGREE:
            _fail(right, f"powers within powers amount to more than `** {MAX_DEGREE}`")
        return e.Power(base, exponent)

    def unary(self, tree: ast.UnaryOp) -> e.Node:
        if isinstance(tree.op, ast.Not):
            return e.Not(self.constraint(tree.operand))
        of = self.expr(tree.operand)
        return of if isinstance(tree.op, ast.UAdd) else negative(of)

    def logic(self, tree: ast.BoolOp) -> Constraint:
        parts = [self.constraint(value) for value in tree.values]
        return conjoin(parts) if isinstance(tree.op, ast.And) else disjoin(parts)

    def compare(self, tree: ast.Compare) -> Constraint:
        if len(tree.ops) == 1:
            return self.relation(tree.left, tree.ops[0], tree.comparators[0])
        lefts = [tree.left, *tree.comparators]
        parts = zip(lefts, tree.ops, tree.comparators, strict=False)
        return conjoin([self.relation(left, op, right) for left, op, right in parts])

    def relation(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Constraint:
        relation = _RELATIONS.get(type(op))
        if relation is not None:
            return e.Compare(relation, self.expr(left), self.expr(right))
        if not isinstance(op, ast.In | ast.NotIn):
            _fail(right, "`is` does not belong here: write `==`")
        if not isinstance(right, ast.List | ast.Tuple | ast.Set):
            _fail(right, "`in` takes integers in brackets, for example `x in [1, 2, 4]`")
        items = [self.expr(item) for item in right.elts]
        return member(self.expr(left), items, negated=isinstance(op, ast.NotIn))

    def choice(self, tree: ast.IfExp) -> Expr:
        condition = self.constraint(tree.test)
        return e.Choice(condition, self.expr(tree.body), self.expr(tree.orelse))

    def call(self, tree: ast.Call) -> e.Node:
        name = tree.func.id if isinstance(tree.func, ast.Name) else None
        if name not in FUNCTIONS:
            called = f"{name}()" if name else "calling this"
            _fail(tree, f"{called} does not belong here, known functions: {', '.join(FUNCTIONS)}")
        arguments: Sequence[ast.expr] = tree.args
        if len(arguments) == 1 and isinstance(arguments[0], ast.List | ast.Tuple):
            arguments = arguments[0].elts  # min([a, b]) as well as min(a, b)
        wanted = {"abs": 1, "divides": 2}.get(name, 0)
        if tree.keywords or not arguments or (wanted and len(arguments) != wanted):
            _fail(tree, f"{name}() takes {wanted or 'one or more'} plain argument(s)")
        return applied(name, tuple(self.expr(argument) for argument in arguments))


def _fail(tree: ast.expr, message: str) -> NoReturn:
    raise _Misplaced(tree, message)


def _describe(tree: ast.expr) -> str:
    """Return a form of Python's as its users call it."""
    named = {"Attribute": "an attribute", "Subscript": "an index", "List": "a list"}
    name = type(tree).__name__
    return named.get(name, f"a {name.lower()}")


def _kind(value: object) -> str:
    name = type(value).__name__
    return {"ellipsis": "`...`", "complex": "a complex number"}.get(name, f"a {name}")


_VISITS: dict[type, Callable[[_Reader, Any], e.Node]] = {
    ast.Constant: _Reader.constant,
    ast.Name: _Reader.name,
    ast.BinOp: _Reader.binary,
    ast.UnaryOp: _Reader.unary,
    ast.BoolOp: _Reader.logic,
    ast.Compare: _Reader.compare,
    ast.IfExp: _Reader.choice,
    ast.Call: _Reader.call,
}
