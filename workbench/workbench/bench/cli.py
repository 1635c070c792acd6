"""``workbench bench rnn|compare|show``: parses, calls the library, prints.

Exit codes: 0 done, 1 a result is wrong, failed or got slower, 2 bad input, 130 cancelled.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.bench.case import Case
    from workbench.bench.supervisor import Supervisor

_RNN_EPILOG = """examples:
  workbench bench rnn --list                        the cases of the plan, none timed
  workbench bench rnn --out here.jsonl              all of them; again: what is left
  workbench bench rnn --out a.jsonl --cell lstm --head-dim 64 --budget 60
  workbench bench compare before.jsonl after.jsonl  ratios; exit code 1 if something got slower
"""
_FIELDS = ("cell", "backend", "dtype", "direction", "batch", "steps", "heads", "head_dim")
_CANCELLED = 130


def add_parser(commands: Any) -> None:
    """Add ``bench`` and its commands to the subparsers `commands`."""
    parser = commands.add_parser(
        "bench",
        help="time the RNN kernels and what they are compared with",
        description="Time RNN kernels against torch.nn and plain PyTorch; compare results.",
        epilog=_RNN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_rnn(inner)
    compared = inner.add_parser(
        "compare", help="two files against each other", description="B over A, the worst first."
    )
    compared.add_argument("a", type=Path, metavar="A", help="results before")
    compared.add_argument("b", type=Path, metavar="B", help="results after")
    compared.set_defaults(run=_run_compare)
    show = inner.add_parser("show", help="print results", description="Print results as a table.")
    show.add_argument("file", nargs="?", type=Path, help="default: those that are recorded")
    shape = show.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true", help="as CSV")
    shape.add_argument("--latex", action="store_true", help="as a LaTeX table")
    show.set_defaults(run=_run_show)


def _add_rnn(commands: Any) -> None:
    parser = commands.add_parser(
        "rnn",
        help="time a sweep, or go on with one that was broken off",
        description="Time every case of a plan, each in the results file before the next begins. "
        "Ctrl+C or a kill loses at most the case at work; the same command goes on.",
        epilog=_RNN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, metavar="FILE", help="results, JSON lines; default: %(default)s",
        default=Path("rnn_bench.jsonl"))  # fmt: skip
    add("--plan", help="full (a GPU, minutes) or small; default: full on a GPU, else small")
    for name in _FIELDS:
        kind = str if name in _FIELDS[:4] else int
        add(f"--{name.replace('_', '-')}", nargs="+", type=kind, default=[], help="keep these")
    add("--device", help="default: cuda if there is one, else cpu")
    add("--repeats", type=int, default=25, metavar="N", help="at most; default: %(default)s")
    add("--budget", type=float, metavar="SECONDS", help="stop cleanly after this time")
    add("--patience", type=float, default=120.0, metavar="SECONDS",
        help="of one case; default: %(default)s")  # fmt: skip
    add("--retry", action="store_true", help="time again what failed before")
    add("--list", action="store_true", help="print the cases and stop")
    parser.set_defaults(run=_run_rnn)


def _run_rnn(args: argparse.Namespace) -> int:
    # `workbench --help` must not wait for torch.
    from workbench.bench.supervisor import Supervisor  # noqa: PLC0415
    from workbench.bench.worker import Job  # noqa: PLC0415

    device = _device(args.device)
    name = args.plan or ("full" if device.startswith("cuda") else "small")
    cases = _cases(name, args)
    if args.list:
        _say("\n".join(case.key for case in cases) + f"\n{len(cases)} cases")
        return 0
    _check(args)
    command = ("workbench", *sys.argv[1:])
    job = Job(str(args.out), tuple(cases), name, command, device, args.repeats, args.budget,
              args.retry)  # fmt: skip
    return _followed(Supervisor(job, args.patience))


def _cases(plan_name: str, args: argparse.Namespace) -> list[Case]:
    from workbench.bench import plan  # noqa: PLC0415

    return plan.keep(plan.find_plan(plan_name), {name: getattr(args, name) for name in _FIELDS})


def _check(args: argparse.Namespace) -> None:
    if args.repeats < 3:
        raise WorkbenchError(f"--repeats {args.repeats}: expected at least 3, for quartiles")
    for name in ("budget", "patience"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise WorkbenchError(f"--{name} {value}: expected seconds above 0")
    if args.out.is_dir():
        raise WorkbenchError(f"--out {args.out} is a folder; expected a file")


def _device(given: str | None) -> str:
    import torch  # noqa: PLC0415

    if given is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if given != "cpu" and not given.startswith("cuda"):
        raise WorkbenchError(f"--device {given}: expected cpu, cuda or cuda:N")
    if given != "cpu" and not torch.cuda.is_available():
        raise WorkbenchError(f"--device {given}: no CUDA device is available here; try cpu")
    return given


def _followed(supervisor: Supervisor) -> int:
    """Print a line a case, and at the end what came out."""
    from workbench.bench import supervisor as phases  # noqa: PLC0415

    phase = ""
    try:
        for progress in supervisor.follow():
            if progress.phase == phases.COMPILING != phase:
                _say("compiling kernels")
            if progress.row is not None and progress.phase == phases.TIMING:
                left = "" if progress.left is None else f"  {progress.left:4.0f} s left"
                _say(f"{progress.done:4}/{progress.of}{left}  {_line(progress.row)}")
            phase = progress.phase
    except KeyboardInterrupt:
        supervisor.cancel()
        _say(f"cancelled; {supervisor.path} keeps what is done, the same command goes on")
        return _CANCELLED
    return _concluded(supervisor, phase)


def _concluded(supervisor: Supervisor, phase: str) -> int:
    from workbench.bench import record  # noqa: PLC0415

    found = record.results(record.read(supervisor.path))
    failed = sum("failure" in row for row in found.values())
    wrong = sum(not row.get("correct", True) for row in found.values())
    of = supervisor.progress.of
    why = "time is up; the same command goes on" if phase == "budget" else "done"
    done = supervisor.progress.done
    _say(f"{why}: {done} of {of} cases, {failed} failed, {wrong} wrong, in {supervisor.path}")
    return 1 if failed or wrong else 0


def _line(row: dict[str, Any]) -> str:
    if "failure" in row:
        return f"{row['key']:58} failed: {row['failure']}"
    wrong = "" if row["correct"] else "  WRONG"
    return f"{row['key']:58}{row['ms']:11.4f} ms{wrong}"


def _run_compare(args: argparse.Namespace) -> int:
    from workbench import provenance  # noqa: PLC0415
    from workbench.bench import compare, record  # noqa: PLC0415

    before, after = record.read(args.a), record.read(args.b)
    one, two = record.first_about(before, args.a), record.first_about(after, args.b)
    found = compare.compare(record.results(before), record.results(after))
    _say(f"A {provenance.source(one)}, commit {one['commit'][:12]}")
    _say(f"B {provenance.source(two)}, commit {two['commit'][:12]}")
    if one["device"] != two["device"]:
        _say("the devices differ: ratios say more of them than of the code")
    _say(compare.table(found))
    return 1 if compare.regressions(found) else 0


def _run_show(args: argparse.Namespace) -> int:
    from workbench import provenance  # noqa: PLC0415
    from workbench.bench import record, tables  # noqa: PLC0415

    path = args.file or record.recorded()
    rows = record.read(path)
    where = record.first_about(rows, path)
    found = tables.rows(record.results(rows).values())
    if args.csv:
        _say(tables.csv_text(found).rstrip("\n"))
    elif args.latex:
        _say(tables.latex(found, provenance.source(where)).rstrip("\n"))
    else:
        _say(f"{provenance.source(where)}\n{tables.text(found)}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
