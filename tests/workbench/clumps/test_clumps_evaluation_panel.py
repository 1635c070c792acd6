"""A threshold on a slider: the state counts, the panel shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clump_cases import disk_galaxy
from workbench.clumps.galaxy import Galaxy, square_boxes
from workbench.clumps.matching import detections
from workbench.clumps.panels.evaluation_panel import EvaluationPanel
from workbench.clumps.panels.evaluation_state import STEPS, EvaluationState, Scored
from workbench.clumps.panels.outcome import Fate
from workbench.clumps.report import Method

PSF = 5.0
# Clumps of each galaxy, and detections: x, y, score.
CLUMPS = [((30.0, 30.0), (70.0, 70.0)), ((50.0, 30.0),), ((20.0, 80.0),)]
FOUND = [
    [(30, 30, 0.9), (70, 71, 0.4), (50, 50, 0.45)],
    [(50, 31, 0.6), (80, 80, 0.8)],
    [(21, 80, 0.7)],
]
RATIOS = [(0.2, 0.01), (0.05,), (0.1,)]


def galaxy(index: int) -> Galaxy:
    made = disk_galaxy(CLUMPS[index])
    truth = replace(made.truth, name=f"g{index}", flux_ratio=np.array(RATIOS[index]))
    return Galaxy(made.image, truth)


GALAXIES = [galaxy(k) for k in range(3)]
METHOD = Method(
    "made up",
    [
        detections(square_boxes([row[:2] for row in rows], PSF), [row[2] for row in rows])
        for rows in FOUND
    ],
    0.5,
    {0.03: 0.65},
)
OTHER = Method("blind", [detections([], []) for _ in GALAXIES], 1.0)


def state(threshold: float, min_flux_ratio: float = 0.0) -> EvaluationState:
    return EvaluationState.of(Scored(GALAXIES, METHOD, min_flux_ratio)).moved(threshold)


@pytest.mark.parametrize(
    ("threshold", "hits", "found"), [(0.3, 4, 6), (0.5, 3, 4), (0.65, 2, 3), (0.95, 0, 0)]
)
def test_rates_are_those_of_the_threshold(threshold: float, hits: int, found: int) -> None:
    rates = state(threshold).rates
    assert (rates.hits, rates.found, rates.true) == (hits, found, 4)


def test_it_starts_at_the_threshold_chosen_for_the_cut() -> None:
    assert EvaluationState.of(Scored(GALAXIES, METHOD)).threshold == 0.5
    assert EvaluationState.of(Scored(GALAXIES, METHOD, 0.03)).threshold == 0.65


@pytest.mark.parametrize("chosen", [0.3, 0.4, 0.5011, 0.9, 1.0])
def test_the_slider_reaches_every_score_and_stops_at_the_chosen_one(chosen: float) -> None:
    scored = Scored(GALAXIES, replace(METHOD, threshold=chosen))
    thresholds = scored.thresholds
    assert len(thresholds) == STEPS + 1
    assert chosen in thresholds
    step = np.diff(thresholds)
    assert step == pytest.approx(step[0])
    assert thresholds[0] <= min(0.4, chosen) < thresholds[0] + 2 * step[0]
    assert thresholds[-1] >= max(0.9, chosen) > thresholds[-1] - 2 * step[0]
    assert thresholds[EvaluationState.of(scored).position] == chosen


def test_the_slider_of_a_method_that_finds_nothing_starts_at_its_threshold() -> None:
    assert Scored(GALAXIES, OTHER).thresholds[0] == 1.0


def test_the_galaxies_that_change_are_those_between_the_two_thresholds() -> None:
    changes = [(one.index, one.text) for one in state(0.3).changes]
    assert changes == [(0, "+1 found, +1 false")]
    stricter = [(one.index, one.text) for one in state(0.85).changes]
    assert stricter == [(1, "-1 found, -1 false"), (2, "-1 found")]
    pinned = state(0.85).pinned()
    assert pinned.changes == []
    assert [one.index for one in pinned.moved(0.3).changes] == [0, 1, 2]


def test_what_went_wrong_comes_worst_first() -> None:
    missed = [(k, mark.flux_ratio) for k, mark in state(0.75).wrong(Fate.MISSED)]
    assert missed == [(2, 0.1), (1, 0.05), (0, 0.01)]
    false = [(k, mark.score) for k, mark in state(0.3).wrong(Fate.FALSE)]
    assert false == [(1, 0.8), (0, 0.45)]
    # With fainter truth ignored it is not missed.
    assert [k for k, _ in state(0.75, 0.03).wrong(Fate.MISSED)] == [2, 1]


def test_the_verdict_says_rates_intervals_and_numbers() -> None:
    text = state(0.5).verdict
    assert text.startswith("completeness 0.75 (")
    assert "purity 0.75 (" in text
    assert text.endswith("3 of 4 clumps found, 1 false")


def test_the_panel_follows_its_slider() -> None:
    panel = EvaluationPanel(GALAXIES, [METHOD, OTHER])
    assert (panel.position.value, panel.threshold.value) == (state(0.5).position, 0.5)
    assert panel.verdict.value == state(0.5).verdict
    assert "0 of 3 galaxies change" in panel.changed.value
    before = panel.galaxies.value
    panel.threshold.value = 0.85
    assert panel.verdict.value == state(0.85).verdict
    assert "2 of 3 galaxies change" in panel.changed.value
    assert panel.galaxies.value != before
    lines = {line.name: line for line in panel.curve.data}
    assert list(lines["threshold"].x) == [0.85, 0.85]
    assert list(lines["compared with"].x) == [0.5, 0.5]
    assert list(panel.curve.data[-1].y) == [0.25, 1.0, 0.4]
    assert panel.titles[Fate.MISSED].value == "<b>3 missed, brightest first</b>"
    panel.pin.click()
    assert "0 of 3 galaxies change" in panel.changed.value


def test_the_panel_s_slider_stops_at_its_positions_and_its_number_anywhere() -> None:
    panel = EvaluationPanel(GALAXIES, [METHOD, OTHER])
    thresholds = panel.state.scored.thresholds
    panel.position.value += 7
    assert panel.state.threshold == thresholds[panel.position.value]
    assert panel.threshold.value == round(panel.state.threshold, 4)
    panel.threshold.value = 0.71234567
    assert panel.state.threshold == 0.71234567
    assert panel.threshold.value == 0.7123
    assert abs(thresholds[panel.position.value] - 0.71234567) <= np.diff(thresholds)[0] / 2
    # A threshold in more digits than are shown stays as it was chosen.
    panel = EvaluationPanel(GALAXIES, [replace(METHOD, threshold=0.9927511215209961, by_cut={})])
    assert panel.threshold.value == 0.9928
    panel.cut.value = 0.03
    assert panel.state.threshold == panel.state.reference == 0.9927511215209961


def test_the_panel_s_curve_is_that_of_the_method_and_cut() -> None:
    panel = EvaluationPanel(GALAXIES, [METHOD, OTHER])
    whole = Scored(GALAXIES, METHOD).curve
    np.testing.assert_array_equal(panel.curve.data[0].x, whole.thresholds)
    np.testing.assert_array_equal(panel.curve.data[0].y, whole.completeness)
    panel.cut.value = 0.03
    assert panel.threshold.value == 0.65
    np.testing.assert_array_equal(
        panel.curve.data[1].y, Scored(GALAXIES, METHOD, 0.03).curve.purity
    )
    panel.method.value = 1  # finds nothing
    assert panel.threshold.value == 1.0
    assert len(panel.curve.data[0].x) == 0
    assert "0 of 3 clumps found, 0 false" in panel.verdict.value
