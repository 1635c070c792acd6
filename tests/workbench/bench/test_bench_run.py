"""The sweep in its process: killed and resumed, cancelled, over budget, with cases that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from workbench.bench import plan, record
from workbench.bench import supervisor as phases
from workbench.bench.case import BOTH, Case
from workbench.bench.supervisor import Supervisor
from workbench.bench.worker import Job
from workbench.errors import WorkbenchError

from workbench import provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AT = Case("reference", "lstm", "float32", "forward", 2, 8, 2, 8)
QUICK = [
    replace(AT, cell=cell, direction=direction)
    for cell in ("lstm", "gru", "elman")
    for direction in ("forward", BOTH)
]
LONG = [replace(AT, steps=4000 + k, direction=BOTH) for k in range(3)]  # many seconds each


def job(path: Path, cases: Sequence[Case], **options: object) -> Job:
    return replace(Job(str(path), tuple(cases), "test", ("x",), "cpu", repeats=3), **options)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def finished(path: Path) -> list[str]:
    rows = record.read(path) if path.exists() and path.stat().st_size else []
    return [row["key"] for row in rows if row["kind"] == "result"]


def alive(marker: str) -> list[int]:
    """Return processes whose command line has a marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker in command and state != "Z" and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def test_every_case_is_timed_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    seen = [(p.phase, p.done) for p in Supervisor(job(path, QUICK)).follow()]
    assert seen[-1] == (phases.DONE, len(QUICK))
    rows = record.read(path)
    assert [row["kind"] for row in rows] == ["about", *["result"] * len(QUICK), "end"]
    for case, row in zip(QUICK, rows[1:-1], strict=True):
        assert Case.of(row) == case
        assert 0 < row["ms_p25"] <= row["ms"] <= row["ms_p75"]
        names = {"h"} if case.direction == "forward" else {"h", "dwx", "dr", "db"}
        assert set(row["error"]) == names
        assert row["correct"]
        assert all(row["error"][name] <= row["allowed"][name] < 1e-5 for name in names)
    about = rows[0]
    assert {"device", "torch", "triton", "python", "date", "commit", "command"} <= set(about)
    assert about["clock"] == "wall clock"  # a CPU has no device events, and says so


def test_sigkill_loses_one_case_at_most_and_nothing_is_timed_twice(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    cases = [*QUICK, *LONG[:1]]
    arguments = [sys.executable, "-m", "workbench.bench.worker", job(path, cases).as_json()]
    worker = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              start_new_session=True)  # fmt: skip
    wait_until(lambda: len(finished(path)) >= 2)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
    before = finished(path)
    assert 2 <= len(before) < len(cases)
    with path.open("ab") as file:
        file.write(b'{"kind": "result", "key": "torn')  # a kill while writing
    assert finished(path) == before
    supervisor = Supervisor(job(path, QUICK))
    last = list(supervisor.follow())[-1]
    assert last.phase == phases.DONE
    keys = finished(path)
    assert len(keys) == len(set(keys))
    assert keys[: len(before)] == before
    assert {case.key for case in QUICK} <= set(keys)
    parts = [row for row in record.read(path) if row["kind"] == "about"]
    assert [row["part"] for row in parts] == [1, 2]


def test_the_worker_ends_when_nobody_watches_any_more(tmp_path: Path) -> None:
    path = tmp_path / "orphan.jsonl"
    work = job(path, LONG)
    code = (
        "from workbench.bench.supervisor import Supervisor; from workbench.bench.worker import Job;"
        f"list(Supervisor(Job.of({work.as_json()!r})).follow())"
    )
    watcher = subprocess.Popen([sys.executable, "-c", code])
    wait_until(lambda: path.exists() and path.stat().st_size > 0)
    assert len(alive("orphan.jsonl")) >= 2  # the watcher and the worker
    watcher.kill()
    watcher.wait()
    wait_until(lambda: not alive("orphan.jsonl"), 10)
    assert record.read(path)[0]["kind"] == "about"


def test_cancel_ends_at_once_and_leaves_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "cancelled.jsonl"
    supervisor = Supervisor(job(path, [QUICK[0], *LONG]))
    cancelled_at = 0.0
    for progress in supervisor.follow():
        if progress.phase == phases.TIMING and progress.case == LONG[0]:
            cancelled_at = time.monotonic()
            supervisor.cancel()
    assert progress.phase == phases.CANCELLED
    assert time.monotonic() - cancelled_at < 2
    assert not alive("cancelled.jsonl")
    assert finished(path) == [QUICK[0].key]
    resumed = list(Supervisor(job(path, QUICK[:2])).follow())[-1]
    assert (resumed.phase, resumed.done) == (phases.DONE, 2)
    assert finished(path) == [case.key for case in QUICK[:2]]


def test_ctrl_c_ends_the_command_and_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "interrupted.jsonl"
    command = [sys.executable, "-m", "workbench.cli", "bench", "rnn", "--device", "cpu"]
    command += ["--out", str(path), "--cell", "lstm"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: finished(path))
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(timeout=10)
    assert running.returncode == 130, errors.decode()
    assert out.decode().splitlines()[-1] == (
        f"cancelled; {path} keeps what is done, the same command goes on"
    )
    assert errors == b""
    assert not alive("interrupted.jsonl")
    assert record.read(path)[-1]["kind"] == "result"


