"""Numbers in the inequalities of a space file as parameters, so that they have sliders.

A file that says ``bx * by <= 1024`` states a device's limit without saying so. Each such bound
becomes a parameter with that number for a default, which changes nothing until it is moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intsolver import Problem
from intsolver.expr import Compare, Constant
from intsolver.text import to_text

from workbench.widgets.controls import Range

if TYPE_CHECKING:
    from intsolver.expr import Expr, Node

_MOST = 6  # sliders
_LEAST = 2  # 0 and 1 are rarely limits
_WORDS = {"<=": "max", "<": "below", ">=": "min", ">": "above"}
_TURNED = {"<=": ">=", "<": ">", ">=": "<=", ">": "<"}


def lifted(problem: Problem) -> tuple[Problem, tuple[Range, ...]]:
    """Return the problem with bounds for parameters, and a range for each of them.

    A problem that has parameters, definitions or no such bounds is returned as it is.
    """
    if problem.params or problem.definitions:
        return problem, ()
    other = Problem(problem.name)
    ranges: list[Range] = []
    other.objective = problem.objective
    for variable in problem.variables:
        other.var(variable.name, variable.domain)
    taken = {variable.name for variable in problem.variables}
    for named in problem.constraints:
        bound = _bound(named.node) if len(ranges) < _MOST else None
        name = f"bound_{len(ranges) + 1}"
        if bound is None or name in taken:
            other.add(named.text, name=None if named.name == named.text else named.name)
            continue
        left, relation, value = bound
        other.param(name, value)
        text = f"{to_text(left)} {relation} {name}"
        other.add(text, name=named.name)
        span = Range.around(name, value)
        what = to_text(left) if named.name == named.text else named.name
        label = f"{_WORDS[relation]} {what}"  # the word first: a long label is cut at its end
        ranges.append(Range(name, span.low, span.high, span.step, label))
    return (other, tuple(ranges)) if ranges else (problem, ())


def _bound(node: Node) -> tuple[Expr, str, int] | None:
    """Return the expression, the relation and the number of an inequality with a number."""
    if not isinstance(node, Compare) or node.relation not in _TURNED:
        return None
    left, right, relation = node.left, node.right, str(node.relation)
    if isinstance(left, Constant):
        left, right, relation = right, left, _TURNED[node.relation]
    if isinstance(left, Constant) or not isinstance(right, Constant) or right.value < _LEAST:
        return None
    return left, relation, right.value
