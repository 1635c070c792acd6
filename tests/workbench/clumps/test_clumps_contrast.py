"""Objects of contrast images, and the labels that deep galaxies get from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clump_cases import real_data
from workbench.clumps import evaluate, sky
from workbench.clumps.cells import PIXEL, Cells
from workbench.clumps.cells import SIDE as CELLS
from workbench.clumps.contrast import Contrast, Draw
from workbench.clumps.deep import ODD_NEAR, catalogued, deep
from workbench.clumps.galaxy import Galaxy, Label, annotation, square_boxes
from workbench.clumps.inject import Clump, inject
from workbench.clumps.matching import Criterion, detections
from workbench.clumps.repeated import repeated
from workbench.clumps.request import Request
from workbench.clumps.sources import galaxies
from workbench.clumps.stretch import COADD
from workbench.errors import WorkbenchError

PSF, SIDE = 6.0, 240


def disk(peak: float = 0.5, red: float = 1.0) -> Galaxy:
    """Return a smooth disk of `peak` nanomaggies a pixel in g in the middle, a little noise."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    light = peak * np.exp(-np.hypot(x, y) / 15)[:, :, None] * np.array([2.0 * red, 1.6, 1.0])
    noise = 0.002 * np.random.default_rng(0).standard_normal(light.shape)
    truth = annotation("disk", (SIDE, SIDE), psf_fwhm=PSF)
    return Galaxy(COADD.picture(light + noise), truth)


def blue(x: float, y: float, ratio: float = 0.02) -> Clump:
    return Clump(x, y, ratio, colours=(0.3, -0.2, -0.1))


def test_a_clump_is_found_where_it_was_put_and_the_centre_is_none() -> None:
    made = inject(disk(), [blue(142.3, 110.7), blue(96.0, 130.0)], COADD)
    contrast = Contrast(made)
    found = contrast.objects()
    assert len(found) == 2
    apart = np.hypot(*(found.at[:, None] - made.truth.centres[None]).transpose(2, 0, 1))
    assert apart.min(axis=0).max() < 0.1 * PSF
    assert (found.peak >= 1).all()
    assert (contrast.bluer(found.at) > 0).all()


def test_a_red_point_is_found_and_is_not_bluer_than_its_ground() -> None:
    star = Clump(142.0, 110.0, 0.01, colours=(1.6, 0.9, 0.4))
    contrast = Contrast(inject(disk(), [star], COADD))
    found = contrast.objects()
    assert len(found) == 1
    assert contrast.bluer(found.at)[0] < -0.3


def test_brighter_clumps_have_brighter_peaks_and_faint_ones_are_none() -> None:
    peaks = []
    for ratio in (0.0003, 0.01, 0.03):
        found = Contrast(inject(disk(), [blue(142.0, 110.0, ratio)], COADD)).objects()
        peaks.append(found.peak.max() if len(found.at) else 0.0)
    assert peaks[0] == 0.0
    assert 1 < peaks[1] < peaks[2]


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_what_is_found_does_not_depend_on_the_pixels(factor: float) -> None:
    made = inject(disk(), [blue(142.3, 110.7), blue(96.0, 130.0)], COADD)
    side = int(SIDE * factor)
    rows = ((np.arange(side) + 0.5) / factor - 0.5).round().astype(int).clip(0, SIDE - 1)
    truth = annotation("disk", (side, side), psf_fwhm=PSF * factor)
    found = Contrast(Galaxy(made.image[np.ix_(rows, rows)], truth)).objects()
    there = (made.truth.centres + 0.5) * factor - 0.5
    apart = np.hypot(*(found.at[:, None] - there[None]).transpose(2, 0, 1))
    assert apart.shape == (2, 2)
    assert apart.min(axis=0).max() < 0.2 * PSF * factor


def test_a_picture_without_a_galaxy_has_no_objects() -> None:
    dark = annotation("dark", (64, 64), psf_fwhm=PSF)
    assert len(Contrast(Galaxy(np.zeros((64, 64, 3), np.float32), dark)).objects()) == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (600, 600)])
@pytest.mark.parametrize("scale", [None, 0.001, 0.396, 30.0])
def test_noise_of_any_size_and_scale_has_no_more_objects_than_a_galaxy(
    size: tuple[int, int], scale: float | None
) -> None:
    noise = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    wcs = scale and sky.north_up(1.0, 1.0, 0.0, 0.0, scale)
    truth = annotation("noise", (size[1], size[0]), psf_fwhm=4.0, wcs=wcs)
    found = repeated(Contrast(Galaxy(noise, truth)), 4)
    assert len(found) < 300
    assert np.isfinite(found.at).all()


def test_unknown_psf_and_other_bands_are_told() -> None:
    galaxy = disk()
    with pytest.raises(WorkbenchError, match="disk: contrast needs the PSF FWHM"):
        Contrast(replace(galaxy, truth=replace(galaxy.truth, psf_fwhm=None)))
    with pytest.raises(WorkbenchError, match="disk: 5 bands; contrast needs 3"):
        Contrast(Galaxy(np.zeros((SIDE, SIDE, 5), np.float32), galaxy.truth))


