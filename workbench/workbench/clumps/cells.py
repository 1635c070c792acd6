"""A picture's light on the pixels of its survey, by default the cells of this module.

Catalogues are made on a survey's own pixels; a picture's are finer, coarser or turned from these.
What a procedure finds depends on them, so it is repeated on cells as large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workbench.clumps.extras import need
from workbench.clumps.inject import outline
from workbench.clumps.sky import pixel_scale
from workbench.clumps.stretch import COADD
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.stretch import Style

PIXEL = 0.396  # arcsec of SDSS: a cell
SEEING = 1.27  # arcsec: median PSF FWHM of the co-added r images, where no scale is known
SIDE = 303  # cells: two arcmin
RIM = 20  # pixels at each side of a picture that stand for the sky beyond it
RIM_SIGMA = 3.0  # what lies farther from their median is no sky
# Light at a place is read at these Gaussian sigmas in PSF FWHM: the PSF and its surroundings.
NEAR, AROUND = 0.405, 1.216
FAINT = 1e-3  # nanomaggies a cell: stands for no light, so that colours stay finite
RED, GREEN, BLUE = 0, 1, 2  # the picture's i, r and g
NO_SHIFT = (0.0, 0.0)
WHOLE = (slice(0, SIDE), slice(0, SIDE))


class Cells:
    """A picture's linear light on cells of 0.396 arcsec, and which of these are the galaxy.

    Attributes
    ----------
    size
        Side of a cell in pixels of the picture.
    psf
        FWHM in cells.
    light
        (`SIDE`, `SIDE`, 3) i, r, g in nanomaggies a cell, the picture's middle in the middle;
        beyond the picture sky as at its rim.
    host
        (`SIDE`, `SIDE`) where the galaxy is; the whole picture if none stands out at its centre.

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
        self.size = _cell(galaxy)
        self.psf = truth.psf_fwhm / self.size
        light = style.linear(galaxy.image).astype(np.float32)
        self._extent = np.array(light.shape[1::-1])
        self._planes = [
            Image.fromarray(np.ascontiguousarray(plane))
            for plane in (*light.transpose(2, 0, 1), _host(galaxy).astype(np.float32))
        ]
        self._sky = _rim(light)
        self.light, self.host = self.shifted(NO_SHIFT, WHOLE)

    def _corner(self, shift: tuple[float, float]) -> NDArray[np.float64]:
        """Return x, y in pixels of the upper left corner of the cells moved by `shift`."""
        return (self._extent - SIDE * self.size) / 2 + np.array(shift) * self.size

    def shifted(
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
        self, at: NDArray[np.float64], shift: tuple[float, float] = NO_SHIFT
    ) -> NDArray[np.float64]:
        """Return cells `at` (N, 2) x, y moved by `shift` cells in pixels of the picture."""
        return self._corner(shift) + (at + 0.5) * self.size - 0.5

    def of(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return pixels `at` (N, 2) x, y of the picture in cells."""
        return (at + 0.5 - self._corner(NO_SHIFT)) / self.size - 0.5

    def lights(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (3, N) i, r, g light of what is at pixels `at` (N, 2), and of what is around."""
        scipy = need("scipy.ndimage")
        places = self.of(at)[:, ::-1].T
        own, under = [], []
        for band in (RED, GREEN, BLUE):
            around = scipy.gaussian_filter(self.light[:, :, band], AROUND * self.psf)
            near = scipy.gaussian_filter(self.light[:, :, band], NEAR * self.psf) - around
            own.append(np.maximum(scipy.map_coordinates(near, places, order=1), FAINT / 10))
            under.append(np.maximum(scipy.map_coordinates(around, places, order=1), FAINT))
        return np.stack(own), np.stack(under)


def _cell(galaxy: Galaxy) -> float:
    """Return the side of a cell in pixels of the picture: 0.396 arcsec.

    Where no scale is known, as large a part of the PSF FWHM as in the median of Stripe 82.
    """
    truth = galaxy.truth
    if truth.wcs is not None:
        return PIXEL / pixel_scale(truth.wcs)
    return PIXEL / SEEING * float(truth.psf_fwhm or 1.0)


def _host(galaxy: Galaxy) -> NDArray[np.bool_]:
    """Return (H, W), where the galaxy is; everywhere if none stands out at the centre."""
    try:
        return outline(galaxy)
    except WorkbenchError:
        return np.ones(galaxy.image.shape[:2], np.bool_)


def _rim(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (`SIDE`, `SIDE`, 3) drawn from the outermost pixels of `light` (H, W, 3).

    What is three standard deviations from their median in r is left out.
    """
    rim = np.concatenate([side.reshape(-1, 3) for side in (
        light[:RIM], light[-RIM:], light[:, :RIM], light[:, -RIM:])])  # fmt: skip
    away = np.abs(rim[:, GREEN] - np.median(rim[:, GREEN]))
    sky = rim[away <= RIM_SIGMA * rim[:, GREEN].std()]
    sky = sky if len(sky) else rim
    return sky[np.random.default_rng(0).integers(0, len(sky), (SIDE, SIDE))]
