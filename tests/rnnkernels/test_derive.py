"""The derived derivative against PyTorch's autograd through the same equations, in float64."""

# ruff: noqa: ANN001, ANN202 - cells are written as in a notebook

from __future__ import annotations

import random

import pytest
import torch
from rnn_inputs import ALL_CELLS
from rnnkernels import cell
from rnnkernels.definition import by_key
from rnnkernels.derive import RULES
from rnnkernels.emit import torch_functions
from rnnkernels.graph import EVALUATE, INPUTS
from rnnkernels.trace import (
    Value,
    exp,
    log,
    log_sigmoid,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    tanh,
    where,
)

OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (2 + b * b),
    "neg": lambda a, b: -(a * b),
    "sigmoid": lambda a, b: sigmoid(a + b),
    "tanh": lambda a, b: tanh(a + b),
    "exp": lambda a, b: exp(a + b),
    "log": lambda a, b: log(1 + a * a + b * b),
    "sqrt": lambda a, b: sqrt(1 + a * a + b * b),
    "abs": lambda a, b: abs(a + b),
    "log_sigmoid": lambda a, b: log_sigmoid(a + b),
    "softplus": lambda a, b: softplus(a + b),
    "relu": lambda a, b: relu(a + b),
    "maximum": maximum,
    "minimum": minimum,
    "select": lambda a, b: where(a > b, a * a, where(a <= 0.5, b, a * b)),
}


def compare(defined, *, ties: bool = False, size: int = 200) -> None:
    """Check all adjoints on random values; with ties on a grid, where corners are hit."""
    forward, backward = torch_functions(defined)
    generator = torch.Generator().manual_seed(3)
    G, S = len(defined.gates), len(defined.forward.outputs)

    def draw(count: int) -> list[torch.Tensor]:
        values = 2 * torch.randn(count, size, dtype=torch.float64, generator=generator)
        return list((values.round() if ties else values).clone().unbind(0))

    inputs, adjoints = draw(2 * G + S), draw(S)
    leaves = [value.requires_grad_() for value in inputs]
    expected = torch.autograd.grad(
        forward(*leaves), leaves, adjoints, allow_unused=True, materialize_grads=True
    )
    with torch.no_grad():
        derived = backward(*leaves, *adjoints)
    for k, (ours, theirs) in enumerate(zip(derived, expected, strict=True)):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12, msg=f"adjoint {k}")


def test_every_operation_has_a_rule() -> None:
    assert set(RULES) == set(EVALUATE) == set(OPERATIONS)


@pytest.mark.parametrize("ties", [False, True], ids=["smooth", "at corners"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation(name, ties) -> None:
    @cell(gates=("a", "b"), states=("h", "c"))
    def single(x, r, s):
        return OPERATIONS[name](x.a + s.h, r.b), 0.5 * s.c + OPERATIONS[name](r.b, x.a)

    compare(single, ties=ties)


@pytest.mark.parametrize("name", ALL_CELLS)
def test_each_cell(name) -> None:
    compare(by_key(ALL_CELLS[name].kernel_key))


def random_expression(rng: random.Random, leaves: list[Value], depth: int) -> Value:
    if depth == 0:
        return rng.choice(leaves)
    left = random_expression(rng, leaves, depth - 1)
    right = random_expression(rng, leaves, rng.randrange(depth))
    kind = rng.choice(sorted(OPERATIONS))
    bounded = tanh(OPERATIONS[kind](tanh(left), tanh(right)))
    return bounded + rng.choice([0.0, 1.0, -0.5]) * left


@pytest.mark.parametrize("seed", range(20))
def test_random_equations(seed) -> None:
    rng = random.Random(seed)

    @cell(gates=("a", "b"), states=("h", "c"))
    def drawn(x, r, s):
        leaves = [*x, *r, *s]
        touch = 0.1 * (x.a + r.a + x.b * r.b + s.c)  # so that nothing is unused
        first = random_expression(rng, leaves, 4)
        return first + touch, random_expression(rng, [*leaves, first], 4)

    compare(drawn)


@pytest.mark.parametrize("name", ALL_CELLS)
def test_nothing_is_computed_twice(name) -> None:
    nodes = [n for n in ALL_CELLS[name].backward.nodes if n.op not in INPUTS]
    assert len(nodes) == len(set(nodes))


def test_lstm_derivative_evaluates_each_function_once() -> None:
    ops = [node.op for node in ALL_CELLS["lstm"].backward.nodes]
    assert ops.count("sigmoid") == 3
    assert ops.count("tanh") == 2
    assert not {"exp", "div", "select"} & set(ops)
