"""``workbench tune``: parses, calls the library, prints.

Exit codes: 0 done, 1 the launch model was wrong about a launch, 2 bad input, 130 cancelled.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.tuning.problems import Problem
    from workbench.tuning.report import Record
    from workbench.tuning.run import Device, Jobs

_DESCRIPTION = """Measure launches of RNN kernels on this machine's GPU and keep the fastest, which
rnn(..., backend="cuda") runs from then on. For each problem the launches of least predicted cost
and some random ones are compiled, compared with PyTorch, and timed. Nothing has to be tuned:
otherwise the launch of least predicted cost runs, and the table says how far that is from the best.
"""
_EPILOG = """A problem is CELL-HEADSxSIZE-Bbatch, with -TYPE if not bfloat16. The number of steps
decides nothing. Times are of one step, of the recurrent kernel alone.

examples:
  workbench tune lstm-12x64-B16                      an LSTM of 12 heads of 64 units, batch 16
  workbench tune gru-1x768-B64-float16 --direction forward --random 30
  workbench tune --standard --out tune.json          25 problems, both ways, with a record: minutes
  workbench tune --standard --list --gpu A100        what the model would launch; needs no GPU
"""
_CANCELLED = 130


def add_parser(commands: Any) -> None:
    """Add ``tune`` to the subparsers `commands`."""
    parser = commands.add_parser(
        "tune",
        help="find the fastest launch of an RNN kernel on this GPU",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "problems", nargs="*", metavar="PROBLEM", help="as lstm-12x64-B16 or lstm-12x64-B16-float16"
    )
    add("--standard", action="store_true", help="the problems that the model is judged by")
    add("--direction", nargs="+", choices=("forward", "backward"), metavar="DIRECTION",
        default=["forward", "backward"], help="forward, backward; default: both")  # fmt: skip
    add("--top", type=int, default=4, metavar="N",
        help="launches of least predicted cost; default: %(default)s")  # fmt: skip
    add("--random", type=int, default=6, metavar="N",
        help="further ones, drawn from all that fit; default: %(default)s")  # fmt: skip
    add("--seed", type=int, default=0, help="of these; default: %(default)s")
    add("--also", type=Path, metavar="RECORD", help="measure the launches of this record, too")
    add("--out", type=Path, metavar="FILE", help="write a record of every launch, JSON")
    add("--no-keep", action="store_true", help="measure only; rnn(...) goes on as before")
    add("--budget", type=float, metavar="SECONDS", help="begin no problem after this time")
    add("--workers", type=int, metavar="N", help="processes that compile; default: one a core")
    add("--list", action="store_true", help="print what the model would launch, and stop")
    add("--gpu", help="with --list: a GPU's name; default: the one here, else H200")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    # `workbench --help` must not wait for torch.
    from rnnkernels.errors import RnnError  # noqa: PLC0415

    from workbench.tuning.problems import STANDARD, Problem  # noqa: PLC0415

    _check(args)
    named = [Problem.parse(text) for text in args.problems]
    wanted = list(dict.fromkeys([*(STANDARD if args.standard else ()), *named]))
    try:
        return _list(args, wanted) if args.list else _tune(args, wanted)
    except RnnError as error:
        raise WorkbenchError(str(error)) from None


def _check(args: argparse.Namespace) -> None:
    if not args.problems and not args.standard:
        raise WorkbenchError(
            "nothing to tune: name a problem, as in `workbench tune lstm-12x64-B16`, or --standard"
        )
    for name, least in (("top", 1), ("random", 0), ("workers", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise WorkbenchError(f"--{name} {value}: expected at least {least}")
    if args.budget is not None and not args.budget > 0:
        raise WorkbenchError(f"--budget {args.budget}: expected seconds above 0")
    if args.out is not None and args.out.is_dir():
        raise WorkbenchError(f"--out {args.out} is a folder; expected a file")
    if args.out is not None and not args.out.parent.is_dir():
        raise WorkbenchError(f"--out {args.out}: there is no folder {args.out.parent}")
    if args.gpu is not None and not args.list:
        raise WorkbenchError("--gpu goes with --list; tuning measures on the GPU of this machine")


def _list(args: argparse.Namespace, wanted: list[Problem]) -> int:
    from rnnkernels.gpus import find_gpu  # noqa: PLC0415
    from rnnkernels.plan import planned, why_none  # noqa: PLC0415

    from workbench.tuning import problems, report, run  # noqa: PLC0415

    here = run.Device.here() if args.gpu is None else None
    gpu = find_gpu(args.gpu or "H200") if here is None else here.gpu
    _say(f"what the model would launch on {'this' if here else 'an'} {gpu.name}, not measured")
    for call in problems.calls(wanted, gpu, args.direction):
        choice = planned(call)
        if choice is None:
            _say(report.planned_line(call, None, 0, why_none(call)))
        else:
            _say(report.planned_line(call, choice.config, choice.picoseconds, ""))
    return 0


def _tune(args: argparse.Namespace, wanted: list[Problem]) -> int:
    from workbench.tuning import problems, run  # noqa: PLC0415
    from workbench.tuning.records import launches_of  # noqa: PLC0415

    device = run.Device.here()
    if device is None:
        raise WorkbenchError(
            "tuning measures on a CUDA device of sm_80 or newer, and there is none here; --list "
            "says what the model would launch, which rnn(...) runs on a GPU without tuning"
        )
    known = launches_of(args.also) if args.also else {}
    todo = run.jobs(
        problems.calls(wanted, device.gpu, args.direction),
        top=args.top,
        random=args.random,
        seed=args.seed,
        also=lambda call: known.get(call, ()),
    )
    _say(f"compiling {sum(len(configs) for _, configs in todo)} kernels of {len(todo)} calls")
    run.compile_kernels(todo, args.workers)
    return _measured(args, todo, device)


def _measured(args: argparse.Namespace, todo: Jobs, device: Device) -> int:
    """Print a line a call as it comes, write the record, and say what came out."""
    from workbench import provenance  # noqa: PLC0415
    from workbench.tuning import report, run  # noqa: PLC0415

    about = provenance.about("cuda", ("workbench", *sys.argv[1:])) | {
        "timed": "the recurrent kernel alone, L2 overwritten; nanoseconds a step"
    }
    records: list[Record] = []
    _say(report.HEAD)
    try:
        for found in run.tune(todo, device, keep=not args.no_keep, seconds=args.budget):
            records.append(report.record_of(found))
            _say(report.line(found))
            if args.out is not None:
                report.write(args.out, records, about)
    except KeyboardInterrupt:
        _say(f"cancelled after {len(records)} of {len(todo)} calls; what is measured is kept")
        return _CANCELLED
    except OSError as error:
        raise WorkbenchError(f"what is tuned cannot be kept: {error}") from None
    return _concluded(args, records, todo)


def _concluded(args: argparse.Namespace, records: list[Record], todo: Jobs) -> int:
    from rnnkernels.tuned import file_of  # noqa: PLC0415

    from workbench.tuning import report  # noqa: PLC0415

    if len(records) < len(todo):
        _say(f"time is up: {len(todo) - len(records)} calls are left")
    found = report.summary(records)
    _say(report.verdict(found))
    if not args.no_keep:
        _say(f"the fastest are kept in {file_of(todo[0][0].gpu)}")
    if args.out is not None:
        _say(f"record: {args.out}")
    return 1 if any(found[name] for name in report.FAULTS) else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
