"""Results as rows of a table: on the terminal, as CSV, as LaTeX."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from workbench.audit.atomic import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from workbench.bench.record import Row

COLUMNS = (
    "cell",
    "heads",
    "head_dim",
    "batch",
    "steps",
    "dtype",
    "backend",
    "ran",
    "direction",
    "ms",
    "ms_p25",
    "ms_p75",
    "peak_memory",
    "fraction",
    "correct",
    "failure",
)
_ESCAPED = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#"}


def rows(results: Iterable[Row]) -> list[dict[str, Any]]:
    """Return one row a result, with all columns; None where there is no value."""
    return [{name: row.get(name) for name in COLUMNS} for row in results]


def csv_text(found: Sequence[dict[str, Any]]) -> str:
    """Return the rows as CSV with a header, numbers as they were measured."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def write(path: Path, content: str, *, overwrite: bool = False) -> None:
    """Write a table, whole or not at all; raises WorkbenchError as `whole_file` does."""
    with whole_file(path, overwrite=overwrite) as part:
        part.write_text(content, encoding="utf-8")


def pairs(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a problem and backend, with `forward` and `both` in ms, None if missing."""
    same = ("cell", "heads", "head_dim", "batch", "steps", "dtype", "backend")
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in found:
        key = tuple(row[name] for name in same)
        one = merged.setdefault(key, {name: row[name] for name in same})
        one[row["direction"]] = row["ms"]
        one["correct"] = one.get("correct", True) and row["correct"] is not False
        one["failure"] = one.get("failure") or row["failure"]
        if row["direction"] == "forward":
            one["fraction"] = row["fraction"]
    return list(merged.values())


def text(found: Sequence[dict[str, Any]]) -> str:
    """Return the rows for a terminal, forward and both in one line."""
    lines = [f"{'problem':38}{'backend':13}{'forward ms':>11}{'both ms':>11}{'of floor':>9}"]
    for row in pairs(found):
        problem = f"{row['cell']} {row['heads']}x{row['head_dim']} B{row['batch']} T{row['steps']}"
        line = f"{problem + ' ' + row['dtype']:38}{row['backend']:13}"
        line += "".join(_number(row.get(name), 11) for name in ("forward", "both"))
        line += f"{'' if row.get('fraction') is None else format(row['fraction'], '.0%'):>9}"
        line += "" if row["correct"] else "  WRONG"
        lines.append(line + (f"  {row['failure']}" if row["failure"] else ""))
    return "\n".join(lines)


def _number(value: float | None, width: int) -> str:
    return f"{'':{width}}" if value is None else f"{value:{width}.3f}"


def latex(found: Sequence[dict[str, Any]], caption: str) -> str:
    """Return a table for a paper (package booktabs), a line a problem and backend, ms."""
    lines = [
        r"\begin{table}",
        rf"\caption{{Median milliseconds, {_escaped(caption)}.}}",
        r"\begin{tabular}{lrrrllrr}",
        r"\toprule",
        r"cell & heads $\times$ size & batch & steps & type & backend & forward & both \\",
        r"\midrule",
    ]
    for row in pairs(found):
        shape = rf"${row['heads']} \times {row['head_dim']}$"
        words = [row["cell"], shape, row["batch"], row["steps"], row["dtype"], row["backend"]]
        words += [_latex_ms(row.get(name)) for name in ("forward", "both")]
        lines.append(" & ".join(w if "$" in str(w) else _escaped(str(w)) for w in words) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _latex_ms(value: float | None) -> str:
    return "--" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _escaped(words: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in words)
