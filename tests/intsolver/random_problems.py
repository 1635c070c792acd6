"""Random problems over the whole language, small enough to be enumerated by the oracle."""

# ruff: noqa: C901, PLR0911 - one branch for each form of the language

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import oracle
from hypothesis import strategies as st
from intsolver import Problem, all_different, divides, maximum, minimum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oracle import Row

Tree = tuple[Any, ...]
_MOST_ROWS = 400  # of the Cartesian product: the oracle tries each
_SMALL = st.integers(-4, 9)
_BIG = st.sampled_from(
    [2**31 - 1, 2**31, -(2**31), 2**32, 2**62, -(2**62), 2**63 - 1, 2**63, -(2**63) - 1, 2**40 + 3]
)


@dataclass(frozen=True)
class Stated:
    """A problem as plain data: what the oracle and the solver both start from."""

    domains: dict[str, tuple[int, ...]]
    parameters: dict[str, int]
    definitions: dict[str, Tree]
    constraints: tuple[Tree, ...]
    objective: Tree = field(default=("constant", 0))

    def texts(self) -> list[str]:
        """Return the constraints for the oracle, definitions put in."""
        return [self.inlined(tree) for tree in self.constraints]

    def inlined(self, tree: Tree) -> str:
        own = {name: text(body) for name, body in self.definitions.items()}
        return oracle.inlined(text(tree), own)

    def rows(self, pinned: Mapping[str, int] | None = None, **changed: int) -> list[Row]:
        return oracle.solutions(
            self.domains, self.texts(), {**self.parameters, **changed}, pinned or {}
        )

    def problem(self, *, operators: bool = False) -> Problem:
        """Return the problem built from text, or with operators; constraints are c0, c1, ..."""
        problem = Problem("random")
        handles: dict[str, Any] = {}
        for name, domain in self.domains.items():
            handles[name] = problem.var(name, domain)
        for name, default in self.parameters.items():
            handles[name] = problem.param(name, default)
        for name, tree in self.definitions.items():
            handles[name] = problem.define(name, built(tree, handles) if operators else text(tree))
        for i, tree in enumerate(self.constraints):
            stated = as_condition(built(tree, handles)) if operators else text(tree)
            problem.add(stated, name=f"c{i}")
        return problem


def text(tree: Tree) -> str:
    """Return a tree as Python would write it, with no bracket too many."""
    return ast.unparse(ast.parse(_text(tree), mode="eval"))


def _text(tree: Tree) -> str:
    kind, *of = tree
    if kind in ("constant", "name"):
        return f"({of[0]})"
    if kind in ("min", "max", "abs", "divides", "all_different"):
        return f"{kind}({', '.join(map(_text, of))})"
    if kind in ("and", "or"):
        return "(" + f" {kind} ".join(map(_text, of)) + ")"
    if kind in ("not", "neg"):
        return f"({'not ' if kind == 'not' else '-'}{_text(of[0])})"
    if kind == "chain":
        left, first, middle, second, right = of
        return f"({_text(left)} {first} {_text(middle)} {second} {_text(right)})"
    if kind == "if":
        return f"({_text(of[0])} if {_text(of[1])} else {_text(of[2])})"
    if kind in ("in", "not in"):
        return f"({_text(of[0])} {kind} {list(of[1])})"
    if kind == "**":
        return f"({_text(of[0])} ** {of[1]})"
    return f"({_text(of[0])} {kind} {_text(of[1])})"


_OPERATORS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "/": lambda a, b: a / b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "neg": lambda a: -a,
    "abs": abs,
    "min": minimum,
    "max": maximum,
    "divides": divides,
    "all_different": all_different,
}


class NeedsTextError(Exception):
    """Operators cannot say this: plain integers meet, a truth value as a number, a choice."""


def built(tree: Tree, handles: Mapping[str, Any]) -> Any:
    """Return a tree built with the operators of handles."""
    kind, *of = tree
    if kind == "name":
        return handles[of[0]]
    if kind == "constant":
        return of[0]
    if kind in ("and", "or", "not"):
        parts = [as_condition(built(part, handles)) for part in of]
        if kind == "not":
            return ~parts[0]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole & part if kind == "and" else whole | part
        return whole
    if kind == "**":
        return as_term(built(of[0], handles)) ** of[1]
    if kind not in _OPERATORS:
        raise NeedsTextError(kind)
    parts = [built(part, handles) for part in of]
    for part in parts:
        if type(part).__name__ == "Condition":
            raise NeedsTextError("a truth value as a number")
    if not any(type(part).__name__ in ("Term", "Variable") for part in parts):
        raise NeedsTextError("plain integers")
    return _OPERATORS[kind](*parts)


