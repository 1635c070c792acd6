"""Classical comparators: DoG with a blue cut, SEP with a blue cut, DAOStarFinder.

Each proposes points in the host galaxy with a detection significance and a blue contrast: the
picture's blue minus red, smoothed by the PSF, less its surroundings, in units of 1/255. Clumps are
young stars, so bluer than the disk they sit in; foreground stars and bulges are redder.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.evaluate import match_all, rates
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Galaxy, square_boxes
from workbench.clumps.host import FWHM_PER_SIGMA, host_mask, noise, segmentation_mask
from workbench.clumps.matching import Criterion, Detections, detections
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Candidates:
    """Points that a method proposes in one picture.

    Attributes
    ----------
    at
        (N, 2) x, y in pixels.
    significance
        (N,) in units of the noise of the picture the method works on.
    blue
        (N,) blue contrast, 1/255 of full scale.
    """

    at: NDArray[np.float64]
    significance: NDArray[np.float64]
    blue: NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What is tuned on training galaxies.

    Attributes
    ----------
    method
        A key of `METHODS`.
    threshold
        Least significance.
    blue_cut
        Least blue contrast; minus infinity is no cut.
    """

    method: str
    threshold: float
    blue_cut: float = -np.inf


def _maps(galaxy: Galaxy) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Return grey picture and blue contrast, both in 1/255, and the PSF's sigma in pixels."""
    if galaxy.truth.psf_fwhm is None:
        raise WorkbenchError(f"{galaxy.truth.name}: the classical methods need the PSF FWHM")
    blur = need("scipy.ndimage").gaussian_filter
    sigma = galaxy.truth.psf_fwhm / FWHM_PER_SIGMA
    pixels = galaxy.image.astype(np.float64) * 255
    colour = pixels[:, :, 2] - pixels[:, :, 0]
    return pixels.mean(axis=2), blur(colour, sigma) - blur(colour, 3 * sigma), sigma


def dog(galaxy: Galaxy) -> Candidates:
    """Propose the maxima of a difference of Gaussians of 1 and 2.5 PSF sigma, in the host."""
    scipy = need("scipy.ndimage")
    grey, blue, sigma = _maps(galaxy)
    band = scipy.gaussian_filter(grey, sigma) - scipy.gaussian_filter(grey, 2.5 * sigma)
    peak = scipy.maximum_filter(band, size=max(3, 2 * round(sigma) + 1)) == band
    y, x = np.nonzero(peak & (band > noise(band)) & host_mask(grey, sigma))
    return Candidates(np.stack([x, y], axis=-1).astype(float), band[y, x] / noise(band), blue[y, x])


def sep_objects(galaxy: Galaxy) -> Candidates:
    """Propose SEP's objects on the grey picture less its surroundings of 2.5 PSF sigma.

    They are extracted deep and split finely, then judged by the PSF-smoothed picture at their
    peak in its own noise: SEP's threshold alone would join neighbouring clumps.
    """
    sep, blur = need("sep"), need("scipy.ndimage").gaussian_filter
    grey, blue, sigma = _maps(galaxy)
    detail = grey - blur(grey, 2.5 * sigma)
    found = sep.extract(
        np.ascontiguousarray(detail),
        0.3,
        err=noise(detail),
        minarea=3,
        filter_kernel=gaussian_kernel(sigma / 2),
        deblend_nthresh=32,
        deblend_cont=1e-4,
    )
    at = np.stack([found["xcpeak"], found["ycpeak"]], axis=-1)
    smooth = blur(detail, sigma)
    peak = smooth[at[:, 1], at[:, 0]] / noise(smooth)
    found = Candidates(at.astype(float), peak, blue[_pixels(at, grey)])
    return _inside(found, host_mask(grey, sigma))


def dao(galaxy: Galaxy) -> Candidates:
    """Propose photutils' DAOStarFinder stars of the PSF's width, in the host, without colour."""
    grey, _, sigma = _maps(galaxy)
    return _inside(_stars(galaxy), host_mask(grey, sigma))


