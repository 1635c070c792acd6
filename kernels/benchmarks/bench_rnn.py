"""Time the RNN kernels on this GPU through the public call, and compare with bounds and baselines.

    python kernels/benchmarks/bench_rnn.py --out data/results/rnn_h200.json
    python kernels/benchmarks/bench_rnn.py --only lstm-12x64 --baselines none

Milliseconds by CUDA events, medians after warm-up, inputs rotated so that none waits in the L2
cache. Every timed configuration is also checked: its results and gradients, against float32, may
be wrong by at most twice what the alternating backend is, which runs PyTorch's products.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rnn_baselines
import torch
from rnn_rows import GATES, RELATIVE_BOUNDS, ROWS, STEPS, Row, floors
from rnnkernels import rnn
from torch import Tensor
from workbench.bench.measure import measure

from workbench import provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

DEVICE = rnn_baselines.DEVICE
Record = dict[str, Any]


class Problem:
    """Inputs of one row, several sets of them, and the calls to time."""

    def __init__(self, row: Row, steps: int = STEPS) -> None:
        self.row = row
        B, N, D, G = row.batch, row.heads, row.head_dim, GATES[row.cell]
        torch.manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16)

        bytes_each = 2 * B * steps * N * D * G
        self.sets = 4 if bytes_each < 2e8 else 2  # 60 MB of L2 cache
        self.wx = [draw(B, steps, G, N, D).requires_grad_() for _ in range(self.sets)]
        self.r = (draw(G, N, D, D) / D**0.5).requires_grad_()
        self.b = draw(G + (row.cell == "gru"), N, D).requires_grad_()
        self.dh = draw(B, steps, N, D)

    def forward(self, k: int) -> Tensor:
        """Run repeat k without gradients; return h (B, T, N, D)."""
        with torch.no_grad():
            wx = self.wx[k % self.sets]
            return rnn(wx, self.r, self.b, self.row.cell, self.row.backend)[0][0]

    def both(self, k: int) -> tuple[Tensor, ...]:
        """Run repeat k; return the gradients of W x, R and b."""
        wx = self.wx[k % self.sets]
        states, _ = rnn(wx, self.r, self.b, self.row.cell, self.row.backend)
        return torch.autograd.grad(states[0], (wx, self.r, self.b), self.dh)

    def results(self, backend: str, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return h and the gradients of the first set of inputs, by a backend, in a dtype."""
        leaves = [t.detach().to(dtype).requires_grad_() for t in (self.wx[0], self.r, self.b)]
        wx, r, b = leaves
        states, _ = rnn(wx, r, b, self.row.cell, backend)
        grads = torch.autograd.grad(states[0], leaves, self.dh.to(dtype))
        return dict(zip(("h", "dwx", "dr", "db"), (states[0].detach(), *grads), strict=True))

    def errors(self) -> dict[str, tuple[float, float]]:
        """Return per result the relative errors of this row's backend and of the alternating one.

        Norm of the difference over the norm of the float32 result, over all batch rows and steps.
        """
        truth = self.results("alternating", torch.float32)
        ours = self.results(self.row.backend, torch.bfloat16)
        theirs = self.results("alternating", torch.bfloat16)

        def relative(found: Tensor, exact: Tensor) -> float:
            return float((found.float() - exact).norm() / exact.norm())

        return {
            name: (relative(ours[name], exact), relative(theirs[name], exact))
            for name, exact in truth.items()
        }


def time_row(row: Row, repeats: int) -> list[Record]:
    """Check one row and time it."""
    problem = Problem(row)
    errors = problem.errors()
    correct = all(ours <= 2 * theirs for ours, theirs in errors.values())
    shared = {
        **{key: getattr(row, key) for key in ("backend", "cell", "batch", "heads", "head_dim")},
        "dtype": "bfloat16",
        "time_steps": STEPS,
        "relative_error": {name: ours for name, (ours, _) in errors.items()},
        "relative_error_alternating": {name: theirs for name, (_, theirs) in errors.items()},
        "correct": correct,
    }
    calls = (
        ("fw_api", problem.forward, row.forward_bound, {"floor_ms": floors(row)}),
        ("fwbw_api", problem.both, row.both_bound, {}),
    )
    return [
        {**shared, "what": what, **measure(call, DEVICE, repeats), "bound_ms": bound, **more}
        for what, call, bound, more in calls
    ]


