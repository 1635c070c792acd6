"""Trees at an assignment, in Python's exact integers; and the passes that need no more than that.

This is the meaning of the language, one node at a time. The solver computes the same in columns.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from intsolver import expr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Values = Mapping[str, int]

Number = int | Fraction
N = TypeVar("N", bound=expr.Node)


def evaluate(node: expr.Node, values: Values) -> Number | None:
    """Return the value of `node` (a condition counts 0 or 1), None where it is undefined.

    It is a Fraction only where ``/`` left a remainder.

    Raises
    ------
    KeyError
        A name of `node` is not among `values`.
    """
    try:
        found = _value(node, values)
    except ZeroDivisionError:
        return None
    return int(found) if found.denominator == 1 else found


def holds(constraint: expr.Constraint, values: Values) -> bool:
    """Return whether `constraint` is satisfied; undefined is not. Raises as `evaluate` does."""
    try:
        return bool(_value(constraint, values))
    except ZeroDivisionError:
        return False


def children(node: expr.Node) -> tuple[expr.Node, ...]:
    """Return the nodes directly below `node`, from left to right."""
    return tuple(_children(node))


def names_of(node: expr.Node) -> frozenset[str]:
    """Return every name in `node`."""
    found: set[str] = set()
    stack: list[expr.Node] = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, expr.Name):
            found.add(top.name)
        else:
            stack.extend(_children(top))
    return frozenset(found)


def has_quotient(node: expr.Node) -> bool:
    """Return whether there is a ``/`` in `node`, whose value may then be a fraction."""
    return isinstance(node, expr.ExactDivision) or any(map(has_quotient, _children(node)))


def substitute(node: N, replacement: Mapping[str, expr.Expr]) -> N:
    """Return `node` with expressions in place of the names that `replacement` lists."""
    if isinstance(node, expr.Name):
        return replacement.get(node.name, node)  # type: ignore[return-value]  # an Expr for a Name
    return rebuild(node, lambda child: substitute(child, replacement))


def rebuild(node: N, change: Callable[[expr.Node], expr.Node]) -> N:
    """Return `node` with `change` applied to each node directly below; itself if none changed."""
    changed = False
    arguments: list[object] = []
    for field in node.__match_args__:  # type: ignore[attr-defined]  # every node is a dataclass
        old = getattr(node, field)
        new: object = old
        if isinstance(old, expr.Node):
            new = change(old)
            changed = changed or new is not old
        elif isinstance(old, tuple):
            new = tuple(map(change, old))
            changed = changed or any(a is not b for a, b in zip(old, new, strict=True))
        arguments.append(new)
    return type(node)(*arguments) if changed else node


def _children(node: expr.Node) -> Iterator[expr.Node]:
    for field in node.__match_args__:  # type: ignore[attr-defined]  # every node is a dataclass
        part = getattr(node, field)
        if isinstance(part, expr.Node):
            yield part
        elif isinstance(part, tuple):
            yield from part


def _value(node: expr.Node, values: Values) -> Number:
    """Return the value; ZeroDivisionError stands for undefined."""
    return _VALUES[type(node)](node, values)


def _quotient(node: expr.ExactDivision, values: Values) -> Number:
    left, right = _value(node.left, values), _value(node.right, values)
    return Fraction(left) / right if left % right else left // right


def _absolute(node: expr.Absolute, values: Values) -> Number:
    of = _value(node.of, values)
    return of if of >= 0 else -of


def _choice(node: expr.Choice, values: Values) -> Number:
    chosen = node.then if _value(node.condition, values) else node.otherwise
    return _value(chosen, values)


def _compare(node: expr.Compare, values: Values) -> bool:
    return _RELATIONS[node.relation](_value(node.left, values), _value(node.right, values))


def _all_different(node: expr.AllDifferent, values: Values) -> bool:
    found = sorted(_value(part, values) for part in node.of)
    return all(a != b for a, b in pairwise(found))


_RELATIONS: dict[expr.Comparison, Callable[[Number, Number], bool]] = {
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}
_VALUES: dict[type, Callable[..., Number]] = {
    expr.Constant: lambda n, _: n.value,
    expr.Name: lambda n, at: at[n.name],
    expr.Sum: lambda n, at: _value(n.left, at) + _value(n.right, at),
    expr.Difference: lambda n, at: _value(n.left, at) - _value(n.right, at),
    expr.Product: lambda n, at: _value(n.left, at) * _value(n.right, at),
    expr.FloorDivision: lambda n, at: _value(n.left, at) // _value(n.right, at),
    expr.Modulo: lambda n, at: _value(n.left, at) % _value(n.right, at),
    expr.ExactDivision: _quotient,
    expr.Power: lambda n, at: _value(n.base, at) ** n.exponent,
    expr.Negative: lambda n, at: -_value(n.of, at),
    expr.Absolute: _absolute,
    expr.Minimum: lambda n, at: min([_value(part, at) for part in n.of]),
    expr.Maximum: lambda n, at: max([_value(part, at) for part in n.of]),
    expr.Indicator: lambda n, at: int(_value(n.of, at)),
    expr.Choice: _choice,
    expr.Truth: lambda n, _: n.value,
    expr.Compare: _compare,
    expr.NonZero: lambda n, at: _value(n.of, at) != 0,
    expr.Divides: lambda n, at: _value(n.of, at) % _value(n.divisor, at) == 0,
    expr.AllDifferent: _all_different,
    expr.All: lambda n, at: all(_value(part, at) for part in n.of),
    expr.Any: lambda n, at: any(_value(part, at) for part in n.of),
    expr.Not: lambda n, at: not _value(n.of, at),
}
