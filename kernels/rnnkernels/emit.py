"""Source code from a cell's graphs: PyTorch, CUDA C++ and Triton, one line per node.

Arithmetic of the CUDA and Triton code is float32. Inputs are x (W x + b) and r (R h) per gate, s
(previous states); the derivative also takes the adjoints d of the new states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rnnkernels.graph import INPUTS, Graph, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from rnnkernels.definition import Cell

_INFIX = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "neg": "-{0}"}

TORCH = {
    **_INFIX,
    "div": "{0} / {1}",
    "sigmoid": "torch.sigmoid({0})",
    "tanh": "torch.tanh({0})",
    "exp": "torch.exp({0})",
    "log": "torch.log({0})",
    "sqrt": "torch.sqrt({0})",
    "abs": "torch.abs({0})",
    "log_sigmoid": "torch.nn.functional.logsigmoid({0})",
    # threshold: torch switches to the identity at 20, where exp(-20) is still 2e-9
    "softplus": "torch.nn.functional.softplus({0}, threshold=40.0)",
    "relu": "torch.relu({0})",
    "maximum": "torch.maximum({0}, {1})",
    "minimum": "torch.minimum({0}, {1})",
    "select": "torch.where({0} > {1}, {2}, {3})",
}
_CALLS = ("sigmoid", "tanh", "exp", "log", "sqrt", "log_sigmoid", "softplus")
CUDA = {
    **_INFIX,
    **{name: f"cell_{name}({{0}})" for name in _CALLS},
    "div": "cell_div({0}, {1})",
    "abs": "fabsf({0})",
    "relu": "cell_max({0}, 0.0f)",
    "maximum": "cell_max({0}, {1})",
    "minimum": "cell_min({0}, {1})",
    "select": "{0} > {1} ? {2} : {3}",
}
TRITON = {
    **_INFIX,
    **{name: f"_{name}({{0}})" for name in _CALLS},
    "sigmoid": "tl.sigmoid({0})",
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "sqrt": "tl.sqrt_rn({0})",
    "div": "{0} / {1}",
    "abs": "tl.abs({0})",
    "relu": "tl.maximum({0}, 0.0, propagate_nan=tl.PropagateNan.ALL)",
    "maximum": "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "select": "tl.where({0} > {1}, {2}, {3})",
}

_CUDA_EXACT = """\
__device__ __forceinline__ float cell_sigmoid(float a) { return 1.0f / (1.0f + expf(-a)); }
__device__ __forceinline__ float cell_tanh(float a) { return tanhf(a); }
__device__ __forceinline__ float cell_exp(float a) { return expf(a); }
__device__ __forceinline__ float cell_log(float a) { return logf(a); }
__device__ __forceinline__ float cell_sqrt(float a) { return sqrtf(a); }
__device__ __forceinline__ float cell_div(float a, float b) { return a / b; }
// log(1 + exp(-|a|)), the part that log_sigmoid and softplus share
__device__ __forceinline__ float cell_tail(float a) { return log1pf(expf(-fabsf(a))); }
"""
_CUDA_FAST = """\
__device__ __forceinline__ float cell_tanh(float a) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(a));
  return y;
}
__device__ __forceinline__ float cell_sigmoid(float a) {
  return fmaf(0.5f, cell_tanh(0.5f * a), 0.5f);
}
__device__ __forceinline__ float cell_exp(float a) { return __expf(a); }
__device__ __forceinline__ float cell_log(float a) { return __logf(a); }
__device__ __forceinline__ float cell_sqrt(float a) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(a));
  return y;
}
__device__ __forceinline__ float cell_div(float a, float b) { return __fdividef(a, b); }
// log(1 + exp(-|a|)), the part that log_sigmoid and softplus share
__device__ __forceinline__ float cell_tail(float a) { return __logf(1.0f + __expf(-fabsf(a))); }
"""
_CUDA_COMMON = """\
__device__ __forceinline__ float cell_max(float a, float b) {  // a NaN stays one
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ __forceinline__ float cell_min(float a, float b) {
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ __forceinline__ float cell_log_sigmoid(float a) { return fminf(a, 0.0f) - cell_tail(a); }
__device__ __forceinline__ float cell_softplus(float a) { return fmaxf(a, 0.0f) + cell_tail(a); }
"""
_TRITON_PREAMBLE = '''\
import triton
import triton.language as tl


@triton.jit
def _tanh(a):
    """Odd series near 0, where 1 - e would cancel; elsewhere by exp(-2 |a|)."""
    e = tl.exp(-2.0 * tl.abs(a))
    large = (1.0 - e) / (1.0 + e)
    q = a * a
    small = a * (1.0 + q * (-0.33333334 + q * (0.13333334 + q * -0.053968254)))
    return tl.where(q < 0.01, small, tl.where(a < 0.0, -large, large))


@triton.jit
def _log_sigmoid(a):
    return tl.where(a < 0.0, a, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(a)))


@triton.jit
def _softplus(a):
    return tl.where(a > 0.0, a, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(a)))


'''


@dataclass(frozen=True)
class Dialect:
    """How one language writes a graph: an input, a constant, an operation, an assignment."""

    operations: dict[str, str]
    read: Callable[[str, int], str]
    literal: Callable[[float], str]
    assign: str  # of {0} (the name) and {1} (the expression)


def _number(value: float) -> str:
    return repr(value) if value >= 0 else f"({value!r})"


_CUDA_DIALECT = Dialect(
    CUDA,
    read=lambda kind, k: f"{'dout' if kind == 'd' else kind}[{k}]",
    literal=lambda value: f"{value!r}f" if value >= 0 else f"(-{-value!r}f)",
    assign="const float {0} = {1};",
)
_TRITON_DIALECT = Dialect(TRITON, lambda kind, k: f"{kind}{k}", _number, "{0} = {1}")
_TORCH_DIALECT = Dialect(TORCH, lambda kind, k: f"{kind}{k}", _number, "{0} = {1}")


def _body(graph: Graph, dialect: Dialect) -> tuple[list[str], list[str]]:
    """Return the assignments, and the expression of each output."""
    lines: list[str] = []
    names: list[str] = []
    for position, node in enumerate(graph.nodes):
        if node.op in INPUTS:
            names.append(dialect.read(node.op, node.index))
        elif node.op == "const":
            names.append(dialect.literal(node.value))
        else:
            operands = _operands(graph, node, names, dialect)
            lines.append(
                dialect.assign.format(f"v{position}", dialect.operations[node.op].format(*operands))
            )
            names.append(f"v{position}")
    return lines, [names[output] for output in graph.outputs]


def _operands(graph: Graph, node: Node, names: list[str], dialect: Dialect) -> list[str]:
    """Return the names of a node's arguments, constants in a form the operation takes."""
    operands = []
    for arg in node.args:
        constant = graph.nodes[arg].op == "const"
        if constant and dialect is _TORCH_DIALECT and node.op in {"maximum", "minimum"}:
            operands.append(f"torch.full_like(s0, {names[arg]})")  # they take tensors only
        else:
            operands.append(names[arg])
    if dialect is _TORCH_DIALECT and node.op == "select":
        if graph.nodes[node.args[0]].op == "const":
            operands[0] = f"torch.full_like(s0, {operands[0]})"
        if all(graph.nodes[arg].op == "const" for arg in node.args[2:]):
            operands[2] = f"torch.full_like(s0, {operands[2]})"
    return operands


@lru_cache(maxsize=256)
def cuda_source(cell: Cell, *, fast: bool) -> str:
    """Return CUDA C++ that defines the cell's sizes, `cell_forward` and `cell_backward`.

    `fast` takes the approximate instructions (relative error about 5e-4, right for bf16 storage).
    All results are assigned last, so results may overwrite arguments. The code includes no header.
    """
    g, s = len(cell.gates), len(cell.states)
    inputs = f"const float (&x)[{g}], const float (&r)[{g}], const float (&s)[{s}]"
    head = [
        f"// cell {cell.key}: gates {' '.join(cell.gates)}; states {' '.join(cell.states)}",
        f"constexpr int GATES = {g}, STATES = {s}, BIASES = {cell.biases};",
        "// dr of the gate is another number than dx",
        _table("bool", "gate_is_distinct", [str(d).lower() for d in cell.distinct]),
        "// the previous value of the state is read pointwise",
        _table("bool", "reads_state", [str(u).lower() for u in cell.uses_state]),
        "// the row of b that is added to R h, or -1",
        _table("int", "recurrent_row", [str(-1 if k is None else k) for k in cell.recurrent_row]),
        (_CUDA_FAST if fast else _CUDA_EXACT) + _CUDA_COMMON,
    ]
    forward = _cuda_function(
        f"cell_forward({inputs}, float (&out)[{s}])",
        cell.forward,
        [f"out[{k}]" for k in range(s)],
    )
    backward = _cuda_function(
        f"cell_backward({inputs}, const float (&dout)[{s}],\n"
        f"    float (&dx)[{g}], float (&dr)[{g}], float (&ds)[{s}])",
        cell.backward,
        [f"{array}[{k}]" for array, n in (("dx", g), ("dr", g), ("ds", s)) for k in range(n)],
    )
    return "\n".join([*head, forward, backward])


def _table(kind: str, name: str, values: Sequence[str]) -> str:
    """Return a function from a position to its value that folds away in an unrolled loop."""
    cases = "".join(f"k == {k} ? {value} : " for k, value in enumerate(values[:-1]))
    return f"__device__ constexpr {kind} {name}(int k) {{ return {cases}{values[-1]}; }}"


def _cuda_function(signature: str, graph: Graph, targets: Sequence[str]) -> str:
    lines, outputs = _body(graph, _CUDA_DIALECT)
    # Copies first: an output that is an input may be overwritten by another output.
    held = {name: f"held{k}" for k, name in enumerate(dict.fromkeys(outputs)) if "[" in name}
    lines += [f"const float {copy} = {name};" for name, copy in held.items()]
    lines += [f"{to} = {held.get(out, out)};" for to, out in zip(targets, outputs, strict=True)]
    body = "".join(f"  {line}\n" for line in lines)
    return f"__device__ __forceinline__ void {signature} {{\n{body}}}\n"


@lru_cache(maxsize=256)
def triton_source(cell: Cell) -> str:
    """Return a module that defines the Triton functions `cell_forward` and `cell_backward`.

    cell_forward(x0, .., r0, .., s0, ..) returns a tuple of the new states;
    cell_backward(x0, .., r0, .., s0, .., d0, ..) a tuple dx0, .., dr0, .., ds0, ...
    """
    return _TRITON_PREAMBLE + "\n\n\n".join(
        _python_function(name, cell, graph, _TRITON_DIALECT, decorator="@triton.jit\n")
        for name, graph in (("cell_forward", cell.forward), ("cell_backward", cell.backward))
    )


@lru_cache(maxsize=256)
def torch_source(cell: Cell) -> str:
    """Return a module like `triton_source`'s, of PyTorch functions on tensors of equal shape."""
    return "import torch\n\n\n" + "\n\n\n".join(
        _python_function(name, cell, graph, _TORCH_DIALECT)
        for name, graph in (("cell_forward", cell.forward), ("cell_backward", cell.backward))
    )


def _python_function(
    name: str, cell: Cell, graph: Graph, dialect: Dialect, *, decorator: str = ""
) -> str:
    sizes = {"x": len(cell.gates), "r": len(cell.gates), "s": len(cell.states)}
    if name == "cell_backward":
        sizes["d"] = len(cell.states)
    arguments = ", ".join(f"{kind}{k}" for kind, n in sizes.items() for k in range(n))
    lines, outputs = _body(graph, dialect)
    constant = [graph.nodes[output].op == "const" for output in graph.outputs]
    zero = "torch.zeros_like(s0)" if dialect is _TORCH_DIALECT else "tl.zeros_like(s0)"
    results = [
        f"{zero} + {out}" if const else out for out, const in zip(outputs, constant, strict=True)
    ]
    lines.append(f"return ({', '.join(results)},)")
    body = "".join(f"    {line}\n" for line in lines)
    return f"{decorator}def {name}({arguments}):\n{body}"


@lru_cache(maxsize=256)
def torch_functions(cell: Cell) -> tuple[Callable[..., tuple[Tensor, ...]], ...]:
    """Return the PyTorch `cell_forward` and `cell_backward` of a cell, ready to call."""
    scope: dict[str, Callable[..., tuple[Tensor, ...]]] = {}
    exec(compile(torch_source(cell), f"<{cell.key}>", "exec"), scope)  # noqa: S102 - our own text
    return scope["cell_forward"], scope["cell_backward"]
