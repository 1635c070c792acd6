"""Sheets of thumbnails on the disk, so that a folder seen before opens without decoding again.

It is a cache: whatever is wrong with the file, it is left out, and the pictures are read.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SUFFIX = ".thumbnails"
KEPT = 500  # sheets, about 130 MB: 100,000 galaxies
Sheet = tuple[bytes, list[tuple[int, int]]]

_SCHEMA = """CREATE TABLE IF NOT EXISTS sheet (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL,
    sizes TEXT NOT NULL, jpeg BLOB NOT NULL)"""


class SheetStore:
    """Sheets by what they show: `key` of the picture files.

    Parameters
    ----------
    path
        File, made when the first sheet is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._usable = True

    def get(self, key: str) -> Sheet | None:
        """Return JPEG and sizes (width, height) of its pictures, None where there is none."""
        if not self._path.is_file():
            return None
        query = "SELECT jpeg, sizes FROM sheet WHERE key = ?"
        rows = self._try(lambda file: file.execute(query, (key,)).fetchall())
        if not rows:
            return None
        jpeg, sizes = rows[0]
        return bytes(jpeg), [(int(width), int(height)) for width, height in json.loads(sizes)]

    def put(self, key: str, sheet: Sheet) -> None:
        """Keep a sheet; the oldest go when there are more than `KEPT`."""

        def write(file: sqlite3.Connection) -> list[Sequence[Any]]:
            with file:
                file.execute(_SCHEMA)
                values = key, json.dumps(sheet[1]), sheet[0]
                file.execute(
                    "INSERT OR REPLACE INTO sheet (key, sizes, jpeg) VALUES (?, ?, ?)", values
                )
                oldest = "DELETE FROM sheet WHERE number <= (SELECT max(number) FROM sheet) - ?"
                file.execute(oldest, (KEPT,))
            return []

        self._try(write)

    def _try(
        self, what: Callable[[sqlite3.Connection], list[Sequence[Any]]]
    ) -> list[Sequence[Any]]:  # fmt: skip
        with self._lock:
            if not self._usable:
                return []
            try:
                with closing(sqlite3.connect(self._path, timeout=1.0)) as file:
                    return what(file)
            except sqlite3.Error:  # no room, read-only, damaged, locked: work on without it
                self._usable = False
                return []


def key(paths: Sequence[Path], look: str) -> str | None:
    """Return what changes when a file or its `look` does; None where a file cannot be asked."""
    digest = hashlib.sha256(look.encode())
    try:
        for path in paths:
            known = path.stat()
            digest.update(f"{path}\0{known.st_size}\0{known.st_mtime_ns}\0".encode())
    except OSError:
        return None
    return digest.hexdigest()
