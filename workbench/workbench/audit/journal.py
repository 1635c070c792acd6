"""The journal of an audit: one row an action in SQLite, on the disk before the next action.

Rows are only ever added; what a galaxy looks like is the replay of its rows (`replay.py`). The
file is in write-ahead mode with full synchronisation, so that a killed process or machine loses at
most the action in flight, and several processes may work on one file at a time. The folder must be
on a local disk: write-ahead mode does not work over a network.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit import recovery
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

SUFFIX = ".sqlite"
APPLICATION = 0x666C6175  # "flau": marks the file as ours
VERSION = 1
WAIT_SECONDS = 10.0  # for another process's action, which takes milliseconds

_SCHEMA = (
    """CREATE TABLE action (
         seq INTEGER PRIMARY KEY AUTOINCREMENT,
         batch INTEGER NOT NULL,      -- rows of one decision share it: undone together
         time TEXT NOT NULL,          -- UTC, ISO 8601
         auditor TEXT NOT NULL,
         galaxy TEXT NOT NULL,
         kind TEXT NOT NULL,
         box TEXT NOT NULL,           -- identifier; '' is the galaxy itself
         before TEXT NOT NULL,        -- JSON, null where there was nothing
         after TEXT NOT NULL,         -- JSON, null where nothing is left
         target INTEGER               -- the batch undone, redone or reverted
       )""",
    "CREATE INDEX action_of ON action (auditor, galaxy, seq)",
    """CREATE TRIGGER never_changed BEFORE UPDATE ON action
       BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END""",
    """CREATE TRIGGER never_deleted BEFORE DELETE ON action
       BEGIN SELECT RAISE(ABORT, 'the journal is only added to'); END""",
)
_COLUMNS = "seq, batch, time, auditor, galaxy, kind, box, before, after, target"
_SELECT = f"SELECT {_COLUMNS} FROM action"  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True)
class Entry:
    """What one action does to one box; `box` "" is the galaxy itself.

    `before` and `after` are what JSON keeps of the box, None where there is none.
    """

    kind: str
    box: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    target: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it stands in the journal."""

    seq: int
    batch: int
    time: str
    auditor: str
    galaxy: str
    entry: Entry


