"""A detector trained from a notebook's buttons: followed, cancelled, gone on with, forgotten."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from workbench.background import CANCELLED, DONE, FAILED, READY
from workbench.clumps import record
from workbench.clumps.panels import recorded
from workbench.clumps.panels.small import epochs, small_plan
from workbench.clumps.panels.training_panel import TrainingPanel
from workbench.clumps.panels.training_session import SHOWN, TrainingSession
from workbench.clumps.run import Plan
from workbench.clumps.weights import read_card, simulated
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning.*")
SECONDS = 120.0
EPOCHS = 3


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A run of seconds: 8 galaxies, 4 to validate, at a third of the pixels."""
    torch.set_num_threads(1)
    made, cache = small_plan(8), str(tmp_path_factory.mktemp("galaxies"))
    return Plan(
        replace(made.train, cache=cache),
        replace(made.valid, number=4, cache=cache),
        replace(made.config, pixels_per_fwhm=3.0),
        replace(made.options, epochs=EPOCHS),
    )


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> TrainingSession:
    """A run that nothing interrupted."""
    return trained(TrainingSession(plan, tmp_path_factory.mktemp("whole")))


def trained(session: TrainingSession) -> TrainingSession:
    session.start()
    session.wait(SECONDS)
    return session


def test_every_epoch_leaves_a_row_and_its_detections(whole: TrainingSession) -> None:
    assert whole.phase == DONE
    assert whole.part == 1.0
    assert [row["epoch"] for row in whole.rows] == [0, 1, 2]
    assert list(whole.looks) == [0, 1, 2]
    assert whole.rows[-1]["train_loss"] < whole.rows[0]["train_loss"]
    for looks in whole.looks.values():
        assert len(looks) == SHOWN
        assert all(look.image.dtype == np.uint8 for look in looks)
    card = read_card(whole.detector)
    assert card["training"]["epochs_run"] == EPOCHS
    kept = record.training(whole.detector)  # what `train --record` writes
    assert (kept["history"], kept["training"]) == (whole.rows, card["training"])
    # All clumps of the four pictures are hit or missed, and what is marked is above the threshold.
    kinds = [[mark.fate for look in looks for mark in look.marks] for looks in whole.looks.values()]
    clumps = [kind.count("hit") + kind.count("missed") for kind in kinds]
    assert clumps[0] == clumps[1] == clumps[2] > 0


def test_cancel_keeps_whole_epochs_and_resume_ends_where_one_run_does(
    plan: Plan, whole: TrainingSession, tmp_path: Path
) -> None:
    def cancel_in_the_second() -> None:
        if "epoch 2" in session.message:
            session.cancel()

    session = TrainingSession(plan, tmp_path / "run", cancel_in_the_second)
    trained(session)
    assert session.phase == CANCELLED
    assert session.message == "cancelled after 1 of 3 epochs"
    assert not session.detector.exists()

    later = TrainingSession(plan, tmp_path / "run")  # as after a restart of the kernel
    assert (later.phase, later.part) == (CANCELLED, 1 / 3)
    assert "Resume goes on" in later.message
    assert trained(later).phase == DONE
    assert later.rows == whole.rows
    assert list(later.looks) == [1, 2]  # those of the first epoch went with the kernel

    again = TrainingSession(plan, tmp_path / "run")
    assert (again.phase, again.part) == (DONE, 1.0)
    again.forget()
    assert (again.phase, again.rows, again.looks, again.part) == (READY, [], {}, 0.0)
    assert not (tmp_path / "run").exists()


def test_a_run_of_other_settings_is_told_and_nothing_is_lost(
    plan: Plan, whole: TrainingSession
) -> None:
    other = replace(plan, options=replace(plan.options, learning_rate=0.5))
    session = trained(TrainingSession(other, whole.folder))
    assert session.phase == FAILED
    assert "options differ" in session.message
    assert whole.detector.is_file()


