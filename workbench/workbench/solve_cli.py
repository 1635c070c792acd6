"""``workbench solve``: questions to a problem file, answered on the terminal.

Exit codes: 0 done, 1 there is no solution, 2 bad input (one line on stderr).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsolver import ExpressionError, Infeasible, IntsolverError

from workbench.errors import WorkbenchError
from workbench.widgets.sources import open_space

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intsolver import Explanation, Problem

_DESCRIPTION = """\
Solve an integer constraint problem exactly: how many solutions it has, the first, the best, some
drawn at random, or why there is none.

SPACE is the name of a problem that comes with the project, or the path of a file: JSON in the
intcsp-1 format, or Kernel Tuner's T1 input."""
_EPILOG = """\
examples:
  workbench solve hotspot                          a summary: variables, constraints, count
  workbench solve hotspot --count                  349853
  workbench solve gemm --first                     one solution, found without listing the others
  workbench solve gemm --maximize "MWG * NWG" --top 3
  workbench solve microhh --sample 5 --seed 1 --csv > some.csv
  workbench solve my_space.json --limit 20 --json
  workbench solve my_space.json --set smem=49152 --set bm=64 --count
  workbench solve my_space.json --set smem=1 --explain

--set gives a parameter of the problem another value, or pins a variable to one.
Exit codes: 0 done, 1 there is no solution, 2 bad input (one line on stderr).
"""
_SHOWN = 8  # names in the text of a summary
_QUOTED = 80  # characters of a text in a message


