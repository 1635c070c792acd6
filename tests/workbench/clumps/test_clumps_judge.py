"""The judge: candidates, their properties, the regression on them, and where it is applied."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from clump_cases import real_data
from workbench.cli import main
from workbench.clumps import candidates as found_by
from workbench.clumps import judge as judging
from workbench.clumps.deep import deep
from workbench.clumps.detecting import run_detector
from workbench.clumps.evaluate import match_all, rates
from workbench.clumps.export import write_data
from workbench.clumps.galaxy import Galaxy, Label, annotation, square_boxes
from workbench.clumps.inject import Clump, inject
from workbench.clumps.matching import Detections, detections
from workbench.clumps.postprocess import HostRule
from workbench.clumps.request import Request
from workbench.clumps.simulate import simulate
from workbench.clumps.sources import galaxies
from workbench.clumps.stretch import COADD
from workbench.clumps.weights import card_judge, card_threshold, read_card, shipped, simulated
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.clumps.contrast import Objects

PSF, SIDE = 6.0, 240
PLACES = ((142.3, 110.7), (96.0, 130.0), (120.0, 150.0))
SEEN = found_by.NAMES.index


@pytest.fixture(scope="module")
def galaxy() -> Galaxy:
    """A smooth disk with three blue clumps of 3 %."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    light = 0.5 * np.exp(-np.hypot(x, y) / 15)[:, :, None] * np.array([2.0, 1.6, 1.0])
    noise = 0.002 * np.random.default_rng(0).standard_normal(light.shape)
    plain = Galaxy(COADD.picture(light + noise), annotation("disk", (SIDE, SIDE), psf_fwhm=PSF))
    return inject(plain, [Clump(*at, 0.03, colours=(0.3, -0.2, -0.1)) for at in PLACES], COADD)


def looked(scores: list[float], places: list[tuple[float, float]]) -> Detections:
    found = detections(square_boxes(places, PSF), scores)
    return replace(found, brighter=np.full((len(found), 3), 0.4))


def column(found: found_by.Candidates, name: str) -> np.ndarray:
    return found.known[:, SEEN(name)]


def test_candidates_are_what_the_network_finds_and_what_it_misses(galaxy: Galaxy) -> None:
    places = [(142.8, 110.7), (12.0, 15.0), (70.0, 170.0)]
    found = found_by.candidates(looked([0.9, 0.5, 0.02], places), galaxy)
    centres = (found.found.boxes[:, :2] + found.found.boxes[:, 2:]) / 2
    assert found.known.shape == (len(centres), len(found_by.NAMES))
    assert np.isfinite(found.known).all()
    np.testing.assert_allclose(centres[:2], places[:2])  # the third is below the least score
    apart = np.hypot(*(centres[2:, None] - np.array(PLACES)[None]).transpose(2, 0, 1)) / PSF
    assert apart[:, 0].min() > found_by.OWN  # found by both, listed once
    assert apart[:, 1:].min(axis=0).max() < 0.2
    assert column(found, "found_by_procedure").tolist() == [1.0, 0.0, *[1.0] * (len(centres) - 2)]
    np.testing.assert_allclose(column(found, "score")[0], np.log(9))
    assert set(np.round(found.found.scores[2:], 3)) == {found_by.MISSED_SCORE}
    assert (column(found, "bluer")[[0, *range(2, len(centres))]] > 0).any()
    assert column(found, "apart")[0] < 0.2
    assert column(found, "apart")[1] == 1.0
    assert column(found, "often")[0] > 0.9
    assert column(found, "edge")[1] == 0.0  # off the galaxy
    assert column(found, "radius")[1] > column(found, "radius")[0]
    bright = found.found.brighter
    assert bright is not None
    np.testing.assert_allclose(bright[:2], 0.4)
    assert bright[2:, 0].any()  # measured: 3 % is more than 1 %


