"""Objects of contrast images: how the clumps of Stripe 82 were catalogued, done on the picture.

Mehta et al. 2021 (ApJ 912, 49) subtract from each band its mean over 10 x 10 pixels of 0.396
arcsec, keep what is two standard deviations above, add the bands and take SExtractor's objects of
5 pixels above 40 counts (zero point 30), finely deblended; those on the galaxy and off its centre
of light are clumps, after a look by eye. Here the bands are those of the picture, its stretch
undone, on cells as large for the PSF; u light, which no picture shows, follows g.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from workbench.clumps.classical import gaussian_kernel
from workbench.clumps.extras import need
from workbench.clumps.host import FWHM_PER_SIGMA
from workbench.clumps.inject import outline
from workbench.clumps.stretch import COADD
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.stretch import Style

CELL = 0.396 / 1.27  # PSF FWHM: a pixel of SDSS over the median seeing of the co-added r images
BOX = 10  # cells that the mean is taken over
LEAST_SIGMA, CLIP_SIGMA, OUTLIER_SIGMA = 2.0, 3.0, 10.0
LEVEL = 0.04  # nanomaggies per pixel of 0.396 arcsec, added bands: 40 counts at zero point 30
LEAST_CELLS, STEPS, LEAST_PART = 5, 64, 1e-5  # of an object, and of SExtractor's deblending
FILTER_FWHM = 2.0  # cells, of the 5 x 5 Gaussian that objects are found with
U_OVER_G = 10 ** (-0.4 * 0.49)  # flux: mean u-g of the catalogued clumps of 3 % and more
# Colours at an object are read at these Gaussian sigmas in cells: the PSF and its surroundings.
NEAR, AROUND = 1.3, 3.9
FAINT = 1e-3  # stands for no light, so that colours stay finite
RED, GREEN, BLUE = 0, 1, 2  # the picture's i, r and g


@dataclass(frozen=True, eq=False)
class Objects:
    """What stands out in one picture.

    Attributes
    ----------
    at
        (N, 2) x, y in pixels of the picture.
    peak
        (N,) brightest cell of the added contrast images, over the least brightness of one.
    bluer
        (N,) ln of the object's own g over i light less that of what it lies on: above 0 it is
        bluer than its surroundings.
    """

    at: NDArray[np.float64]
    peak: NDArray[np.float64]
    bluer: NDArray[np.float64]

    def keep(self, which: NDArray[np.bool_]) -> Objects:
        """Return those where `which` (N,) is true."""
        return Objects(self.at[which], self.peak[which], self.bluer[which])


def objects(galaxy: Galaxy, style: Style = COADD) -> Objects:
    """Return what stands out on the galaxy at the centre of the picture, but its own centre.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """
    truth = galaxy.truth
    if truth.psf_fwhm is None:
        raise WorkbenchError(f"{truth.name}: contrast needs the PSF FWHM; give psf_fwhm_r_px")
    if galaxy.image.shape[2] != 3:
        raise WorkbenchError(f"{truth.name}: {galaxy.image.shape[2]} bands; contrast needs 3")
    size = CELL * truth.psf_fwhm
    light = _cells(style.linear(galaxy.image), size)
    found = _extract(_contrast(light))
    host = _on_cells(_host(galaxy), light.shape, size)
    x, y = (found[axis].round().astype(int).clip(0, n - 1)
            for axis, n in (("x", host.shape[1]), ("y", host.shape[0])))  # fmt: skip
    found = found[host[y, x]]
    at = np.stack([found["x"], found["y"]], axis=-1).reshape(-1, 2)
    centre = _centre(light[:, :, GREEN], host, at)
    apart = np.hypot(*(at - centre).T) > 1 / CELL
    every = Objects(
        (at + 0.5) * size - 0.5,
        found["peak"] / LEVEL,
        _bluer(light, at),
    )
    return every.keep(apart)


def _host(galaxy: Galaxy) -> NDArray[np.bool_]:
    """Return (H, W), where the galaxy is; everywhere if none stands out at the centre."""
    try:
        return outline(galaxy)
    except WorkbenchError:
        return np.ones(galaxy.image.shape[:2], np.bool_)


def _cells(light: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Return the bands `light` (H, W, 3) on cells of `size` pixels, from the upper left."""
    height, width = (max(1, int(n / size)) for n in light.shape[:2])
    how = Image.Resampling.BOX if size >= 1 else Image.Resampling.BILINEAR
    box = (0.0, 0.0, min(width * size, light.shape[1]), min(height * size, light.shape[0]))
    bands = [
        Image.fromarray(light[:, :, band].astype(np.float32)).resize((width, height), how, box=box)
        for band in range(3)
    ]
    return np.stack([np.asarray(band, dtype=np.float64) for band in bands], axis=-1)