def test_deep_labels_are_the_bluer_objects_of_the_picture_and_the_odd_ones() -> None:
    clumps = 0
    for index in range(8):
        galaxy = deep(4, index)
        truth, contrast = galaxy.truth, Contrast(galaxy)
        found = contrast.objects()
        bluer = contrast.bluer(found.at)
        own = truth.centres[truth.labels == Label.CLUMP]
        odd = truth.centres[truth.labels == Label.ODD]
        for at in own:
            nearest = np.hypot(*(found.at - at).T).argmin()
            np.testing.assert_allclose(found.at[nearest], at, atol=1e-6)
            assert bluer[nearest] > 0
            assert (np.hypot(*(odd - at).T) > ODD_NEAR * (truth.psf_fwhm or 0.0)).all()
        ratios = truth.flux_ratio[truth.labels == Label.CLUMP]
        assert (((ratios > 0) & (ratios < 1.2)) | np.isnan(ratios)).all()
        clumps += len(own)
    assert clumps > 16


def test_a_catalogue_of_a_picture_measures_the_light_of_its_clumps() -> None:
    made = inject(disk(), [blue(142.0, 110.0, 0.04)], COADD)
    truth = catalogued(replace(made, truth=annotation("disk", (SIDE, SIDE), psf_fwhm=PSF))).truth
    assert len(truth) == 1
    assert 0.02 < truth.flux_ratio[0] < 0.06


def test_flux_ratios_are_unknown_where_no_galaxy_stands_out() -> None:
    made = inject(disk(), [blue(142.0, 110.0, 0.04)], COADD)
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    hole = np.where((np.hypot(x, y) < 20)[:, :, None], 0, made.image).astype(np.float32)
    for image, known in ((made.image, True), (hole, False)):
        truth = annotation("disk", (SIDE, SIDE), psf_fwhm=PSF)
        ratios = catalogued(Galaxy(image, truth)).truth.flux_ratio
        assert len(ratios)
        assert np.isfinite(ratios).all() == known


def test_cells_are_those_of_the_survey_where_the_scale_is_known() -> None:
    galaxy = disk()
    for scale in (0.2, 0.396, 0.6):
        wcs = sky.north_up(10.0, 0.0, SIDE / 2, SIDE / 2, scale)
        cells = Cells(replace(galaxy, truth=replace(galaxy.truth, wcs=wcs)))
        assert cells.size == pytest.approx(PIXEL / scale)
        assert cells.psf == pytest.approx(PSF * scale / PIXEL)
    assert Cells(galaxy).psf == pytest.approx(1.27 / PIXEL)  # by the PSF


def test_pixels_and_cells_undo_each_other_and_the_picture_lies_in_the_middle() -> None:
    cells = Cells(disk())
    at = np.array([[10.0, 20.0], [119.5, 119.5], [200.0, 30.5]])
    np.testing.assert_allclose(cells.pixels(cells.of(at)), at)
    np.testing.assert_allclose(cells.of(at)[1], (CELLS - 1) / 2)
    shifted = cells.pixels(cells.of(at), (0.5, -0.25))
    np.testing.assert_allclose(shifted - at, np.array([[0.5, -0.25]] * 3) * cells.size)
    brightest = np.unravel_index(cells.light[:, :, 1].argmax(), (CELLS, CELLS))
    assert np.abs(np.array(brightest) - (CELLS - 1) / 2).max() <= 1


def test_repetitions_find_bright_clumps_always_and_others_now_and_then() -> None:
    clumps = [blue(142.3, 110.7, 0.03), blue(96.0, 130.0, 0.0075)]
    contrast = Contrast(inject(disk(), clumps, COADD))
    found = repeated(contrast, 24)
    near = [np.hypot(*(found.at - (one.x, one.y)).T).argmin() for one in clumps]
    assert found.often[near[0]] == 1.0
    assert 0 < found.often[near[1]] < 1.0
    assert found.peak[near[0]] > found.peak[near[1]]
    apart = np.hypot(*(found.at[near] - [(one.x, one.y) for one in clumps]).T)
    assert apart.max() < 0.2 * PSF
    again = repeated(contrast, 24)
    np.testing.assert_array_equal(found.at, again.at)


def test_levels_decide_what_is_found_and_noise_how_bright_it_is() -> None:
    made = Contrast(inject(disk(), [blue(142.3, 110.7, 0.01)], COADD))
    assert len(made.objects(Draw(level=0.02))) >= 1
    assert len(made.objects(Draw(level=1.0))) == 0
    peaks = [made.objects(Draw(u_noise=0.01, seed=seed)).peak.max() for seed in range(3)]
    assert len({*peaks, made.objects().peak.max()}) == 4


@real_data
def test_bluer_objects_are_the_catalogued_clumps_of_stripe_82() -> None:
    real = list(galaxies(Request(source="s82")))
    truths = [galaxy.truth for galaxy in real]
    once, often = [], []
    for galaxy in real:
        contrast = Contrast(galaxy)
        for found, kept in ((contrast.objects(), once), (repeated(contrast), often)):
            one = found.keep((contrast.bluer(found.at) > 0) & (found.often >= 0.5))
            boxes = square_boxes(one.at, galaxy.truth.psf_fwhm or 0.0)
            kept.append(detections(boxes, one.peak))
    for found, least in ((once, 0.69), (often, 0.695)):  # measured .702 and .71; no label was used
        by_distance = evaluate.rates(evaluate.match_all(found, truths, Criterion.DISTANCE))
        assert by_distance.f1 > least
        assert evaluate.rates(evaluate.match_all(found, truths, Criterion.OVERLAP)).f1 > 0.66