def as_term(value: Any) -> Any:
    if type(value).__name__ not in ("Term", "Variable"):
        raise NeedsTextError("no term")
    return value


def as_condition(value: Any) -> Any:
    if type(value).__name__ != "Condition":
        raise NeedsTextError("no condition")
    return value


_RELATIONS = st.sampled_from(["<=", "<", "==", "!=", ">=", ">"])
_ARITHMETIC = st.sampled_from(["+", "-", "*", "*", "//", "%", "/", "min", "max"])
_NAMED = ["x", "y", "z", "w"]


@st.composite
def numbers(draw: Any, names: tuple[str, ...], depth: int, constants: Any = _SMALL) -> Tree:
    """Draw an expression with an integer (or, with ``/``, a rational) value."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        if draw(st.integers(0, 4)) == 4:
            return ("constant", draw(constants))
        return ("name", draw(st.sampled_from(names)))
    deeper = numbers(names, depth - 1, constants)
    shape = draw(st.integers(0, 12))
    if shape <= 8:
        return (draw(_ARITHMETIC), draw(deeper), draw(deeper))
    if shape == 9:
        return (draw(st.sampled_from(["neg", "abs"])), draw(deeper))
    if shape == 10:
        return ("**", draw(deeper), draw(st.integers(0, 3)))
    if shape == 11:
        condition = conditions(names, depth - 1, constants)
        return ("if", draw(deeper), draw(condition), draw(deeper))
    return draw(conditions(names, depth - 1, constants))  # a truth value used as a number


@st.composite
def conditions(draw: Any, names: tuple[str, ...], depth: int, constants: Any = _SMALL) -> Tree:
    """Draw a constraint."""
    inner = numbers(names, max(depth - 1, 0), constants)
    shape = draw(st.integers(0, 15))
    if depth > 1 and shape >= 10:
        deeper = conditions(names, depth - 1, constants)
        if shape <= 12:
            kind = draw(st.sampled_from(["and", "or", "or"]))
            return (kind, *draw(st.lists(deeper, min_size=2, max_size=3)))
        if shape == 13:
            return ("not", draw(deeper))
    if shape == 0:
        return ("divides", draw(inner), draw(inner))
    if shape == 1:
        return ("all_different", *draw(st.lists(inner, min_size=1, max_size=4)))
    if shape == 2:
        return ("chain", draw(inner), draw(_RELATIONS), draw(inner), draw(_RELATIONS), draw(inner))
    if shape == 3:
        items = tuple(draw(st.lists(constants, min_size=1, max_size=4)))
        return (draw(st.sampled_from(["in", "not in"])), draw(inner), items)
    if shape == 4:
        return draw(inner)  # a number used as a truth value
    if shape <= 6:
        return ("==", ("%", draw(inner), draw(inner)), ("constant", 0))
    return (draw(_RELATIONS), draw(inner), draw(inner))


@st.composite
def problems(
    draw: Any,
    *,
    constraints: int = 4,
    big: bool = False,
    depth: int = 3,
    free: bool = True,
    wide: bool = False,
) -> Stated:
    """Draw a problem of one to four variables.

    `big` mixes in values around 2**31 and 2**62, `wide` has more than 30,000 assignments, `free`
    allows problems without parameters and without constraints.
    """
    values = st.one_of(_SMALL, _BIG) if big else _SMALL
    domains: dict[str, tuple[int, ...]] = {}
    size = 1
    for name in _NAMED[: 4 if wide else draw(st.sampled_from([3, 2, 4, 1]))]:
        most = 14 if wide else max(1, min(7, _MOST_ROWS // size))
        length = most if wide else draw(st.integers(min(2, most), most))
        domains[name] = tuple(draw(st.lists(values, min_size=length, max_size=length, unique=True)))
        size *= length
    parameters = {
        name: draw(values) for name in ["p", "q"][: draw(st.integers(0, 2)) if free else 1]
    }
    names = (*domains, *parameters)
    definitions = {}
    if draw(st.integers(0, 3)) == 0:
        definitions["d"] = draw(numbers(names, 2, values))
        names = (*names, "d")
    stated = tuple(
        draw(conditions(names, draw(st.integers(1, depth)), values))
        for _ in range(draw(st.integers(0 if free else 1, constraints)))
    )
    objective = draw(numbers(names, 2, values))
    return Stated(domains, parameters, definitions, stated, objective)
