"""Matching, rates and intervals against results by hand; classical methods on real galaxies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clump_cases import disk_galaxy, real_data
from workbench.clumps import classical, evaluate, s82
from workbench.clumps.averaging import average
from workbench.clumps.galaxy import Annotation, Galaxy, annotation, square_boxes
from workbench.clumps.matching import Criterion, Detections, detections, iou, match
from workbench.clumps.postprocess import merge
from workbench.clumps.scaling import to_fixed_psf
from workbench.errors import WorkbenchError


def truth_at(points: list[tuple[float, float]], ratios: list[float] | None = None) -> Annotation:
    return annotation("t", (100, 100), square_boxes(points, 4.0), None, ratios, psf_fwhm=4.0)


def found_at(points: list[tuple[float, float]], scores: list[float]):  # noqa: ANN201 - Detections
    return detections(square_boxes(points, 4.0), scores)


def test_each_truth_is_matched_once_by_the_surest_detection() -> None:
    truth = truth_at([(20, 20), (60, 60)])
    outcome = match(found_at([(21, 20), (20, 20), (90, 90)], [0.5, 0.9, 0.7]), truth)
    assert outcome.scores.tolist() == [0.9, 0.7, 0.5]
    assert outcome.hits.tolist() == [True, False, False]
    assert outcome.found_at.tolist() == [0.9, -np.inf]


def test_the_nearest_free_truth_is_taken_within_one_fwhm() -> None:
    truth = truth_at([(20, 20), (23, 20)])
    outcome = match(found_at([(22.5, 20), (22, 20), (20, 24.1)], [0.9, 0.8, 0.7]), truth)
    assert outcome.hits.tolist() == [True, True, False]
    assert outcome.found_at.tolist() == [0.8, 0.9]


def test_fainter_truth_is_neither_hit_nor_miss() -> None:
    truth = truth_at([(20, 20), (60, 60)], [0.05, 0.01])
    outcome = match(
        found_at([(20, 20), (60, 60), (80, 80)], [0.9, 0.8, 0.7]), truth, min_flux_ratio=0.03
    )
    assert outcome.scores.tolist() == [0.9, 0.7]
    assert outcome.hits.tolist() == [True, False]
    assert outcome.counted.tolist() == [0]


def test_overlap_needs_half() -> None:
    truth = truth_at([(20, 20)])  # 10 pixels a side
    assert iou(truth.boxes, truth.boxes + np.array([2, 0, 2, 0]))[0, 0] == pytest.approx(80 / 120)
    shifted = [(23.3, 20.0)], [(23.4, 20.0)]  # 67 / 133 = 0.504 and 66 / 134 = 0.493
    hits = [match(found_at(at, [1.0]), truth, Criterion.OVERLAP).hits[0] for at in shifted]
    assert hits == [True, False]


def test_rates_and_threshold_by_hand() -> None:
    truths = [truth_at([(20, 20), (60, 60)]), truth_at([(30, 30)])]
    found = [found_at([(20, 20), (60, 60), (80, 80)], [0.9, 0.3, 0.4]),
             found_at([(30, 30), (70, 70)], [0.8, 0.2])]  # fmt: skip
    matches = evaluate.match_all(found, truths)
    at = evaluate.rates(matches, 0.35)
    assert (at.hits, at.found, at.true) == (2, 3, 3)
    assert at.completeness == pytest.approx(2 / 3)
    assert at.purity == pytest.approx(2 / 3)
    points = evaluate.curve(matches)
    assert points.thresholds.tolist() == [0.2, 0.3, 0.4, 0.8, 0.9]
    np.testing.assert_allclose(points.completeness, [1, 1, 2 / 3, 2 / 3, 1 / 3])
    np.testing.assert_allclose(points.purity, [3 / 5, 3 / 4, 2 / 3, 1, 1])
    assert evaluate.choose_threshold(matches) == 0.3


def test_a_threshold_is_chosen_for_f1_or_for_both_rates_alike() -> None:
    at = [(20, 20), (20, 50), (20, 80), (50, 20), (50, 50)]
    false, scores = [(80, 20), (80, 50)], [0.9, 0.8, 0.7, 0.5, 0.6, 0.55]
    truths, found = [truth_at(at)], [found_at([*at[:4], *false], scores)]
    matches = evaluate.match_all(found, truths)
    assert evaluate.choose_threshold(matches) == 0.7  # .6 and 1: F1 .75
    assert evaluate.choose_threshold(matches, evaluate.Aim.BALANCE) == 0.5  # .8 and .67: .73
    chosen = evaluate.thresholds_by_cut(found, truths, evaluate.Aim.BALANCE)
    assert chosen[0.0] == 0.5
    unlabelled = evaluate.match_all(found, [truth_at([])])
    assert evaluate.choose_threshold(unlabelled, evaluate.Aim.BALANCE) in scores


def test_bootstrap_interval_has_the_width_of_the_binomial() -> None:
    rng = np.random.default_rng(0)
    hits = rng.random(400) < 0.7
    per_galaxy = np.stack([hits, np.ones(400), np.ones(400)], axis=-1).astype(np.int64)
    low, high = evaluate.intervals(per_galaxy)["completeness"]
    width = 2 * 1.96 * np.sqrt(0.7 * 0.3 / 400)
    assert low < hits.mean() < high
    assert high - low == pytest.approx(width, rel=0.1)


def test_folds_keep_a_galaxy_together_and_are_even() -> None:
    names = [f"g{k % 10}" for k in range(30)]
    places = evaluate.folds(names, 5, seed=1)
    assert np.bincount(places).tolist() == [6] * 5
    assert all(len(set(places[np.array(names) == name])) == 1 for name in names)
    with pytest.raises(WorkbenchError, match="1 folds"):
        evaluate.folds(names, 1)


def test_average_precision_is_coco_s() -> None:
    pytest.importorskip("pycocotools", reason="pycocotools comes with the clumps extra")
    truth = truth_at([(20, 20), (60, 60)])
    perfect = evaluate.average_precision([found_at([(20, 20), (60, 60)], [0.9, 0.8])], [truth])
    assert perfect["ap"] == pytest.approx(1.0)
    # The surest is false, the one hit has precision 1/2 up to recall 1/2: 51 of 101 points.
    half = evaluate.average_precision([found_at([(90, 90), (20, 20)], [0.9, 0.8])], [truth])
    assert half["ap50"] == pytest.approx(0.5 * 51 / 101, abs=1e-6)


def test_by_property_counts_each_truth_once() -> None:
    truths = [truth_at([(20, 20), (60, 60)]), truth_at([(50, 50)])]
    found = [found_at([(20, 20)], [0.9]), found_at([(50, 50)], [0.9])]
    rows = evaluate.by_property(evaluate.match_all(found, truths), truths, 0.5)
    for name in ("clumps_per_galaxy", "radius_fwhm", "psf_fwhm_px"):
        assert sum(int(row["true"]) for row in rows if row["property"] == name) == 3
    ones = [row for row in rows if row["property"] == "clumps_per_galaxy"]
    assert [row["completeness"] for row in ones[:2]] == [1.0, 0.5]


def test_scaling_maps_boxes_there_and_back() -> None:
    galaxy = disk_galaxy(((60.0, 40.0),))
    resized, scaling = to_fixed_psf(galaxy, 7.5)
    assert resized.shape == (152, 152, 3)  # 101 * 1.5 rounded
    boxes = scaling.forward(galaxy.truth.boxes)
    np.testing.assert_allclose(scaling.backward(boxes), galaxy.truth.boxes, rtol=0, atol=1e-12)
    blue = resized[:, :, 2] - resized[:, :, 0]
    row, column = np.unravel_index(blue.argmax(), blue.shape)
    centre = (boxes[0, :2] + boxes[0, 2:]) / 2
    assert np.hypot(*(centre - (column, row))) < 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", list(classical.METHODS))
def test_classical_methods_find_nothing_in_an_empty_picture(method: str) -> None:
    truth = annotation("empty", (64, 64), np.empty((0, 4)), psf_fwhm=6.0)
    empty = Galaxy(np.full((64, 64, 3), 0.1, np.float32), truth)
    assert len(classical.METHODS[method](empty).at) == 0


@pytest.mark.parametrize("method", list(classical.METHODS))
def test_classical_methods_find_blue_points_where_they_are(method: str) -> None:
    points = ((62.0, 44.0), (38.0, 58.0))
    galaxy = disk_galaxy(points)
    proposed = classical.METHODS[method](galaxy)
    apart = np.hypot(*(proposed.at[:, None] - np.array(points)[None]).transpose(2, 0, 1))
    assert (apart.min(axis=0) < 1.5).all()
    assert (proposed.blue[apart.argmin(axis=0)] > 5).all()


@real_data
@pytest.mark.parametrize(
    ("method", "published", "published_overlap"),
    # Measured independently on the same 53 galaxies: F1 within one PSF FWHM and at IoU 0.5.
    [("dog", 0.571, 0.552), ("sep", 0.550, None), ("dao_segment", 0.266, None)],
)
def test_classical_methods_reproduce_their_measured_scores(
    method: str, published: float, published_overlap: float | None
) -> None:
    galaxies = list(s82.load())
    truths = [galaxy.truth for galaxy in galaxies]
    proposed = classical.propose(method, galaxies)
    for criterion, expected in (
        (Criterion.DISTANCE, published), (Criterion.OVERLAP, published_overlap),
    ):  # fmt: skip
        if expected is None:
            continue
        settings = classical.tune(method, proposed, galaxies, criterion)
        found = [
            classical.select(one, settings, truth.psf_fwhm or 0)
            for one, truth in zip(proposed, truths, strict=True)
        ]
        f1 = evaluate.rates(evaluate.match_all(found, truths, criterion)).f1
        assert f1 == pytest.approx(expected, abs=0.02)


@real_data
def test_daofinder_confined_to_the_galaxy_is_no_weaker() -> None:
    galaxies = list(s82.load())
    truths = [galaxy.truth for galaxy in galaxies]
    proposed = classical.propose("dao", galaxies)
    settings = classical.tune("dao", proposed, galaxies)
    found = [
        classical.select(one, settings, truth.psf_fwhm or 0)
        for one, truth in zip(proposed, truths, strict=True)
    ]
    assert evaluate.rates(evaluate.match_all(found, truths)).f1 > 0.266


BRIGHT = Detections(
    np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]),
    np.array([0.9, 0.9, 0.5, 1.0]),
    np.ones(4, np.int64),
    np.array([[1.0, 0.9, 0.8], [0.5, 0.1, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]),
)


def test_a_score_for_bright_clumps_sets_fainter_ones_aside() -> None:
    np.testing.assert_array_equal(BRIGHT.scores_at(0.0), BRIGHT.scores)
    at_3 = BRIGHT.scores_at(0.03)
    np.testing.assert_allclose(at_3, [0.81 / 0.91, 0.09 / 0.19, 0.5, 0.0])
    assert (BRIGHT.scores_at(0.08) <= at_3).all()
    between = BRIGHT.scores_at(float(np.sqrt(0.03 * 0.08)))
    np.testing.assert_allclose(between[:2], [0.765 / 0.865, 0.045 / 0.145])
    assert (BRIGHT.scores_at(1e-6) == BRIGHT.scores_at(1e-4)).all()
    assert (BRIGHT.scores_at(1.0) == 0).all()
    silent = replace(BRIGHT, brighter=None)
    np.testing.assert_array_equal(silent.scores_at(0.08), silent.scores)


def test_matches_of_a_flux_cut_have_its_scores_and_order() -> None:
    truth = annotation("a", (100, 20), BRIGHT.boxes[:2] + 1, np.ones(2, np.int64),
                       np.array([0.1, 0.2]), psf_fwhm=4.0)  # fmt: skip
    every, bright = match(BRIGHT, truth), match(BRIGHT, truth, min_flux_ratio=0.03)
    assert every.which.tolist() == [3, 0, 1, 2]
    assert bright.which.tolist() == [0, 2, 1, 3]
    np.testing.assert_allclose(bright.scores, BRIGHT.scores_at(0.03)[[0, 2, 1, 3]])
    np.testing.assert_allclose(bright.found_at, BRIGHT.scores_at(0.03)[:2])


def test_brightness_stays_with_what_is_kept_joined_and_averaged() -> None:
    kept = BRIGHT.keep(np.array([False, True, True, False]))
    np.testing.assert_array_equal(kept.brighter, BRIGHT.brighter[1:3])
    assert merge(BRIGHT, 25.0).brighter[0].tolist() == [0.0, 0.0, 0.0]  # that of the surest
    seen = average([BRIGHT, replace(BRIGHT, brighter=None)], 1.0, 0.2)
    np.testing.assert_allclose(seen.brighter, (1 + BRIGHT.brighter[[3, 0, 1, 2]]) / 2)
