"""The journal of an audit loses nothing: kills, torn logs, damage, two processes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from workbench.audit.journal import VERSION, Entry, Journal
from workbench.errors import WorkbenchError

KILLS = 200
# Acts without end on one galaxy, each on what the last one left; says the number it has saved.
WRITER = """
import sys
from workbench.audit.journal import Entry, Journal
journal = Journal(sys.argv[1])
print("open", flush=True)
def step(rows):
    last = rows[-1].entry.after if rows else None
    return [Entry("move", "b", last, {"n": (last or {"n": 0})["n"] + 1, "pad": "x" * 300})]
while True:
    rows = journal.act(sys.argv[2], sys.argv[3], step)
    print(rows[-1].entry.after["n"], flush=True)
"""


def start_writer(path: Path, auditor: str, galaxy: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), auditor, galaxy]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line(writer: subprocess.Popen[str]) -> str:
    assert writer.stdout is not None
    return writer.stdout.readline().strip()


def kill(writer: subprocess.Popen[str]) -> list[int]:
    """Kill the writer at once; return the numbers it had said by then."""
    writer.kill()
    said, _ = writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    return [int(number) for number in said.split()]


def numbers(journal: Journal, auditor: str, galaxy: str) -> list[int]:
    """Return the numbers written, after checking that each row continues the last."""
    before = None
    found = []
    for row in journal.rows(auditor=auditor, galaxy=galaxy):
        assert row.entry.before == before
        before = row.entry.after
        assert before is not None
        found.append(before["n"])
    return found


def add(number: int) -> list[Entry]:
    return [Entry("add", f"b{number}", None, {"n": number})]


def fill(path: Path, count: int) -> None:
    with Journal(path) as journal:
        for number in range(count):
            journal.act("ada", f"g{number % 7}", lambda _, n=number: add(n))


def test_an_action_is_there_with_all_that_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    entry = Entry("move", "b", {"x1": 0.1}, {"x1": 0.30000000000000004})
    with Journal(path) as journal:
        rows = journal.act("ada", "g", lambda _: [entry])
    assert [row.entry for row in rows] == [entry]
    with Journal(path) as again:
        assert again.rows() == rows
        assert again.last_galaxy("ada") == "g"
        assert again.last_galaxy("bob") is None
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+\+00:00", rows[0].time)


def test_rows_can_be_neither_changed_nor_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    fill(path, 3)
    with sqlite3.connect(path) as connection:
        for statement in ("UPDATE action SET auditor = 'eve'", "DELETE FROM action"):
            with pytest.raises(sqlite3.IntegrityError, match="only added to"):
                connection.execute(statement)
    connection.close()


def test_a_refused_action_leaves_no_row_and_no_lock(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.sqlite") as journal:

        def refuse(_: object) -> list[Entry]:
            raise WorkbenchError("no")

        with pytest.raises(WorkbenchError, match="no"):
            journal.act("ada", "g", refuse)
        assert journal.rows() == []
        assert len(journal.act("ada", "g", lambda _: add(1))) == 1


def test_auditors_are_kept_apart(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.sqlite") as journal:
        journal.act("ada", "g", lambda _: add(1))
        seen = []
        journal.act("bob", "g", lambda rows: seen.extend(rows) or add(2))
        assert seen == []
        assert journal.auditors() == ["ada", "bob"]
        assert [row.entry.box for row in journal.rows(auditor="ada")] == ["b1"]


def test_killed_at_any_moment_only_the_action_in_flight_is_lost(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = tmp_path / "a.sqlite"
    saved = 0
    for _ in range(KILLS):
        writer = start_writer(path, "ada", "g")
        assert line(writer) == "open"  # kills from here on hit actions, not the interpreter
        time.sleep(chance.uniform(0.0, 0.04))
        said = kill(writer)
        with Journal(path) as journal:
            assert journal.aside is None
            found = numbers(journal, "ada", "g")
        assert found == list(range(1, len(found) + 1))
        acknowledged = said[-1] if said else saved
        assert acknowledged <= len(found) <= acknowledged + 1
        saved = len(found)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert saved > KILLS / 4  # the kills did fall among actions


def test_a_log_torn_by_a_power_cut_gives_the_actions_before(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writer = start_writer(path, "ada", "g")
    while line(writer) != "40":
        pass
    kill(writer)
    log = Path(f"{path}-wal").read_bytes()
    chance = random.Random(2)
    lengths = set()
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(path, folder / path.name)
        torn = log[: chance.randrange(len(log))]
        # What was not yet on the disk may hold anything.
        (folder / f"{path.name}-wal").write_bytes(torn + chance.randbytes(100))
        with Journal(folder / path.name) as journal:
            assert journal.aside is None
            found = numbers(journal, "ada", "g")
        assert found == list(range(1, len(found) + 1))
        lengths.add(len(found))
    assert len(lengths) > 10


def test_two_processes_on_one_new_file_both_work(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writers = [start_writer(path, "ada", "g") for _ in range(2)]
    writers += [start_writer(path, name, "g") for name in ("bob", "cyd")]
    for writer in writers:
        said = [line(writer) for _ in range(21)]
        assert said[0] == "open"
    for writer in writers:
        kill(writer)
    with Journal(path) as journal:
        # Two processes act for Ada on one galaxy: each saw what the other had done.
        found = numbers(journal, "ada", "g")
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= 40
        assert all(len(numbers(journal, name, "g")) >= 20 for name in ("bob", "cyd"))


def test_a_file_held_by_another_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.audit.journal.WAIT_SECONDS", 0.2)
    path = tmp_path / "a.sqlite"
    with Journal(path) as journal:
        journal.act("ada", "g", lambda _: add(1))
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkbenchError, match="another process has held the journal"):
            journal.act("ada", "g", lambda _: add(2))
        holder.execute("ROLLBACK")
        holder.close()
        assert len(journal.act("ada", "g", lambda _: add(2))) == 2


@pytest.mark.parametrize("kind", ["zeros", "text", "page", "cut"])
def test_a_damaged_file_is_set_aside_and_what_it_gives_is_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.sqlite"
    fill(path, 400)
    whole = path.read_bytes()
    # The header; the header; a page of rows; the last rows.
    damaged = {
        "zeros": bytes(len(whole)),
        "text": b"not a database at all\n" * 1000,
        "page": whole[: 5 * 4096] + os.urandom(4096) + whole[6 * 4096 :],
        "cut": whole[: len(whole) // 2],
    }[kind]
    path.write_bytes(damaged)
    with Journal(path) as journal:
        assert journal.aside is not None
        assert re.fullmatch(r"a\.damaged-\d{8}T\d{6}\.\d+Z\.sqlite", journal.aside.name)
        assert journal.aside.read_bytes() == damaged
        kept = journal.rows()
        assert [row.seq for row in kept] == sorted({row.seq for row in kept})
        for row in kept:
            assert row.entry.after == {"n": row.seq - 1}
        if kind == "page":
            assert len(kept) > 250
        journal.act("ada", "g", lambda _: add(1000))
    with Journal(path) as again:
        assert again.aside is None
        assert again.rows()[-1].entry.box == "b1000"


def test_two_damaged_files_get_two_names(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    for text in ("one" * 300, "two" * 300):
        path.write_text(text)
        Journal(path).close()
    assert sorted(p.read_text()[:3] for p in tmp_path.glob("*.damaged-*.sqlite")) == ["one", "two"]


def test_files_that_are_not_ours_are_refused_and_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "photos.sqlite"
    with sqlite3.connect(stranger) as connection:
        connection.execute("CREATE TABLE photo (name TEXT)")
    connection.close()
    before = stranger.read_bytes()
    with pytest.raises(WorkbenchError, match="a database of another program"):
        Journal(stranger)
    # The mode is a flag of the header; tables are as they were.
    assert len(stranger.read_bytes()) == len(before)
    labels = tmp_path / "labels.csv"
    labels.write_text("file,x1\n")
    with pytest.raises(WorkbenchError, match=r"expected a name ending in \.sqlite"):
        Journal(labels)
    assert labels.read_text() == "file,x1\n"
    with pytest.raises(WorkbenchError, match="no folder"):
        Journal(tmp_path / "none" / "a.sqlite")


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    fill(path, 2)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(WorkbenchError, match="update flashclump"):
        Journal(path)
    assert json.dumps([p.name for p in tmp_path.glob("*damaged*")]) == "[]"
