"""The launch tuner without a browser: the space, the picture, recorded points, the panel."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from rnnkernels.config import Configuration
from rnnkernels.gpus import find_gpu
from rnnkernels.plan import describe, planned
from simulated_device import SimulatedDevice
from workbench.errors import WorkbenchError
from workbench.tuning.launches import LIMITS, SHAPE, launches
from workbench.tuning.panel import LaunchTuner
from workbench.tuning.picture import picture, residency
from workbench.tuning.records import Agreement, Point, agreement, recorded

from workbench import datafiles

if TYPE_CHECKING:
    from pathlib import Path

CALL = describe("lstm", (16, 1, 3, 256), gpu="H200")


def point(predicted: float, measured: float, batch: int = 16) -> Point:
    call = describe("lstm", (batch, 1, 3, 256), gpu="H200")
    return Point(call, planned(call).config, predicted, measured, "recorded")


def test_sliders_are_the_factorys_arguments_and_the_problems_limits() -> None:
    problem = launches()
    assert {control.name for control in SHAPE} == set(launches.__annotations__) - {"return"}
    assert set(problem.params) == {control.name for control in LIMITS}
    found = problem.minimize("picoseconds")
    assert tuple(found.items()) == planned(CALL).config.knobs
    assert problem.count(shared_memory=60_000) < problem.count()
    assert set(launches(strategy="grid").params) < {control.name for control in LIMITS}


def test_residency_counts_blocks() -> None:
    config = Configuration.of("cluster", cluster=8, tile=4, split=1, ring=8, resident=16)
    who = residency(CALL, config)
    assert (who.groups, who.blocks, who.turns, who.busy) == (12, 8, 1, 96)
    assert who.words == "12 x group of 8 blocks of 256 threads"
    many = residency(describe("lstm", (256, 1, 3, 256), gpu="H200"), config)
    assert many.groups == 192
    assert many.turns == 13  # fifteen clusters of eight at a time
    assert many.busy == 120
    assert many.place == "in 13 turns, 120 of 132 multiprocessors busy"


@pytest.mark.parametrize("size", [64, 256, 2048])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_picture_has_every_multiprocessor_and_full_bars(size: int, direction: str) -> None:
    call = describe("lstm", (16, 1, 1, size), gpu="H200", direction=direction)
    chosen = planned(call)
    root = ET.fromstring(picture(call, chosen.config))  # noqa: S314 - our own
    squares = [r for r in root.iter("rect") if r.get("stroke-opacity")]
    assert len(squares) == 132
    busy = [square for square in squares if square.get("fill") != "none"]
    assert len(busy) == residency(call, chosen.config).busy
    text = " ".join(t.text or "" for t in root.iter("text"))
    assert re.search(rf"{chosen.layout.shared:,}|of 232,448 B", text)


def test_recorded_points_are_predicted_by_the_model_as_it_is() -> None:
    points = recorded()
    assert len(points) >= 800
    assert {one.source for one in points} == {"recorded on NVIDIA H200, 2026-11-27"}
    found = agreement(points)
    assert found.calls == 50
    assert found.rank_correlation >= 0.95
    assert found.within_10_percent == found.calls


def test_agreement_of_a_few() -> None:
    points = [point(100, 100), point(200, 220), point(300, 90), point(50, 60, batch=1)]
    found = agreement(points)
    assert found == Agreement(4, 2, pytest.approx(0.4), 1, pytest.approx(100 / 90))


@pytest.mark.parametrize("content", ["{", "[]", '{"about": {}, "results": []}'])
def test_a_damaged_record_is_told(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.json").write_text(content)
    monkeypatch.setattr(datafiles, "folder", lambda _kind: tmp_path)
    with pytest.raises(WorkbenchError, match=r"x\.json is no record of launches"):
        recorded("x.json")


def test_the_panel_draws_what_is_picked_and_names_points() -> None:
    tuner = LaunchTuner([point(100, 120), point(200, 190)])
    assert tuner.configuration == planned(CALL).config
    first = tuner._drawing.value
    tuner.explorer.set(head_dim=64, heads=12)
    assert tuner._drawing.value != first
    assert "12x64" in tuner._drawing.value
    assert tuner.name(1).endswith("predicted 200 ns a step, measured 190 ns (recorded)")
    assert "3x256" in tuner._drawing.value
    assert list(tuner.figure.data[0].y) == [120, 190]
    tuner.explorer.set(gpu="A100", head_dim=1024)
    assert tuner.configuration is None
    assert tuner._drawing.value == ""


def test_a_click_measures_the_points_launch_on_the_gpu_that_is_here() -> None:
    device = SimulatedDevice("H100", broken={"tile=32": "RuntimeError: no"})
    tuner = LaunchTuner([point(100, 120), point(200, 190)], device)
    assert "A click measures a launch on this H100" in tuner._summary.value
    tuner._clicked(None, SimpleNamespace(point_inds=[1]), None)
    here = replace(CALL, gpu=find_gpu("H100"))
    config = planned(CALL).config
    assert device.measured == [(here, config)]
    star = tuner.points[2]
    assert (star.call, star.config, star.source) == (here, config, "measured here")
    assert star.measured == device.measure(here, config).measured
    assert list(tuner.figure.data[0].y) == [120, 190, star.measured]
    assert list(tuner.figure.data[0].marker.symbol) == ["circle", "circle", "star"]
    assert "(measured here)" in tuner._named.value
    assert "2 calls, recorded, measured here" in tuner._summary.value

    before = len(device.measured)
    for index in (0, 1, 2):  # the same launch: its star is named, nothing is measured twice
        tuner._clicked(None, SimpleNamespace(point_inds=[index]), None)
    assert (len(device.measured), len(tuner.points)) == (before, 3)
    assert "(measured here)" in tuner._named.value


def test_the_button_measures_what_is_picked_and_a_failure_is_told() -> None:
    device = SimulatedDevice(broken={"grid": "RuntimeError: an illegal memory access"})
    tuner = LaunchTuner([point(100, 120)], device)
    tuner.explorer.set(head_dim=64, heads=12)
    picked = tuner.configuration
    tuner._measure.click()
    assert (tuner.points[-1].config, tuner.points[-1].call) == (picked, tuner.call)
    tuner.explorer.set(strategy="grid", head_dim=1024, heads=1)
    assert tuner.measure() is None
    assert "an illegal memory access" in tuner._message.value
    assert len(tuner.points) == 2
    tuner.points.append(
        replace(tuner.points[0], config=Configuration("cluster", config_of(tile=32)))
    )
    assert tuner.measure(2) is None  # not a launch of that call at all
    assert "the batch fills the tile" in tuner._message.value


def config_of(**changes: int) -> tuple[tuple[str, int], ...]:
    return tuple((dict(planned(CALL).config.knobs) | changes).items())


def test_without_a_gpu_points_are_recorded_and_the_panel_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    tuner = LaunchTuner()
    assert tuner.device is None
    assert "No GPU here: a click names a recorded launch." in tuner._summary.value
    assert "recorded on NVIDIA H200" in tuner._summary.value
    assert tuner._measure.disabled
    count = len(tuner.points)
    tuner._clicked(None, SimpleNamespace(point_inds=[5]), None)
    assert tuner.measure() is None
    assert len(tuner.points) == count


def test_the_panel_without_a_record_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(datafiles, "folder", lambda _kind: tmp_path)
    tuner = LaunchTuner()
    assert tuner.points == []
    assert "unknown result" in tuner._message.value


def test_the_record_says_where_it_is_from() -> None:
    about = json.loads(datafiles.result("tune_h200.json").read_text())["about"]
    assert about["device"] == "NVIDIA H200"
    assert re.match(r"[0-9a-f]{40}", about["commit"])
    assert re.fullmatch(r"[0-9a-f]{12}", about["code"])
    assert about["command"].startswith("workbench tune --standard")
