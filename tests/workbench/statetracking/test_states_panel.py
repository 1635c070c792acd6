"""Panel and session without a browser: train, cancel, resume, start again, fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from workbench.errors import WorkbenchError
from workbench.statetracking import session as states
from workbench.statetracking import study
from workbench.statetracking.panel import TrainingPanel
from workbench.statetracking.session import Session
from workbench.statetracking.settings import MODELS

from workbench import background

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60.0


def started(session: Session) -> Session:
    session.start()
    session.wait(SECONDS)
    return session


def test_cancel_keeps_what_is_done_and_resume_goes_on(tmp_path: Path) -> None:
    runs = study.compared("parity", MODELS, full=False, steps=75)
    seen: list[str] = []

    def cancel_early() -> None:
        seen.append(session.message)
        if any("step 50 of 75" in message for message in seen):
            session.cancel()

    session = Session(runs, tmp_path, "cpu", cancel_early)
    assert session.phase == states.READY
    started(session)
    assert session.phase == states.CANCELLED
    assert session.message == "cancelled after 50 of 225 steps"
    assert [path.name for path in tmp_path.iterdir()] == [f"{runs[0].name}.safetensors"]

    later = Session(runs, tmp_path, "cpu")  # as after a restart of the kernel
    assert later.phase == states.CANCELLED
    assert "Resume goes on" in later.message
    started(later)
    assert later.phase == states.DONE
    assert later.steps == (225, 225)
    assert [row["step"] for row in later.curves[runs[0].name]] == [25, 50, 75]
    assert [len(one) for one in later.accuracy.values()] == [64, 64, 64]
    later.forget()
    assert later.phase == states.READY
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_told_and_can_be_thrown_away(tmp_path: Path) -> None:
    runs = study.compared("parity", ["lstm"], full=False, steps=25)
    (tmp_path / f"{runs[0].name}.safetensors").write_bytes(b"damaged")
    session = started(Session(runs, tmp_path, "cpu"))
    assert session.phase == background.FAILED
    assert "no checkpoint of a run" in session.message
    session.forget()
    assert started(session).phase == states.DONE


def test_nothing_is_forgotten_while_training(tmp_path: Path) -> None:
    session = Session(study.compared("parity", ["lstm"], full=False, steps=5000), tmp_path, "cpu")
    session.start()
    with pytest.raises(WorkbenchError, match="cancel first"):
        session.forget()
    session.start()  # no second thread
    session.cancel()
    session.wait(SECONDS)
    assert session.phase == states.CANCELLED


def test_the_panel_shows_what_its_session_knows(tmp_path: Path) -> None:
    panel = TrainingPanel(tmp_path, device="cpu", steps=25)
    assert panel.train.description == "Train"
    assert panel.cancel.disabled
    assert panel.again.disabled
    panel.train.click()
    panel.session.wait(SECONDS)
    assert panel.status.value == "done"
    assert (panel.progress.value, panel.progress.max) == (75, 75)
    assert panel.train.disabled
    assert [len(line.y) for line in panel.curve.data] == [1, 1, 1]
    assert [len(line.y) for line in panel.length.data] == [64, 64, 64]
    for figure in (panel.curve, panel.length):
        assert "measured here, on this CPU" in figure.layout.title.text
        assert [line.name for line in figure.data] == ["LSTM", "sLSTM", "Transformer"]
        assert {line.line.dash for line in figure.data} == {None}  # recorded ones are dashed
    panel.again.click()
    assert [len(line.y) for line in panel.curve.data] == [0, 0, 0]
    assert panel.train.description == "Train"


def test_another_task_has_its_own_runs(tmp_path: Path) -> None:
    panel = TrainingPanel(tmp_path, device="cpu", steps=25)
    panel.task.value = "s5"
    assert [run.task for run in panel.session.runs] == ["s5"] * 3
    assert panel.figures.children == (panel.curve, panel.length)
