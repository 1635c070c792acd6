"""Small galaxies and files that several tests share."""

from __future__ import annotations

import os

import numpy as np
import pytest
from workbench.clumps import sky
from workbench.clumps.galaxy import Annotation, Galaxy, annotation, square_boxes

DATA = os.environ.get("FLASHCLUMP_DATA")
real_data = pytest.mark.skipif(
    not DATA, reason="FLASHCLUMP_DATA names no folder: the published tables are not redistributed"
)


def truth_of(name: str = "a.png", *, wcs: bool = True) -> Annotation:
    return annotation(
        name,
        (60, 48),
        square_boxes([(20.25, 15.5), (30.0, 31.125)], 4.0),
        [1, 2],
        [0.05, np.nan],
        psf_fwhm=4.0,
        redshift=0.03,
        wcs=sky.north_up(150.0, 2.0, 29.5, 23.5, 0.4) if wcs else None,
    )


def picture(width: int = 60, height: int = 48, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (height, width, 3)) / 255).astype(np.float32)


def same(first: Annotation, second: Annotation) -> None:
    assert (first.name, first.width, first.height) == (second.name, second.width, second.height)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.flux_ratio, second.flux_ratio)
    assert first.psf_fwhm == second.psf_fwhm
    assert first.redshift == second.redshift


def disk_galaxy(points: tuple[tuple[float, float], ...] = (), side: int = 101) -> Galaxy:
    """A noisy round disk, with blue points of the PSF's width (FWHM 5 pixels)."""
    rng = np.random.default_rng(3)
    y, x = np.indices((side, side))
    middle = (side - 1) / 2
    disk = 0.3 * np.exp(-np.hypot(x - middle, y - middle) / 12)
    image = np.repeat((0.06 + disk)[:, :, None], 3, axis=2)
    image += rng.normal(0, 0.01, image.shape)
    for at in points:
        spot = np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / (5 / 2.3548) ** 2)
        image += spot[:, :, None] * np.array([0.1, 0.2, 0.35])
    truth = annotation(
        "disk", (side, side), square_boxes(points, 5.0), flux_ratio=[0.05] * len(points),
        psf_fwhm=5.0,
    )  # fmt: skip
    eight_bit = (image.clip(0, 1) * 255).round() / 255
    return Galaxy(eight_bit.astype(np.float32), truth)