def dao_segment(galaxy: Galaxy) -> Candidates:
    """Propose the same stars in the wider segment that the published recipe keeps."""
    return _inside(_stars(galaxy), segmentation_mask(galaxy))


def _stars(galaxy: Galaxy) -> Candidates:
    """Return the stars that photutils finds in the whole picture."""
    grey, blue, sigma = _maps(galaxy)
    level = noise(grey)
    finder = need("photutils.detection").DAOStarFinder(
        threshold=level, fwhm=max(1.0, sigma * FWHM_PER_SIGMA)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing was found is told by None
        found = finder(grey - np.median(grey))
    if found is None:
        return Candidates(np.empty((0, 2)), np.empty(0), np.empty(0))
    at = np.stack([found["x_centroid"], found["y_centroid"]], axis=-1).astype(float)
    return Candidates(at, np.asarray(found["peak"]) / level, blue[_pixels(at, grey)])


def gaussian_kernel(sigma: float) -> NDArray[np.float64]:
    """Return a normalised Gaussian of odd side, out to 2 sigma."""
    reach = np.arange(-max(1, round(2 * sigma)), max(1, round(2 * sigma)) + 1)
    line = np.exp(-0.5 * (reach / sigma) ** 2)
    kernel: NDArray[np.float64] = np.outer(line, line) / line.sum() ** 2
    return kernel


def _inside(found: Candidates, mask: NDArray[np.bool_]) -> Candidates:
    keep = mask[_pixels(found.at, mask)]
    return Candidates(found.at[keep], found.significance[keep], found.blue[keep])


def _pixels(at: NDArray[Any], image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return rows and columns of the pixels of `image` at the points (N, 2) x, y."""
    x = at[:, 0].round().astype(int).clip(0, image.shape[1] - 1)
    y = at[:, 1].round().astype(int).clip(0, image.shape[0] - 1)
    return y, x


METHODS: dict[str, Callable[[Galaxy], Candidates]] = {
    "dog": dog, "sep": sep_objects, "dao": dao, "dao_segment": dao_segment,
}  # fmt: skip
COLOURLESS = frozenset({"dao", "dao_segment"})
THRESHOLDS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0)
BLUE_CUTS = (-np.inf, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


def select(candidates: Candidates, settings: Settings, psf_fwhm: float) -> Detections:
    """Return the candidates above threshold and blue cut as boxes scored by significance."""
    keep = (candidates.significance >= settings.threshold) & (candidates.blue >= settings.blue_cut)
    return detections(square_boxes(candidates.at[keep], psf_fwhm), candidates.significance[keep])


def propose(method: str, galaxies: Sequence[Galaxy]) -> list[Candidates]:
    """Return the candidates of each galaxy.

    Raises
    ------
    WorkbenchError
        The method is unknown.
    """
    if method not in METHODS:
        raise WorkbenchError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    return [METHODS[method](galaxy) for galaxy in galaxies]


def tune(
    method: str,
    candidates: Sequence[Candidates],
    galaxies: Sequence[Galaxy],
    criterion: Criterion = Criterion.DISTANCE,
    min_flux_ratio: float = 0.0,
) -> Settings:
    """Return the settings of the best F1 on these galaxies: training ones only.

    DAOStarFinder has no colour, so its blue cut stays off.
    """
    cuts = (-np.inf,) if method in COLOURLESS else BLUE_CUTS
    truths = [galaxy.truth for galaxy in galaxies]
    best, best_f1 = Settings(method, THRESHOLDS[0]), -1.0
    for threshold, cut in itertools.product(THRESHOLDS, cuts):
        tried = replace(best, threshold=threshold, blue_cut=cut)
        found = [
            select(one, tried, truth.psf_fwhm or 0.0)
            for one, truth in zip(candidates, truths, strict=True)
        ]
        f1 = rates(match_all(found, truths, criterion, min_flux_ratio)).f1
        if f1 > best_f1:
            best, best_f1 = tried, f1
    return best
