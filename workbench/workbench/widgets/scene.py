"""Between configurations and positions on the plot: what is drawn, what a brush means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.widgets.axes import Axis
    from workbench.widgets.explorer_outcome import Outcome


def scene(axes: Sequence[Axis], outcome: Outcome, version: int) -> dict[str, object]:
    """Return what the plot draws: see `ParallelCoordinates` for the keys.

    A variable with a single value gets no axis, unless all are so.
    """
    shown = [(i, axis) for i, axis in enumerate(axes) if len(axis.domain) > 1]
    shown = shown or list(enumerate(axes))
    placed = [axis.place(outcome.drawn[:, i]) for i, axis in shown]
    rows = np.stack(placed, axis=1) if placed else np.zeros((0, 0), np.float32)
    picked = outcome.picked
    return {
        "axes": [{"name": axis.name, "ticks": axis.ticks()} for _, axis in shown],
        "rows": rows.tobytes(),
        "shade": outcome.shade.tobytes(),
        "picked": [] if picked is None else [a.place_one(picked[a.name]) for _, a in shown],
        "version": version,
    }


def brush_intervals(
    axes: Sequence[Axis], positions: Mapping[str, Sequence[float]]
) -> dict[str, tuple[int, int]]:
    """Return the inclusive intervals of values under brushes given as positions [low, high].

    A brush between two values takes the nearer one, so that no brush is empty.
    """
    return {
        axis.name: axis.interval(*positions[axis.name]) for axis in axes if axis.name in positions
    }


def brush_positions(
    axes: Sequence[Axis], brushes: Mapping[str, tuple[int, int]]
) -> dict[str, list[float]]:
    """Return the positions [low, high] of brushes given as intervals of values."""
    return {
        axis.name: [axis.place_one(value) for value in brushes[axis.name]]
        for axis in axes
        if axis.name in brushes
    }
