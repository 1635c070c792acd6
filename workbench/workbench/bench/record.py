"""Results as JSON lines, one a case, appended as they come: what a kill leaves is valid.

    {"kind": "about", device, driver, versions, commit, date, command, plan, ...}   begins each part
    {"kind": "result", "key", the case's fields, "ms", "ms_p25", "ms_p75", ...}
    {"kind": "result", "key", the case's fields, "failure"}
    {"kind": "end", "why": "done" or "budget"}

A part begins when the command is started on the file, or started again after a kill. A torn last
line is left out by readers and cut off before the next is written.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from workbench import datafiles, provenance
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

Row = dict[str, Any]
PREFIX = "rnn_bench"
# Timings of one file are comparable: these do not change between its parts. A commit may: most
# change nothing that is timed.
SAME = ("device", "driver", "torch", "triton", "cuda", "cudnn", "code")
_BEGINNING = b'{"kind": "about"'


def about(device: torch.device, command: Sequence[str], plan: str, cases: int) -> Row:
    """Return the line that a part begins with: what is measured on, and what is asked for."""
    clock = "device events" if device.type == "cuda" else "wall clock"
    return {
        "kind": "about",
        **provenance.about(device, command, (*provenance.KERNELS, "workbench.bench")),
        "clock": clock,
        "plan": plan,
        "cases": cases,
    }


def append(path: Path, row: Row) -> None:
    """Append a line and have it on the disk before returning."""
    line = (json.dumps(row) + "\n").encode()
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def mend(path: Path) -> bool:
    """Cut off a torn last line, if there is one; return whether there was.

    A file that is not one of results is left alone.
    """
    content = path.read_bytes() if path.exists() else b""
    if content[: len(_BEGINNING)] != _BEGINNING[: len(content)]:
        return False
    whole = len(content) if _ends_well(content) else content.rfind(b"\n", 0, len(content) - 1) + 1
    if whole == len(content):
        return False
    with path.open("rb+") as file:
        file.truncate(whole)
    return True


def _ends_well(content: bytes) -> bool:
    if not content:
        return True
    last = content[content.rfind(b"\n", 0, len(content) - 1) + 1 :]
    return last.endswith(b"\n") and _parsed(last) is not None


def _parsed(line: bytes) -> Row | None:
    try:
        row: Any = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "kind" in row else None


def read(path: Path) -> list[Row]:
    """Return the lines of a file, without a torn last one; each result has its part's `about`.

    Raises
    ------
    WorkbenchError
        The file is missing or is no file of results.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise WorkbenchError(f"{path} cannot be read: {error.strerror}") from None
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        row = _parsed(line)
        if number == len(lines) > 1 and not (row and line.endswith(b"\n")):
            break  # torn by a kill
        if row is None or (number == 1 and row["kind"] != "about"):
            raise WorkbenchError(
                f"{path}, line {number}: expected a JSON object as `workbench bench rnn` writes"
            )
        rows.append(row)
    return rows


def results(rows: Sequence[Row]) -> dict[str, Row]:
    """Return key to result; of a case that was timed again, the last."""
    return {row["key"]: row for row in rows if row["kind"] == "result"}


def first_about(rows: Sequence[Row], path: Path) -> Row:
    """Return what the file was measured on.

    Raises
    ------
    WorkbenchError
        The file is empty.
    """
    if not rows:
        raise WorkbenchError(f"{path} is empty; `workbench bench rnn --out {path}` fills it")
    return rows[0]


def check_same(path: Path, before: Row, here: Row) -> None:
    """Raise WorkbenchError if a part measured here does not belong into this file."""
    for name in SAME:
        if before.get(name) != here.get(name):
            raise WorkbenchError(
                f"{path} was measured with {name} {before.get(name)}, here it is {here.get(name)}: "
                "give another --out"
            )


def recorded() -> Path:
    """Return the sweep that comes with the project: of a GPU before a CPU's, the newest.

    Raises
    ------
    WorkbenchError
        None came with this installation.
    """
    paths = sorted(datafiles.folder("results").glob(f"{PREFIX}*.jsonl"))
    if not paths:
        raise WorkbenchError(
            f"no {PREFIX}*.jsonl among the recorded results; `workbench bench rnn --out "
            f"{PREFIX}.jsonl` measures here"
        )

    def rank(path: Path) -> tuple[bool, str]:
        where = first_about(read(path), path)
        return where["accelerator"] == "cuda", where["date"]

    return max(paths, key=rank)
