"""Operators say the same as text, and what they cannot say raises."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import pytest
from intsolver import (
    Condition,
    ExpressionError,
    Problem,
    Term,
    all_different,
    divides,
    maximum,
    minimum,
)
from intsolver.parse import parse


@pytest.fixture
def problem() -> Problem:
    problem = Problem("terms")
    problem.var("x", [1, 2, 3])
    problem.var("y", -2, 2)
    return problem


@pytest.fixture
def x(problem: Problem) -> Any:
    return problem.parse("x")


@pytest.fixture
def y(problem: Problem) -> Any:
    return problem.parse("y")


def test_arithmetic_builds_the_tree_of_its_text(x: Any, y: Any) -> None:
    for term, text in (
        (x + 1, "x + 1"),
        (1 + x, "1 + x"),
        (x - y, "x - y"),
        (3 - x, "3 - x"),
        (2 * x * y, "2 * x * y"),
        (x * (y + 1), "x * (y + 1)"),
        (x // 2 + 7 // x, "x // 2 + 7 // x"),
        (x % 2 - 7 % x, "x % 2 - 7 % x"),
        (x / 2 + 6 / x, "x / 2 + 6 / x"),
        (-x, "-x"),
        (x**3, "x**3"),
        ((x - y) ** 2, "(x - y)**2"),
        (abs(x - 3), "abs(x - 3)"),
        (minimum(x, y, 0), "min(x, y, 0)"),
        (maximum(x, 2), "max(x, 2)"),
        ((x < y) + (y > 0) * 2, "(x < y) + (y > 0) * 2"),
    ):
        assert isinstance(term, Term)
        assert term.node == parse(text)
        assert repr(term) == text
    assert +x is not None
    assert (+x).node == x.node


def test_comparisons_build_the_tree_of_their_text(x: Any, y: Any) -> None:
    for condition, text in (
        (x <= y, "x <= y"),
        (x < 3, "x < 3"),
        (x >= y + 1, "x >= y + 1"),
        (x > 0, "x > 0"),
        (x == y, "x == y"),
        (x != 2, "x != 2"),
        (x == 2, "x == 2"),
        ((x < y) & (y < 3) & (x != 1), "x < y and y < 3 and x != 1"),
        ((x < y) | ~(y < 3), "x < y or not y < 3"),
        (divides(x, 12), "divides(x, 12)"),
        (x.divides(y), "divides(x, y)"),
        (all_different(x, y, 3), "all_different(x, y, 3)"),
        ((x < y) == (y < 0), "(x < y) == (y < 0)"),
    ):
        assert isinstance(condition, Condition)
        assert condition.node == parse(text)
        assert repr(condition) == text
    assert (x <= 3).node == parse("x <= 3")


def test_numpy_integers_are_integers(x: Any) -> None:
    assert (np.int64(3) * x).node == parse("3 * x")
    assert (x + np.int32(3)).node == parse("x + 3")
    assert (np.uint8(3) <= x).node == parse("x >= 3")
    assert (x ** np.int64(2)).node == parse("x**2")


@pytest.mark.parametrize("other", [1.0, True, np.float64(2), np.bool_(True), "x", None, [1]])
@pytest.mark.parametrize("operation", [operator.add, operator.mul, operator.mod, operator.le])
def test_what_is_no_integer_is_refused(x: Any, operation: Any, other: object) -> None:
    with pytest.raises(ExpressionError, match="expected an integer"):
        operation(x, other)


def test_truth_values_of_terms_and_constraints_raise(x: Any, y: Any) -> None:
    with pytest.raises(TypeError, match=r"`x < y` is a constraint.*write add\(a, b\) or `a & b`"):
        bool(x < y)
    with pytest.raises(TypeError, match="a chained comparison as text"):
        all([x > 0, y > 0])
    with pytest.raises(TypeError, match="compare it, as in `x != 0`"):
        bool(x)
    with pytest.raises(TypeError, match="`y == x` is a constraint"):
        operator.contains([y], x)  # `in` compares, and takes the truth value of that


def test_handles_are_no_keys_but_their_nodes_are(x: Any, y: Any) -> None:
    for handle in (x, x + y, x < y):
        with pytest.raises(TypeError, match="unhashable"):
            hash(handle)
    assert len({(x + y).node, (x + y).node, (y + x).node}) == 2


def test_combining_what_is_no_constraint_is_refused(x: Any, y: Any) -> None:
    with pytest.raises(ExpressionError, match="`y` is an integer, expected a constraint"):
        (x < 2) & y
    with pytest.raises(ExpressionError, match="Python compared two plain values"):
        (x < 2) | True
    with pytest.raises(ExpressionError, match="an exponent is a constant from 0 to 64"):
        x**y
    with pytest.raises(ExpressionError, match="an exponent is a constant from 0 to 64"):
        x**65
    with pytest.raises(ExpressionError, match="takes one or more"):
        minimum()


def test_expressions_stop_growing(x: Any) -> None:
    with pytest.raises(ExpressionError, match="at most 20,000 terms"):
        functools.reduce(lambda term, _: term + term, range(64), x)
    with pytest.raises(ExpressionError, match="nested 151 deep"):
        functools.reduce(operator.add, range(200), x)
    with pytest.raises(ExpressionError, match="powers of degree 256"):
        (x**40) ** 40


def test_operators_and_text_give_the_same_solutions(problem: Problem, x: Any, y: Any) -> None:
    problem.add((x + y) % 2 == 0, ~((x == 2) | (y == 1)))
    other = Problem("text")
    other.var("x", [1, 2, 3])
    other.var("y", -2, 2)
    other.add("(x + y) % 2 == 0 and not (x == 2 or y == 1)")
    assert problem.solve().to_numpy().tolist() == other.solve().to_numpy().tolist()
    assert problem.solve().to_numpy().tolist() == [[1, -1], [3, -1]]
