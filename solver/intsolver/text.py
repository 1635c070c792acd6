"""Trees as text of the language, with no more brackets than it needs.

``parse`` of the text gives the tree back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intsolver import expr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# How tightly each form binds, Python's order.
_CHOICE, _OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _SIGN, _POWER, _ATOM = range(10)

Part = tuple[str, int]  # text, and how tightly it binds


def to_text(node: expr.Node) -> str:
    """Return `node` as text."""
    return _part(node)[0]


def _part(node: expr.Node) -> Part:
    return _WRITERS[type(node)](node)


def _within(node: expr.Node, tightness: int) -> str:
    """Return the text of an operand, in brackets where it binds more loosely than `tightness`."""
    text, own = _part(node)
    return text if own >= tightness else f"({text})"


def _binary(sign: str, tightness: int) -> Callable[[expr.Sum], Part]:
    def write(node: expr.Sum) -> Part:
        left, right = _within(node.left, tightness), _within(node.right, tightness + 1)
        return f"{left} {sign} {right}", tightness

    return write


def _joined(word: str, tightness: int) -> Callable[[expr.All], Part]:
    def write(node: expr.All) -> Part:
        return f" {word} ".join(_within(part, tightness + 1) for part in node.of), tightness

    return write


def _called(name: str, of: Iterable[expr.Node]) -> Part:
    return f"{name}({', '.join(to_text(part) for part in of)})", _ATOM


def _constant(node: expr.Constant) -> Part:
    return str(node.value), _ATOM if node.value >= 0 else _SIGN


def _power(node: expr.Power) -> Part:
    return f"{_within(node.base, _ATOM)}**{node.exponent}", _POWER


def _compare(node: expr.Compare) -> Part:
    left, right = _within(node.left, _ADD), _within(node.right, _ADD)
    return f"{left} {node.relation} {right}", _COMPARE


def _choice(node: expr.Choice) -> Part:
    then, condition = _within(node.then, _OR), _within(node.condition, _OR)
    return f"{then} if {condition} else {_within(node.otherwise, _CHOICE)}", _CHOICE


_WRITERS: dict[type, Callable[..., Part]] = {
    expr.Constant: _constant,
    expr.Name: lambda node: (node.name, _ATOM),
    expr.Sum: _binary("+", _ADD),
    expr.Difference: _binary("-", _ADD),
    expr.Product: _binary("*", _MULTIPLY),
    expr.FloorDivision: _binary("//", _MULTIPLY),
    expr.Modulo: _binary("%", _MULTIPLY),
    expr.ExactDivision: _binary("/", _MULTIPLY),
    expr.Power: _power,
    expr.Negative: lambda node: (f"-{_within(node.of, _SIGN)}", _SIGN),
    expr.Absolute: lambda node: _called("abs", (node.of,)),
    expr.Minimum: lambda node: _called("min", node.of),
    expr.Maximum: lambda node: _called("max", node.of),
    expr.Indicator: lambda node: _part(node.of),
    expr.Choice: _choice,
    expr.Truth: lambda node: (str(node.value), _ATOM),
    expr.Compare: _compare,
    expr.NonZero: lambda node: _part(node.of),
    expr.Divides: lambda node: _called("divides", (node.divisor, node.of)),
    expr.AllDifferent: lambda node: _called("all_different", node.of),
    expr.All: _joined("and", _AND),
    expr.Any: _joined("or", _OR),
    expr.Not: lambda node: (f"not {_within(node.of, _NOT)}", _NOT),
}
