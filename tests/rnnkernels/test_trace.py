"""Tracing: what is recorded, what is simplified, and which mistakes are caught at definition."""

# ruff: noqa: ANN001, ANN003, ANN201, ANN202, ARG001, ARG005, F821 - cells are written as in a notebook

from __future__ import annotations

import math

import pytest
import torch
from rnnkernels import CellError, cell
from rnnkernels.graph import EVALUATE, Tape
from rnnkernels.trace import VOCABULARY, Value


def ops_of(defined):
    return [node.op for node in defined.forward.nodes]


def test_equal_expressions_are_one_node() -> None:
    @cell(gates=("a",), states=("h",))
    def twice(x, r, s):
        return sigmoid(x.a + r.a) * tanh(r.a + x.a) + sigmoid(x.a + r.a)

    assert ops_of(twice).count("add") == 2  # x + r once, whatever the order, and the sum
    assert ops_of(twice).count("sigmoid") == 1


def test_arithmetic_with_constants_is_simplified() -> None:
    tape = Tape()
    a = Value(tape, tape.input("x", 0))
    for same in (a + 0, 0 + a, a - 0, 1 * a, a * 1.0, a / 1, 0 - (-a), a**1):
        assert same.node == a.node
    zero = tape.const(0.0)
    for nothing in (a * 0, 0 * a, a - a, 0 / a):
        assert nothing.node == zero
    minus = (-a).node
    for negated in (a * -1, -1 * a, a / -1, 0 - a):
        assert negated.node == minus
    assert (a + (-a)).node == zero
    assert ((-a) * (-a)).node == (a * a).node
    assert (3 - (-a)).node == (a + 3).node


def test_dead_code_vanishes() -> None:
    @cell(gates=("a",), states=("h",))
    def wasteful(x, r, s):
        _ = exp(x.a) * 3
        return tanh(x.a + r.a)

    assert ops_of(wasteful) == ["x", "r", "add", "tanh"]


TWO = ("add", "sub", "mul", "div", "maximum", "minimum")


@pytest.mark.parametrize("name", sorted(EVALUATE))
def test_constants_fold_to_what_torch_computes(name) -> None:
    values = {1: [0.7], 2: [0.7, 2.5], 4: [0.7, 2.5, 3.0, 4.0]}
    torch_names = {"select": None, "log_sigmoid": torch.nn.functional.logsigmoid}
    arity = {"select": 4, **dict.fromkeys(TWO, 2)}.get(name, 1)
    folded = EVALUATE[name](*values[arity])
    tensors = [torch.tensor(v, dtype=torch.float64) for v in values[arity]]
    if name == "select":
        expected = torch.tensor(4.0)
    else:
        function = torch_names.get(name) or getattr(torch, name, None)
        function = function or getattr(torch.nn.functional, name)
        expected = function(*tensors)
    assert math.isclose(folded, float(expected), rel_tol=1e-12)


def test_helpers_closures_and_numbers_from_outside_work() -> None:
    scale = 0.25

    def squash(a):
        return VOCABULARY["tanh"](scale * a)

    @cell(gates=("a",), states=("h",))
    def leaky(x, r, s):
        return (1 - scale) * s.h + scale * squash(x.a + r.a)

    constants = {node.value for node in leaky.forward.nodes if node.op == "const"}
    assert constants == {0.25, 0.75}


def test_defaults_are_constants():
    @cell(gates=("a",), states=("h",))
    def leaky(x, r, s, scale=0.25, *, shift=2):
        return scale * tanh(x.a + r.a) + shift

    assert {node.value for node in leaky.forward.nodes if node.op == "const"} == {0.25, 2.0}


def test_a_helper_without_its_imports_is_told_so():
    def squash(a):
        return softplus(a)

    with pytest.raises(CellError, match=r"'softplus' is not defined in a helper function, which"):
        define(lambda x, r, s: squash(x.a + r.a))


def define(equations, *, gates=("a",), states=("h",), **options):
    return cell(gates=gates, states=states, **options)(equations)


