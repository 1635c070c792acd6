"""Results as JSON lines, one a case, appended as they come: what a kill leaves is valid.

    {"kind": "about", device, driver, versions, commit, date, command, plan, ...}   begins each part
    {"kind": "result", "key", the case's fields, "ms", "ms_p25", "ms_p75", ...}
    {"kind": "result", "key", the case's fields, "failure"}
    {"kind": "end", "why": "done" or "budget"}

A part begins when the command is started on the file, or started again after a kill. A torn last
line is left out by readers and cut off before the next is written.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from workbench import datafiles
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, Any]
PREFIX = "rnn_bench"
# Timings of one file are comparable: these do not change between its parts.
SAME = ("device", "driver", "torch", "triton", "cuda", "cudnn", "commit")
_BEGINNING = b'{"kind": "about"'
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:/[\w.+@-]+)+/([\w.+@-]+)")


def about(device: torch.device, command: Sequence[str], plan: str, cases: int) -> Row:
    """Return hardware, versions, date, command and commit of a part."""
    found: Row = {"kind": "about", "accelerator": device.type}
    if device.type == "cuda":
        shown = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        properties = torch.cuda.get_device_properties(device)
        found |= {"device": properties.name, "sms": properties.multi_processor_count}
        found |= {"driver": _first_line(shown), "cuda": torch.version.cuda}
        found |= {"cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
        found |= {"clock": "device events"}
    else:
        model = f"a CPU ({platform.machine()}, {os.cpu_count()} cores)"
        found |= {"device": model, "threads": torch.get_num_threads(), "clock": "wall clock"}
    return found | {
        "torch": torch.__version__,
        "triton": _version("triton"),
        "flashclump": _installed("flashclump"),
        "python": platform.python_version(),
        "date": now(),
        "command": " ".join(plain(word) for word in command),
        "commit": os.environ.get("COMMIT") or _first_line(["git", "rev-parse", "HEAD"]),
        "plan": plan,
        "cases": cases,
    }


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(text: str) -> str:
    """Return a text with paths cut to their last part: they are the machine's business."""
    return _PATH.sub(r"\1", text)


def _version(name: str) -> str | None:
    """Return the version of a module, None where there is none."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return getattr(module, "__version__", None) or _installed(name)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _first_line(command: list[str]) -> str:
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0]


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


def source(where: Row) -> str:
    """Return where and when results come from, for titles."""
    return f"recorded on {where['device']}, {where['date'][:10]}"


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
