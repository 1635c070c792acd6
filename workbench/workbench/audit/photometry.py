"""Aperture photometry of boxes on linear pictures, with photutils.

The aperture is a circle of 1.125 PSF FWHM; the light underneath is the median of an annulus from
1.5 FWHM outwards in which the other boxes' apertures are masked (Popp et al. 2024, RASTI 3, 174).
The galaxy's flux is all light above the sky in its own region of the picture.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.extras import need
from workbench.clumps.host import FWHM_PER_SIGMA, host_mask, noise
from workbench.clumps.pictures import MAX_PIXELS
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

APERTURE = 1.125  # radius, PSF FWHM
ANNULUS = (1.5, 2.25)  # inner and outer radius, PSF FWHM
FEWEST = 10  # pixels of an annulus that a median is taken of


def measure(
    planes: NDArray[Any], boxes: ArrayLike, psf_fwhm: float, bands: Sequence[str]
) -> pd.DataFrame:
    """Return the photometry of boxes, one row each.

    Parameters
    ----------
    planes
        (H, W, B) linear fluxes a pixel, in any unit; the sky may be left in.
    boxes
        (N, 4) x1, y1, x2, y2 in pixels, 0-based pixel centres.
    psf_fwhm
        Pixels.
    bands
        Names of the B planes.

    Returns
    -------
    pandas.DataFrame
        For each band ``flux_b`` and ``error_b`` in the unit of `planes`, ``snr_b`` and
        ``ratio_b`` (clump over galaxy); for neighbouring bands in the order given the colours
        ``a-b`` in magnitudes, NaN where a flux is not positive. A flux without enough unmasked
        sky around it, or with its centre off the picture, is NaN.

    Raises
    ------
    WorkbenchError
        Shapes do not fit, or the PSF is not positive.
    """
    cube, corners = np.asarray(planes, np.float64), np.asarray(boxes, np.float64).reshape(-1, 4)
    if cube.ndim != 3 or cube.shape[2] != len(bands):
        raise WorkbenchError(
            f"planes of shape {cube.shape} for the bands {', '.join(bands)}; "
            f"expected (height, width, {len(bands)})"
        )
    if not (np.isfinite(psf_fwhm) and psf_fwhm > 0):
        raise WorkbenchError(f"PSF FWHM of {psf_fwhm} pixels; expected a positive number")
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    columns: dict[str, Any] = {}
    mask = _host(cube, psf_fwhm)
    for k, band in enumerate(bands):
        plane = cube[:, :, k]
        sky = _sky(plane, mask)
        flux, error = _apertures(plane - sky, centres, psf_fwhm, mask)
        galaxy = float(np.nansum((plane - sky)[mask]))
        columns[f"flux_{band}"], columns[f"error_{band}"] = flux, error
        with np.errstate(divide="ignore", invalid="ignore"):
            columns[f"snr_{band}"] = flux / error
            columns[f"ratio_{band}"] = flux / galaxy if galaxy > 0 else np.full(len(flux), np.nan)
    for first, second in itertools.pairwise(bands):
        columns[f"{first}-{second}"] = colour(columns[f"flux_{first}"], columns[f"flux_{second}"])
    frame: pd.DataFrame = need("pandas").DataFrame(columns)
    return frame


def colour(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -2.5 log10(first / second) in magnitudes, NaN where a flux is not positive."""
    positive = (first > 0) & (second > 0)
    ratio = np.divide(first, second, out=np.ones_like(first), where=positive)
    return np.where(positive, -2.5 * np.log10(ratio), np.nan)


def _host(cube: NDArray[np.float64], psf_fwhm: float) -> NDArray[np.bool_]:
    levels = [plane / noise(plane) for plane in np.moveaxis(np.nan_to_num(cube), -1, 0)]
    return host_mask(np.mean(levels, axis=0), psf_fwhm / FWHM_PER_SIGMA)


def _sky(plane: NDArray[np.float64], host: NDArray[np.bool_]) -> float:
    outside = plane[~host & np.isfinite(plane)]
    return float(np.median(outside)) if outside.size else 0.0


