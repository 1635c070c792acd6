"""A problem file as a CP-SAT model: what a careful user of OR-Tools would write from its text.

Products, quotients and remainders become CP-SAT's own constraints, sums stay linear, ``or``
becomes enforced literals. Quotients with ``/`` are kept as fractions and multiplied out. What
that cannot say (a divisor that may be 0) becomes a table where the variables' domains are small.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
from typing import Any

from ortools.sat.python import cp_model

_MOST_TUPLES = 50_000
_LIMIT = 2**60
_COMPARE = {
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
}


class NotExpressibleError(Exception):
    """CP-SAT has no constraint for this, and the table would be too large."""


class Term:
    """A linear expression (or integer) of CP-SAT and its bounds."""

    __slots__ = ("high", "low", "value")

    def __init__(self, value: Any, low: int, high: int) -> None:
        if max(abs(low), abs(high)) > _LIMIT:
            raise NotExpressibleError("beyond CP-SAT's integers")
        self.value, self.low, self.high = value, low, high


_ONE = Term(1, 1, 1)
Fraction = tuple[Term, Term]


class Model:
    """The CP-SAT model of one problem file."""

    def __init__(self, space: dict[str, Any]) -> None:
        self.model = cp_model.CpModel()
        self.domains = {v["name"]: v["domain"] for v in space["variables"]}
        self.variables = {
            name: self.model.new_int_var_from_domain(cp_model.Domain.from_values(values), name)
            for name, values in self.domains.items()
        }
        self._made: dict[tuple[str, ...], Term] = {}
        for text in space["constraints"]:
            self._add(ast.parse(text, mode="eval").body)

    def objective(self, text: str, *, maximize: bool) -> None:
        """Set the objective."""
        numerator, denominator = self._fraction(ast.parse(text, mode="eval").body)
        if not isinstance(denominator.value, int) or denominator.value != 1:
            raise NotExpressibleError("a quotient as objective")
        (self.model.maximize if maximize else self.model.minimize)(numerator.value)

    def _add(self, node: ast.expr) -> None:
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            for part in node.values:
                self._add(part)
            return
        try:
            if isinstance(node, ast.BoolOp):
                self.model.add_bool_or([self._literal(part) for part in node.values])
            else:
                self._compare(node, None)
        except NotExpressibleError:
            self._table(node)

    def _literal(self, node: ast.expr) -> Any:
        literal = self.model.new_bool_var("")
        parts = node.values if isinstance(node, ast.BoolOp) else [node]
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            inner = [self._literal(part) for part in parts]
            self.model.add_bool_or(inner).only_enforce_if(literal)
            return literal
        for part in parts:
            self._compare(part, literal)
        return literal

    def _compare(self, node: ast.expr, literal: Any) -> None:
        if not isinstance(node, ast.Compare):
            raise NotExpressibleError(ast.unparse(node))
        sides = [self._fraction(side) for side in (node.left, *node.comparators)]
        for op, (a, b), (c, d) in zip(node.ops, sides, sides[1:], strict=False):
            left, right = self._times(a, d), self._times(c, b)
            stated = _COMPARE[type(op)](left.value, right.value)
            added = (
                self.model.add_bool_and([stated])
                if isinstance(stated, bool)
                else self.model.add(stated)
            )
            if literal is not None:
                added.only_enforce_if(literal)

    def _fraction(self, node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(value)):
                return Term(value, value, value), _ONE
            case ast.Name(id=name):
                values = self.domains[name]
                if len(values) == 1:
                    return Term(values[0], values[0], values[0]), _ONE
                return Term(self.variables[name], min(values), max(values)), _ONE
            case ast.UnaryOp(op=ast.USub(), operand=of):
                a, b = self._fraction(of)
                return self._times(Term(-1, -1, -1), a), b
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self._fraction(left), self._fraction(right))
        raise NotExpressibleError(ast.unparse(node))

    def _binary(self, op: ast.operator, left: Fraction, right: Fraction) -> Fraction:
        (a, b), (c, d) = left, right
        match op:
            case ast.Add() | ast.Sub():
                x, y = self._times(a, d), self._times(c, b)
                if isinstance(op, ast.Add):
                    return Term(x.value + y.value, x.low + y.low, x.high + y.high), self._times(
                        b, d
                    )
                return Term(x.value - y.value, x.low - y.high, x.high - y.low), self._times(b, d)
            case ast.Mult():
                return self._times(a, c), self._times(b, d)
            case ast.Div():
                return self._times(a, d), self._positive(self._times(b, c))
            case ast.Mod():  # (a/b) mod (c/d) = ((a d) mod (c b)) / (b d)
                return self._mod(self._times(a, d), self._times(c, b)), self._times(b, d)
            case ast.FloorDiv():
                return self._floor(self._times(a, d), self._times(c, b)), _ONE
        raise NotExpressibleError(type(op).__name__)

    @staticmethod
    def _positive(term: Term) -> Term:
        if term.low < 1:
            raise NotExpressibleError("a divisor that may be 0 or less")
        return term

    def _times(self, a: Term, b: Term) -> Term:
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        low, high = min(corners), max(corners)
        if isinstance(a.value, int) or isinstance(b.value, int):
            return Term(a.value * b.value, low, high)
        return self._made_once("*", a, b, low, high, self.model.add_multiplication_equality)

    def _mod(self, a: Term, b: Term) -> Term:
        self._positive(b)
        if a.low < 0:
            raise NotExpressibleError("a remainder of what may be negative")
        if isinstance(a.value, int) and isinstance(b.value, int):
            return Term(a.value % b.value, a.value % b.value, a.value % b.value)
        return self._made_once("%", a, b, 0, b.high - 1, self.model.add_modulo_equality)

    def _floor(self, a: Term, b: Term) -> Term:
        self._positive(b)
        if a.low < 0:
            raise NotExpressibleError("a quotient of what may be negative")
        low, high = a.low // b.high, a.high // b.low
        if isinstance(a.value, int) and isinstance(b.value, int):
            return Term(a.value // b.value, low, high)
        return self._made_once("//", a, b, low, high, self.model.add_division_equality)

    def _made_once(  # noqa: PLR0917 - a row of a table
        self, sign: str, a: Term, b: Term, low: int, high: int, state: Any
    ) -> Term:
        key = (sign, str(a.value), str(b.value))
        if key not in self._made:
            if max(abs(low), abs(high)) > _LIMIT:
                raise NotExpressibleError("beyond CP-SAT's integers")
            target = self.model.new_int_var(low, high, "")
            if sign == "*":
                state(target, [a.value, b.value])
            else:
                state(target, a.value, b.value)
            self._made[key] = Term(target, low, high)
        return self._made[key]

    def _table(self, node: ast.expr) -> None:
        names = sorted(
            {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & set(self.domains)
        )
        if math.prod(len(self.domains[name]) for name in names) > _MOST_TUPLES:
            raise NotExpressibleError(ast.unparse(node))
        code = compile(ast.Expression(node), "<constraint>", "eval")
        allowed = []
        for values in itertools.product(*(self.domains[name] for name in names)):
            try:
                if eval(code, {"__builtins__": {}}, dict(zip(names, values, strict=True))):  # noqa: S307
                    allowed.append(values)
            except ZeroDivisionError:
                continue
        self.model.add_allowed_assignments([self.variables[name] for name in names], allowed)
