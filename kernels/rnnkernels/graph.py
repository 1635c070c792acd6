"""The graph of a cell's equations: static single assignment, each expression stored once.

A `Tape` is hash-consed (equal expressions are one node) and simplifies as it grows: constants fold,
`x + 0`, `x * 1` and `x * 0` vanish, signs move outwards. `x * 0` is 0 also where x may be infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkernels.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INPUTS = (
    "x",
    "r",
    "s",
    "d",
)  # W x + b, R h, previous states; in derivatives: adjoints of the states

# Evaluation of each operation on numbers: folds constants, and names what a cell may use.
# `select(a, b, y, z)` is y where a > b, else z.
EVALUATE: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "sigmoid": lambda a: 0.5 + 0.5 * math.tanh(0.5 * a),
    "tanh": math.tanh,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "log_sigmoid": lambda a: min(a, 0.0) - math.log1p(math.exp(-abs(a))),
    "softplus": lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
    "relu": lambda a: max(a, 0.0),
    "maximum": max,
    "minimum": min,
    "select": lambda a, b, y, z: y if a > b else z,
}
_COMMUTATIVE = {"add", "mul", "maximum", "minimum"}
_LARGEST = 3.4e38  # constants become float32 in generated code


@dataclass(frozen=True, slots=True)
class Node:
    """One value: an input (`op` in INPUTS, `index` its position), a constant, or an operation."""

    op: str
    args: tuple[int, ...] = ()
    index: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which arguments come first, and which of them are the results."""

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def reads(self, kind: str) -> frozenset[int]:
        """Positions of the inputs of this kind ("x", "r", "s" or "d") that the graph reads."""
        return frozenset(node.index for node in self.nodes if node.op == kind)

    def pruned(self, count: int) -> Graph:
        """Return the graph of the first outputs alone."""
        return _live(self.nodes, self.outputs[:count])


class Tape:
    """A growing graph in which equal expressions share one node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}

    def _append(self, node: Node) -> int:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def input(self, kind: str, index: int) -> int:
        """Return the node of an input."""
        return self._append(Node(kind, index=index))

    def const(self, value: float) -> int:
        """Return the node of a constant; raises CellError unless it is a finite float32."""
        if not abs(value) <= _LARGEST:  # also catches nan
            raise CellError(f"constant {value!r}: expected a finite float32 (at most {_LARGEST:g})")
        return self._append(Node("const", value=float(value) + 0.0))  # -0.0 + 0.0 is 0.0

    def op(self, name: str, *args: int) -> int:
        """Return the node of an operation, or of something simpler that is equal."""
        values = [self._value(arg) for arg in args]
        if all(value is not None for value in values):
            return self._fold(name, [value for value in values if value is not None])
        if name in _COMMUTATIVE:
            args = tuple(sorted(args))
        simpler = self._simplify(name, args)
        return self._append(Node(name, args)) if simpler is None else simpler

    def _value(self, arg: int) -> float | None:
        node = self.nodes[arg]
        return node.value if node.op == "const" else None

    def _fold(self, name: str, values: list[float]) -> int:
        try:
            return self.const(EVALUATE[name](*values))
        except (ArithmeticError, ValueError) as error:
            raise CellError(f"{name} of the constants {values} has no value: {error}") from error

    def _negated(self, arg: int) -> int | None:
        node = self.nodes[arg]
        return node.args[0] if node.op == "neg" else None

    def _simplify(self, name: str, args: tuple[int, ...]) -> int | None:
        if name in {"add", "sub"}:
            return self._simplify_sum(name, *args)
        if name in {"mul", "div"}:
            return self._simplify_product(name, *args)
        if name == "neg":
            return self._negated(args[0])
        if name in {"maximum", "minimum"} and args[0] == args[1]:
            return args[0]
        if name == "select" and (args[2] == args[3] or args[0] == args[1]):
            return args[3]
        return None

    def _simplify_sum(self, name: str, a: int, b: int) -> int | None:
        minus = name == "sub"
        if self._value(b) == 0:
            return a
        if self._value(a) == 0:
            return self.op("neg", b) if minus else b
        if minus and a == b:
            return self.const(0.0)
        negated = self._negated(b)
        if negated is not None:
            return self.op("add" if minus else "sub", a, negated)
        negated = self._negated(a)
        if negated is not None and not minus:
            return self.op("sub", b, negated)
        return None

    def _simplify_product(self, name: str, a: int, b: int) -> int | None:
        if self._value(a) == 0:
            return a
        if name == "mul" and self._value(b) == 0:
            return b
        if name == "div" and self._value(b) == 0:
            raise CellError("division by the constant 0")
        for one, other in ((a, b), (b, a)):
            if name == "div" and one == a:
                continue  # 1 / x stays
            if self._value(one) in {1.0, -1.0}:
                return other if self._value(one) == 1.0 else self.op("neg", other)
        minus_a, minus_b = self._negated(a), self._negated(b)
        if minus_a is None and minus_b is None:
            return None
        product = self.op(
            name, a if minus_a is None else minus_a, b if minus_b is None else minus_b
        )
        both = minus_a is not None and minus_b is not None
        return product if both else self.op("neg", product)

    def graph(self, outputs: Sequence[int]) -> Graph:
        """Return what the outputs need, renumbered; the rest is dead code."""
        return _live(self.nodes, outputs)


def _live(nodes: Sequence[Node], outputs: Sequence[int]) -> Graph:
    """Return the graph of these outputs, without the nodes they do not need."""
    live = set(outputs)
    for position in range(len(nodes) - 1, -1, -1):
        if position in live:
            live.update(nodes[position].args)
    order = {old: new for new, old in enumerate(sorted(live))}
    kept = (nodes[old] for old in sorted(live))
    return Graph(
        tuple(Node(n.op, tuple(order[a] for a in n.args), n.index, n.value) for n in kept),
        tuple(order[output] for output in outputs),
    )
