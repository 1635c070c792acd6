"""The solver against python-constraint2, Kernel Tuner, pyATF and CP-SAT, over problem files.

    make bench-solver                                     everything, about 20 minutes
    make bench-solver ARGS="--only hotspot --only gemm"
    make bench-solver ARGS="--quick --out /tmp/quick.json"
    make bench-solver ARGS="--spaces ~/my_spaces"         any folder of intcsp-1 files
    make bench-solver ARGS="--only hotspot --again"       measured anew in the saved table

CPU seconds of all threads, medians of repetitions that take turns within one run; the first
repetition is a rehearsal. Models are built within the time. Counts are compared with the file's
`expected_valid`, solutions with its constraints, optima with each other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any

import contenders
from checks import check
from measure import Worker, measure_space
from report import lines_of, targets

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "data" / "results" / "solver_bench.json"
PACKAGES = ("numpy", "numba", "python-constraint2", "kernel_tuner", "pyatf", "ortools")


def main() -> int:
    """Measure, print the table, save it."""
    args = _arguments()
    files = _files(args)
    workers = [Worker(name) for name in contenders.ALL]
    started, rows = time.monotonic(), _saved(Path(args.out)) if args.again else []
    try:
        for path in files:
            row = _measured(workers, path, args)
            rows = sorted(
                [row, *(r for r in rows if r["name"] != row["name"])], key=itemgetter("name")
            )
            print(lines_of(row), flush=True)
            about = {**_about(), "seconds": round(time.monotonic() - started), "limit": args.limit}
            _save(Path(args.out), {"about": about, "targets": targets(rows), "spaces": rows})
    finally:
        for worker in workers:
            worker.end()
    print()
    for verdict in targets(rows):
        print(f"{'met   ' if verdict['met'] else 'MISSED'} {verdict['target']}: {verdict['found']}")
    print(f"\nsaved {args.out}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spaces", action="append", metavar="FOLDER", default=[])
    parser.add_argument("--only", action="append", metavar="NAME", help="a file, without .json")
    parser.add_argument("--again", action="store_true", help="keep the other rows of the file")
    parser.add_argument("--quick", action="store_true", help="two repetitions, limit 5 s")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="per task (default 10)")
    parser.add_argument("--out", default=str(OUT), metavar="FILE")
    args = parser.parse_args()
    args.limit = args.limit or (5.0 if args.quick else 10.0)
    return args


def _files(args: argparse.Namespace) -> list[Path]:
    folders = [ROOT / "data" / "spaces", *map(Path, args.spaces)]
    files = [path for folder in folders for path in sorted(folder.expanduser().glob("*.json"))]
    if args.only:
        files = [path for path in files if path.stem in args.only]
    if not files:
        print(f"no such problem file in {', '.join(map(str, folders))}", file=sys.stderr)
        sys.exit(2)
    return files


def _measured(workers: list[Worker], path: Path, args: argparse.Namespace) -> dict[str, Any]:
    space = json.loads(path.read_text(encoding="utf-8"))
    kinds = contenders.ALL
    tasks = {
        task: [n for n, kind in kinds.items() if kind.may(task, space)]
        for task in ("count", "all", "first", "optimum", "resolve", "explain")
    }
    tasks = {task: names for task, names in tasks.items() if names}
    measured = measure_space(workers, path, tasks, args.limit, quick=args.quick)
    check(space, measured)
    return {
        "name": path.stem,
        "family": space.get("family"),
        "cartesian": space.get("cartesian"),
        "expected_valid": space.get("expected_valid"),
        "date": _now(),
        "commit": _commit(),
        "tasks": measured,
    }


def _about() -> dict[str, Any]:
    processor = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "command": " ".join(["bench_solver.py", *sys.argv[1:]]),
        "date": _now(),
        "commit": _commit(),
        "hardware": {"processor": processor, "cores": os.cpu_count()},
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "clock": "process_time, all threads; medians",
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _saved(path: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["spaces"])
    except FileNotFoundError:
        return []


def _save(path: Path, content: dict[str, Any]) -> None:
    """Write the file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
