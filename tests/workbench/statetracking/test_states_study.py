"""The study from the command line: recorded, broken off, gone on with, shown."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.statetracking import figures, record, study
from workbench.statetracking.settings import MODELS
from workbench.statetracking.tasks import TASKS

from workbench import provenance

if TYPE_CHECKING:
    from pathlib import Path

TRAIN = ["states", "train", "--size", "small", "--task", "parity", "--model", "lstm"]


def results(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_study_is_recorded_and_goes_on_where_it_was(
    jobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMMIT", "abc")
    out = tmp_path / "states.json"
    command = [*TRAIN, "--steps", "25", "--jobs", jobs, "--out", str(out)]
    assert main(command) == 0
    first = results(out)
    names = [run["name"] for run in first["runs"]]
    assert names == ["parity-lstm-0.006", "parity-lstm-0.003"]
    assert first["about"]["commit"] == "abc"
    assert first["about"]["accelerator"] == "cpu"
    assert {"device", "torch", "python", "date", "command"} <= set(first["about"])
    for run in first["runs"]:
        assert len(run["accuracy"]) == 64
        assert run["curve"][-1]["step"] == 25
        assert (tmp_path / "states" / f"{run['name']}.safetensors").is_file()
    # All is trained: nothing is done again, and the same is written.
    assert main(command) == 0
    assert results(out)["runs"] == first["runs"]
    capsys.readouterr()
    assert main(["states", "show", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "parity-lstm-0.006" in shown
    assert "8,578" in shown


def test_a_failing_run_does_not_end_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    (folder / "parity-lstm-0.006.safetensors").write_bytes(b"damaged")
    out = tmp_path / "states.json"
    assert main([*TRAIN, "--steps", "25", "--out", str(out)]) == 1
    assert [run["name"] for run in results(out)["runs"]] == ["parity-lstm-0.003"]
    printed = capsys.readouterr().out
    assert "parity-lstm-0.006 failed" in printed
    assert "no checkpoint of a run" in printed


def test_a_killed_study_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "states.json"
    command = [sys.executable, "-m", "workbench.cli", *TRAIN, "--steps", "200", "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("parity-lstm-0.006" in line for line in lines)  # the first has finished
        process.kill()
    before = results(out)["runs"]
    assert [run["name"] for run in before] == ["parity-lstm-0.006"]
    assert main(command[3:]) == 0
    after = results(out)["runs"]
    assert after[0] == before[0]
    assert after[1]["curve"][-1]["step"] == 200


def test_bad_arguments_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "states.json")
    assert main([*TRAIN, "--jobs", "0", "--out", out]) == 2
    assert "--jobs 0: expected at least 1" in capsys.readouterr().err
    assert main([*TRAIN, "--steps", "-1", "--out", out]) == 2
    assert "steps: expected at least 1, got -1" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("[]", encoding="utf-8")
    assert main(["states", "show", str(tmp_path / "other.json")]) == 2
    assert "expected about and runs" in capsys.readouterr().err


def test_the_plan_tries_every_model_on_every_task_likeliest_first() -> None:
    runs = study.plan(list(TASKS), MODELS, full=True)
    assert {(run.task, run.model) for run in runs[:9]} == {(t, m) for t in TASKS for m in MODELS}
    assert len({run.name for run in runs}) == len(runs) == 3 * (2 + 2 + 4)
    assert all(run.length == 64 for run in runs)


def test_recorded_results_come_along_and_say_what_is_claimed() -> None:
    found = record.recorded()
    assert {"device", "date", "command", "commit", "torch"} <= set(found["about"])
    rows = figures.table(found)
    assert {(row["task"], row["model"]) for row in rows} == {
        (task.title, name) for task in TASKS.values() for name in figures.NAMES.values()
    }
    for row in rows:
        assert row["tried"] >= 1
        if row["model"] == "Transformer":
            assert row["at 4 times"] < 0.7
        else:
            assert row["beyond"] > 0.99
            assert row["at 4 times"] > 0.99
    for task in TASKS:
        figure = figures.length_figure(found, task)
        assert provenance.source(found["about"]) in figure.layout.title.text
        assert {line.name for line in figure.data} == set(figures.NAMES.values())
        assert {line.line.dash for line in figure.data} == {"dash"}
        assert all(len(line.y) == len(line.x) > 0 for line in figure.data)


def test_the_best_transformer_is_shown() -> None:
    def run(model: str, mean: float) -> dict[str, Any]:
        return {"settings": {"task": "s5", "model": model}, "summary": {"all": mean}}

    runs = [run("lstm", 0.9), run("transformer", 0.2), run("transformer", 0.4)]
    assert [one["summary"]["all"] for one in record.shown(runs, "s5")] == [0.9, 0.4]
    with pytest.raises(WorkbenchError, match="hold no run of parity"):
        figures.length_figure({"runs": runs, "about": {}}, "parity")
