"""The derivative of a cell: reverse mode on its graph, sharing what the forward pass computes.

Rules are written in terms of the operation's own result where that is cheaper and more exact
(sigmoid' = y (1 - y), tanh' = 1 - y^2). Where a function has a corner, the rule is torch's: relu
and abs have derivative 0 at 0, maximum and minimum give each argument half where both are equal.
Source: Griewank and Walther, Evaluating Derivatives, 2nd edition, 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable

from rnnkernels.graph import INPUTS, Graph, Tape
from rnnkernels.trace import Value, sigmoid, where

# Each rule: (adjoint of the result, the result, arguments...) -> adjoint of each argument.
Rule = Callable[..., tuple[Value | float, ...]]


def _share(d: Value, a: Value, b: Value) -> Value:
    """Return d where a > b, d / 2 where they are equal, 0 elsewhere."""
    return where(a > b, d, where(b > a, 0.0, 0.5 * d))


RULES: dict[str, Rule] = {
    "add": lambda d, _y, _a, _b: (d, d),
    "sub": lambda d, _y, _a, _b: (d, -d),
    "mul": lambda d, _y, a, b: (d * b, d * a),
    "div": lambda d, y, _a, b: (d / b, -(d / b) * y),
    "neg": lambda d, _y, _a: (-d,),
    "sigmoid": lambda d, y, _a: (d * (y * (1 - y)),),
    "tanh": lambda d, y, _a: (d * (1 - y * y),),
    "exp": lambda d, y, _a: (d * y,),
    "log": lambda d, _y, a: (d / a,),
    "sqrt": lambda d, y, _a: (0.5 * d / y,),
    "abs": lambda d, _y, a: (where(a > 0, d, where(a < 0, -d, 0.0)),),
    "log_sigmoid": lambda d, _y, a: (d * sigmoid(-a),),
    "softplus": lambda d, _y, a: (d * sigmoid(a),),
    "relu": lambda d, _y, a: (where(a > 0, d, 0.0),),
    "maximum": lambda d, _y, a, b: (_share(d, a, b), _share(d, b, a)),
    "minimum": lambda d, _y, a, b: (_share(d, b, a), _share(d, a, b)),
    "select": lambda d, _y, a, b, _p, _q: (0.0, 0.0, where(a > b, d, 0.0), where(a > b, 0.0, d)),
}


def derivative(forward: Graph, gates: int, states: int) -> Graph:
    """Return the graph (x, r, s, d) -> (dx of each gate, dr of each gate, ds of each state).

    `d` holds the adjoints of the new states. ds leaves out the path through r = R h.
    """
    tape = Tape()
    values = _replay(forward, tape)
    adjoint: dict[int, Value] = {}

    def give(node: int, amount: Value | float) -> None:
        if isinstance(amount, Value):
            adjoint[node] = adjoint[node] + amount if node in adjoint else amount

    for position, output in enumerate(forward.outputs):
        give(output, Value(tape, tape.input("d", position)))
    for position in range(len(forward.nodes) - 1, -1, -1):
        node = forward.nodes[position]
        if node.op in RULES and position in adjoint:
            arguments = [values[a] for a in node.args]
            shares = RULES[node.op](adjoint[position], values[position], *arguments)
            for argument, share in zip(node.args, shares, strict=True):
                if forward.nodes[argument].op != "const":
                    give(argument, share)
    found = {
        (forward.nodes[node].op, forward.nodes[node].index): value.node
        for node, value in adjoint.items()
        if forward.nodes[node].op in INPUTS
    }
    wanted = [("x", g) for g in range(gates)] + [("r", g) for g in range(gates)]
    wanted += [("s", s) for s in range(states)]
    return tape.graph([found[key] if key in found else tape.const(0.0) for key in wanted])


def _replay(graph: Graph, tape: Tape) -> list[Value]:
    """Record the graph's nodes on the tape again."""
    at: list[int] = []
    for node in graph.nodes:
        if node.op in INPUTS:
            at.append(tape.input(node.op, node.index))
        elif node.op == "const":
            at.append(tape.const(node.value))
        else:
            at.append(tape.op(node.op, *(at[a] for a in node.args)))
    return [Value(tape, node) for node in at]
