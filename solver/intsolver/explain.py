"""Why a problem has no solution: a smallest conflict, and the least change of each member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intsolver.conflict import Case, Parts, smallest_conflict
from intsolver.relaxing import Relaxation, relaxations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Explanation:
    """A conflict: names of constraints, and pins as ``bm = 64``, that nothing satisfies together.

    With `smallest` there is no conflict with fewer members; otherwise telling took too long, and
    `core` is one without members that are easily seen to be superfluous.
    `relaxations` has the smallest change of each member that alone makes the problem feasible, one
    for each parameter of it; none for a member of which no such change is known, as a rule because
    there is another conflict without it. All is empty where the problem is feasible.
    """

    feasible: bool
    core: tuple[str, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    smallest: bool = True

    def __str__(self) -> str:
        if self.feasible:
            return "feasible: nothing conflicts"
        of = "nothing satisfies" if len(self.core) == 1 else "nothing satisfies all of"
        lines = [of]
        for name in self.core:
            own = [
                relaxation.text for relaxation in self.relaxations if relaxation.constraint == name
            ]
            lines.append(
                f"  {name}: {', or '.join(own) or 'no change of it alone is known to suffice'}"
            )
        return "\n".join(lines)


def explain(
    parts: Parts, names: Sequence[str], parameters: Mapping[str, int], pinned: Mapping[str, int]
) -> Explanation:
    """Return why an infeasible system, whose constraints have these names, has no solution."""
    case = Case(parts, parameters, pinned)
    core, smallest = smallest_conflict(case)
    labels = [*names, *(f"{name} = {value}" for name, value in pinned.items())]
    found: list[Relaxation] = []
    for member in sorted(core):
        found += relaxations(case, member, labels[member])
    return Explanation(
        feasible=False,
        core=tuple(labels[member] for member in sorted(core)),
        relaxations=tuple(found),
        smallest=smallest,
    )