def test_nothing_is_forgotten_while_training(plan: Plan, tmp_path: Path) -> None:
    session = TrainingSession(plan, tmp_path)
    session.start()
    with pytest.raises(WorkbenchError, match="cancel first"):
        session.forget()
    session.start()  # no second thread
    session.cancel()
    session.wait(SECONDS)
    assert session.phase == CANCELLED


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def test_the_panel_shows_what_its_session_knows(plan: Plan, tmp_path: Path) -> None:
    panel = TrainingPanel(tmp_path, replace(plan, options=replace(plan.options, epochs=1)))
    assert (panel.train.description, panel.train.disabled) == ("Train", False)
    assert panel.cancel.disabled
    assert panel.again.disabled
    assert panel.seen.disabled
    nothing = panel.picture.value
    panel.train.click()
    panel.session.wait(SECONDS)
    assert panel.status.value == "done: detector.safetensors and its card are in run"
    assert panel.progress.value == 1.0
    assert panel.train.disabled
    [row] = panel.session.rows
    assert {line.name: list(line.y) for line in panel.live.data} == {
        "F1": [row["val_f1"]], "completeness": [row["val_completeness"]],
        "purity": [row["val_purity"]], "loss": [row["train_loss"]],
    }  # fmt: skip
    assert "measured here" in panel.live.layout.title.text
    assert {line.line.dash for line in panel.live.data} == {None}
    assert panel.seen.options == (("1", 0),)
    assert panel.picture.value != nothing
    assert size(panel.picture.value) == size(nothing)
    panel.again.click()
    assert [len(line.x) for line in panel.live.data] == [0] * 4
    assert (panel.train.description, panel.picture.value) == ("Train", nothing)


def recording(date: str, cuda: str | None, device: str) -> dict[str, object]:
    rows = [{"epoch": k, "train_loss": 1 / (k + 1), "val_f1": k / 10} for k in range(5)]
    where = {"device": device, "date": date, "cuda": cuda}
    return {"measured_on": where, "history": rows, "training": {"galaxies": 5000}}


def test_what_was_recorded_says_so_and_looks_different(tmp_path: Path) -> None:
    figure = recorded.training_figure(recording("2026-11-27T01:00:00", "13.0", "NVIDIA H200"))
    assert figure.layout.title.text == (
        "<b>RECORDED</b>: 5,000 training galaxies"
        "<br><sup>on NVIDIA H200, 2026-11-27; not measured here</sup>"
    )
    assert {line.line.dash for line in figure.data} == {"dash"}
    assert figure.layout.plot_bgcolor == recorded.PAPER
    assert list(figure.data[0].y) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert recorded.latest("clumps_training", tmp_path) is None
    assert (
        "No training run was recorded" in recorded.training_figure(None).layout.annotations[0].text
    )


def test_the_recorded_run_is_that_of_the_detector_that_comes_along() -> None:
    run, card = recorded.training_run(), read_card(simulated())
    assert run is not None
    assert len(run["history"]) == card["training"]["epochs_run"]
    best = max(row["val_f1"] for row in run["history"] if "val_f1" in row)
    assert best == pytest.approx(card["validation"]["f1"], abs=0.05)
    title = recorded.training_figure(run).layout.title.text
    assert "RECORDED" in title
    assert card["training"]["device"] in title


def test_a_gpu_s_newest_record_is_taken(tmp_path: Path) -> None:
    known = {"a": ("2026-01-02", "13.0"), "b": ("2026-01-03", "13.0"), "c": ("2026-01-04", None)}
    for name, (date, cuda) in known.items():
        content = recording(date, cuda, name)
        (tmp_path / f"clumps_training_{name}.json").write_text(json.dumps(content))
    newest = recorded.latest("clumps_training", tmp_path)
    assert newest is not None
    assert newest["measured_on"]["device"] == "b"


def test_a_quick_look_takes_fewer_epochs() -> None:
    assert epochs(12, {}) == 12
    assert epochs(12, {"FLASHCLUMP_EPOCHS": "2"}) == 2
    assert epochs(1, {"FLASHCLUMP_EPOCHS": "2"}) == 1


def evaluation() -> dict[str, object]:
    rate = {
        "criterion": "within_fwhm", "min_flux_ratio": 0.03, "completeness": 0.8, "purity": None,
        "f1": 0.75, "interval_95": {"completeness": [0.7, 0.9], "purity": [None, None],
                                    "f1": [0.6, 0.85]},
    }  # fmt: skip
    method = {"name": "detector", "rates": [rate, {**rate, "criterion": "iou_0.5"}]}
    where = {"device": "NVIDIA H200", "date": "2026-11-27T01:00:00", "cuda": "13.0"}
    return {"measured_on": where, "galaxies": 53, "methods": [method]}


def test_recorded_evaluations_keep_their_intervals_and_their_place(tmp_path: Path) -> None:
    assert len(recorded.evaluations(tmp_path)) == 0
    (tmp_path / "clumps_s82.json").write_text(json.dumps(evaluation()))
    (tmp_path / "clumps_speed.json").write_text("{}")
    [row] = recorded.evaluations(tmp_path).to_dict("records")
    assert row == {
        "recorded": "clumps_s82", "on": "NVIDIA H200, 2026-11-27", "galaxies": 53,
        "method": "detector", "flux ratio": ">= 3%", "completeness": "0.80 (0.70 to 0.90)",
        "purity": "-", "f1": "0.75 (0.60 to 0.85)",
    }  # fmt: skip
