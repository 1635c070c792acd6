"""One galaxy picture with what is known about it: the form that every source and model shares.

Pixel coordinates are 0-based and refer to pixel centres: x to the right, y down, the picture
covers -0.5 to width - 0.5. Boxes are x1, y1, x2, y2 in these coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Side of a clump's box in PSF FWHM: the rule of the published Clump Scout labels.
BOX_SIDE_FWHM = 2.5


class Label(IntEnum):
    """What a box holds."""

    CLUMP = 1
    ODD = 2  # foreground stars, bulges and artefacts that look like clumps


@dataclass(frozen=True, eq=False)
class Annotation:
    """All that is known about one picture but its pixels.

    Attributes
    ----------
    name
        File name of the picture, or the identifier of the galaxy.
    width, height
        Size of the picture in pixels.
    boxes
        (N, 4) float64, x1, y1, x2, y2 in pixels.
    labels
        (N,) int64, values of `Label`.
    flux_ratio
        (N,) float64, flux of clump over flux of galaxy in the u band; NaN where unknown.
    psf_fwhm
        Full width at half maximum of the r-band PSF in pixels, None where unknown.
    wcs
        Celestial `astropy.wcs.WCS` of the picture's pixels, None where unknown.
    redshift
        None where unknown.
    """

    name: str
    width: int
    height: int
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    flux_ratio: NDArray[np.float64]
    psf_fwhm: float | None = None
    wcs: Any = None
    redshift: float | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(N, 2) x, y of the boxes' centres in pixels."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def sky(self) -> NDArray[np.float64] | None:
        """(N, 2) right ascension and declination of the boxes in degrees; None without a WCS."""
        if self.wcs is None:
            return None
        x, y = self.centres.T
        return np.stack(self.wcs.wcs_pix2world(x, y, 0), axis=-1)

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Annotation:
        """Return the annotation with only the boxes that a mask (N,) or indices choose."""
        return replace(
            self,
            boxes=self.boxes[which],
            labels=self.labels[which],
            flux_ratio=self.flux_ratio[which],
        )


def annotation(
    name: str,
    size: tuple[int, int],
    boxes: ArrayLike = (),
    labels: ArrayLike | None = None,
    flux_ratio: ArrayLike | None = None,
    **known: Any,
) -> Annotation:
    """Return a checked annotation of a picture of `size` (width, height) in pixels.

    Labels default to clump, flux ratios to unknown; `known` are further fields of `Annotation`.

    Raises
    ------
    WorkbenchError
        A box has no area or is not finite, a label is unknown, lengths differ, the PSF is not
        positive.
    """
    box = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) if np.size(boxes) else np.empty((0, 4))
    label = np.ones(len(box), np.int64) if labels is None else np.asarray(labels, np.int64)
    ratio = np.full(len(box), np.nan) if flux_ratio is None else np.asarray(flux_ratio, np.float64)
    truth = Annotation(name, size[0], size[1], box, label.reshape(-1), ratio.reshape(-1), **known)
    _check(truth)
    return truth


def _check(truth: Annotation) -> None:
    name, boxes, labels = truth.name, truth.boxes, truth.labels
    flux_ratio, psf_fwhm = truth.flux_ratio, truth.psf_fwhm
    if min(truth.width, truth.height) < 1:
        raise WorkbenchError(
            f"{name}: {truth.width} x {truth.height} pixels; expected at least 1 x 1"
        )
    if not len(boxes) == labels.size == flux_ratio.size:
        raise WorkbenchError(
            f"{name}: {len(boxes)} boxes, {labels.size} labels and {flux_ratio.size} flux ratios; "
            "expected one label and one flux ratio for each box"
        )
    wrong = ~(np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1))
    if wrong.any():
        raise WorkbenchError(
            f"{name}: box {int(wrong.argmax())} is {boxes[wrong][0].tolist()}; "
            "expected finite x1 < x2 and y1 < y2 in pixels"
        )
    known = [int(label) for label in Label]
    if not np.isin(labels, known).all():
        bad = labels[~np.isin(labels, known)][0]
        raise WorkbenchError(f"{name}: label {bad}; expected 1 (clump) or 2 (odd)")
    if psf_fwhm is not None and not (np.isfinite(psf_fwhm) and psf_fwhm > 0):
        raise WorkbenchError(f"{name}: PSF FWHM of {psf_fwhm} pixels; expected a positive number")


@dataclass(frozen=True, eq=False)
class Galaxy:
    """A picture and its annotation.

    Attributes
    ----------
    image
        (H, W, C) float32 in [0, 1]; three bands are red, green, blue (i, r, g for surveys).
    truth
        What is known about it.
    """

    image: NDArray[np.float32]
    truth: Annotation

    def __post_init__(self) -> None:
        expected = (self.truth.height, self.truth.width)
        if self.image.ndim != 3 or self.image.shape[:2] != expected:
            raise WorkbenchError(
                f"{self.truth.name}: image of shape {self.image.shape}, "
                f"its annotation says {expected} and bands"
            )


def square_boxes(centres: ArrayLike, psf_fwhm: float) -> NDArray[np.float64]:
    """Return (N, 4) boxes around `centres` (N, 2) in pixels, 2.5 PSF FWHM a side."""
    at = np.asarray(centres, dtype=np.float64).reshape(-1, 2)
    half = BOX_SIDE_FWHM * psf_fwhm / 2
    return np.concatenate([at - half, at + half], axis=1)
