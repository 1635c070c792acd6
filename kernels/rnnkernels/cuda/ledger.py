"""Where formulas are written down: as numbers, as columns of numbers, or as terms of the solver.

A launch's formulas are stated once, in integers and `+ - * //`, and named with `let`. A `Numbers`
ledger works them out, for one configuration or for columns of many; a `Terms` ledger declares them
to an `intsolver.Problem`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import intsolver
import numpy as np

if TYPE_CHECKING:
    from intsolver import Problem

# int, a numpy column of int64, or intsolver.Term: all know + - * //. Never +=, which would write
# into a column of fewer axes.
Integer = Any


class Ledger(Protocol):
    """What a formula may use besides `+ - * //`."""

    values: dict[str, Integer]

    def let(self, name: str, value: Integer) -> Integer:
        """Name a value, and return it for use in further formulas."""
        ...

    def least(self, a: Integer, b: Integer) -> Integer:
        """Return the smaller one."""
        ...

    def most(self, a: Integer, b: Integer) -> Integer:
        """Return the larger one."""
        ...


class Numbers:
    """Formulas worked out: `values` has every named one."""

    def __init__(self) -> None:
        self.values: dict[str, Integer] = {}

    def let(self, name: str, value: Integer) -> Integer:
        """Keep a value under its name."""
        self.values[name] = value
        return value

    def least(self, a: Integer, b: Integer) -> Integer:
        """Return the smaller one, element by element."""
        return np.minimum(a, b)

    def most(self, a: Integer, b: Integer) -> Integer:
        """Return the larger one, element by element."""
        return np.maximum(a, b)


class Terms:
    """Formulas declared as definitions of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.values: dict[str, Integer] = {}

    def let(self, name: str, value: Integer) -> Integer:
        """Declare a definition; a plain number stays one."""
        if not isinstance(value, int):
            value = self.problem.define(name, value)
        self.values[name] = value
        return value

    def least(self, a: Integer, b: Integer) -> Integer:
        """Return the smaller one."""
        return intsolver.minimum(a, b)

    def most(self, a: Integer, b: Integer) -> Integer:
        """Return the larger one."""
        return intsolver.maximum(a, b)


def parts(n: Integer, of: Integer) -> Integer:
    """Return n / of, rounded up."""
    return (n + of - 1) // of


def up(n: Integer, to: Integer) -> Integer:
    """Return n rounded up to a multiple."""
    return to * parts(n, to)


def is_one(n: Integer) -> Integer:
    """Return 1 where n, from 1 on, is 1, else 0."""
    return 1 // n


def exceeds(b: Ledger, n: Integer, limit: Integer) -> Integer:
    """Return 1 where n is more than a limit, else 0."""
    return b.least(1, b.most(0, n - limit))
