"""Check the launch model on this GPU: against the compiler, the device, and the clock.

    python kernels/benchmarks/tune_rnn.py --out data/results/tune_h200.json
    python kernels/benchmarks/tune_rnn.py --only lstm-12x64 --random 20
    python kernels/benchmarks/tune_rnn.py --compile h200 --also old.json    # no GPU: fill the cache

For each problem the launches of least predicted cost and a random sample of all that the model
allows are compiled, run and compared with PyTorch, and timed, in a process of its own. Then it says

- model against compiler: no launch spills or has more registers than the model says, and shared
  memory is what it says;
- model against device: every launch runs and is right;
- the rank correlation of predicted and measured times, and the planned launch against the best.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rnnkernels import autotune as tuner
from rnnkernels.config import Configuration
from rnnkernels.gpus import Gpu, find_gpu
from rnnkernels.measuring import STEPS, Worker
from rnnkernels.plan import Call, broken_limits, describe, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Record = dict[str, Any]
Problem = tuple[str, int, int, int, str]  # cell, heads, head_dim, batch, data type

_BF16 = "bfloat16"
PROBLEMS: tuple[Problem, ...] = (
    # the widths of a model with 768 units in heads of several sizes, and larger heads
    *(("lstm", 768 // D, D, 16, _BF16) for D in (16, 32, 64, 128, 256, 768)),
    *(("lstm", 1, D, 16, _BF16) for D in (512, 1024, 2048)),
    # batches of one row, and of many
    ("lstm", 12, 64, 1, _BF16),
    ("lstm", 12, 64, 64, _BF16),
    ("lstm", 12, 64, 256, _BF16),
    ("lstm", 3, 256, 64, _BF16),
    ("lstm", 1, 768, 256, _BF16),
    # other cells and types
    *(
        (cell, *size, 16, _BF16)
        for cell in ("gru", "slstm", "elman")
        for size in ((12, 64), (1, 768))
    ),
    ("gru", 3, 256, 16, _BF16),
    ("slstm", 6, 128, 16, _BF16),
    ("lstm", 6, 128, 16, "float16"),
    ("lstm", 12, 64, 16, "float32"),
    ("lstm", 3, 256, 16, "float32"),
)


def label(problem: Problem) -> str:
    """Return how `--only` names a problem: cell, heads x head_dim, batch, type."""
    cell, heads, head_dim, batch, dtype = problem
    return f"{cell}-{heads}x{head_dim}-B{batch}-{dtype}"


def calls(problems: Sequence[Problem], gpu: Gpu, directions: Sequence[str]) -> list[Call]:
    """Return the calls of problems on a GPU."""
    return [
        describe(cell, (batch, 1, heads, head_dim), dtype, gpu, direction)
        for cell, heads, head_dim, batch, dtype in problems
        for direction in directions
    ]


def record_of(call: Call, report: tuner.Report) -> Record:
    """Return a report as plain data: all that the summary is worked out from."""
    rows = []
    for row in report.rows:
        values = values_of(call, row.config)
        rows.append(
            {
                "strategy": row.config.strategy,
                "knobs": dict(row.config.knobs),
                "predicted_ns": row.predicted,
                "measured_ns": row.measured,
                "error": row.error,
                "failure": row.failure,
                "resources": row.resources,
                "model": {
                    "shared": values["shared"],
                    "registers": values.get("registers_equal", values["registers_available"]),
                },
            }
        )
    sizes = {key: getattr(call, key) for key in ("batch", "heads", "head_dim")}
    return {
        "cell": call.cell.name,
        **sizes,
        "dtype": str(call.dtype).removeprefix("torch."),
        "direction": "backward" if call.backward else "forward",
        "launches": rows,
    }


def summary(records: Sequence[Record]) -> Record:
    """Return what the records say about the model; every number follows from them alone."""
    launches = [row for record in records for row in record["launches"]]
    ran = [row for row in launches if row["failure"] is None]
    right = [row for row in ran if row["error"] <= 2]
    compiled = [row for row in ran if row["resources"]]
    spilled = [row for row in compiled if row["resources"]["spilled"] > 0]
    above = [r for r in compiled if r["resources"]["registers"] > r["model"]["registers"]]
    shared = [r for r in compiled if r["resources"]["dynamic_shared"] != r["model"]["shared"]]
    correlations, ratios = [], []
    for record in records:
        rows = [row for row in record["launches"] if row in right]
        if len(rows) < 2 or record["launches"][0] not in right:
            continue
        predicted = [row["predicted_ns"] for row in rows]
        measured = [row["measured_ns"] for row in rows]
        correlations.append(tuner.spearman(predicted, measured))
        ratios.append(record["launches"][0]["measured_ns"] / min(measured))
    return {
        "problems": len(records),
        "launches": len(launches),
        "failed": len(launches) - len(ran),
        "wrong": len(ran) - len(right),
        "spilled": len(spilled),
        "more_registers": len(above),
        "other_shared": len(shared),
        "rank_correlation": tuner.spearman(
            [row["predicted_ns"] for row in right], [row["measured_ns"] for row in right]
        ),
        "rank_correlation_median": float(np.median(correlations)) if correlations else 0.0,
        "chosen_over_best_median": float(np.median(ratios)) if ratios else 0.0,
        "chosen_over_best_worst": float(np.max(ratios)) if ratios else 0.0,
        "within_10_percent": sum(ratio <= 1.1 for ratio in ratios),
    }


def table(records: Sequence[Record]) -> str:
    """Return a line a problem."""
    lines = [f"{'problem':44}{'launches':>9}{'rank':>7}{'chosen':>9}{'best':>9}{'ratio':>7}  best"]
    for record in records:
        one = summary([record])
        first = record["launches"][0]
        rows = [r for r in record["launches"] if r["failure"] is None and r["error"] <= 2]
        if not rows:
            lines.append(f"{_name(record):44} none ran: {first['failure']}")
            continue
        best = min(rows, key=lambda row: row["measured_ns"])
        knobs = " ".join(f"{name}={value}" for name, value in best["knobs"].items())
        chosen = first["measured_ns"] or float("nan")
        lines.append(
            f"{_name(record):44}{len(rows):5}/{one['launches']:<3}"
            f"{one['rank_correlation_median']:7.2f}{chosen:9.0f}{best['measured_ns']:9.0f}"
            f"{chosen / best['measured_ns']:7.2f}  {best['strategy']} {knobs}"
        )
    return "\n".join(lines)


def _name(record: Record) -> str:
    problem = tuple(record[key] for key in ("cell", "heads", "head_dim", "batch", "dtype"))
    return f"{label(problem)} {record['direction']}"  # type: ignore[arg-type]


def also_of(path: Path | None, call: Call) -> list[Configuration]:
    """Return what a file names for a call and the model allows: {problem: {direction: [...]}}."""
    if path is None:
        return []
    kind = str(call.dtype).removeprefix("torch.")
    key = label((call.cell.name, call.heads, call.head_dim, call.batch, kind))
    rows = (
        json.loads(path.read_text())
        .get(key, {})
        .get("backward" if call.backward else "forward", [])
    )
    named = [Configuration(row["strategy"], tuple(row["knobs"].items())) for row in rows]
    return [config for config in named if not broken_limits(call, config)]


def write(path: Path | None, records: Sequence[Record], about: Record) -> None:
    """Write the records and what they were measured on as JSON, if there is a path."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"about": about, "summary": summary(records), "results": records}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="begins of labels: lstm-12x64-B16")
    parser.add_argument("--directions", nargs="*", default=["forward", "backward"])
    parser.add_argument("--top", type=int, default=4, help="launches of least predicted cost")
    parser.add_argument("--random", type=int, default=6, help="further ones, drawn from all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--also", type=Path, help="JSON of further launches to measure")
    parser.add_argument("--keep", action="store_true", help="use the best ones from now on")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no problem after these")
    parser.add_argument(
        "--compile", metavar="GPU", help="only fill the cache for a GPU, without one"
    )
    parser.add_argument("--workers", type=int, help="processes that compile; all cores")
    parser.add_argument("--out", type=Path, help="JSON to write")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, print the tables; return 1 if the model was wrong about one."""
    args = build_parser().parse_args(argv)
    start = time.monotonic()
    gpu = find_gpu(_known(args.compile)) if args.compile else Gpu.current()
    wanted = [p for p in PROBLEMS if not args.only or label(p).startswith(tuple(args.only))]
    jobs = []
    for call in calls(wanted, gpu, args.directions):
        also = also_of(args.also, call)
        configs = tuner.candidates(
            call, top=args.top, random=args.random, seed=args.seed, also=also
        )
        jobs.append((call, configs))
    pairs = [(call, config) for call, configs in jobs for config in configs]
    tuner.compile_all(pairs, args.workers)
    print(
        f"{len(pairs)} kernels of {len(jobs)} problems compiled, {time.monotonic() - start:.0f} s"
    )
    if args.compile:
        return 0
    records: list[Record] = []
    worker = Worker()
    for call, configs in jobs:
        if time.monotonic() - start > args.seconds:
            print(f"out of time before {call}: {len(jobs) - len(records)} problems left")
            break
        report = tuner.Report(call, tuple(worker.measure(call, config) for config in configs))
        records.append(record_of(call, report))
        print(
            f"{time.monotonic() - start:5.0f} s {table(records[-1:]).splitlines()[-1]}", flush=True
        )
        write(args.out, records, _about())
        if args.keep:
            tuner.remember(report)
    worker.close()
    found = summary(records)
    print(table(records))
    print(json.dumps(found, indent=1))
    bad = ("failed", "wrong", "spilled", "more_registers", "other_shared")
    return 1 if any(found[name] for name in bad) else 0


def _known(name: str) -> str:
    return name.upper() if name.upper() in {"A100", "H100", "H200", "B200", "L40S"} else name


def _about() -> Record:
    from bench_rnn import about  # noqa: PLC0415 - needs a GPU's PyTorch

    return {**about(), "steps": STEPS, "timed": "the recurrent kernel alone, L2 overwritten"}


if __name__ == "__main__":
    sys.exit(main())