def test_unknown_operation_is_named_with_what_is_known() -> None:
    def bad(x, r, s):
        return sigmiod(x.a + r.a)

    with pytest.raises(CellError, match=r"cell bad: unknown operation 'sigmiod'; known: .*sigmoid"):
        define(bad)


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        (lambda x, r, s: torch.tanh(x.a + r.a), r"unknown operation torch\.tanh; known"),
        (lambda x, r, s: math.tanh(x.a + r.a), r"a traced value is no number"),
        (lambda x, r, s: (x.a + r.a, s.h), r"expected 1 new states \(h\), got 2 values"),
        (lambda x, r, s: None, r"expected 1 new states \(h\), got NoneType"),
        (lambda x, r, s: (1.0,), r"state h: expected a traced value, got 1\.0"),
        (lambda x, r, s: x.a + r.a if x.a > 0 else r.a, r"use where\(a > b, y, z\)"),
        (lambda x, r, s: max(x.a, r.a), r"use where\(a > b, y, z\)"),
        (lambda x, r, s: x.a and r.a, r"`if`, `and`, `or`"),
        (lambda x, r, s: x.a + r.a if x.a == 0 else r.a, r"== on a traced value"),
        (lambda x, r, s: x.q + r.a, r"x\.q: no such gate; there are a"),
        (lambda x, r, s: x.a + r.a + s.c, r"s\.c: no such state; there are h"),
        (lambda x, r, s: x.a + r.a * float("inf"), r"expected a finite float32"),
        (lambda x, r, s: x.a + r.a / 0, r"division by the constant 0"),
        (lambda x, r, s: x.a + r.a**0.5, r"expected a whole power from 1 to 8"),
        (lambda x, r, s: x.a + r.a + "1", r"expected a traced value or a number, got str"),
        (lambda x, r, s: where(x.a, r.a, 0), r"where: expected a comparison"),
        (lambda x, r, s, p: x.a + r.a, r"expected a function of \(x, r, s\)"),
        (lambda x, r, s: tanh(x.a), r"no gate reads r"),
        (lambda x, r, s: tanh(s.h), r"gate a is never used"),
    ],
)
def test_mistakes_in_equations_are_errors_at_definition(equations, message) -> None:
    with pytest.raises(CellError, match=message):
        define(equations)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": ("a", "a")}, r"gate a is named more than once"),
        ({"gates": ("a", "b")}, r"gate b is never used"),
        ({"gates": ()}, r"gates: expected a tuple of names"),
        ({"gates": "a"}, r"gates: expected a tuple of names"),
        ({"gates": ("lambda",)}, r"gate 'lambda': expected a Python name"),
        ({"states": ("h", "h")}, r"state h is named more than once"),
        ({"states": ("_h",)}, r"state '_h': expected a Python name"),
        ({"recurrent_bias": ("n",)}, r"recurrent_bias 'n' is no gate; gates: a"),
        ({"recurrent_bias": ("a", "a")}, r"recurrent_bias a is named more than once"),
    ],
)
def test_mistakes_in_names_are_errors_at_definition(options, message) -> None:
    with pytest.raises(CellError, match=message):
        define(lambda x, r, s: tanh(x.a + r.a), **options)


def test_a_state_that_is_only_written_is_an_error() -> None:
    with pytest.raises(CellError, match=r"c of the previous states is never used"):
        define(lambda x, r, s: (x.a + r.a, x.a), states=("h", "c"))


def test_a_parameter_that_is_never_read_is_an_error() -> None:
    with pytest.raises(CellError, match=r"p\.w of the previous states is never used"):
        define(lambda x, r, s, p: x.a + r.a, parameters=("w",))


def test_values_of_another_cell_are_refused() -> None:
    kept = []

    def first(x, r, s):
        kept.append(x.a)
        return x.a + r.a

    define(first)
    with pytest.raises(CellError, match="another cell's equations"):
        define(lambda x, r, s: x.a + r.a + kept[0])