def test_a_failing_case_is_recorded_and_the_sweep_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    impossible = [replace(AT, backend="cuda"), replace(AT, backend="nn", cell="slstm", heads=1)]
    last = list(Supervisor(job(path, [*impossible, AT])).follow())[-1]
    assert (last.phase, last.done, last.failed) == (phases.DONE, 3, 2)
    found = record.results(record.read(path))
    assert "backend 'cuda' cannot run" in found[impossible[0].key]["failure"]
    assert "torch.nn has no slstm" in found[impossible[1].key]["failure"]
    assert found[AT.key]["correct"]
    again = list(Supervisor(job(path, impossible, again=True)).follow())[-1]
    assert (again.done, again.failed) == (2, 2)
    assert len(finished(path)) == 5


def test_a_worker_that_dies_is_a_failure_of_its_case(tmp_path: Path) -> None:
    path = tmp_path / "dies.jsonl"
    supervisor = Supervisor(job(path, [QUICK[0], LONG[0], QUICK[1]]))
    for progress in supervisor.follow():
        if progress.case == LONG[0]:
            for process in alive("dies.jsonl"):
                os.kill(process, signal.SIGSEGV)
    assert (progress.phase, progress.done, progress.failed) == (phases.DONE, 3, 1)
    found = record.results(record.read(path))
    assert found[LONG[0].key]["failure"].startswith("was ended by SIGSEGV")
    assert found[QUICK[1].key]["correct"]


def test_a_case_that_hangs_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    endless = replace(AT, steps=40_000, direction=BOTH)  # a minute on a quiet machine
    last = list(Supervisor(job(path, [endless, AT]), patience=5.0).follow())[-1]
    assert (last.phase, last.done, last.failed) == (phases.DONE, 2, 1)
    assert "longer than 5 s" in record.results(record.read(path))[endless.key]["failure"]


def test_the_budget_stops_between_two_cases(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    cases = [replace(AT, steps=200 + k, direction=BOTH) for k in range(40)]
    last = list(Supervisor(job(path, cases, budget=4.0)).follow())[-1]
    assert last.phase == phases.BUDGET
    assert 0 < last.done < len(cases)
    rows = record.read(path)
    assert rows[-1]["kind"] == "end"
    assert rows[-1]["why"] == "budget"
    assert len(finished(path)) == last.done


def test_a_file_measured_elsewhere_or_by_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    list(Supervisor(job(path, [AT])).follow())
    lines = path.read_text().splitlines()
    other = json.loads(lines[0]) | {"device": "NVIDIA H200"}
    path.write_text("\n".join([json.dumps(other), *lines[1:]]) + "\n")
    content = path.read_bytes()
    with pytest.raises(WorkbenchError, match="device NVIDIA H200, here it is a CPU"):
        list(Supervisor(job(path, QUICK)).follow())
    path.write_text("a file of mine\nwith two lines\n")
    with pytest.raises(WorkbenchError, match="line 1: expected a JSON object"):
        list(Supervisor(job(path, QUICK)).follow())
    assert path.read_text() == "a file of mine\nwith two lines\n"
    path.write_bytes(content)


def test_a_commit_on_the_way_changes_nothing_but_other_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"
    for commit, cases in (("first", [AT]), ("second", QUICK[:2])):
        monkeypatch.setenv("COMMIT", commit)
        last = list(Supervisor(job(path, cases)).follow())[-1]
        assert (last.phase, last.done) == (phases.DONE, len(cases))
    rows = record.read(path)
    parts = [row for row in rows if row["kind"] == "about"]
    assert [row["commit"] for row in parts] == ["first", "second"]
    timed = [*provenance.KERNELS, "workbench.bench"]
    digests = {provenance.code(timed[:k]) for k in range(1, len(timed) + 1)}
    assert len(digests) == len(timed)  # each package counts
    assert {row["code"] for row in parts} == {provenance.code(timed)}
    path.write_text(json.dumps(parts[0] | {"code": "0123456789ab"}) + "\n")
    with pytest.raises(WorkbenchError, match="measured with code 0123456789ab, here it is"):
        list(Supervisor(job(path, [AT])).follow())


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    first = Supervisor(job(path, LONG))
    for progress in first.follow():
        if progress.phase == phases.TIMING:
            with pytest.raises(WorkbenchError, match="another benchmark writes this file"):
                list(Supervisor(job(path, QUICK)).follow())
            first.cancel()
    assert progress.phase == phases.CANCELLED


def test_plans_cover_what_they_promise() -> None:
    full = plan.full()
    assert len(full) == len({case.key for case in full})
    ours = [case for case in full if case.backend == "auto"]
    for cell in ("lstm", "gru", "slstm", "elman"):
        mine = [case for case in ours if case.cell == cell]
        assert {16, 2048} <= {case.head_dim for case in mine}
        assert {1, 256} <= {case.batch for case in mine}
        assert {128, 4096} <= {case.steps for case in mine}
        assert {case.direction for case in mine} == {"forward", "both"}
    assert {case.dtype for case in full if case.backend == "nn"} == {"float16", "bfloat16"}
    assert {"vanilla", "compiled", "attention", "gemm", "module"} <= {c.backend for c in full}
    assert full[0].backend == "auto"  # what matters most comes first
    assert full[-1].backend == "vanilla"  # and what takes longest last
    assert {case.dtype for case in plan.small()} == {"float32"}


def test_a_filter_without_a_case_says_so() -> None:
    kept = plan.keep(plan.full(), {"cell": ["gru"], "head_dim": [64], "batch": []})
    assert {(case.cell, case.head_dim) for case in kept} == {("gru", 64)}
    with pytest.raises(WorkbenchError, match="no case of the plan has head_dim 65"):
        plan.keep(plan.full(), {"head_dim": [65]})
    with pytest.raises(WorkbenchError, match="unknown plan 'big'; known: full, small"):
        plan.find_plan("big")
