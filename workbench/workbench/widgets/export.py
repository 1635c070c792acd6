"""Configurations as files and as Python text."""

from __future__ import annotations

import csv
import io
import json
import keyword
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SUFFIXES = (".json", ".csv")


def export(
    path: str | Path,
    names: Sequence[str],
    rows: Iterable[Sequence[int]],
    about: Mapping[str, object],
    *,
    overwrite: bool = False,
) -> Path:
    """Write configurations to `path`, JSON or CSV by its suffix, and return the path.

    `rows` are configurations, one value for each of `names`; `about` goes into a JSON file beside
    them. The file appears whole or not at all.

    Raises
    ------
    WorkbenchError
        Unknown suffix, no such folder, or a file that is there already without `overwrite`.
    """
    path = Path(path).expanduser()
    if path.suffix not in _SUFFIXES:
        raise WorkbenchError(f"{path.name!r}: expected a name ending in .json or .csv")
    if not path.parent.is_dir():
        raise WorkbenchError(f"no folder {str(path.parent)!r} to write {path.name} into")
    text = _json(names, rows, about) if path.suffix == ".json" else _csv(names, rows)
    _write_whole(path, text, overwrite=overwrite)
    return path


def as_python(name: str, configuration: Mapping[str, int]) -> str:
    """Return a configuration as an assignment of Python, for pasting into a cell.

    Keywords of a call where every name is an identifier, a dict display otherwise.
    """
    if all(key.isidentifier() and not keyword.iskeyword(key) for key in configuration):
        inside = ", ".join(f"{key}={value}" for key, value in configuration.items())
        return f"{name} = dict({inside})"
    inside = ", ".join(f"{key!r}: {value}" for key, value in configuration.items())
    return f"{name} = {{{inside}}}"


def _json(names: Sequence[str], rows: Iterable[Sequence[int]], about: Mapping[str, object]) -> str:
    configurations = [dict(zip(names, (int(value) for value in row), strict=True)) for row in rows]
    return json.dumps({**about, "configurations": configurations}, indent=1) + "\n"


def _csv(names: Sequence[str], rows: Iterable[Sequence[int]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([int(value) for value in row] for row in rows)
    return sink.getvalue()


def _write_whole(path: Path, text: str, *, overwrite: bool) -> None:
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as sink:
            sink.write(text)
        if overwrite:
            Path(scratch).replace(path)
            return
        os.link(scratch, path)  # unlike a rename, fails where the name is taken
    except FileExistsError:
        raise WorkbenchError(
            f"{path} exists already; choose another name or allow overwriting"
        ) from None
    except OSError as error:
        raise WorkbenchError(f"cannot write {path}: {error.strerror}") from None
    finally:
        Path(scratch).unlink(missing_ok=True)
