"""Objects of contrast images: how the clumps of Stripe 82 were catalogued, done on the picture.

Mehta et al. 2021 (ApJ 912, 49) take pictures of two arcmin and pixels of 0.396 arcsec, subtract
from each band its mean over 10 x 10 pixels, keep what is two standard deviations above, add the
bands and take SExtractor's objects of 5 pixels above 40 counts (zero point 30), finely deblended;
those on the galaxy and off its centre of light are clumps, but for a few left out by eye. Here the
bands are those of the picture, its stretch undone, on cells as large; u light, which no picture
shows, follows g.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.cells import BLUE, GREEN, NO_SHIFT, RED, Cells
from workbench.clumps.classical import gaussian_kernel
from workbench.clumps.extras import need
from workbench.clumps.host import FWHM_PER_SIGMA
from workbench.clumps.stretch import COADD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.stretch import Style

BOX = 10  # cells that the mean is taken over
LEAST_SIGMA, CLIP_SIGMA, OUTLIER_SIGMA = 2.0, 3.0, 10.0
LEVEL = 0.04  # nanomaggies a cell, added bands: 40 counts at zero point 30
LEAST_CELLS, STEPS, LEAST_PART = 5, 64, 1e-5  # of an object, and of SExtractor's deblending
# Cells above their neighbours and the level; Stripe 82 has 120 at most, simulated galaxies 266.
MOST_PEAKS = 500
FILTER_FWHM = 2.0  # cells, of the 5 x 5 Gaussian that objects are found with
U_OVER_G = 10 ** (-0.4 * 0.49)  # flux: mean u-g of the catalogued clumps of 3 % and more
OFF_CENTRE = 1.05  # PSF FWHM: what is nearer to the centre of light is the bulge
ITERATIONS = 6  # at most, of finding the centre without the clumps and these without the centre


@dataclass(frozen=True, eq=False)
class Objects:
    """What stands out in one picture.

    Attributes
    ----------
    at
        (N, 2) x, y in pixels of the picture.
    peak
        (N,) brightest cell of the added contrast images, over the least brightness of one.
    cells
        (N,) cells above the level.
    often
        (N,) in what part of the repetitions it was found.
    """

    at: NDArray[np.float64]
    peak: NDArray[np.float64]
    cells: NDArray[np.float64]
    often: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at)

    def keep(self, which: NDArray[np.bool_]) -> Objects:
        """Return those where `which` (N,) is true."""
        return Objects(self.at[which], self.peak[which], self.cells[which], self.often[which])


@dataclass(frozen=True)
class Draw:
    """What the procedure is done with.

    Attributes
    ----------
    shift
        x, y in cells that these are moved by.
    level, smoothed, u_over_g, u_noise
        Least brightness in nanomaggies a cell, sigma in cells of what the picture is smoothed
        with, u over g light, and the noise of u in nanomaggies a cell.
    seed
        Of this noise.
    """

    shift: tuple[float, float] = NO_SHIFT
    level: float = LEVEL
    smoothed: float = 0.0
    u_over_g: float = U_OVER_G
    u_noise: float = 0.0
    seed: int = 0


class Contrast:
    """The procedure on one picture.

    Attributes
    ----------
    cells
        The picture's light.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """

    def __init__(self, galaxy: Galaxy, style: Style = COADD) -> None:
        self.cells = Cells(galaxy, style)
        self._part = _around(self.cells.host)
        self._ranges = [_range(self.cells.light[:, :, band]) for band in (RED, GREEN, BLUE)]

    def objects(self, draw: Draw | None = None) -> Objects:
        """Return what stands out on the galaxy at the centre of the picture, but its own centre."""
        draw = draw or Draw()
        psf = self.cells.psf
        light, host = self.cells.shifted(draw.shift, self._part)
        found = _extract(_contrast(light, self._ranges, draw), draw.level)
        at = np.stack([found["x"], found["y"]], axis=-1).reshape(-1, 2)
        x, y = (at[:, axis].round().astype(int).clip(0, n - 1)
                for axis, n in ((0, host.shape[1]), (1, host.shape[0])))  # fmt: skip
        on_host = host[y, x]
        at, found = at[on_host], found[on_host]
        apart = np.hypot(*(at - centre_of_light(light[:, :, GREEN], host, at, psf)).T)
        off = apart > OFF_CENTRE * psf
        corner = np.array([self._part[1].start, self._part[0].start])
        return Objects(
            self.cells.pixels(at[off] + corner, draw.shift), found["peak"][off] / draw.level,
            found["npix"][off].astype(np.float64), np.ones(int(off.sum())),
        )  # fmt: skip

    def bluer(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,) ln of g over i light at pixels `at` (N, 2) less that of what it lies on."""
        own, around = self.cells.lights(at)
        return blueness(own) - blueness(around)


def blueness(lights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) ln of g over i of `lights` (3, N)."""
    blue: NDArray[np.float64] = np.log(lights[BLUE] / lights[RED])
    return blue


