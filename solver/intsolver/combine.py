"""Nodes made of nodes, the way both text and operators mean them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.expr import Constraint, Expr

if TYPE_CHECKING:
    from collections.abc import Sequence


def as_expr(node: e.Node) -> Expr:
    """Return a node as a number: a truth value counts 0 or 1."""
    if isinstance(node, Expr):
        return node
    if isinstance(node, e.Truth):
        return e.Constant(int(node.value))
    assert isinstance(node, Constraint)
    if isinstance(node, e.All | e.Any) and any(isinstance(p, e.NonZero) for p in node.of):
        return _last_looked_at(node)
    return e.Indicator(node)


def as_constraint(node: e.Node) -> Constraint:
    """Return a node as a condition: a number holds where it is not 0."""
    if isinstance(node, Constraint):
        return node
    if isinstance(node, e.Indicator):
        return node.of
    assert isinstance(node, Expr)
    return e.NonZero(node)


def _last_looked_at(node: e.All | e.Any) -> Expr:
    """Return ``a and b`` with numbers among them as Python does: the operand that decides."""
    *before, last = node.of
    value = _operand(last)
    for part in reversed(before):
        if isinstance(node, e.All):
            value = e.Choice(part, value, _operand(part))
        else:
            value = e.Choice(part, _operand(part), value)
    return value


def _operand(part: Constraint) -> Expr:
    return part.of if isinstance(part, e.NonZero) else as_expr(part)


def conjoin(parts: Sequence[Constraint]) -> Constraint:
    """Return ``a and b and ...``, a conjunction within it opened up."""
    flat = [piece for part in parts for piece in (part.of if isinstance(part, e.All) else (part,))]
    return flat[0] if len(flat) == 1 else e.All(tuple(flat))


def disjoin(parts: Sequence[Constraint]) -> Constraint:
    """Return ``a or b or ...``, a disjunction within it opened up."""
    flat = [piece for part in parts for piece in (part.of if isinstance(part, e.Any) else (part,))]
    return flat[0] if len(flat) == 1 else e.Any(tuple(flat))


def negative(of: Expr) -> Expr:
    """Return ``-of``; the negative of a constant is a constant."""
    return e.Constant(-of.value) if isinstance(of, e.Constant) else e.Negative(of)


def member(of: Expr, items: Sequence[Expr], *, negated: bool) -> Constraint:
    """Return ``of in [...]``, or ``not in``."""
    if not items:  # never, or always, but only where `of` has a value
        return e.Compare("==" if negated else "!=", of, of)
    if negated:
        return conjoin([e.Compare("!=", of, item) for item in items])
    return disjoin([e.Compare("==", of, item) for item in items])


def applied(name: str, of: tuple[Expr, ...]) -> e.Node:
    """Return a function of the language applied to arguments of the right number."""
    match name:
        case "abs":
            return e.Absolute(of[0])
        case "divides":
            return e.Divides(of[0], of[1])
        case "all_different":
            return e.AllDifferent(of)
        case "min":
            return e.Minimum(of)
    return e.Maximum(of)
