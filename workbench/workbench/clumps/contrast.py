"""Objects of contrast images: how the clumps of Stripe 82 were catalogued, done on the picture.

Mehta et al. 2021 (ApJ 912, 49) take pictures of two arcmin and pixels of 0.396 arcsec, subtract
from each band its mean over 10 x 10 pixels, keep what is two standard deviations above, add the
bands and take SExtractor's objects of 5 pixels above 40 counts (zero point 30), finely deblended;
those on the galaxy and off its centre of light are clumps, but for a few left out by eye. Here the
bands are those of the picture, its stretch undone, on cells as large; u light, which no picture
shows, follows g.

A hair's breadth in level, noise or where a pixel begins splits an object in two or loses it, and
none of these can be read from a picture. `often` repeats the procedure with each drawn anew and
tells how often each object comes back.
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
from workbench.clumps.sky import pixel_scale
from workbench.clumps.stretch import COADD
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.stretch import Style

PIXEL = 0.396  # arcsec: a cell
SEEING = 1.27  # arcsec: median PSF FWHM of the co-added r images, where no scale is known
CELLS = 303  # of 0.396 arcsec, two arcmin: the published pictures' side
RIM = 20  # pixels at each side of a picture that stand for the sky beyond it
BOX = 10  # cells that the mean is taken over
LEAST_SIGMA, CLIP_SIGMA, OUTLIER_SIGMA = 2.0, 3.0, 10.0
LEVEL = 0.04  # nanomaggies a cell, added bands: 40 counts at zero point 30
LEAST_CELLS, STEPS, LEAST_PART = 5, 64, 1e-5  # of an object, and of SExtractor's deblending
# Cells above their neighbours and the level; Stripe 82 has 120 at most, simulated galaxies 266.
MOST_PEAKS = 500
FILTER_FWHM = 2.0  # cells, of the 5 x 5 Gaussian that objects are found with
U_OVER_G = 10 ** (-0.4 * 0.49)  # flux: mean u-g of the catalogued clumps of 3 % and more
OFF_CENTRE = 1.05  # PSF FWHM: what is nearer to the centre of light is the bulge
TURNS = 6  # at most, of finding the centre without the clumps and these without the centre
# Colours at an object are read at these Gaussian sigmas in PSF FWHM: the PSF and its surroundings.
NEAR, AROUND = 0.405, 1.216
FAINT = 1e-3  # stands for no light, so that colours stay finite
RED, GREEN, BLUE = 0, 1, 2  # the picture's i, r and g
# What `often` draws: ln of the level, mean and scatter; ends of the Gaussian sigma in cells that
# the picture is smoothed with, of u over g light and of the noise of u in nanomaggies a cell.
LEVELS, SMOOTHED, U_OVER_GS, U_NOISE = (0.05, 0.15), (0.0, 0.5), (0.2, 0.6), (0.0, 0.015)
TIMES = 32
# An object is the same as another of a repetition within the second, in PSF FWHM, and objects
# are densest where Gaussians of the first sigma about them add up to most.
DENSE, SAME = 0.2, 0.45


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

    shift: tuple[float, float] = (0.0, 0.0)
    level: float = LEVEL
    smoothed: float = 0.0
    u_over_g: float = U_OVER_G
    u_noise: float = 0.0
    seed: int = 0


class Contrast:
    """A picture's linear light on cells, and which of these are the galaxy.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """

    def __init__(self, galaxy: Galaxy, style: Style = COADD) -> None:
        truth = galaxy.truth
        if truth.psf_fwhm is None:
            raise WorkbenchError(f"{truth.name}: contrast needs the PSF FWHM; give psf_fwhm_r_px")
        if galaxy.image.shape[2] != 3:
            raise WorkbenchError(f"{truth.name}: {galaxy.image.shape[2]} bands; contrast needs 3")
        self.size = cell(galaxy)
        self.psf = truth.psf_fwhm / self.size
        light = style.linear(galaxy.image).astype(np.float32)
        self._extent = np.array(light.shape[1::-1])
        self._planes = [
            Image.fromarray(np.ascontiguousarray(plane))
            for plane in (*light.transpose(2, 0, 1), _host(galaxy).astype(np.float32))
        ]
        self._sky = _rim(light)
        whole = (slice(0, CELLS), slice(0, CELLS))
        self.light, self.host = self._shifted((0.0, 0.0), whole)
        self._part = _around(self.host)
        self._ranges = [_range(self.light[:, :, band]) for band in (RED, GREEN, BLUE)]

    def _corner(self, shift: tuple[float, float]) -> NDArray[np.float64]:
        """Return x, y in pixels of the upper left corner of the cells moved by `shift`."""
        return (self._extent - CELLS * self.size) / 2 + np.array(shift) * self.size

    def _shifted(
        self, shift: tuple[float, float], part: tuple[slice, slice]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return light (H, W, 3) and host (H, W) on the cells `part` moved by `shift` cells.

        Beyond the picture lies sky as at its rim.
        """
        corner, size = self._corner(shift), self.size
        start = np.array([part[1].start, part[0].start])
        stop = np.array([part[1].stop, part[0].stop])
        first = np.maximum(np.ceil(-corner / size - 1e-9).astype(int), start)
        last = np.floor((self._extent - corner) / size + 1e-9).astype(int)
        last = np.minimum(last, stop)
        light = self._sky[part].copy()
        host = np.zeros(light.shape[:2], np.bool_)
        if (last > first).all():
            box = (*(corner + first * size).clip(0),
                   *np.minimum(corner + last * size, self._extent))  # fmt: skip
            low, high = first - start, last - start
            inner = (slice(low[1], high[1]), slice(low[0], high[0]))
            how = Image.Resampling.BOX if size >= 1 else Image.Resampling.BILINEAR
            *bands, shown = (
                np.asarray(plane.resize(tuple(last - first), how, box=box))
                for plane in self._planes
            )
            light[inner], host[inner] = np.stack(bands, axis=-1), shown > 0.5
        return light, host

    def pixels(
        self, at: NDArray[np.float64], shift: tuple[float, float] = (0.0, 0.0)
    ) -> NDArray[np.float64]:
        """Return cells `at` (N, 2) x, y moved by `shift` cells in pixels of the picture."""
        return self._corner(shift) + (at + 0.5) * self.size - 0.5

    def cells(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return pixels `at` (N, 2) x, y of the picture in cells."""
        return (at + 0.5 - self._corner((0.0, 0.0))) / self.size - 0.5

    def objects(self, draw: Draw | None = None) -> Objects:
        """Return what stands out on the galaxy at the centre of the picture, but its own centre."""
        draw = draw or Draw()
        light, host = self._shifted(draw.shift, self._part)
        found = _extract(_contrast(light, self._ranges, draw), draw.level)
        at = np.stack([found["x"], found["y"]], axis=-1).reshape(-1, 2)
        x, y = (at[:, axis].round().astype(int).clip(0, n - 1)
                for axis, n in ((0, host.shape[1]), (1, host.shape[0])))  # fmt: skip
        on_host = host[y, x]
        at, found = at[on_host], found[on_host]
        apart = np.hypot(*(at - centre_of_light(light[:, :, GREEN], host, at, self.psf)).T)
        off = apart > OFF_CENTRE * self.psf
        corner = np.array([self._part[1].start, self._part[0].start])
        return Objects(
            self.pixels(at[off] + corner, draw.shift), found["peak"][off] / draw.level,
            found["npix"][off].astype(np.float64), np.ones(int(off.sum())),
        )  # fmt: skip

    def bluer(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,) ln of g over i light at pixels `at` (N, 2) less that of what it lies on."""
        own, under = self.lights(at)
        bluer: NDArray[np.float64] = (
            np.log(own[BLUE] / own[RED]) - np.log(under[BLUE] / under[RED])
        )  # fmt: skip
        return bluer

    def lights(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (3, N) i, r, g light of what is at pixels `at` (N, 2), and of what is around."""
        scipy = need("scipy.ndimage")
        places = self.cells(at)[:, ::-1].T
        own, under = [], []
        for band in (RED, GREEN, BLUE):
            around = scipy.gaussian_filter(self.light[:, :, band], AROUND * self.psf)
            near = scipy.gaussian_filter(self.light[:, :, band], NEAR * self.psf) - around
            own.append(np.maximum(scipy.map_coordinates(near, places, order=1), FAINT / 10))
            under.append(np.maximum(scipy.map_coordinates(around, places, order=1), FAINT))
        return np.stack(own), np.stack(under)

    def often(self, times: int = TIMES) -> Objects:
        """Return what is found in `times` repetitions, each as published but for what is unknown.

        Positions, peaks and cells are means.
        """
        rng = np.random.default_rng([times, 16])
        draws = [_draw(rng, seed) for seed in range(times)]
        return _same([self.objects(draw) for draw in draws], self.psf * self.size)


def cell(galaxy: Galaxy) -> float:
    """Return the side of a cell in pixels of the picture: 0.396 arcsec.

    Where no scale is known, as large a part of the PSF FWHM as in the median of Stripe 82.
    """
    truth = galaxy.truth
    if truth.wcs is not None:
        return PIXEL / pixel_scale(truth.wcs)
    return PIXEL / SEEING * float(truth.psf_fwhm or 1.0)


def _draw(rng: np.random.Generator, seed: int) -> Draw:
    return Draw(
        shift=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5))),
        level=LEVEL * float(np.exp(rng.normal(*LEVELS))),
        smoothed=float(rng.uniform(*SMOOTHED)),
        u_over_g=float(rng.uniform(*U_OVER_GS)),
        u_noise=float(rng.uniform(*U_NOISE)),
        seed=seed,
    )


