"""Where the galaxy at a picture's centre is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.extras import need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy

FWHM_PER_SIGMA = 2.3548
# Of the paper: half a standard deviation above the background, at least 10 pixels.
MASK_SIGMA, MASK_PIXELS = 0.5, 10
NO_NOISE = 1e-6  # stands for none, so that it can be divided by
RIM = 0.1  # part of the side that is the picture's rim
RED_BAND = 1  # the picture's green is the r band


def noise(image: NDArray[Any]) -> float:
    """Return the standard deviation of the background, 1.4826 median absolute deviations."""
    return float(1.4826 * np.median(np.abs(image - np.median(image)))) or NO_NOISE


def host_mask(grey: NDArray[Any], sigma: float, level: float = 7.0) -> NDArray[np.bool_]:
    """Return where the galaxy is: pixels above `level` noise joined to the picture's centre.

    Sky and noise are those of the whole picture or of its rim, whichever let fainter light stand
    out: of a galaxy that fills half of the picture the median is light of its own. A rim without
    noise is no sky but a border. The centre is the middle 2.6 % of the side (11 pixels of 424),
    for galaxies off by a little.
    """
    scipy = need("scipy.ndimage")
    smooth = scipy.gaussian_filter(grey, sigma)
    levels = [np.median(smooth) + level * noise(smooth)]
    if noise(_rim(grey)) > NO_NOISE:
        rim = _rim(smooth)
        levels.append(np.median(rim) + level * noise(rim))
    regions, _ = scipy.label(smooth > min(levels))
    rows, columns = ((n // 2, max(1, round(0.013 * n))) for n in grey.shape)
    middle = regions[
        rows[0] - rows[1] : rows[0] + rows[1] + 1, columns[0] - columns[1] : sum(columns) + 1
    ]
    mask: NDArray[np.bool_] = np.isin(regions, np.unique(middle[middle > 0]))
    return mask


def _rim(image: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels (N,) of the outer tenth of the side of `image` (H, W)."""
    inner = np.zeros(image.shape, np.bool_)
    rows, columns = (max(1, round(RIM * n)) for n in image.shape)
    inner[rows:-rows, columns:-columns] = True
    return image[~inner]


def segmentation_mask(galaxy: Galaxy) -> NDArray[np.bool_]:
    """Return (H, W), the segment of the host in r, grown by one PSF FWHM.

    It is the segment at the picture's centre, else the largest; all true where there is none.
    """
    segmentation, scipy = need("photutils.segmentation"), need("scipy.ndimage")
    band = galaxy.image[:, :, min(RED_BAND, galaxy.image.shape[2] - 1)].astype(np.float64)
    threshold = np.median(band) + MASK_SIGMA * noise(band)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing was found is told by None
        found: Any = segmentation.detect_sources(
            scipy.gaussian_filter(band, 1.0), threshold, MASK_PIXELS
        )
    if found is None:
        return np.ones(band.shape, np.bool_)
    labels = np.asarray(found.data)
    centre = labels[band.shape[0] // 2, band.shape[1] // 2]
    chosen = centre or 1 + int(np.bincount(labels[labels > 0])[1:].argmax())
    reach = max(1, round(galaxy.truth.psf_fwhm or 1.0))
    distance = scipy.distance_transform_edt(labels != chosen)
    mask: NDArray[np.bool_] = distance <= reach
    return mask
