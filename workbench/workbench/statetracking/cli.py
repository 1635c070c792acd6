"""``workbench states train|show``: parses, calls the library, prints."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError

_EPILOG = """examples:
  workbench states train --size small --jobs 2 --out states.json   minutes on a CPU
  workbench states train --jobs 6 --out states.json                minutes on a GPU
  workbench states show                                            the recorded results
"""
_TASKS = ("parity", "modular", "s5")
_MODELS = ("lstm", "slstm", "transformer")


def add_parser(commands: Any) -> None:
    """Add ``states`` and its commands to the subparsers `commands`."""
    parser = commands.add_parser(
        "states",
        help="train RNNs and a Transformer to track states",
        description="Parity, addition modulo 7 and the word problem of S5, far beyond the lengths "
        "of training.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(inner)
    show = inner.add_parser("show", help="print results", description="Print a table of results.")
    show.add_argument("file", nargs="?", type=Path, help="default: those that are recorded")
    show.set_defaults(run=_run_show)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train, or go on with runs that were broken off",
        description="Train every model on every task. Ctrl+C keeps what is done; the same command "
        "goes on from there.",
    )
    add = parser.add_argument
    add("--task", choices=("all", *_TASKS), default="all", help="default: %(default)s")
    add("--model", choices=("all", *_MODELS), default="all", help="default: %(default)s")
    add("--size", choices=("full", "small"), default="full", help="full is for a GPU")
    add("--jobs", type=int, default=1, metavar="N", help="runs at the same time")
    add("--device", help="default: cuda if there is one, else cpu")
    add("--steps", type=int, help="instead of each task's own number")
    add("--precision", choices=("float32", "bfloat16"), default="float32")
    add("--seed", type=int, default=0)
    add("--out", type=Path, required=True, metavar="FILE", help="results, JSON")
    add("--folder", type=Path, help="of checkpoints; default: the name of FILE without suffix")
    parser.set_defaults(run=_run_train)


def _run_train(args: argparse.Namespace) -> int:
    # `workbench --help` must not wait for torch.
    from workbench import provenance  # noqa: PLC0415
    from workbench.statetracking import record, study  # noqa: PLC0415

    if args.jobs < 1:
        raise WorkbenchError(f"--jobs {args.jobs}: expected at least 1")
    runs, device = _planned(args)
    folder = args.folder or args.out.with_suffix("")
    command = ("workbench", *sys.argv[1:])
    where, began = provenance.about(device, command), time.monotonic()
    done: list[dict[str, Any]] = []
    failed = 0
    _say(f"{len(runs)} runs on {where['device']}, {args.jobs} at a time; checkpoints in {folder}")
    try:
        for settings, result in study.train_all(runs, folder, device, args.jobs):
            if isinstance(result, Exception):
                failed += 1
                _say(f"{settings.name} failed:\n{''.join(traceback.format_exception(result))}")
                continue
            done.append(result)
            record.write(args.out, where, study.in_order(done, runs))
            _say(record.table([result]).splitlines()[1])
    except KeyboardInterrupt:
        _say(
            f"stopped; {len(done)} of {len(runs)} runs are in {args.out}, the same command goes on"
        )
        return 1
    _say(f"\n{record.table(study.in_order(done, runs))}\n{time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _planned(args: argparse.Namespace) -> tuple[list[Any], str]:
    """Return the runs that are asked for, and the device."""
    from dataclasses import replace  # noqa: PLC0415

    import torch  # noqa: PLC0415

    from workbench.statetracking import study  # noqa: PLC0415

    tasks = _TASKS if args.task == "all" else (args.task,)
    models = _MODELS if args.model == "all" else (args.model,)
    runs = [
        replace(one, seed=args.seed, precision=args.precision, steps=args.steps or one.steps)
        for one in study.plan(tasks, models, full=args.size == "full")
    ]
    return runs, args.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _run_show(args: argparse.Namespace) -> int:
    from workbench import provenance  # noqa: PLC0415
    from workbench.statetracking import record  # noqa: PLC0415

    results = record.recorded() if args.file is None else record.read(args.file)
    _say(f"{provenance.source(results['about'])}\n{record.table(results['runs'])}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
