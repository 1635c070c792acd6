"""Source code from a cell's graphs: PyTorch, CUDA C++ and Triton, one line per node.

Arithmetic of the CUDA and Triton code is float32. Inputs are x (W x + b) and r (R h) per gate, s
(previous states); the derivative also takes the adjoints d of the new states.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from rnnkernels.dialects import (
    CUDA,
    CUDA_COARSE,
    CUDA_COMMON,
    CUDA_EXACT,
    CUDA_HALF,
    TORCH,
    TRITON,
    TRITON_PREAMBLE,
    Dialect,
)
from rnnkernels.graph import INPUTS, Graph, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from rnnkernels.definition import Cell

_FUNCTIONS = {
    torch.float32: CUDA_EXACT,
    torch.float16: CUDA_HALF,
    torch.bfloat16: CUDA_COARSE,
}


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
        if constant and dialect is TORCH and node.op in {"maximum", "minimum"}:
            operands.append(f"torch.full_like(s0, {names[arg]})")  # they take tensors only
        else:
            operands.append(names[arg])
    if dialect is TORCH and node.op == "select":
        if graph.nodes[node.args[0]].op == "const":
            operands[0] = f"torch.full_like(s0, {operands[0]})"
        if all(graph.nodes[arg].op == "const" for arg in node.args[2:]):
            operands[2] = f"torch.full_like(s0, {operands[2]})"
    return operands


@lru_cache(maxsize=256)
def cuda_source(cell: Cell, dtype: torch.dtype) -> str:
    """Return CUDA C++ that defines the cell's sizes, `cell_forward` and `cell_backward`.

    Arithmetic is float32, functions are as exact as the storage type `dtype` can tell: float32,
    float16 or bfloat16. All results are assigned last, so results may overwrite arguments. The code
    includes no header.
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
        _FUNCTIONS[dtype] + CUDA_COMMON,
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
    lines, outputs = _body(graph, CUDA)
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
    return TRITON_PREAMBLE + "\n\n\n".join(
        _python_function(name, cell, graph, TRITON, decorator="@triton.jit\n")
        for name, graph in (("cell_forward", cell.forward), ("cell_backward", cell.backward))
    )


@lru_cache(maxsize=256)
def torch_source(cell: Cell) -> str:
    """Return a module like `triton_source`'s, of PyTorch functions on tensors of equal shape."""
    return "import torch\n\n\n" + "\n\n\n".join(
        _python_function(name, cell, graph, TORCH)
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
    zero = "torch.zeros_like(s0)" if dialect is TORCH else "tl.zeros_like(s0)"
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