class Journal:
    """An open journal file; made where there is none.

    Attributes
    ----------
    path
        The file.
    aside
        Where a damaged file of that name was moved, None normally.

    Raises
    ------
    WorkbenchError
        The name does not end in ``.sqlite``, the folder is missing, the file belongs to another
        program or a newer version, or the disk allows no write-ahead mode.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if self.path.suffix != SUFFIX:
            raise WorkbenchError(f"{self.path}: expected a name ending in {SUFFIX}")
        if not self.path.parent.is_dir():
            raise WorkbenchError(f"no folder {self.path.parent} to keep {self.path.name} in")
        self._lock = threading.RLock()  # JupyterLab's messages come on a thread of their own
        self.aside: Path | None = None
        if recovery.damage(self.path):
            self.aside = recovery.set_aside(self.path)
        self._connection = self._open()
        if self.aside:
            self._take_over(recovery.salvage(self.aside, _SELECT))

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            _prepare(connection, self.path)
        except sqlite3.Error as error:
            raise WorkbenchError(f"{self.path}: cannot be opened as a journal ({error})") from error
        return connection

    def _take_over(self, rows: Iterable[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(_COLUMNS.split(",")))
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                f"INSERT INTO action ({_COLUMNS}) VALUES ({marks})",  # noqa: S608 - our own names
                rows,
            )
            self._connection.execute("COMMIT")

    def act(
        self, auditor: str, galaxy: str, decide: Callable[[list[Row]], Sequence[Entry]]
    ) -> list[Row]:
        """Write what `decide` makes of the galaxy's rows, as one batch; return all its rows.

        Reading, deciding and writing are one transaction: what another process wrote before is
        seen, and nothing comes between. When this returns, the disk holds the action.

        Raises
        ------
        WorkbenchError
            Another process held the file for longer than `WAIT_SECONDS`; also what `decide` raises.
        """
        with self._lock:
            self._execute("BEGIN IMMEDIATE")
            try:
                entries = decide(self.rows(auditor=auditor, galaxy=galaxy))
                self._append(auditor, galaxy, entries)
                self._execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return self.rows(auditor=auditor, galaxy=galaxy)

    def _append(self, auditor: str, galaxy: str, entries: Iterable[Entry]) -> None:
        batch = self._execute("SELECT coalesce(max(seq), 0) + 1 FROM action").fetchone()[0]
        now = datetime.now(UTC).isoformat()
        for entry in entries:
            self._execute(
                "INSERT INTO action (batch, time, auditor, galaxy, kind, box, before, after, "
                "target) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (batch, now, auditor, galaxy, entry.kind, entry.box, json.dumps(entry.before),
                 json.dumps(entry.after), entry.target),
            )  # fmt: skip

    def rows(self, *, auditor: str | None = None, galaxy: str | None = None) -> list[Row]:
        """Return the rows, oldest first, of an auditor and a galaxy where given."""
        wanted = {"auditor": auditor, "galaxy": galaxy}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given) or "1"
        query = f"{_SELECT} WHERE {where} ORDER BY seq"
        found = self._execute(query, tuple(given.values())).fetchall()
        return [_row(values) for values in found]

    def of_kind(self, kind: str, auditor: str, *, latest: int) -> list[Row]:
        """Return the `latest` rows of one kind of an auditor, oldest first."""
        query = f"{_SELECT} WHERE auditor = ? AND kind = ? ORDER BY seq DESC LIMIT ?"
        found = self._execute(query, (auditor, kind, latest)).fetchall()
        return [_row(values) for values in reversed(found)]

    def of_galaxies(self, auditor: str, *, leave_out: str) -> list[Row]:
        """Return an auditor's rows about galaxies as a whole, of all kinds but one."""
        query = f"{_SELECT} WHERE auditor = ? AND box = '' AND kind <> ? ORDER BY seq"
        return [_row(values) for values in self._execute(query, (auditor, leave_out)).fetchall()]

    def auditors(self) -> list[str]:
        """Return the names of all who acted, sorted."""
        found = self._execute("SELECT DISTINCT auditor FROM action ORDER BY auditor").fetchall()
        return [name for (name,) in found]

    def galaxies(self, auditor: str) -> list[str]:
        """Return the galaxies that an auditor acted on, in order of the first action."""
        query = "SELECT galaxy FROM action WHERE auditor = ? GROUP BY galaxy ORDER BY min(seq)"
        return [name for (name,) in self._execute(query, (auditor,)).fetchall()]

    def last_galaxy(self, auditor: str) -> str | None:
        """Return the galaxy of the auditor's last action, opening one included."""
        query = "SELECT galaxy FROM action WHERE auditor = ? ORDER BY seq DESC LIMIT 1"
        found = self._execute(query, (auditor,)).fetchone()
        return None if found is None else str(found[0])

    def close(self) -> None:
        """Close the file; the last process to do so folds the write-ahead log into it."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            with self._lock:
                return self._connection.execute(query, values)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise WorkbenchError(
                    f"{self.path}: another process has held the journal for {WAIT_SECONDS:g} s; "
                    "nothing was written: try again, or close the other notebook"
                ) from error
            raise WorkbenchError(f"{self.path}: the action was not saved ({error})") from error


def _row(values: Sequence[Any]) -> Row:
    seq, batch, time, auditor, galaxy, kind, box, before, after, target = values
    entry = Entry(kind, box, json.loads(before), json.loads(after), target)
    return Row(seq, batch, time, auditor, galaxy, entry)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise WorkbenchError(
            f"{path}: this disk allows no write-ahead journal (mode {mode}); use a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")  # two processes may make the file at the same time
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION and tables:
        raise WorkbenchError(f"{path}: a database of another program; choose another name")
    if version > VERSION:
        raise WorkbenchError(
            f"{path}: written by a newer version (schema {version}, this one knows {VERSION}); "
            "update flashclump"
        )
    if not tables:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")