def test_pictures_without_detections_or_objects_have_candidates_all_the_same(
    galaxy: Galaxy,
) -> None:
    nothing = looked([], [])
    alone = found_by.candidates(nothing, galaxy)
    assert len(alone.found) >= 3
    dark = Galaxy(np.zeros((64, 64, 3), np.float32), annotation("dark", (64, 64), psf_fwhm=PSF))
    assert found_by.candidates(nothing, dark).known.shape == (0, len(found_by.NAMES))
    one = found_by.candidates(looked([0.5], [(30.0, 30.0)]), dark)
    assert one.known.shape == (1, len(found_by.NAMES))
    assert np.isfinite(one.known).all()
    unknown = Galaxy(dark.image, annotation("dark", (64, 64)))
    with pytest.raises(WorkbenchError, match="dark: contrast needs the PSF FWHM"):
        found_by.candidates(nothing, unknown)


def test_properties_do_not_depend_on_how_the_picture_is_turned(galaxy: Galaxy) -> None:
    places = [(142.8, 110.7), (96.0, 130.0)]
    half = [(SIDE - 1 - x, SIDE - 1 - y) for x, y in places]
    image = np.ascontiguousarray(galaxy.image[::-1, ::-1])
    turned = Galaxy(image, replace(galaxy.truth, boxes=galaxy.truth.boxes))
    seen = found_by.evidence(galaxy)
    again = replace(found_by.evidence(turned), objects=replace_at(seen.objects))
    first = found_by.candidates(looked([0.9, 0.5], places), galaxy, seen).known
    other = found_by.candidates(looked([0.9, 0.5], half), turned, again).known
    np.testing.assert_allclose(first, other, atol=0.02)


def replace_at(objects: Objects) -> Objects:
    return replace(objects, at=SIDE - 1 - objects.at)


def test_a_judge_learns_which_candidates_are_clumps_and_says_so_in_json(galaxy: Galaxy) -> None:
    rng = np.random.default_rng(4)
    found, pictures = [], []
    for _ in range(12):
        wrong = [tuple(rng.uniform(40, 200, 2)) for _ in range(4)]
        scores = [*rng.uniform(0.3, 0.9, 3), *rng.uniform(0.3, 0.9, 4)]
        found.append(looked(scores, [*PLACES, *wrong]))
        pictures.append(galaxy)
    seen = found_by.evidence(galaxy)
    weighed = [found_by.candidates(one, galaxy, seen) for one in found]
    judge = judging.fit(weighed[:8], pictures[:8])
    assert judge.galaxies == 8
    truths = [galaxy.truth] * 4
    before = rates(match_all(found[8:], truths), 0.5)
    made = [judging.judged(judge, one) for one in weighed[8:]]
    after = rates(match_all(made, truths), 0.5)
    assert after.f1 > 0.95 > before.f1 + 0.15
    for one in made:
        assert (np.diff(one.scores) <= 0).all()
        assert ((one.scores >= 0) & (one.scores <= 1)).all()
    again = judging.judge_from_dict(json.loads(json.dumps(judge.to_dict())), "card")
    assert again == judge


def test_what_is_no_clump_stays_as_it_was(galaxy: Galaxy) -> None:
    found = looked([0.9, 0.7, 0.6], [*PLACES[:2], (100.0, 100.0)])
    found = replace(found, labels=np.array([Label.CLUMP, Label.CLUMP, Label.ODD]))
    weighed = found_by.candidates(found, galaxy)
    assert (weighed.found.labels == Label.CLUMP).all()
    flat = judging.Judge((0.0,) * 21, (1.0,) * 21, (0.0,) * 21, 0.0, 1)
    made = judging.judged(flat, weighed)
    odd = made.keep(made.labels == Label.ODD)
    assert odd.scores.tolist() == [0.6]
    np.testing.assert_allclose(odd.boxes, found.boxes[2:])
    assert set(made.scores[made.labels == Label.CLUMP]) == {0.5}


def test_a_judge_needs_both_kinds_and_a_card_that_holds_one(galaxy: Galaxy) -> None:
    weighed = found_by.candidates(looked([], []), galaxy)
    empty = replace(galaxy, truth=annotation("disk", (SIDE, SIDE), psf_fwhm=PSF))
    with pytest.raises(WorkbenchError, match="0 of them clumps: expected some that are clumps"):
        judging.fit([weighed], [empty])
    content = judging.Judge((0.0,) * 21, (1.0,) * 21, (0.0,) * 21, 0.0, 1).to_dict()
    for change, told in (
        (lambda one: one.pop("constant"), "expected constant, galaxies and properties"),
        (lambda one: one["properties"].pop("edge"), r"other properties \(edge\)"),
        (lambda one: one["properties"]["edge"].update(scale=0), "scale that is not positive"),
        (lambda one: one.update(constant=float("nan")), "NaN"),
        (lambda one: one["properties"]["edge"].update(weight="much"), "no judge"),
    ):
        broken = json.loads(json.dumps(content))
        change(broken)
        with pytest.raises(WorkbenchError, match=told):
            judging.judge_from_dict(broken, "the card")


