"""`cell`: turn a short function of equations into a recurrent cell.

    @cell(gates=("i", "f", "z", "o"), states=("h", "c"))
    def lstm(x, r, s):                      # x: W x + b, r: R h, per gate; s: previous states
        i, f, o = sigmoid(x.i + r.i), sigmoid(x.f + r.f), sigmoid(x.o + r.o)
        c = f * s.c + i * tanh(x.z + r.z)
        return o * tanh(c), c

The function runs once, on traced values. The operations (`sigmoid`, `tanh`, ...) need no import.
"""

from __future__ import annotations

import builtins
import dis
import hashlib
import keyword
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from rnnkernels.derive import derivative
from rnnkernels.errors import CellError
from rnnkernels.graph import Graph, Tape
from rnnkernels.trace import VOCABULARY, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Inputs:
    """One traced value per name, as attributes: `x.i`, `s.c`."""

    def __init__(self, kind: str, meaning: str, named: dict[str, Value]) -> None:
        self._kind = kind
        self._meaning = meaning
        self._named = named

    def __getattr__(self, name: str) -> Value:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._named:
            raise CellError(
                f"{self._kind}.{name}: no such {self._meaning}; there are {', '.join(self._named)}"
            )
        return self._named[name]

    def __iter__(self) -> Iterator[Value]:
        return iter(self._named.values())


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: its names, its equations as a graph, and their derivative.

    Two cells with equal names of gates and states and equal equations are equal and share kernels.
    """

    name: str = field(compare=False)
    gates: tuple[str, ...]
    states: tuple[str, ...]  # the first is h, the one that R multiplies
    recurrent_bias: tuple[str, ...]  # gates with a bias inside R h + b; its rows of b come last
    parameters: tuple[str, ...]  # learned numbers per unit that the equations read; rows of b
    forward: Graph = field(repr=False)  # (x, r, s) -> new states
    backward: Graph = field(repr=False)  # (x, r, s, d) -> dx, dr per gate, ds per state
    key: str  # digest of all but the name: stable across processes
    kernel_key: str  # key of the cell that the backends run: without parameters

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Callable[..., Cell], tuple[object, ...]]:
        """Travel between processes as the equations, so that the receiver knows the cell too."""
        parts = (self.name, self.gates, self.states, self.recurrent_bias, self.parameters)
        return _define, (*parts, self.forward)

    @property
    def biases(self) -> int:
        """Rows of b that are biases: one per gate, then one per gate in `recurrent_bias`."""
        return len(self.gates) + len(self.recurrent_bias)

    @property
    def bias_rows(self) -> int:
        """Rows of b in the public call: the biases, then the parameters."""
        return self.biases + len(self.parameters)

    @cached_property
    def recurrent_row(self) -> tuple[int | None, ...]:
        """Per gate the row of b that is added to R h, or None."""
        rows = {gate: len(self.gates) + k for k, gate in enumerate(self.recurrent_bias)}
        return tuple(rows.get(gate) for gate in self.gates)

    @cached_property
    def distinct(self) -> tuple[bool, ...]:
        """Per gate: dr is another expression than dx, so it has to be kept apart."""
        out, gates = self.backward.outputs, len(self.gates)
        return tuple(out[g] != out[gates + g] for g in range(gates))

    @cached_property
    def uses_state(self) -> tuple[bool, ...]:
        """Per state: its previous value is read pointwise, forward or backward."""
        read = self.forward.reads("s") | self.backward.reads("s")
        return tuple(k in read for k in range(len(self.states)))


_KERNEL_CELLS: dict[str, Cell] = {}  # every defined cell as the backends run it


def by_key(key: str) -> Cell:
    """Return the cell, as the backends run it, of this `kernel_key`."""
    if key not in _KERNEL_CELLS:
        raise CellError(f"no cell of key {key!r} is defined here; define it before it is used")
    return _KERNEL_CELLS[key]


def cell(
    *,
    gates: tuple[str, ...],
    states: tuple[str, ...],
    recurrent_bias: tuple[str, ...] = (),
    parameters: tuple[str, ...] = (),
) -> Callable[[Callable[..., Value | tuple[Value, ...]]], Cell]:
    """Define a recurrent cell from its pointwise equations.

    The decorated function takes `x` (W x + b of each gate), `r` (R h of each gate, plus the bias of
    the gates in `recurrent_bias`) and `s` (the previous states) and returns the new states in the
    order of `states`, h first. With `parameters` it takes a fourth argument `p`, learned numbers
    per unit (peepholes, say), which the call reads from the last rows of b.
    Raises CellError for a mistake in the definition.
    """
    _check_names("gate", gates)
    _check_names("state", states)
    for gate in recurrent_bias:
        if gate not in gates:
            raise CellError(f"recurrent_bias {gate!r} is no gate; gates: {', '.join(gates)}")
    _check_unique("recurrent_bias", recurrent_bias)
    if parameters:
        _check_names("parameter", parameters)

    def define(equations: Callable[..., Value | tuple[Value, ...]]) -> Cell:
        name = getattr(equations, "__name__", "cell")
        forward = _trace(name, equations, gates, states, parameters)
        carried = (*states, *(f"p.{parameter}" for parameter in parameters))
        _check_used(name, forward, gates, carried, len(states))
        return _define(name, gates, states, recurrent_bias, parameters, forward)

    return define


def _define(  # noqa: PLR0917 - the fields of Cell in their order
    name: str,
    gates: tuple[str, ...],
    states: tuple[str, ...],
    recurrent_bias: tuple[str, ...],
    parameters: tuple[str, ...],
    forward: Graph,
) -> Cell:
    """Return the cell; the one without parameters is what `by_key` finds."""
    found = _build(name, gates, states, recurrent_bias, parameters, forward)
    carried = (*states, *(f"p.{parameter}" for parameter in parameters))
    kernel = _build(name, gates, carried, recurrent_bias, (), forward)
    _KERNEL_CELLS.setdefault(found.kernel_key, kernel)
    return found


def _build(  # noqa: PLR0917 - the fields of Cell in their order
    name: str,
    gates: tuple[str, ...],
    states: tuple[str, ...],
    recurrent_bias: tuple[str, ...],
    parameters: tuple[str, ...],
    forward: Graph,
) -> Cell:
    """Return the cell with its derivative and keys; graphs carry parameters as constant states."""

    def key(*parts: object) -> str:
        return f"cell_{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"

    carried = (*states, *(f"p.{p}" for p in parameters))
    return Cell(
        name,
        gates,
        states,
        recurrent_bias,
        parameters,
        forward,
        derivative(forward, len(gates), len(carried)),
        key(gates, states, recurrent_bias, parameters, forward),
        key(gates, carried, recurrent_bias, (), forward),
    )


def _trace(
    name: str,
    equations: Callable[..., Value | tuple[Value, ...]],
    gates: tuple[str, ...],
    states: tuple[str, ...],
    parameters: tuple[str, ...],
) -> Graph:
    tape = Tape()

    def inputs(kind: str, meaning: str, names: tuple[str, ...], *, first: int = 0) -> Inputs:
        values = {key: Value(tape, tape.input(kind, first + k)) for k, key in enumerate(names)}
        return Inputs("p" if first else kind, meaning, values)

    arguments = [inputs("x", "gate", gates), inputs("r", "gate", gates)]
    arguments.append(inputs("s", "state", states))
    if parameters:
        arguments.append(inputs("s", "parameter", parameters, first=len(states)))
    try:
        result = _with_vocabulary(name, equations)(*arguments)
    except CellError as error:
        raise CellError(f"cell {name}: {error}") from None
    except NameError as error:
        raise CellError(
            f"cell {name}: {error} in a helper function, which imports what it uses: "
            "from rnnkernels.trace import sigmoid"
        ) from error
    except TypeError as error:
        raise CellError(
            f"cell {name}: {error}; expected a function of "
            f"(x, r, s{', p' if parameters else ''}) that uses + - * / ** {', '.join(VOCABULARY)}"
        ) from error
    new: object = (result,) if isinstance(result, Value) else result
    if not isinstance(new, tuple | list) or len(new) != len(states):
        given = f"{len(new)} values" if isinstance(new, tuple | list) else type(new).__name__
        raise CellError(
            f"cell {name}: expected {len(states)} new states ({', '.join(states)}), got {given}"
        )
    for state, value in zip(states, new, strict=True):
        if not isinstance(value, Value):
            raise CellError(f"cell {name}: state {state}: expected a traced value, got {value!r}")
    constant = [tape.input("s", len(states) + k) for k in range(len(parameters))]
    return tape.graph([value.node for value in new] + constant)


def _with_vocabulary(
    name: str, equations: Callable[..., Value | tuple[Value, ...]]
) -> Callable[..., Value | tuple[Value, ...]]:
    """Return the function with the operations as its globals, so that a cell needs no imports."""
    if not isinstance(equations, FunctionType):
        raise CellError(f"cell {name}: expected a plain function, got {type(equations).__name__}")
    scope = {**equations.__globals__, **VOCABULARY}
    for unknown in _global_names(equations.__code__):
        if unknown not in scope and not hasattr(builtins, unknown):
            raise CellError(
                f"cell {name}: unknown operation {unknown!r}; known: + - * / ** abs "
                f"{', '.join(VOCABULARY)}"
            )
    scoped = FunctionType(
        equations.__code__, scope, name, equations.__defaults__, equations.__closure__
    )
    scoped.__kwdefaults__ = equations.__kwdefaults__
    return scoped


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            yield instruction.argval


def _check_unique(what: str, names: tuple[str, ...]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise CellError(f"{what} {', '.join(repeated)} is named more than once in {names}")


def _check_names(what: str, names: object) -> None:
    if not isinstance(names, tuple) or not names:
        raise CellError(f"{what}s: expected a tuple of names such as ('h', 'c'), got {names!r}")
    for name in names:
        good = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
        if not good or name.startswith("_"):
            raise CellError(f"{what} {name!r}: expected a Python name without leading underscore")
    _check_unique(what, names)


def _check_used(
    name: str, forward: Graph, gates: tuple[str, ...], states: tuple[str, ...], new: int
) -> None:
    """Check that the first `new` outputs, the new states, use every gate and state."""
    shown = forward.pruned(new)
    used = shown.reads("x") | shown.reads("r")
    idle = [gate for k, gate in enumerate(gates) if k not in used]
    if idle:
        raise CellError(f"cell {name}: gate {', '.join(idle)} is never used by a new state")
    if not shown.reads("r"):
        raise CellError(f"cell {name}: no gate reads r (R h), so nothing is recurrent")
    read = shown.reads("s")
    idle = [state for k, state in enumerate(states) if k and k not in read]
    if idle:
        raise CellError(f"cell {name}: {', '.join(idle)} of the previous states is never used")