def _host(galaxy: Galaxy) -> NDArray[np.bool_]:
    """Return (H, W), where the galaxy is; everywhere if none stands out at the centre."""
    try:
        return outline(galaxy)
    except WorkbenchError:
        return np.ones(galaxy.image.shape[:2], np.bool_)


def _around(host: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that `host` (H, W) reaches to, and `BOX` more; all for none."""
    parts = []
    for axis in (1, 0):
        there = np.flatnonzero(host.any(axis=axis))
        most = host.shape[1 - axis]
        first, last = (int(there[0]), int(there[-1])) if there.size else (0, most)
        parts.append(slice(max(first - BOX, 0), min(last + BOX + 1, most)))
    return parts[0], parts[1]


def _rim(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (`CELLS`, `CELLS`, 3) drawn from the outermost pixels of `light` (H, W, 3).

    What is three standard deviations from their median in r is left out.
    """
    rim = np.concatenate([side.reshape(-1, 3) for side in (
        light[:RIM], light[-RIM:], light[:, :RIM], light[:, -RIM:])])  # fmt: skip
    away = np.abs(rim[:, GREEN] - np.median(rim[:, GREEN]))
    sky = rim[away <= CLIP_SIGMA * rim[:, GREEN].std()]
    sky = sky if len(sky) else rim
    return sky[np.random.default_rng(0).integers(0, len(sky), (CELLS, CELLS))]


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
    y, x = np.indices(host.shape)
    for _ in range(TURNS):
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
    for x, y in at:
        rows = slice(max(int(y) - reach, 0), int(y) + reach + 2)
        columns = slice(max(int(x) - reach, 0), int(x) + reach + 2)
        part = covered[rows, columns]
        row, column = np.indices(part.shape)
        part |= np.hypot(column + columns.start - x, row + rows.start - y) <= psf
    return covered


def _same(found: Sequence[Objects], psf: float) -> Objects:
    """Return one set of objects of those of all repetitions: the densest first, each joined once.

    `psf` is in pixels.
    """
    at = np.concatenate([one.at for one in found])
    peak = np.concatenate([one.peak for one in found])
    cells = np.concatenate([one.cells for one in found])
    turn = np.repeat(np.arange(len(found)), [len(one) for one in found])
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) / psf
    near = np.exp(-0.5 * (apart / DENSE) ** 2)
    free = np.ones(len(at), np.bool_)
    rows = []
    while free.any():
        dense = np.where(free, near[:, free].sum(axis=1), -1)
        middle = int(dense.argmax())
        around = np.flatnonzero(free & (apart[middle] < SAME))
        nearest = around[np.argsort(apart[middle, around], kind="stable")]
        _, first = np.unique(turn[nearest], return_index=True)
        group = nearest[first]  # of each repetition the nearest
        free[group] = False
        rows.append((
            *at[group].mean(axis=0), peak[group].mean(), cells[group].mean(),
            len(group) / len(found),
        ))  # fmt: skip
    known = np.array(rows).reshape(-1, 5)
    return Objects(known[:, :2], known[:, 2], known[:, 3], known[:, 4])
