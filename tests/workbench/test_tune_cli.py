"""``workbench tune`` without a GPU: what it refuses, lists, keeps and records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rnnkernels import autotune, tuned
from rnnkernels import plan as planning
from rnnkernels.plan import choose, describe, planned
from simulated_device import SimulatedDevice
from workbench.cli import main
from workbench.tuning import report, run
from workbench.tuning.problems import STANDARD, Problem
from workbench.tuning.records import launches_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALL = describe("lstm", (16, 1, 12, 64), gpu="H200")
QUICK = ["tune", "lstm-12x64-B16", "--direction", "forward", "--top", "3", "--random", "2"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return where tuned launches are kept; nothing is there yet."""
    monkeypatch.setenv("RNNKERNELS_CACHE", str(tmp_path / "cache"))
    planning.forget()
    yield tmp_path / "cache"
    planning.forget()


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, folder: Path) -> SimulatedDevice:
    """Put a simulated GPU in the place of this machine's: nothing is compiled or run."""
    del folder
    found = SimulatedDevice()
    monkeypatch.setattr(run.Device, "here", classmethod(lambda _cls: found))
    monkeypatch.setattr(autotune, "compile_all", lambda *_: None)
    monkeypatch.setattr("workbench.provenance._of_cuda", lambda _: {"device": "H200", "sms": 132})
    return found


def fastest(path: Path) -> dict[str, object]:
    [record] = json.loads(path.read_text())["results"]
    return dict(min(record["launches"], key=lambda row: row["measured_ns"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to tune: name a problem, as in `workbench tune lstm-12x64-B16`"),
        (["lstm"], "problem 'lstm': expected CELL-HEADSxSIZE-Bbatch, or that with -TYPE"),
        (["lsmt-1x64-B1", "--list"], "lsmt"),
        (["lstm-1x64-B1-float8", "--list"], "unknown data type 'float8'; known: bfloat16"),
        (["lstm-1x0-B1", "--list"], "head_dim: expected an integer from 1 on, got 0"),
        (["lstm-1x64-B1", "--list", "--gpu", "GTX"], "unknown GPU 'GTX'; known: A100"),
        (["lstm-1x64-B1", "--gpu", "A100"], "--gpu goes with --list"),
        (["lstm-1x64-B1", "--top", "0"], "--top 0: expected at least 1"),
        (["lstm-1x64-B1", "--budget", "0"], "--budget 0.0: expected seconds above 0"),
        (["lstm-1x64-B1", "--out", "none/x.json"], "there is no folder none"),
        (["lstm-1x64-B1", "--out", "."], "--out . is a folder; expected a file"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("workbench: ")
    assert message in error
    assert error.count("\n") == 1


def test_without_a_gpu_it_says_what_is_needed_and_what_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(QUICK) == 2
    error = capsys.readouterr().err
    assert "measures on a CUDA device of sm_80 or newer, and there is none here" in error
    assert "--list says what the model would launch" in error
    assert error.count("\n") == 1


def test_listed_is_what_would_be_launched(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["lstm-12x64-B16", "gru-1x1024-B16", "--list", "--gpu", "A100"]
    assert main(["tune", *arguments, "--direction", "forward"]) == 0
    head, lstm, gru = capsys.readouterr().out.splitlines()
    assert head == "what the model would launch on an A100, not measured"
    choice = planned(describe("lstm", (16, 1, 12, 64), gpu="A100"))
    assert choice is not None
    assert lstm.startswith("lstm-12x64-B16-bfloat16 forward")
    assert lstm.endswith(f"{choice.picoseconds / 1000:,.0f} ns a step  {choice.config}")
    assert gru.startswith("gru-1x1024-B16-bfloat16 forward")


def test_names_of_problems_are_read_as_they_are_written() -> None:
    assert len(set(STANDARD)) == len(STANDARD) == 25
    assert [Problem.parse(str(problem)) for problem in STANDARD] == list(STANDARD)
    assert Problem.of(CALL) == Problem.parse("lstm-12x64-B16")


def test_the_fastest_is_kept_and_every_launch_recorded(
    device: SimulatedDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tune.json"
    assert main([*QUICK, "--out", str(path)]) == 0
    best = fastest(path)
    kept = choose(CALL)
    assert kept is not None
    assert (kept.config.strategy, dict(kept.config.knobs)) == (best["strategy"], best["knobs"])
    printed = capsys.readouterr().out
    assert f"kept in {tuned.file_of(CALL.gpu)}" in printed
    assert str(kept.config) in printed
    content = json.loads(path.read_text())
    [record] = content["results"]
    assert (record["cell"], record["heads"], record["head_dim"]) == ("lstm", 12, 64)
    assert [(row["strategy"], tuple(row["knobs"].items())) for row in record["launches"]] == [
        (config.strategy, config.knobs) for _, config in device.measured
    ]
    assert device.measured[0] == (CALL, planned(CALL).config)  # type: ignore[union-attr]
    assert len(device.measured) >= 4
    assert content["summary"] == report.summary(content["results"])
    assert content["summary"]["problems"] == 1
    assert content["about"]["command"].startswith("workbench")
    assert device.closed


def test_measured_only_leaves_what_runs_as_it_was(device: SimulatedDevice, folder: Path) -> None:
    assert main([*QUICK, "--no-keep"]) == 0
    assert device.measured
    assert not folder.exists()
    assert choose(CALL) == planned(CALL)


def test_launches_of_an_earlier_record_are_measured_again(
    device: SimulatedDevice, tmp_path: Path
) -> None:
    path = tmp_path / "first.json"
    assert main([*QUICK, "--seed", "5", "--out", str(path)]) == 0
    before = dict.fromkeys(config for _, config in device.measured)
    assert launches_of(path) == {CALL: list(before)}
    device.measured.clear()
    assert main([*QUICK, "--also", str(path)]) == 0
    assert before.keys() <= {config for _, config in device.measured}


def test_a_launch_that_fails_is_told_and_counts(
    device: SimulatedDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device.broken = {"grid": "RuntimeError: an illegal memory access"}
    path = tmp_path / "tune.json"
    assert main([*QUICK, "--out", str(path)]) == 1
    found = json.loads(path.read_text())["summary"]
    assert found["failed"] == sum(config.strategy == "grid" for _, config in device.measured) > 0
    assert f"{found['failed']} failed, 0 wrong" in capsys.readouterr().out
    device.broken = {"(": "RuntimeError: out of memory"}  # each of them
    assert main(QUICK) == 1
    assert "none ran: RuntimeError: out of memory" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_done(
    device: SimulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path, measure = tmp_path / "tune.json", device.measure

    def once(call: object, config: object) -> object:
        if len(device.measured) > 30:
            raise KeyboardInterrupt
        return measure(call, config)  # type: ignore[arg-type]

    monkeypatch.setattr(device, "measure", once)
    assert main(["tune", "--standard", "--out", str(path)]) == 130
    assert "cancelled after 3 of 50 calls; what is measured is kept" in capsys.readouterr().out
    assert len(json.loads(path.read_text())["results"]) == 3
    assert device.closed


def test_time_that_is_up_is_told(
    device: SimulatedDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "--standard", "--budget", "1e-9"]) == 0
    assert "time is up: 50 calls are left" in capsys.readouterr().out
    assert not device.measured


def test_a_folder_that_cannot_be_written_is_one_line(
    device: SimulatedDevice, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file in the way")
    assert main(QUICK) == 2
    assert "what is tuned cannot be kept" in capsys.readouterr().err
    assert device.closed