def time_baselines(names: Sequence[str], rows: Sequence[Row], repeats: int) -> list[Record]:
    """Time the baselines on the LSTM rows of batch 16 that they are meant for."""
    found: list[Record] = []

    def add(backend: str, dtype: str, row: Row, calls: tuple[Any, Any], repeats: int) -> None:
        for what, call in zip(("fw_api", "fwbw_api"), calls, strict=True):
            if call is not None:
                shape = {"cell": "lstm", "batch": row.batch, "head_dim": row.head_dim}
                shape |= {"heads": 1 if backend == "cudnn" else row.heads, "time_steps": STEPS}
                timing = measure(call, DEVICE, repeats)
                found.append({"backend": backend, "dtype": dtype, "what": what, **shape, **timing})

    lstm = [row for row in rows if row.cell == "lstm" and row.backend == "auto"]
    for row in lstm:
        sizes = (row.batch, STEPS, row.heads, row.head_dim)
        if "cudnn" in names and row.head_dim >= 64:
            calls = rnn_baselines.cudnn(row.batch, STEPS, row.head_dim)
            add("cudnn", "float16", row, calls, repeats)
        if row.batch == 16 and row.head_dim in {64, 768}:
            if "compiled" in names:
                calls = rnn_baselines.compiled_graph(*sizes)
                add("compiled_step_cudagraph", "bfloat16", row, calls, repeats)
            if "vanilla" in names:
                add("vanilla", "bfloat16", row, rnn_baselines.vanilla(*sizes), 3)
    return found


def set_relative_bounds(records: list[Record]) -> None:
    """Give GRU, sLSTM and Elman rows their bound: a multiple of the LSTM of the same shape."""
    keys = ("what", "batch", "heads", "head_dim")
    lstm = {
        tuple(r[key] for key in keys): r["ms"]
        for r in records
        if r["cell"] == "lstm" and r["backend"] == "auto"
    }
    for record in records:
        own = tuple(record[key] for key in keys)
        if record["cell"] in RELATIVE_BOUNDS and own in lstm:
            record["bound_ms"] = RELATIVE_BOUNDS[record["cell"]] * lstm[own]


def table(records: Sequence[Record]) -> str:
    """Return the records as text: one line per problem and backend."""
    timing = f"{'ms':>9}{'bound':>8}{'':7}"
    heading = f"{'problem':26}{'backend':24}" + timing.replace("   ms", "   fw") + timing
    heading = heading.replace("      ms", "   fw+bw") + f"{'host':>7}"
    lines = [f"{heading}  {'floors of fw: steps/bytes/products':34}{'error of h':>11}"]
    pairs: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        sizes = f"{record['heads']}x{record['head_dim']} B{record['batch']}"
        problem = f"{record['cell']} {sizes} {record['dtype']}"
        pairs.setdefault((problem, record["backend"]), {})[record["what"]] = record
    for (problem, backend), pair in pairs.items():
        line = f"{problem:26}{backend:24}"
        for what in ("fw_api", "fwbw_api"):
            record = pair.get(what, {})
            bound = record.get("bound_ms")
            verdict = "" if bound is None else " met" if record["ms"] <= bound else " SHORT"
            line += f"{record['ms']:9.3f}" if record else f"{'':9}"
            line += f"{bound:8.2f}{verdict:7}" if bound is not None else f"{'':15}"
        host = pair.get("fwbw_api", {}).get("host_ms")
        line += f"{host:7.3f}" if host else f"{'':7}"
        forward = pair["fw_api"]
        floor = "/".join(f"{value:.2f}" for value in forward.get("floor_ms", {}).values())
        line += f"  {floor:34}"
        if "correct" in forward:
            line += f"{forward['relative_error']['h']:11.1e}"
            line += "" if forward["correct"] else " WRONG"
        lines.append(line)
    return "\n".join(lines)


def compile_all(rows: Sequence[Row]) -> None:
    """Fill the kernel caches in parallel processes, so that the timing run only loads."""
    with ProcessPoolExecutor(min(12, os.cpu_count() or 1), get_context("spawn")) as pool:
        list(pool.map(_compile, rows))


def _compile(row: Row) -> None:
    Problem(row, steps=2).both(0)


def write(path: Path | None, records: Sequence[Record]) -> None:
    """Write the records with what they were measured on as JSON, if there is a path."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    about = provenance.about(DEVICE, ("python", *sys.argv))
    text = json.dumps({"about": about, "results": records}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="begins of labels: lstm-12x64-B16")
    parser.add_argument("--backends", nargs="*", default=["auto", "triton", "alternating"])
    parser.add_argument(
        "--baselines", nargs="*", default=["cudnn", "compiled", "vanilla"], help="or none"
    )
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--out", type=Path, help="JSON to write")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Time what was asked for, print the table; return 1 if a result is wrong."""
    args = build_parser().parse_args(argv)
    rows = [
        row
        for row in ROWS
        if row.backend in args.backends
        and (not args.only or any(row.label.startswith(name) for name in args.only))
    ]
    compile_all(rows)
    records: list[Record] = []
    for row in rows:
        records += time_row(row, args.repeats)
        torch.cuda.empty_cache()
    set_relative_bounds(records)
    write(args.out, records)  # baselines take longer than all rows, and may fail
    records += time_baselines(args.baselines, rows, args.repeats)
    print(table(records))
    write(args.out, records)
    return 0 if all(record.get("correct", True) for record in records) else 1


if __name__ == "__main__":
    sys.exit(main())
