"""What Popp et al. 2024 do after the network: keep detections on the host, merge near ones."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.classical import noise
from workbench.clumps.extras import need
from workbench.clumps.matching import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy

# Of the paper: half a standard deviation above the background, at least 10 pixels.
MASK_SIGMA, MASK_PIXELS = 0.5, 10
RED_BAND = 1  # the picture's green is the r band


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


def on_host(found: Detections, mask: NDArray[np.bool_]) -> Detections:
    """Return the detections whose centre is on `mask` (H, W)."""
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    x = centres[:, 0].round().astype(int).clip(0, mask.shape[1] - 1)
    y = centres[:, 1].round().astype(int).clip(0, mask.shape[0] - 1)
    keep = mask[y, x]
    return Detections(found.boxes[keep], found.scores[keep], found.labels[keep])


def merge(found: Detections, distance: float) -> Detections:
    """Return detections with those of a label within `distance` pixels of a surer one joined to it.

    The joined box is the mean weighted by score; its score is the surest one's.
    """
    order = np.argsort(-found.scores, kind="stable")
    boxes, scores, labels = found.boxes[order], found.scores[order], found.labels[order]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    free = np.ones(len(boxes), np.bool_)
    joined: list[NDArray[np.float64]] = []
    kept: list[int] = []
    for row in range(len(boxes)):
        if not free[row]:
            continue
        apart = np.hypot(*(centres - centres[row]).T)
        group = free & (apart <= distance) & (labels == labels[row])
        free &= ~group
        weight = scores[group] / scores[group].sum() if scores[group].sum() > 0 else None
        joined.append(np.average(boxes[group], axis=0, weights=weight))
        kept.append(row)
    return Detections(np.array(joined).reshape(-1, 4), scores[kept], labels[kept])
