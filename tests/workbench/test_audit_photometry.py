"""Aperture photometry against sources of known flux, and its errors against their scatter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from workbench.audit.photometry import APERTURE, colour, measure, read_planes
from workbench.clumps.galaxy import square_boxes
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FWHM = 6.0
SIDE = 160
RADIUS = 38.0  # pixels of the galaxy
# Part of a Gaussian within a circle of `APERTURE` FWHM.
INSIDE = 1 - np.exp(-4 * np.log(2) * APERTURE**2)


def scene(
    points: list[tuple[float, float, float]], sigma: float = 0.02, seed: int = 0
) -> NDArray[np.float64]:
    """Return Gaussian points (x, y, flux) on a galaxy of known flux: a tilted plateau."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    # An annulus around a point takes a gradient off exactly.
    picture = 3.0 + (np.hypot(x - 80, y - 80) < RADIUS) * (1 + 0.004 * (x - 80))
    width = FWHM / 2.3548200450309493
    for px, py, flux in points:
        blob = np.exp(-0.5 * ((x - px) ** 2 + (y - py) ** 2) / width**2)
        picture += flux * blob / (2 * np.pi * width**2)
    return picture + np.random.default_rng(seed).normal(0, sigma, picture.shape)


def boxes(points: Any) -> NDArray[np.float64]:
    return square_boxes([point[:2] for point in points], FWHM)


def within(found: Any, wanted: Any, errors: Any) -> None:
    """Check to four errors and 0.5 %: pixels sample the Gaussian, and the gradient in the ring."""
    assert (np.abs(found - wanted) < 4 * errors + 5e-3 * np.abs(wanted)).all(), (found, wanted)


def test_flux_ratio_and_colour_of_a_known_clump() -> None:
    points = [(94.3, 84.6, 200.0), (65.0, 88.2, 120.0)]
    blue = [(x, y, 2.5 * flux) for x, y, flux in points]
    cube = np.stack([scene(blue, seed=1), scene(points, seed=2)], axis=-1)
    table = measure(cube, boxes(points), FWHM, ("u", "g"))
    true = np.array([200, 120]) * INSIDE
    within(table["flux_g"], true, table["error_g"])
    within(table["flux_u"], 2.5 * true, table["error_u"])
    within(table["u-g"], -2.5 * np.log10(2.5), 1.0857 * 2 / table["snr_g"])
    assert (table["snr_g"] > 50).all()
    # The galaxy's region ends where its smoothed picture meets the sky, within a PSF of its edge.
    whole = np.pi * RADIUS**2 + 320
    np.testing.assert_allclose(table["ratio_g"], true / whole, rtol=0.02)


def test_neighbours_in_the_annulus_are_masked() -> None:
    reach = 2.25 * FWHM
    turns = np.radians(np.arange(0, 360, 120))
    around = [(80 + reach * np.cos(t), 80 + reach * np.sin(t), 150.0) for t in turns]
    points = [(80.0, 80.0, 200.0), *around]
    cube = scene(points)[:, :, None]
    row = measure(cube, boxes(points), FWHM, ("g",)).iloc[0]
    ignored = measure(cube, boxes(points[:1]), FWHM, ("g",)).iloc[0]
    # Beyond their masks the neighbours have 3 % of their light, some of it in the ring.
    off = abs(row["flux_g"] - 200 * INSIDE)
    assert off < 0.03 * 200 * INSIDE
    assert abs(ignored["flux_g"] - 200 * INSIDE) > 3 * off


def test_errors_are_the_scatter_of_repeated_measurements() -> None:
    points = [(90.0, 84.0, 50.0)]
    found = [
        measure(scene(points, 0.3, seed)[:, :, None], boxes(points), FWHM, ("g",)).iloc[0]
        for seed in range(150)
    ]
    scatter = np.std([row["flux_g"] for row in found])
    claimed = np.mean([row["error_g"] for row in found])
    # The scatter of 150 is known to 6 %: three of these.
    assert claimed == pytest.approx(scatter, rel=0.18)


def test_off_the_picture_or_without_sky_there_is_no_flux() -> None:
    points = [(-30.0, 80.0, 0.0), (80.0, 80.0, 0.0), (80.5, 80.5, 0.0)]
    cube = scene([])[:, :, None]
    crowd = [(80 + 4 * k, 80 + 4 * j, 0.0) for k in range(-4, 5) for j in range(-4, 5)]
    assert np.isnan(measure(cube, boxes(points), FWHM, ("g",))["flux_g"][0])
    hemmed = measure(cube, boxes(crowd), FWHM, ("g",))["flux_g"]
    assert np.isnan(hemmed[len(crowd) // 2])
    cube[75:85, 75:85] = np.nan
    assert len(measure(cube, boxes(points), FWHM, ("g",))) == 3
    assert len(measure(cube, [], FWHM, ("g",))) == 0


def test_colours_of_fluxes_that_are_not_positive_are_unknown() -> None:
    found = colour(np.array([1.0, -1.0, 10.0]), np.array([10.0, 1.0, 0.0]))
    np.testing.assert_array_equal(np.isnan(found), [False, True, True])
    assert found[0] == 2.5


def test_wrong_input_is_said() -> None:
    cube = np.zeros((20, 20, 2))
    with pytest.raises(WorkbenchError, match=r"expected \(height, width, 3\)"):
        measure(cube, [], FWHM, ("u", "g", "r"))
    with pytest.raises(WorkbenchError, match=r"PSF FWHM of 0\.0 pixels"):
        measure(cube, [], 0.0, ("u", "g"))


def test_planes_of_fits_files(tmp_path: Path) -> None:
    cube = np.arange(2 * 9 * 8, dtype=np.float32).reshape(2, 9, 8)
    path = tmp_path / "a.fits"
    fits.writeto(path, cube)
    np.testing.assert_array_equal(read_planes(path), np.moveaxis(cube, 0, -1))
    (tmp_path / "b.fits").write_bytes(b"SIMPLE  = nonsense")
    with pytest.raises(WorkbenchError, match="corrupt or no FITS file"):
        read_planes(tmp_path / "b.fits")
    with pytest.raises(WorkbenchError, match="no such file"):
        read_planes(tmp_path / "c.fits")