def _around(host: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that `host` (H, W) reaches to, and `BOX` more; all for none."""
    parts = []
    for axis in (1, 0):
        there = np.flatnonzero(host.any(axis=axis))
        most = host.shape[1 - axis]
        first, last = (int(there[0]), int(there[-1])) if there.size else (0, most)
        parts.append(slice(max(first - BOX, 0), min(last + BOX + 1, most)))
    return parts[0], parts[1]


@dataclass(frozen=True)
class _Range:
    """Of a band, in nanomaggies a cell: where it is cut off, median and scatter of its contrast."""

    low: float
    high: float
    middle: float
    scatter: float


def _range(plane: NDArray[np.float32]) -> _Range:
    """Return the range of a band (H, W)."""
    rows, columns = (slice(n // 4, -(-3 * n // 4)) for n in plane.shape)
    reach = OUTLIER_SIGMA * float(plane[rows, columns].std())
    middle = _median(plane)
    clipped = plane.clip(middle - reach, middle + reach)
    detail = clipped - _mean(clipped)
    ordinary = detail[np.abs(detail - _median(detail)) < CLIP_SIGMA * clipped.std()]
    ordinary = ordinary if ordinary.size else detail.ravel()
    return _Range(middle - reach, middle + reach, _median(ordinary), float(ordinary.std()))


def _contrast(
    light: NDArray[np.float32], ranges: Sequence[_Range], draw: Draw
) -> NDArray[np.float32]:
    """Return (H, W), the contrast images of u, g, r and i added, what is below two sigma left out.

    Bands `light` (H, W, 3) are i, r, g, their `ranges` those of the whole picture.
    """
    if draw.smoothed > 0:
        smooth = need("scipy.ndimage").gaussian_filter
        light = smooth(light, (draw.smoothed, draw.smoothed, 0))
    part, green = draw.u_over_g, ranges[BLUE]
    u = light[:, :, BLUE] * np.float32(part)
    if draw.u_noise > 0:
        noise = np.random.default_rng(draw.seed).standard_normal(u.shape, np.float32)
        u = u + np.float32(draw.u_noise) * noise
    of_u = _Range(part * green.low, part * green.high, part * green.middle,
                  float(np.hypot(part * green.scatter, draw.u_noise)))  # fmt: skip
    added = np.zeros(light.shape[:2], np.float32)
    for plane, its in ((light[:, :, RED], ranges[RED]), (light[:, :, GREEN], ranges[GREEN]),
                       (light[:, :, BLUE], green), (u, of_u)):  # fmt: skip
        clipped = plane.clip(its.low, its.high)
        detail = clipped - _mean(clipped)
        added += np.where(detail < its.middle + LEAST_SIGMA * its.scatter, 0, detail)
    return added


def _median(values: NDArray[np.floating[Any]]) -> float:
    """Return the median of every third of `values`, a third of the time."""
    return float(np.median(values.ravel()[::3]))


def _mean(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of `plane` (H, W) over `BOX` cells, half of the outermost ones."""
    weights = np.ones(BOX + 1)
    weights[[0, -1]] = 0.5
    correlate = need("scipy.ndimage").correlate1d
    rows = correlate(plane, weights / BOX, axis=0, mode="nearest")
    mean: NDArray[np.float32] = correlate(rows, weights / BOX, axis=1, mode="nearest")
    return mean


def _extract(added: NDArray[np.float32], level: float) -> Any:
    """Return SEP's objects of `added` (H, W) above `level`; none where all of it is noise."""
    highest = added == need("scipy.ndimage").maximum_filter(added, 3)
    if (highest & (added > level)).sum() > MOST_PEAKS:
        added = np.zeros_like(added)
    return need("sep").extract(
        np.ascontiguousarray(added), level, minarea=LEAST_CELLS,
        filter_kernel=gaussian_kernel(FILTER_FWHM / FWHM_PER_SIGMA),
        filter_type="conv", deblend_nthresh=STEPS, deblend_cont=LEAST_PART,
    )  # fmt: skip


def centre_of_light(
    light: NDArray[np.floating[Any]],
    host: NDArray[np.bool_],
    at: NDArray[np.float64],
    psf: float,
) -> NDArray[np.float64]:
    """Return x, y of the middle of `light` (H, W) on `host`, clumps among cells `at` left out.

    What lies within `OFF_CENTRE` FWHM `psf` of that middle is no clump, and counts again.
    """
    shown = np.where(host, light.clip(0), 0)
    centre = np.array([(n - 1) / 2 for n in host.shape[::-1]])
    clumps = np.ones(len(at), np.bool_)
    y, x = np.arange(host.shape[0])[:, None], np.arange(host.shape[1])[None]
    for _ in range(ITERATIONS):
        left = np.where(_discs(at[clumps], host.shape, psf), 0, shown)
        whole = float(left.sum())
        if whole <= 0:
            break
        centre = np.array([float((left * x).sum()) / whole, float((left * y).sum()) / whole])
        now = np.hypot(*(at - centre).T) > OFF_CENTRE * psf
        if (now == clumps).all():
            break
        clumps = now
    return centre


def _discs(at: NDArray[np.float64], shape: tuple[int, ...], psf: float) -> NDArray[np.bool_]:
    """Return (H, W), which cells are within one PSF FWHM of one of `at` (N, 2) x, y."""
    covered = np.zeros(shape, np.bool_)
    reach = int(np.ceil(psf))
    row, column = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    for x, y in at:
        rows = slice(max(int(y) - reach, 0), int(y) + reach + 2)
        columns = slice(max(int(x) - reach, 0), int(x) + reach + 2)
        covered[rows, columns] |= np.hypot(column[:, columns] - x, row[rows] - y) <= psf
    return covered
