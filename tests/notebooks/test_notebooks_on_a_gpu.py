"""The notebooks that use a GPU, on one: what a reader presses there, and what comes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("ipykernel", reason="runs notebooks")
nbformat = pytest.importorskip("nbformat", reason="reads notebooks")
nbclient = pytest.importorskip("nbclient", reason="runs notebooks")

pytestmark = pytest.mark.gpu
FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    """Where the executed copies go: $EXECUTED keeps them."""
    return Path(os.environ.get("EXECUTED") or tmp_path)


def run(name: str, presses: list[str], told: str, executed: Path) -> Any:
    """Run a notebook, then cells that press its buttons; return what an expression then says."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    for source in (*presses, f"import json; print(json.dumps({told}))"):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    try:
        client.execute()
    finally:
        nbformat.write(notebook, executed / f"{name}.ipynb")
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", [])]
    assert not [one for one in outputs if one.get("name") == "stderr"]
    return json.loads(outputs[-1]["text"])


def test_a_launch_is_measured_at_a_click(executed: Path) -> None:
    presses = [
        "place = times.index(max(times))",
        "clicked = tuner.measure(place)",
        "tuner.explorer.set(gpu='H200', strategy='cluster', head_dim=64, heads=12)",
        "picked = tuner.measure()",
    ]
    told = (
        "[[one.source, str(one.config), one.predicted, one.measured] for one in (clicked, picked)]"
        " + [str(tuner.points[place].config), len(tuner.points) - len(times)]"
    )
    clicked, picked, slowest, added = run("12_tune_a_kernel", presses, told, executed)
    assert clicked[1] == slowest
    assert added == 2
    for source, _, predicted, measured in (clicked, picked):
        assert source == "measured here"
        assert predicted / 3 < measured < 3 * predicted


def test_a_sweep_is_cancelled_and_gone_on_with(executed: Path, tmp_path: Path) -> None:
    timed = (
        "panel.start.click()\ntime.sleep({})\npanel.cancel.click()\npanel.session.wait(20)\n"
        "{} = [panel.session.phase, panel.session.done]"
    )
    there = f"import time\npanel = BenchPanel({str(tmp_path / 'here.jsonl')!r})"
    presses = [there, timed.format(40, "first"), timed.format(20, "second"), "panel"]
    told = (
        "[panel.device, first, second, panel.session.sweep.source,"
        " [r.get('correct', False) for r in panel.session.sweep.rows]]"
    )
    device, first, second, source, correct = run("21_benchmark", presses, told, executed)
    assert device == "cuda"
    assert first[0] == second[0] == "cancelled"
    assert 0 < first[1] < second[1] == len(correct)
    assert all(correct)
    assert source.startswith(f"measured here, on {torch.cuda.get_device_name(0)}")


def test_recurrent_networks_track_states_and_the_transformer_does_not(
    executed: Path, tmp_path: Path
) -> None:
    presses = [
        f"panel = TrainingPanel({str(tmp_path)!r})\npanel",
        "panel.train.click()\npanel.session.wait(230)",
    ]
    told = (
        "[panel.device, panel.session.phase, {run.model: [run.length, summary("
        "panel.session.accuracy[run.name], run.length)] for run in panel.session.runs}]"
    )
    device, phase, found = run("22_state_tracking", presses, told, executed)
    assert (device, phase) == ("cuda", "done")
    assert {length for length, _ in found.values()} == {64}
    assert found["lstm"][1]["last"] > 0.99
    assert found["slstm"][1]["last"] > 0.99
    assert found["transformer"][1]["beyond"] < 0.7
