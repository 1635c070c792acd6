"""Equations become a graph: static single assignment, each expression stored once.

A cell's function is run once on `Value` objects, which record every operation on a `Tape`. The tape
is hash-consed (equal expressions are one node) and simplifies as it grows: constants fold, `x + 0`,
`x * 1` and `x * 0` vanish, signs move outwards. `x * 0` counts as 0 also where x may be infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

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
        live = set(outputs)
        for position in range(len(self.nodes) - 1, -1, -1):
            if position in live:
                live.update(self.nodes[position].args)
        order = {old: new for new, old in enumerate(sorted(live))}
        nodes = [self.nodes[old] for old in sorted(live)]
        return Graph(
            tuple(Node(n.op, tuple(order[a] for a in n.args), n.index, n.value) for n in nodes),
            tuple(order[output] for output in outputs),
        )


class Value:
    """A number in a cell's equations that is not known yet; arithmetic on it is recorded."""

    __slots__ = ("node", "tape")
    __hash__ = None  # type: ignore[assignment]  # == is refused, so there is no hash either

    def __init__(self, tape: Tape, node: int) -> None:
        self.tape = tape
        self.node = node

    def __add__(self, other: Value | float) -> Value:
        return _record("add", self, other)

    def __radd__(self, other: float) -> Value:
        return _record("add", other, self)

    def __sub__(self, other: Value | float) -> Value:
        return _record("sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return _record("sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return _record("mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return _record("mul", other, self)

    def __truediv__(self, other: Value | float) -> Value:
        return _record("div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return _record("div", other, self)

    def __neg__(self) -> Value:
        return _record("neg", self)

    def __abs__(self) -> Value:
        return _record("abs", self)

    def __pow__(self, power: object) -> Value:
        if not isinstance(power, int) or not 1 <= power <= 8:
            raise CellError(f"** {power!r}: expected a whole power from 1 to 8; else exp and log")
        result = self
        for _ in range(power - 1):
            result = result * self
        return result

    def __gt__(self, other: Value | float) -> Greater:
        return Greater(self, other, strict=True)

    def __lt__(self, other: Value | float) -> Greater:
        return Greater(other, self, strict=True)

    def __ge__(self, other: Value | float) -> Greater:
        return Greater(other, self, strict=False)

    def __le__(self, other: Value | float) -> Greater:
        return Greater(self, other, strict=False)

    def __eq__(self, other: object) -> NoReturn:
        raise CellError("== on a traced value: use where(a > b, ...) or where(a >= b, ...)")

    def __bool__(self) -> NoReturn:
        raise CellError(
            "`if`, `and`, `or`, `not`, min or max on a traced value: its number is not known when "
            "the cell is defined; use where(a > b, y, z), maximum or minimum"
        )

    def __float__(self) -> NoReturn:
        raise CellError(f"a traced value is no number; known operations: {', '.join(VOCABULARY)}")

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., object], *_: object, **__: object
    ) -> NoReturn:
        name = getattr(function, "__name__", str(function))
        raise CellError(f"unknown operation torch.{name}; known: {', '.join(VOCABULARY)}")


@dataclass(frozen=True, slots=True, eq=False)
class Greater:
    """The condition left > right (strict), or not left > right; only `where` takes it."""

    left: Value | float
    right: Value | float
    strict: bool

    def __bool__(self) -> NoReturn:
        raise CellError("a comparison of traced values decides nothing yet: use where(a > b, y, z)")


def _record(name: str, *operands: object) -> Value:
    tapes = [operand.tape for operand in operands if isinstance(operand, Value)]
    if not tapes:
        raise CellError(f"{name}: expected at least one traced value, got {operands}")
    tape = tapes[0]
    nodes = []
    for operand in operands:
        if isinstance(operand, Value):
            if operand.tape is not tape:
                raise CellError(f"{name}: a value of another cell's equations was used")
            nodes.append(operand.node)
        elif isinstance(operand, int | float) and not isinstance(operand, bool):
            nodes.append(tape.const(float(operand)))
        else:
            raise CellError(
                f"{name}: expected a traced value or a number, got {type(operand).__name__}"
            )
    return Value(tape, tape.op(name, *nodes))


def _unary(name: str, meaning: str) -> Callable[[Value | float], Value]:
    def operation(a: Value | float) -> Value:
        return _record(name, a)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"Return {meaning}, elementwise, in a cell's equations."
    return operation


sigmoid = _unary("sigmoid", "1 / (1 + exp(-a))")
tanh = _unary("tanh", "the hyperbolic tangent")
exp = _unary("exp", "e to the power a")
log = _unary("log", "the natural logarithm")
sqrt = _unary("sqrt", "the square root")
log_sigmoid = _unary("log_sigmoid", "log(sigmoid(a)) without overflow")
softplus = _unary("softplus", "log(1 + exp(a)) without overflow")
relu = _unary("relu", "max(a, 0); its derivative at 0 is 0")


def maximum(a: Value | float, b: Value | float) -> Value:
    """Return the larger; where a equals b, each gets half of the derivative."""
    return _record("maximum", a, b)


def minimum(a: Value | float, b: Value | float) -> Value:
    """Return the smaller; where a equals b, each gets half of the derivative."""
    return _record("minimum", a, b)


def where(condition: object, yes: Value | float, no: Value | float) -> Value:
    """Return `yes` where the comparison holds, else `no`; no derivative passes the comparison."""
    if not isinstance(condition, Greater):
        raise CellError(f"where: expected a comparison such as a > b, got {condition!r}")
    first, second = (yes, no) if condition.strict else (no, yes)
    return _record("select", condition.left, condition.right, first, second)


VOCABULARY: dict[str, Callable[..., Value]] = {
    f.__name__: f
    for f in (sigmoid, tanh, exp, log, sqrt, log_sigmoid, softplus, relu, maximum, minimum, where)
}
