"""Measured launches: recorded ones that come along, and those measured here and now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnkernels.autotune import spearman
from rnnkernels.config import Configuration
from rnnkernels.gpus import row_of
from rnnkernels.plan import broken_limits, describe, predicted

from workbench import datafiles, provenance
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnkernels.plan import Call

RECORD = "tune_h200.json"
HERE = "measured here"  # the source of a point of now; others begin with "recorded on"


@dataclass(frozen=True)
class Point:
    """A launch of a call: predicted and measured nanoseconds of a step, and where that was."""

    call: Call
    config: Configuration
    predicted: float
    measured: float
    source: str  # "recorded on NVIDIA H200, 2026-11-24" or HERE

    @property
    def label(self) -> str:
        """The call and the configuration, in words."""
        return f"{self.call}: {self.config}"


@dataclass(frozen=True)
class Agreement:
    """What points say about the model: rank correlation, planned over best, of how many calls."""

    points: int
    calls: int
    rank_correlation: float
    within_10_percent: int
    worst_ratio: float


def recorded(name: str = RECORD) -> tuple[Point, ...]:
    """Return the points of a recorded run, predicted by the model as it is now.

    Raises
    ------
    WorkbenchError
        No such record, or it is damaged.
    """
    return points_of(datafiles.result(name))


def points_of(path: Path) -> tuple[Point, ...]:
    """Return the points of a record, predicted by the model as it is now.

    Raises
    ------
    WorkbenchError
        No such file, or it is damaged.
    """
    about, rows = _read(path)
    source = provenance.source(about)
    return tuple(
        Point(call, config, predicted(call, config) / 1e3, row["measured_ns"], source)
        for call, config, row in rows
        if row["failure"] is None and row["error"] <= 2
    )


def launches_of(path: Path) -> dict[Call, list[Configuration]]:
    """Return the launches of a record by call, those that the model allows now.

    Raises
    ------
    WorkbenchError
        No such file, or it is damaged.
    """
    found: dict[Call, list[Configuration]] = {}
    for call, config, _ in _read(path)[1]:
        if not broken_limits(call, config):
            found.setdefault(call, []).append(config)
    return found


def _read(path: Path) -> tuple[dict[str, Any], list[tuple[Call, Configuration, dict[str, Any]]]]:
    """Return what was measured on, and every launch with its call and its row."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        about, found = content["about"], []
        gpu = row_of(about["device"], about["sms"])
        for record in content["results"]:
            shape = (record["batch"], 1, record["heads"], record["head_dim"])
            call = describe(record["cell"], shape, record["dtype"], gpu, record["direction"])
            for row in record["launches"]:
                config = Configuration(row["strategy"], tuple(row["knobs"].items()))
                found.append((call, config, row))
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(f"{path.name} is no record of launches: {error!r}") from None
    return about, found


def agreement(points: Sequence[Point]) -> Agreement:
    """Return how well predicted and measured times agree.

    For each call, the launch of least predicted cost among the measured ones is the planned one.
    """
    calls: dict[Call, list[Point]] = {}
    for point in points:
        calls.setdefault(point.call, []).append(point)
    ratios = [
        min(rows, key=_predicted).measured / min(row.measured for row in rows)
        for rows in calls.values()
    ]
    ranks = spearman([p.predicted for p in points], [p.measured for p in points])
    within = sum(ratio <= 1.1 for ratio in ratios)
    return Agreement(len(points), len(calls), ranks, within, max(ratios, default=1.0))


def _predicted(point: Point) -> float:
    return point.predicted
