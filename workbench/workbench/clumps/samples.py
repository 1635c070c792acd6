"""Galaxies as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.galaxy import annotation
from workbench.clumps.scaling import to_fixed_psf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Annotation, Galaxy


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
