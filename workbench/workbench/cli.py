"""The command line: ``workbench lab`` opens the notebooks, ``workbench solve`` solves a file.

Parses, calls the library, prints; no logic of its own. Exit codes: 0 done, 1 the answer is no
(an infeasible problem), 2 bad input; a bug keeps its traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from workbench import lab, solve_cli
from workbench.bench import cli as bench_cli
from workbench.clumps import cli as clumps_cli
from workbench.errors import WorkbenchError
from workbench.statetracking import cli as states_cli
from workbench.tuning import cli as tune_cli

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """examples:
  workbench lab                                  open JupyterLab on the first tutorial
  workbench solve hotspot --count                how many configurations satisfy a problem
  workbench solve my_space.json --maximize "bm * bn"
  workbench tune lstm-12x64-B16                  find the fastest launch of a kernel on this GPU
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command's module adds its own."""
    parser = argparse.ArgumentParser(
        prog="workbench",
        description="Solve GPU kernel configurations, run RNN kernels, find and audit clumps.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (lab, solve_cli, tune_cli, bench_cli, states_cli, clumps_cli):
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return 2
    except BrokenPipeError:  # `workbench solve ... | head` closed the pipe: not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
