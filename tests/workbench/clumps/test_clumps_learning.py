"""Pretraining with Zoobot's code, and learning curves: small, but the whole way."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from clump_cases import disk_galaxy
from safetensors.torch import load_file
from workbench.clumps import backbones, learning
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.evaluate import Aim
from workbench.clumps.fold_scores import on_hosts
from workbench.clumps.galaxy import Galaxy, Label
from workbench.clumps.learning_figure import APART, learning_figure
from workbench.clumps.matching import detections
from workbench.clumps.postprocess import HostRule, on_galaxy
from workbench.clumps.pretrain import (
    ASKED_AFTER,
    EDGE_ON,
    QUESTIONS,
    VISIBLE,
    PretrainOptions,
    answers,
    pretrain,
    stamp,
    votes,
)
from workbench.clumps.request import Request
from workbench.clumps.run import Plan
from workbench.clumps.scene import draw_scene
from workbench.clumps.training import TrainOptions
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


def test_every_answer_is_given_and_questions_follow_the_tree() -> None:
    told = [answers(draw_scene(0, k)) for k in range(600)]
    for question, options in QUESTIONS.items():
        given = np.array([one[question] for one in told])
        assert set(given[given >= 0].tolist()) == set(range(len(options)))
        for one, mine in zip(told, given, strict=True):  # asked after the right answer alone
            before = ASKED_AFTER[question]
            asked = before is None or any(
                before == name + QUESTIONS[name][k] for name, k in one.items() if k >= 0
            )
            assert asked == (mine >= 0)
    voted = np.array([votes(one) for one in told])
    assert voted.shape == (600, sum(map(len, QUESTIONS.values())))
    assert (voted.sum(axis=1) == [sum(k >= 0 for k in one.values()) for one in told]).all()


def test_answers_are_those_of_the_scene() -> None:
    scene = next(s for s in map(partial(draw_scene, 0), range(99))
                 if (s.flux_ratio >= VISIBLE).any() and s.host.axis_ratio >= EDGE_ON)  # fmt: skip
    thin = replace(scene, host=replace(scene.host, axis_ratio=0.3, contrast=0.5, arms=3))
    assert answers(thin)["disk-edge-on"] == 0
    assert answers(thin)["spiral-arm-count"] == -1
    wide = replace(thin, host=replace(thin.host, axis_ratio=0.7))
    assert answers(wide)["disk-edge-on"] == 1
    assert answers(wide)["spiral-arm-count"] == 1
    faint = replace(scene, flux_ratio=0 * scene.flux_ratio)
    assert answers(faint)["clumpy-appearance"] == 1
    assert answers(faint)["clump-count"] == -1
    clumps = [p for p in scene.points if p.label is Label.CLUMP][:1]
    many = replace(scene, points=tuple(6 * clumps), flux_ratio=np.full(6, VISIBLE))
    assert answers(many)["clump-count"] == 3
    odd = replace(many, points=tuple(replace(p, label=Label.ODD) for p in many.points))
    assert answers(odd)["clumpy-appearance"] == 1  # stars are no clumps
    bare = replace(scene, host=replace(scene.host, bulge=0 * scene.host.bulge))
    assert answers(bare)["bulge-size"] == 0


def test_a_stamp_is_central_and_padded() -> None:
    image = np.zeros((11, 31, 3), np.uint8)
    image[5, 15] = 255
    cut = stamp(image, 21)
    assert cut.shape == (21, 21, 3)
    assert np.argwhere(cut[:, :, 0]).tolist() == [[10, 10]]


def test_a_pretrained_encoder_is_taken_by_the_detector(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    options = PretrainOptions(number=12, epochs=1, batch=5, workers=1)
    folder = pretrain(options, tmp_path / "encoder", progress=False)
    card = json.loads((folder / "card.json").read_text())
    assert card["validation_galaxies"] == 2
    assert card["validation_accuracy"].keys() == QUESTIONS.keys()
    assert card["validation_accuracy"]["disk-edge-on"] in {0, 0.5, 1}
    written = load_file(folder / "model.safetensors")
    encoder = backbones.encoder(backbones.DEFAULT, str(folder))
    first = next(iter(encoder.state_dict()))
    torch.testing.assert_close(encoder.state_dict()[first], written[first])


def row(start: str, galaxies: int, completeness: float, purity: float) -> dict[str, Any]:
    return {"start": start, "galaxies": galaxies, "completeness": completeness, "purity": purity,
            "f1": 0.5, "interval_95": {"f1": (0.4, 0.7)}}  # fmt: skip


def test_the_goal_is_reached_by_both_rates_together() -> None:
    rows = [row("a", 100, 0.9, 0.7), row("a", 200, 0.81, 0.8), row("a", 400, 0.9, 0.9),
            row("b", 100, 0.9, 0.79)]  # fmt: skip
    assert learning.reached(rows, "a") == 200
    assert learning.reached(rows, "b") is None
    figure = learning_figure(rows)
    assert [trace.name for trace in figure.data] == ["a", "a", "b", "b"]
    assert [trace.showlegend for trace in figure.data] == [True, False, True, False]
    np.testing.assert_allclose(figure.data[1].y, [0.7, 0.8, 0.9])  # the lesser of the two
    np.testing.assert_allclose(figure.data[3].x, [100], rtol=APART)
    np.testing.assert_allclose(figure.data[0].error_y.array, 0.2)
    np.testing.assert_allclose(figure.data[0].error_y.arrayminus, 0.1)
    assert np.max(figure.data[1].error_y.array) == 0


def test_draws_are_averaged_and_their_ends_shown() -> None:
    rows = [row("a", 8, 0.7, 0.9), row("a", 8, 0.9, 0.86), row("a", 16, 0.75, 0.9)]
    means = learning.mean_rates(rows, "a")
    assert means[8] == pytest.approx({"completeness": 0.8, "purity": 0.88, "f1": 0.5,
                                      "lesser": 0.78})  # fmt: skip
    assert learning.reached(rows, "a", 0.78) == 8
    assert learning.reached(rows, "a", 0.79) is None
    figure = learning_figure(rows)
    np.testing.assert_allclose(figure.data[1].y, [0.78, 0.75])
    np.testing.assert_allclose(figure.data[1].error_y.array, [0.08, 0])
    np.testing.assert_allclose(figure.data[1].error_y.arrayminus, [0.08, 0])
    np.testing.assert_allclose(figure.data[0].error_y.array, [0, 0.2])


def test_labels_of_the_axis_do_not_touch() -> None:
    rows = [row("a", size, 0.9, 0.9) for size in (8, 10, 12, 14, 16, 32, 40)]
    assert list(learning_figure(rows).layout.xaxis.tickvals) == [8, 14, 32]


def test_draws_share_no_galaxy_and_large_sizes_have_one() -> None:
    draws = learning.Draws(3, 5000)
    assert draws.of([8, 1600, 2500, 3200]) == [
        (8, 0), (8, 1), (8, 2), (1600, 0), (1600, 1), (1600, 2), (2500, 0), (2500, 1), (3200, 0),
    ]  # fmt: skip
    assert learning.Draws(3, 5000, only=2).of([8, 2500]) == [(8, 2)]
    assert learning.ONE.of([5000]) == [(5000, 0)]


@pytest.mark.parametrize("size", [1, 8, 31, 32, 33, 100, 800, 5000])
def test_few_galaxies_are_seen_often_in_few_epochs(size: int) -> None:
    options = TrainOptions(epochs=8, batch=32)
    times = learning.repeats(options, size, 400)
    assert learning.epochs(options) == 12  # the least multiple of VALIDATIONS
    steps = 12 * math.ceil(times * size / options.batch)
    assert steps >= 400
    assert times == 1 or steps <= 12 * (math.ceil(400 / 12) + math.ceil(size / options.batch))
    assert learning.repeats(options, size, 0) == 1
    assert learning.epochs(replace(options, epochs=4)) == 4


def test_a_learning_curve_scores_each_start_and_size_and_goes_on(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    options = TrainOptions(epochs=1, batch=4)
    plan = Plan(Request(seed=1), Request(number=3, seed=2), DetectorConfig(), options)
    test, compared = Request(number=3, seed=3), learning.starts(None)
    rows = learning.learning_curve(plan, test, [4], compared, tmp_path)
    assert [(r["start"], r["galaxies"]) for r in rows] == [("random", 4)]
    kept = json.loads((tmp_path / "learning_curve.json").read_text())
    assert kept["rows"][0]["completeness"] == rows[0]["completeness"]
    written = (tmp_path / "random-4-0" / "detector.safetensors").stat().st_mtime_ns
    assert learning.learning_curve(plan, test, [4], compared, tmp_path) == rows
    assert (tmp_path / "random-4-0" / "detector.safetensors").stat().st_mtime_ns == written
    noted = tmp_path / "random-4-0" / learning.SCORE
    known = json.loads(noted.read_text())
    noted.write_text(json.dumps({**known, "score": {**known["score"], "f1": 0.25}}))
    (again,) = learning.learning_curve(plan, test, [4], compared, tmp_path)
    assert again["f1"] == 0.25  # not scored again
    two = learning.Draws(2, 8)
    rows = learning.learning_curve(plan, test, [4], compared, tmp_path, draws=two)
    assert [r["draw"] for r in rows] == [0, 1]
    learnt = json.loads((tmp_path / "random-4-1" / "run.json").read_text())
    assert (learnt["train"]["start"], learnt["options"]["seed"]) == (4, 1)
    (even,) = learning.learning_curve(plan, test, [4], compared, tmp_path, aim=Aim.BALANCE)
    assert json.loads(noted.read_text())["aim"] == "balance"
    assert even["f1"] != 0.25  # scored again: another threshold was asked for
    learning.learning_curve(plan, replace(test, seed=5), [4], compared, tmp_path)
    assert json.loads(noted.read_text())["test"]["seed"] == 5  # other galaxies are
    other = replace(plan, options=TrainOptions(epochs=2, batch=4))
    with pytest.raises(WorkbenchError, match="other settings"):
        learning.learning_curve(other, test, [4], compared, tmp_path)
    with pytest.raises(WorkbenchError, match="need made galaxies, got s82"):
        learning.learning_curve(replace(plan, train=Request("s82")), test, [4], [], tmp_path)


def test_detections_off_the_galaxy_are_left_out_where_there_is_one() -> None:
    galaxy = disk_galaxy()
    sky = Galaxy(np.full((101, 101, 3), 0.1, np.float32), galaxy.truth)
    found = detections([[45, 45, 55, 55], [0, 0, 8, 8]], [0.9, 0.8])
    ((kept, every),) = on_hosts([[found, found]], [[galaxy, sky]])
    assert kept.scores.tolist() == [0.9]
    assert every.scores.tolist() == [0.9, 0.8]
    assert on_galaxy(found, galaxy, HostRule.SEGMENT).scores.tolist() == [0.9]
