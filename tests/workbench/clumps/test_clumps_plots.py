"""Plots on the page's own background are seen in the light and the dark theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clump_cases import disk_galaxy
from workbench.clumps.figures import calibration_figure
from workbench.clumps.matching import detections
from workbench.clumps.panels import curves
from workbench.clumps.panels.evaluation_panel import EvaluationPanel
from workbench.clumps.report import Method, curve_figure, flux_figure, report
from workbench.clumps.simulate import truths
from workbench.plotting import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = {"light": "#ffffff", "dark": "#111111"}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def colours(part: object) -> Iterator[str]:
    """Every #rrggbb in a figure's JSON."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, str) and part.startswith("#"):
        yield part
    elif isinstance(part, list | tuple):
        for one in part:
            yield from colours(one)


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_lines_and_error_bars_are_seen(page: str) -> None:
    galaxy = disk_galaxy(((30.0, 30.0),))
    panel = EvaluationPanel([galaxy], [Method("one", [detections([[20, 20, 40, 40]], [0.9])], 0.5)])
    bars = [one.to_plotly_json() for one in TEMPLATE.data.bar]
    layout = TEMPLATE.layout
    drawn = [
        *colours([{k: bar[k] for k in ("error_x", "error_y")} for bar in bars]),
        *colours([layout.font.color, layout.shapedefaults.to_plotly_json()]),
        *colours(panel.curve.to_plotly_json()["data"]),
        *colours(curves.empty(3).to_plotly_json()["data"]),
        *colours(layout.colorway),
    ]
    assert len(drawn) > 10
    assert {
        colour: contrast(colour, page) for colour in drawn if contrast(colour, page) < 2.5
    } == {}


def test_figures_of_tutorials_and_reports_have_no_ground_of_their_own() -> None:
    galaxy = disk_galaxy(((30.0, 30.0),))
    result = report(
        [Method("one", [detections([[20, 20, 40, 40]], [0.9])], 0.5)], [galaxy.truth], {}
    )
    for figure in (
        curve_figure(result),
        flux_figure(result),
        calibration_figure(truths(1, range(9))),
    ):
        assert figure.layout.template.layout.paper_bgcolor == TEMPLATE.layout.paper_bgcolor
        assert figure.layout.template.layout.colorway == TEMPLATE.layout.colorway
