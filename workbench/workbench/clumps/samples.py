"""Galaxies as the network sees them, and their augmentation: fixed by seed, epoch and index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, annotation
from workbench.clumps.inject import turn_points
from workbench.clumps.scaling import to_fixed_psf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy

# Same change in every band, so that colours stay: what sky, exposure and seeing vary by.
MOST_NOISE = 0.03  # of full scale: twice that of Stripe 82 pictures
MOST_GAIN = 0.15
BLUR_PIXELS = (0.3, 1.2)  # at 6 pixels per FWHM: seeing up to 11 % worse
BLUR_PART = 0.3
# Larger pictures are cut at random: bounds time and memory of a step. A typical one has 171 pixels.
LARGEST = 192


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture at the network's scale.

    Attributes
    ----------
    image
        (H, W, C) uint8.
    truth
        Its annotation in network pixels; the PSF FWHM is the network's.
    """

    image: NDArray[np.uint8]
    truth: Annotation


@dataclass(frozen=True, eq=False)
class Split:
    """Training and validation pictures."""

    train: Sequence[Sample]
    valid: Sequence[Sample]

    def __deepcopy__(self, memo: dict[int, object]) -> Split:
        """Share the pictures: a running mean of a model's weights copies all that it holds."""
        return self


def sample(galaxy: Galaxy, pixels_per_fwhm: float) -> Sample:
    """Return `galaxy` at `pixels_per_fwhm`, without boxes whose centre is outside the picture.

    Raises
    ------
    WorkbenchError
        Its PSF is unknown.
    """
    image, scaling = to_fixed_psf(galaxy, pixels_per_fwhm)
    height, width = image.shape[:2]
    truth = galaxy.truth
    scaled = annotation(
        truth.name,
        (width, height),
        scaling.forward(truth.boxes),
        truth.labels,
        truth.flux_ratio,
        psf_fwhm=pixels_per_fwhm,
        redshift=truth.redshift,
    )
    x, y = scaled.centres.T
    inside = (np.abs(x - (width - 1) / 2) <= width / 2) & (
        np.abs(y - (height - 1) / 2) <= height / 2
    )
    return Sample((image * 255).round().astype(np.uint8), scaled.keep(inside))


def augment(
    one: Sample, seed: int, epoch: int, index: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Return the picture turned, dimmed, blurred, noisy and cut, and its boxes.

    The image is (H, W, C) float32 in [0, 1]; boxes (N, 4); which of them (N,) are still inside.
    """
    rng = np.random.default_rng([seed, epoch, index])
    which = int(rng.integers(8))
    image = np.rot90(one.image, which % 4)
    image = image[:, ::-1] if which >= 4 else image
    truth = one.truth
    at = turn_points(truth.centres, (truth.width, truth.height), which)
    half = (truth.boxes[:, 2:] - truth.boxes[:, :2]) / 2
    half = half[:, ::-1] if which % 2 else half
    pixels = image.astype(np.float32) / np.float32(255)
    if rng.random() < BLUR_PART:
        blur = need("scipy.ndimage").gaussian_filter
        pixels = blur(pixels, (*[float(rng.uniform(*BLUR_PIXELS))] * 2, 0))
    gain = np.float32(1 + rng.uniform(-MOST_GAIN, MOST_GAIN))
    noise = rng.standard_normal(pixels.shape[:2], np.float32) * np.float32(
        rng.uniform(0, MOST_NOISE)
    )
    changed: NDArray[np.float32] = (pixels * gain + noise[:, :, None]).clip(0, 1)
    return _cut(changed, np.concatenate([at - half, at + half], axis=1), rng)


def cut_size(height: int, width: int) -> tuple[int, int]:
    """Return the size of a picture after the cut to `LARGEST`."""
    return min(height, LARGEST), min(width, LARGEST)


def _cut(
    image: NDArray[np.float32], boxes: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
    """Return a part of `image`, all `boxes` in its pixels, and which are centred in it."""
    height, width = cut_size(*image.shape[:2])
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    moved = boxes - np.array([left, top, left, top])
    centres = (moved[:, :2] + moved[:, 2:]) / 2
    inside = ((centres > -0.5) & (centres < np.array([width, height]) - 0.5)).all(axis=1)
    return image[top : top + height, left : left + width], moved, inside
