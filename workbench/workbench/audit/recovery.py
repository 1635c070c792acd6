"""A damaged journal is set aside under a dated name, and read as far as it goes.

Nothing of it is ever overwritten; its log and index files keep it company under the same name.
"""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import pathname2url

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMPANIONS = ("", "-wal", "-shm")


def damage(path: Path) -> str | None:
    """Return what is wrong with the SQLite file at `path`, None where all is well or no file is."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return None  # locked or not readable: opening it says so
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found


def set_aside(path: Path) -> Path:
    """Rename the file and its companions to a dated name beside it; return that name."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    for companion in _COMPANIONS:
        there = Path(f"{path}{companion}")
        if there.exists():
            there.rename(f"{aside}{companion}")
    return aside


def salvage(path: Path, query: str) -> list[Sequence[Any]]:
    """Return the rows of `query` that a damaged file still gives, by their first column.

    They are read from both ends, up to the damage; the file is opened for reading only.
    """
    rows: dict[Any, Sequence[Any]] = {}
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.Error):
            address = f"file:{pathname2url(str(path.absolute()))}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
                for row in connection.execute(f"{query} ORDER BY 1 {order}"):
                    if any(value is None for value in row[:-1]):
                        break  # a torn page reads as emptiness
                    rows[row[0]] = row
    return [rows[key] for key in sorted(rows)]
