"""What tuning found, as plain data, as a file, and as text; every number follows from the data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from rnnkernels.autotune import Report, spearman
from rnnkernels.plan import values_of
from rnnkernels.space import DIRECTIONS

from workbench.audit.atomic import whole_file
from workbench.tuning.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rnnkernels.config import Configuration
    from rnnkernels.measuring import Measured
    from rnnkernels.plan import Call

Record = dict[str, Any]
FAULTS = ("failed", "wrong", "spilled", "more_registers", "other_shared")


def record_of(report: Report) -> Record:
    """Return a report as plain data: times in nanoseconds a step, the planned launch first."""
    call = report.call
    problem = Problem.of(call)
    return {
        **{name: getattr(problem, name) for name in Problem.__dataclass_fields__},
        "direction": DIRECTIONS[call.backward],
        "launches": [_launch(call, row) for row in report.rows],
    }


def _launch(call: Call, row: Measured) -> Record:
    values = values_of(call, row.config)
    registers = values.get("registers_equal", values["registers_available"])
    return {
        "strategy": row.config.strategy,
        "knobs": dict(row.config.knobs),
        "predicted_ns": row.predicted,
        "measured_ns": row.measured,
        "error": row.error,
        "failure": row.failure,
        "resources": row.resources,
        "model": {"shared": values["shared"], "registers": registers},
    }


def summary(records: Sequence[Record]) -> Record:
    """Return what the records say about the model, against compiler, device and clock."""
    launches = [row for record in records for row in record["launches"]]
    ran = [row for row in launches if row["failure"] is None]
    used = [(row["resources"], row["model"]) for row in ran if row["resources"]]
    right = [row for row in ran if row["error"] <= 2]
    each = [_of_one(record) for record in records]
    ratios = [ratio for _, ratio in filter(None, each)]
    ranks = [rank for rank, _ in filter(None, each)]
    return {
        "problems": len(records),
        "launches": len(launches),
        "failed": len(launches) - len(ran),
        "wrong": len(ran) - len(right),
        "spilled": sum(has["spilled"] > 0 for has, _ in used),
        "more_registers": sum(has["registers"] > says["registers"] for has, says in used),
        "other_shared": sum(has["dynamic_shared"] != says["shared"] for has, says in used),
        "rank_correlation": _ranks(right),
        "rank_correlation_median": float(np.median(ranks)) if ranks else None,
        "chosen_over_best_median": float(np.median(ratios)) if ratios else None,
        "chosen_over_best_worst": max(ratios, default=None),
        "within_10_percent": sum(ratio <= 1.1 for ratio in ratios),
    }


def _of_one(record: Record) -> tuple[float, float] | None:
    """Return the rank correlation within a call, and its planned launch over the best."""
    rows = [row for row in record["launches"] if row["failure"] is None and row["error"] <= 2]
    if not rows:
        return None
    if record["launches"][0] is not rows[0]:  # the planned one is no choice at all
        return _ranks(rows), float("inf")
    return _ranks(rows), rows[0]["measured_ns"] / min(row["measured_ns"] for row in rows)


def _ranks(rows: Sequence[Record]) -> float:
    return spearman([row["predicted_ns"] for row in rows], [row["measured_ns"] for row in rows])


def write(path: Path, records: Sequence[Record], about: Record) -> None:
    """Write the records and what they were measured on as JSON, whole or not at all.

    Raises
    ------
    WorkbenchError
        It cannot be written.
    """
    text = json.dumps({"about": about, "summary": summary(records), "results": records}, indent=1)
    with whole_file(path, overwrite=True) as part:
        part.write_text(text + "\n", encoding="utf-8")


HEAD = f"{'problem':40}{'launches':>9}{'rank':>6}{'planned':>9}{'best':>9}{'ratio':>7}  best"


def line(report: Report) -> str:
    """Return a report as a line under `HEAD`; times in nanoseconds a step."""
    name = f"{Problem.of(report.call)} {DIRECTIONS[report.call.backward]}"
    if not report.rows:
        return f"{name:40} no launch fits"
    rows = f"{len(report.timed):4}/{len(report.rows):<4}"
    if not report.timed:
        return f"{name:40}{rows} none ran: {report.rows[0].failure}"
    best, chosen = report.best, report.rows[0].measured
    planned = "failed" if chosen is None else f"{chosen:.0f}"
    return (
        f"{name:40}{rows}{report.rank_correlation:6.2f}{planned:>9}{best.measured:9.0f}"
        f"{report.chosen_ratio:7.2f}  {best.config}"
    )


def verdict(found: Record) -> str:
    """Return a summary in words."""
    faults = ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in FAULTS)
    text = f"{found['launches']} launches of {found['problems']} calls: {faults}"
    if found["chosen_over_best_worst"] is None:
        return text
    return (
        f"{text}\nrank correlation of predicted and measured times {found['rank_correlation']:.2f}"
        f"\nthe planned launch is within 10 % of the fastest for {found['within_10_percent']} of "
        f"{found['problems']} calls, at worst {found['chosen_over_best_worst']:.2f} times it"
    )


def planned_line(call: Call, config: Configuration | None, picoseconds: int, why: str) -> str:
    """Return what the model would launch, or why nothing fits, as a line."""
    name = f"{Problem.of(call)} {DIRECTIONS[call.backward]}"
    if config is None:
        return f"{name:40} no launch fits: {why}"
    return f"{name:40}{picoseconds / 1000:9,.0f} ns a step  {config}"