def _contrast(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (H, W), the contrast images of u, g, r and i added, what is below two sigma left out.

    Bands `light` (H, W, 3) are i, r, g.
    """
    added = np.zeros(light.shape[:2])
    for band, weight in ((RED, 1.0), (GREEN, 1.0), (BLUE, 1 + U_OVER_G)):
        plane = light[:, :, band]
        rows, columns = (slice(n // 4, -(-3 * n // 4)) for n in plane.shape)
        reach = OUTLIER_SIGMA * plane[rows, columns].std()
        clipped = plane.clip(np.median(plane) - reach, np.median(plane) + reach)
        detail = clipped - _mean(clipped)
        ordinary = detail[np.abs(detail - np.median(detail)) < CLIP_SIGMA * clipped.std()]
        if ordinary.size:
            least = np.median(ordinary) + LEAST_SIGMA * ordinary.std()
            added += weight * np.where(detail < least, 0, detail)
    return added


def _mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of `plane` (H, W) over `BOX` cells, half of the outermost ones."""
    weights = np.ones(BOX + 1)
    weights[[0, -1]] = 0.5
    correlate = need("scipy.ndimage").correlate1d
    rows = correlate(plane, weights / BOX, axis=0, mode="nearest")
    mean: NDArray[np.float64] = correlate(rows, weights / BOX, axis=1, mode="nearest")
    return mean


def _extract(added: NDArray[np.float64]) -> Any:
    """Return SEP's objects of `added` (H, W)."""
    return need("sep").extract(
        np.ascontiguousarray(added), LEVEL, minarea=LEAST_CELLS,
        filter_kernel=gaussian_kernel(FILTER_FWHM / FWHM_PER_SIGMA),
        filter_type="conv", deblend_nthresh=STEPS, deblend_cont=LEAST_PART,
    )  # fmt: skip


def _bluer(light: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) the blueness at the cells `at` (N, 2) against that of the light around them."""
    scipy = need("scipy.ndimage")
    places = at[:, ::-1].T
    own, under = {}, {}
    for band in (RED, BLUE):
        around = scipy.gaussian_filter(light[:, :, band], AROUND)
        near = scipy.gaussian_filter(light[:, :, band], NEAR) - around
        own[band] = np.maximum(scipy.map_coordinates(near, places, order=1), FAINT / 10)
        under[band] = np.maximum(scipy.map_coordinates(around, places, order=1), FAINT)
    bluer: NDArray[np.float64] = np.log(own[BLUE] / own[RED]) - np.log(under[BLUE] / under[RED])
    return bluer


def _on_cells(mask: NDArray[np.bool_], shape: tuple[int, ...], size: float) -> NDArray[np.bool_]:
    """Return `mask` (H, W) of pixels at the middles of cells of `size` pixels."""
    rows, columns = (
        ((np.arange(n) + 0.5) * size - 0.5).round().astype(int).clip(0, most - 1)
        for n, most in zip(shape[:2], mask.shape, strict=True)
    )
    on_cells: NDArray[np.bool_] = mask[np.ix_(rows, columns)]
    return on_cells


def _centre(
    light: NDArray[np.float64], host: NDArray[np.bool_], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return x, y of the middle of `light` (H, W) on `host`, what is at the cells `at` left out."""
    left = host.copy()
    left[_discs(at, host.shape)] = False
    shown = np.where(left, light.clip(0), 0)
    if shown.sum() <= 0:
        return np.array([(n - 1) / 2 for n in host.shape[::-1]])
    y, x = np.indices(host.shape)
    whole = float(shown.sum())
    return np.array([float((shown * x).sum()) / whole, float((shown * y).sum()) / whole])


def _discs(at: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (H, W), which cells are within one PSF FWHM of one of `at` (N, 2) x, y."""
    covered = np.zeros(shape, np.bool_)
    reach = int(np.ceil(1 / CELL))
    for x, y in at:
        rows = slice(max(int(y) - reach, 0), int(y) + reach + 2)
        columns = slice(max(int(x) - reach, 0), int(x) + reach + 2)
        part = covered[rows, columns]
        row, column = np.indices(part.shape)
        part |= np.hypot(column + columns.start - x, row + rows.start - y) <= 1 / CELL
    return covered