def test_detect_weighs_by_the_judge_of_the_card_unless_told_not_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    shown = [deep(91_000_000, index) for index in range(3)]
    write_data(shown, tmp_path)
    given = ["clumps", "detect", str(tmp_path / "images"), "--catalog",
             str(tmp_path / "labels.parquet"), "--out", str(tmp_path / "found.csv")]  # fmt: skip
    judge = card_judge(shipped())
    assert judge is not None
    assert judge.galaxies == 53
    assert card_judge(simulated()) is None
    scores = {}
    for more, least in (([], card_threshold(shipped(), judged=True)),
                        (["--no-judge"], card_threshold(shipped())),
                        (["--min-flux-ratio", "0.03"],
                         card_threshold(shipped(), 0.03, judged=True))):  # fmt: skip
        assert main([*given, *more]) == 0
        assert f"score >= {least:.3f} in 3 pictures" in capsys.readouterr().out
        frame = pd.read_csv(tmp_path / "found.csv")
        assert (frame["score"] >= least).all()
        scores[tuple(more)] = frame["score"].tolist()
    assert scores[()] != scores["--no-judge",]
    weighed = [one for _, one in run_detector(shipped(), shown, judge=judge, host=HostRule.OUTLINE)]
    assert sum(map(len, weighed))


def test_processes_judge_alike_while_the_next_pictures_are_looked_at() -> None:
    torch.set_num_threads(1)
    shown = [simulate(91_000_000, index % 3) for index in range(50)]
    judge = card_judge(shipped())
    alone = list(run_detector(shipped(), shown[:3], judge=judge))
    made = list(run_detector(shipped(), shown, judge=judge, workers=2))
    assert [galaxy.truth.name for galaxy, _ in made] == [galaxy.truth.name for galaxy in shown]
    for index, (_, found) in enumerate(made):
        np.testing.assert_allclose(found.scores, alone[index % 3][1].scores, atol=1e-4)


def test_a_card_with_a_broken_judge_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data([deep(91_000_000, 1)], tmp_path)
    card = read_card(shipped())
    card["judge"]["properties"].pop("edge")
    shutil.copy(shipped(), tmp_path / "mine.safetensors")
    (tmp_path / "mine.json").write_text(json.dumps(card), encoding="utf-8")
    given = ["clumps", "detect", str(tmp_path / "images"), "--psf-px", "6",
             "--weights", str(tmp_path / "mine.safetensors"),
             "--out", str(tmp_path / "a.csv")]  # fmt: skip
    assert main(given) == 2
    assert "mine.json: a judge of other properties (edge)" in capsys.readouterr().err
    assert main([*given, "--no-judge"]) == 0


@real_data
def test_a_judge_of_four_folds_is_right_more_often_on_the_fifth() -> None:
    """The detector never saw a real galaxy; four of five folds are enough for its judge."""
    torch.set_num_threads(1)
    weights = simulated().with_name("clumps_deep.safetensors")
    learnt, scored = (
        list(galaxies(Request(source="s82", fold=1, held_out=held))) for held in (False, True)
    )
    found = [[one for _, one in run_detector(weights, part)] for part in (learnt, scored)]
    judge = judging.fit([found_by.candidates(*one) for one in zip(found[0], learnt, strict=True)],
                        learnt)  # fmt: skip
    truths = [one.truth for one in scored]
    plain = rates(match_all(found[1], truths), card_threshold(weights)).f1
    made = [judging.judged(judge, found_by.candidates(*one))
            for one in zip(found[1], scored, strict=True)]  # fmt: skip
    assert rates(match_all(made, truths), 0.4).f1 > plain