def _apertures(
    plane: NDArray[np.float64],
    centres: NDArray[np.float64],
    psf_fwhm: float,
    host: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return flux and error of each centre (N, 2) on a plane without its sky."""
    aperture = need("photutils.aperture")
    bad = ~np.isfinite(plane)
    clean = np.where(bad, 0.0, plane)
    away = clean[~host & ~bad]
    per_pixel = noise(away) if away.size else noise(clean)
    radius = APERTURE * psf_fwhm
    flux, error = np.full(len(centres), np.nan), np.full(len(centres), np.nan)
    for k, centre in enumerate(centres):
        if not _within(centre, plane.shape):
            continue
        window, corner = _window(centre, ANNULUS[1] * psf_fwhm + 2, plane.shape)
        part, hole = clean[window], bad[window]
        near = np.hypot(*(centres - centre).T) < (ANNULUS[1] + APERTURE) * psf_fwhm + 2
        near[k] = False
        others = [_cover(aperture, other - corner, radius, part.shape) for other in centres[near]]
        ring = aperture.CircularAnnulus(centre - corner, *(r * psf_fwhm for r in ANNULUS))
        around = _image(ring.to_mask(method="center"), part.shape) > 0
        around &= ~np.any([*others, hole], axis=0)
        weight = _image(
            aperture.CircularAperture(centre - corner, radius).to_mask(method="exact"), part.shape
        )
        weight[hole] = 0.0
        number = int(around.sum())
        if number < FEWEST:
            continue
        area = float(weight.sum())
        flux[k] = float((weight * part).sum()) - float(np.median(part[around])) * area
        # Noise of the pixels, and that of the median under them (pi/2 of a mean's variance).
        error[k] = per_pixel * float(np.sqrt((weight**2).sum() + area**2 * np.pi / 2 / number))
    return flux, error


def _window(
    centre: NDArray[np.float64], reach: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """Return the part of a picture within `reach` of `centre`, and the x, y of its corner."""
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, [shape[1], shape[0]]).astype(int)
    return (slice(low[1], high[1]), slice(low[0], high[0])), low.astype(float)


def _image(mask: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    image = mask.to_image(shape)
    return np.zeros(shape) if image is None else np.asarray(image, np.float64)


def _cover(aperture: Any, centre: Any, radius: float, shape: Any) -> NDArray[np.bool_]:
    return _image(aperture.CircularAperture(centre, radius).to_mask(method="center"), shape) > 0


def _within(centre: NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    x, y = centre
    return bool(-0.5 <= x < shape[1] - 0.5 and -0.5 <= y < shape[0] - 0.5)


def read_planes(path: Path | str) -> NDArray[np.float64]:
    """Return the linear planes (H, W, B) of a FITS cutout, in the order of the file.

    Raises
    ------
    WorkbenchError
        No such file, not FITS, no image in it, planes of different sizes, or one too large.
    """
    path, fits = Path(path), need("astropy.io.fits")
    if not path.is_file():
        raise WorkbenchError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd but readable headers are common
            with fits.open(path, memmap=False) as units:
                images = [unit for unit in units if len(unit.shape or ()) in (2, 3)]
                for unit in images:  # before .data: a compressed plane expands many times
                    _check_size(path, unit.shape)
                data = [np.asarray(unit.data, np.float64) for unit in images]
    except WorkbenchError:
        raise
    except Exception as error:  # astropy raises many kinds on broken files
        raise WorkbenchError(f"{path}: corrupt or no FITS file ({error})") from error
    planes = [plane for cube in data for plane in (cube if cube.ndim == 3 else cube[None])]
    if not planes or len({plane.shape for plane in planes}) > 1:
        raise WorkbenchError(f"{path}: {len(planes)} planes; expected some, all of one size")
    return np.stack(planes, axis=-1)


def _check_size(path: Path, shape: tuple[int, ...]) -> None:
    if shape[-1] * shape[-2] > MAX_PIXELS:
        raise WorkbenchError(f"{path}: more than {MAX_PIXELS:,} pixels; cut out the galaxy first")