def add_parser(commands: Any) -> None:
    """Add the ``solve`` command to `commands`, the parser's group of subcommands."""
    parser = commands.add_parser(
        "solve",
        help="count, find, optimise or explain the solutions of a problem file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("space", metavar="SPACE", help="a shipped name or a path")
    question = parser.add_argument_group("question (one; none gives a summary)")
    one = question.add_mutually_exclusive_group()
    one.add_argument("--count", action="store_true", help="the number of solutions")
    one.add_argument("--first", action="store_true", help="one solution")
    one.add_argument("--limit", type=_positive, metavar="N", help="the first N solutions")
    one.add_argument("--sample", type=_positive, metavar="N", help="N drawn uniformly")
    one.add_argument("--maximize", metavar="EXPR", help="the solution where EXPR is greatest")
    one.add_argument("--minimize", metavar="EXPR", help="the solution where EXPR is least")
    one.add_argument("--explain", action="store_true", help="why there is none, what would help")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values")
    parser.add_argument("--top", type=_positive, metavar="K", help="the K best, best first")
    parser.add_argument("--seed", type=int, metavar="S", help="makes --sample repeatable")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--csv", action="store_true", help="print solutions as CSV")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer one question.

    Raises
    ------
    WorkbenchError
        The file, a value or an expression is not usable.
    """
    _check_flags(args)
    try:
        problem = _opened(args.space)
        return _answer(problem, _values(problem, args.values), args)
    except Infeasible as error:
        what = str(error).partition("; explain")[0]  # the method's name; here it is a flag
        _say(f"workbench: {what}; --explain says why", sys.stderr)
        return 1
    except IntsolverError as error:
        raise WorkbenchError(f"{args.space}: {_one_line(error)}") from None
    except OSError as error:
        raise WorkbenchError(f"{args.space[:200]!r} cannot be read: {error.strerror}") from None
    except WorkbenchError as error:  # a message about text in a file points at it in three lines
        raise WorkbenchError(_joined(str(error))) from None


def _opened(space: str) -> Problem:
    if Path(space).is_dir():
        raise WorkbenchError(f"{space!r} is a folder; expected a file or a shipped name")
    return open_space(space).build()


def _check_flags(args: argparse.Namespace) -> None:
    lists = args.first or args.limit or args.sample or args.maximize or args.minimize
    if args.csv and not lists:
        raise WorkbenchError(
            "--csv lists solutions; give --first, --limit, --sample, --maximize or --minimize too"
        )
    if args.top and not (args.maximize or args.minimize):
        raise WorkbenchError("--top needs --maximize EXPR or --minimize EXPR")
    if args.seed is not None and not args.sample:
        raise WorkbenchError("--seed needs --sample N")


def _answer(problem: Problem, values: dict[str, int], args: argparse.Namespace) -> int:
    if args.count:
        return _counted(problem.count(**values), args)
    if args.explain:
        return _explained(problem.explain(**values), args)
    solutions = _solutions(problem, values, args)
    return _summarised(problem, values, args) if solutions is None else _listed(solutions, args)


def _solutions(
    problem: Problem, values: dict[str, int], args: argparse.Namespace
) -> Iterable[Mapping[str, int]] | None:
    """Return the solutions that are asked for, None where none are."""
    objective = args.maximize or args.minimize
    if objective:
        best = problem.maximize if args.maximize else problem.minimize
        found = best(objective, args.top or 1, **values)
        return [{**optimum, objective: optimum.value} for optimum in found]
    if args.first:
        return [problem.first(**values)]
    if args.limit:
        return problem.limit(args.limit, **values)
    if args.sample:
        return problem.solve(**values).sample(args.sample, seed=args.seed)
    return None


def _counted(count: int, args: argparse.Namespace) -> int:
    _say(json.dumps({"count": count}) if args.json else str(count))
    return 0 if count else 1


def _listed(solutions: Iterable[Mapping[str, int]], args: argparse.Namespace) -> int:
    rows = [dict(solution) for solution in solutions]
    if args.json:
        _say(json.dumps({"solutions": rows}, indent=1))
    elif args.csv and rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif rows:
        for row in rows:
            _say("  ".join(f"{name}={value}" for name, value in row.items()))
    if not rows:
        _say("workbench: no solution; --explain says why", sys.stderr)
    return 0 if rows else 1


def _explained(explanation: Explanation, args: argparse.Namespace) -> int:
    if args.json:
        relaxations = [
            {"constraint": r.constraint, "text": r.text, "name": r.parameter, "value": r.value}
            for r in explanation.relaxations
        ]
        content = {
            "feasible": explanation.feasible,
            "core": explanation.core,
            "relaxations": relaxations,
        }
        _say(json.dumps(content, indent=1))
    else:
        _say(str(explanation))
    return 0 if explanation.feasible else 1


def _summarised(problem: Problem, values: dict[str, int], args: argparse.Namespace) -> int:
    started = time.perf_counter()
    count = problem.count(**values)
    seconds = time.perf_counter() - started
    summary = {
        "name": problem.name,
        "variables": [v.name for v in problem.variables],
        "constraints": len(problem.constraints),
        "parameters": {
            **problem.params,
            **{k: v for k, v in values.items() if k in problem.params},
        },
        "count": count,
        "seconds": round(seconds, 4),
    }
    if args.json:
        _say(json.dumps(summary, indent=1))
    else:
        _say(_summary(summary, problem))
    return 0 if count else 1


def _summary(summary: dict[str, Any], problem: Problem) -> str:
    names, params = summary["variables"], summary["parameters"]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    cartesian = 1
    for variable in problem.variables:
        cartesian *= len(variable.domain)
    lines = [
        summary["name"],
        f"  {len(names)} variables: {shown}",
        f"  {summary['constraints']} constraints",
        f"  {summary['count']:,} solutions among {cartesian:,} combinations",
        f"  counted in {1e3 * summary['seconds']:.1f} ms",
    ]
    if params:
        lines.insert(2, "  parameters: " + ", ".join(f"{k} = {v}" for k, v in params.items()))
    if not summary["count"]:
        lines.append("  --explain says why there is none")
    return "\n".join(lines)


def _values(problem: Problem, assignments: Iterable[str]) -> dict[str, int]:
    known = [*problem.params, *(v.name for v in problem.variables)]
    values: dict[str, int] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise WorkbenchError(f"--set {assignment}: expected NAME=VALUE, as in --set smem=49152")
        if name not in known:
            listed = ", ".join(known)
            raise WorkbenchError(f"--set {assignment}: unknown name {name!r}; known: {listed}")
        try:
            values[name] = int(value)
        except ValueError:
            raise WorkbenchError(
                f"--set {assignment}: expected an integer, got {value!r}"
            ) from None
    return values


def _one_line(error: IntsolverError) -> str:
    """Return a message in one line; where it points into a text, with the place in words."""
    if isinstance(error, ExpressionError) and error.text is not None:
        return f"{error.message}{_place(error.text, error.column)}"
    return _joined(str(error))


def _joined(message: str) -> str:
    lines = message.splitlines()
    if len(lines) == 3 and lines[2].strip() == "^":  # a text, and a caret below the place in it
        text = lines[1].lstrip()
        return lines[0] + _place(text, lines[2].index("^") - (len(lines[1]) - len(text)))
    return " ".join(line.strip() for line in lines)


def _place(text: str, column: int | None) -> str:
    line = " ".join(text.split())
    where = "" if column is None else f" at character {column + 1}"
    return f"{where} of `{line[:_QUOTED]}{'...' if len(line) > _QUOTED else ''}`"


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return number


def _say(line: str, stream: Any = None) -> None:
    print(line, file=stream or sys.stdout)
