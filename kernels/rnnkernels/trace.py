"""A cell's function is run once, on `Value` objects that record every operation on a tape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from rnnkernels.errors import CellError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnnkernels.graph import Tape


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
