"""From a state of the explorer to what it shows: counts, lines, the best, what binds or helps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from intsolver import Infeasible, IntsolverError

from workbench.errors import WorkbenchError
from workbench.widgets.explorer_state import brush_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intsolver import Binding, Optimum, Solutions
    from numpy.typing import NDArray

    from workbench.widgets.explorer_state import ExplorerState

# What a user can bring about and mend; anything else is a bug and keeps its traceback.
MISTAKES = (WorkbenchError, IntsolverError, ValueError, OverflowError)

_TOP = 10  # rows of the table


@dataclass(frozen=True, slots=True)
class Bound:
    """A constraint at a configuration, and how far it is from failing there."""

    constraint: str
    text: str
    slack: str
    tight: bool


@dataclass(frozen=True, slots=True)
class Remedy:
    """A smallest relaxation: in words, and as new limits or as a brush to take away."""

    text: str
    limits: Mapping[str, int]
    brush: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a state shows. Arrays: `drawn` (N, variables) int64, `shade` (N,) from 0 to 1."""

    total: int
    kept: int
    seconds: float
    names: tuple[str, ...]
    drawn: NDArray[np.int64]
    shade: NDArray[np.float32]
    best: tuple[Mapping[str, int], ...]
    scores: tuple[int, ...]
    picked: Mapping[str, int] | None
    bounds: tuple[Bound, ...]
    conflict: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    brushed: Solutions

    @property
    def table(self) -> list[list[str]]:
        """The best configurations as text: the score, then each variable."""
        return [
            [f"{score:,}", *(str(configuration[name]) for name in self.names)]
            for score, configuration in zip(self.scores, self.best, strict=True)
        ]

    @property
    def picked_row(self) -> int:
        """The row of the table that is picked, -1 where the picked one is none of the best."""
        rows = (i for i, row in enumerate(self.best) if self.picked == row)
        return next(rows, -1)

    def rows(self) -> Iterator[tuple[int, ...]]:
        """Yield the brushed configurations, drawn or not, as tuples in the order of `names`."""
        return (tuple(row[name] for name in self.names) for row in self.brushed)


def evaluate(state: ExplorerState, max_drawn: int) -> Outcome:
    """Solve the problem of a state and return what is to be shown, at most `max_drawn` lines."""
    began = time.perf_counter()
    total = state.problem.solve(**state.limits)
    brushed = state.narrowed.solve(**state.limits) if state.brushes else total
    seconds = time.perf_counter() - began
    drawn = _drawn(total, brushed, max_drawn)
    best = _best(state) if brushed.count else []
    configurations = tuple(dict(answer) for answer in best)
    scores = tuple(answer.value for answer in best)
    picked = _picked(state, brushed, configurations)
    conflict, remedies = ((), ()) if brushed.count else _explained(state)
    return Outcome(
        total=total.count,
        kept=brushed.count,
        seconds=seconds,
        names=tuple(axis.name for axis in state.axes),
        drawn=drawn,
        shade=_shade(state, drawn),
        best=configurations,
        scores=scores,
        picked=picked,
        bounds=_bounds(state, picked) if picked is not None else (),
        conflict=conflict,
        remedies=remedies,
        brushed=brushed,
    )


def _drawn(total: Solutions, brushed: Solutions, most: int) -> NDArray[np.int64]:
    """Return the rows to draw: all of them, else a uniform sample, half of it from the brush."""
    if total.count <= most or brushed is total:
        return total.sample(most, seed=0).to_numpy()
    inside = brushed.sample(most // 2, seed=0).to_numpy()
    around = total.sample(most - len(inside), seed=0).to_numpy()
    return np.concatenate([inside, around])


def _best(state: ExplorerState) -> list[Optimum]:
    problem = state.narrowed
    try:
        if state.sense == "max":
            return problem.maximize(state.objective, _TOP, **state.limits)
        return problem.minimize(state.objective, _TOP, **state.limits)
    except Infeasible:  # solutions there are, but the objective has no value at any of them
        return []


def _picked(
    state: ExplorerState, brushed: Solutions, best: Sequence[Mapping[str, int]]
) -> Mapping[str, int] | None:
    """Return the picked configuration while it is still feasible, else the best, else any."""
    if state.picked is not None and brushed.contains(state.picked):
        return dict(state.picked)
    if best:
        return best[0]
    return brushed[0] if brushed.count else None


def _bounds(state: ExplorerState, picked: Mapping[str, int]) -> tuple[Bound, ...]:
    found = sorted(
        state.narrowed.binding(picked, **state.limits),
        key=lambda bound: (not bound.tight, bound.slack is None, bound.slack or 0),
    )
    return tuple(Bound(b.name, b.text, _slack(b), b.tight) for b in found)


def _slack(bound: Binding) -> str:
    """Return a slack in words; a constraint that is no inequality has none."""
    if bound.slack is None:
        return "tight" if bound.tight else "holds"
    spare = f"{bound.slack:,}" if isinstance(bound.slack, int) else str(bound.slack)
    return f"tight, {spare} to spare" if bound.tight else f"{spare} to spare"


def _explained(state: ExplorerState) -> tuple[tuple[str, ...], tuple[Remedy, ...]]:
    explanation = state.narrowed.explain(**state.limits)
    controls = {control.name: control for control in state.limit_controls}
    remedies: dict[str, Remedy] = {}  # by text: two constraints may ask for the same
    for relaxation in explanation.relaxations:
        brush = next((n for n in state.brushes if brush_name(n) == relaxation.constraint), None)
        if brush is not None:
            text = f"Let go of the {brush_name(brush)}"
            remedies[text] = Remedy(text, {}, brush)
        elif relaxation.parameter is not None and relaxation.value is not None:
            control = controls[relaxation.parameter]
            text = f"Set {control.label or control.name} to {relaxation.value:,} {control.unit}"
            text = text.strip()
            remedies[text] = Remedy(text, {relaxation.parameter: relaxation.value})
    helps = {r.constraint: str(r) for r in explanation.relaxations}
    return tuple(helps.get(name, name) for name in explanation.core), tuple(remedies.values())


def _shade(state: ExplorerState, drawn: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return how good each drawn row is, 0 to 1, by its rank among the drawn."""
    if not len(drawn):
        return np.zeros(0, dtype=np.float32)
    ranks = np.unique(state.scores(drawn), return_inverse=True)[1].astype(np.float32)
    span = max(float(ranks.max(initial=0)), 1.0)
    shade = ranks / span if state.sense == "max" else 1 - ranks / span
    return np.asarray(shade, dtype=np.float32)
