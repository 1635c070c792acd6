"""Which constraints a solution presses against, and how much room the others leave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intsolver import expr as e
from intsolver.evaluate import evaluate, has_quotient, holds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from fractions import Fraction

    from intsolver.expr import Constraint
    from intsolver.system import System


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint at a solution.

    `slack` is by how much an inequality (of a chain, its closest one) holds, in its own units, less
    1 where it is strict between integers; negative where it is violated, None for constraints of
    other kinds. An inequality is `tight` where its slack is 0, or where one step of one variable to
    the next value of its domain violates it.
    """

    name: str
    text: str
    slack: int | Fraction | None
    tight: bool
    holds: bool


def bindings(
    system: System, labels: Sequence[tuple[str, str]], at: Mapping[str, int]
) -> tuple[Binding, ...]:
    """Return each constraint of a system at values of its variables and parameters.

    `labels` are the names and the texts of the constraints.
    """
    steps = [{**at, name: value} for name, value in _next_values(system, at)]
    found = []
    for (name, text), node in zip(labels, system.constraints, strict=True):
        slack, valid = _slack(node, at), holds(node, at)
        tight = slack is not None and valid
        if tight and slack != 0:
            tight = not all(holds(node, step) for step in steps)
        found.append(Binding(name, text, slack, tight, valid))
    return tuple(found)


def _slack(node: Constraint, at: Mapping[str, int]) -> int | Fraction | None:
    """Return the slack of an inequality or of a chain of them, None for anything else."""
    if isinstance(node, e.All):
        slacks = [_slack(part, at) for part in node.of]
        known = [slack for slack in slacks if slack is not None]
        return min(known) if len(known) == len(slacks) else None
    if not isinstance(node, e.Compare) or node.relation in ("==", "!="):
        return None
    left, right = evaluate(node.left, at), evaluate(node.right, at)
    if left is None or right is None:
        return None
    slack = right - left if node.relation in ("<=", "<") else left - right
    whole = not has_quotient(node)  # integers: < is <= with 1 less
    return slack - 1 if whole and node.relation in ("<", ">") else slack


def _next_values(system: System, at: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the steps of one variable to the next smaller and the next larger value."""
    for name, domain in system.variables:
        ordered = sorted(domain)
        below, above = bisect_left(ordered, at[name]), bisect_right(ordered, at[name])
        if below > 0:
            yield name, ordered[below - 1]
        if above < len(ordered):
            yield name, ordered[above]
