"""The clump on a slider: the state decides, the widget shows."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from clump_cases import disk_galaxy
from PIL import Image
from workbench.audit import examples
from workbench.clumps.figures import COLOURS, calibration_figure, drawn, grid
from workbench.clumps.galaxy import Galaxy, Label
from workbench.clumps.inject import Clump, inject
from workbench.clumps.injection_explorer import InjectionExplorer
from workbench.clumps.injection_state import InjectionState
from workbench.clumps.simulate import truths
from workbench.clumps.stretch import COADD, VIEWER
from workbench.errors import WorkbenchError


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)


def test_a_fading_clump_is_lost() -> None:
    bright, faint = (InjectionState(disk_galaxy(), r, radius=4) for r in (0.2, 0.0003))
    assert bright.significance > faint.significance
    assert bright.peak > 10 * max(faint.peak, 1)
    assert "20.0% of the galaxy's u light" in bright.verdict
    assert "DoG finds it at" in bright.verdict
    assert "no candidate" in faint.verdict


def test_a_clump_is_drawn_in_the_style_of_its_survey() -> None:
    host = disk_galaxy()
    state = InjectionState(host, 0.1, radius=4, style=COADD).moved(
        flux_ratio=0.2, radius=4, angle=0, size=0
    )
    x, y = state.at
    expected = inject(host, [Clump(x, y, 0.2)], COADD)
    np.testing.assert_array_equal(state.galaxy.image, expected.image)
    real = Galaxy(host.image, replace(host.truth, name="objID1.jpg"))
    made = Galaxy(host.image, replace(host.truth, name="sim-1-2"))
    assert (examples.style(real), examples.style(made)) == (COADD, VIEWER)
    planes = examples.linear_planes([real, made])
    np.testing.assert_array_equal(planes["objID1.jpg"], COADD.linear(host.image))


def test_the_clump_is_where_radius_and_angle_say_and_never_outside() -> None:
    state = InjectionState(disk_galaxy(), radius=4, angle=90)
    assert state.at == pytest.approx((50, 70))
    assert state.galaxy.truth.centres[-1] == pytest.approx((50, 70))
    assert InjectionState(disk_galaxy(), radius=99, angle=0).at == pytest.approx((100, 50))


def test_a_slider_moves_the_picture_and_the_verdict() -> None:
    explorer = InjectionExplorer(disk_galaxy())
    explorer.box.value = False
    before, verdict = pixels(explorer.picture.value), explorer.verdict.value
    explorer.flux_ratio.value = 0.25
    after = pixels(explorer.picture.value)
    x, y = (round(2 * (value + 0.5)) for value in explorer.state.at)
    assert (after[y, x] - before[y, x]).min() > 10
    assert explorer.verdict.value != verdict
    assert explorer.verdict.value == explorer.state.verdict
    np.testing.assert_array_equal(after[:20], before[:20])  # nothing moved at the edge
    explorer.box.value = True
    assert (pixels(explorer.picture.value) != after).any()


def test_a_picture_without_psf_says_what_is_missing() -> None:
    galaxy = disk_galaxy()
    with pytest.raises(WorkbenchError, match="needs the PSF"):
        InjectionExplorer(Galaxy(galaxy.image, replace(galaxy.truth, psf_fwhm=None)))


def test_boxes_are_drawn_at_pixel_edges_in_their_colour() -> None:
    galaxy = disk_galaxy(((50.0, 50.0),))
    truth = replace(galaxy.truth, boxes=np.array([[39.5, 39.5, 59.5, 59.5]]),
                    labels=np.array([2]))  # fmt: skip
    picture = drawn(Galaxy(galaxy.image, truth))
    odd = tuple(int(COLOURS[Label.ODD][k : k + 2], 16) for k in (1, 3, 5))
    assert picture.getpixel((40, 50)) == odd
    assert picture.getpixel((60, 50)) == odd
    assert picture.getpixel((39, 50)) != odd
    assert grid([galaxy] * 5, columns=4, side=50).size == (200, 100)


def test_the_simulator_lies_on_the_line_of_the_published_labels() -> None:
    figure = calibration_figure(truths(8, range(800)))
    for trace in figure.data[:3]:
        assert np.abs(np.array(trace.y) / np.array(trace.x) - 1).max() < 0.15, trace.name
