"""Every picture to a fixed number of pixels per PSF FWHM, and boxes there and back exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy

# Median of the Clump Scout cutouts (6.6) rounded: typical pictures stay close to their own pixels.
PIXELS_PER_FWHM = 6.0
# A picture is never blown up beyond this side: 4096^2 float32 RGB is 200 MB.
MAX_SIDE = 4096


@dataclass(frozen=True)
class Scaling:
    """Maps pixel-centre coordinates of a picture to those of its resized copy.

    Attributes
    ----------
    sx, sy
        New pixels per old pixel along x and y, the ratio of the whole-pixel sizes.
    """

    sx: float
    sy: float

    def forward(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map boxes (N, 4) to the resized picture."""
        factor = np.array([self.sx, self.sy, self.sx, self.sy])
        mapped: NDArray[np.float64] = (np.asarray(boxes) + 0.5) * factor - 0.5
        return mapped

    def backward(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map boxes (N, 4) of the resized picture back."""
        factor = np.array([self.sx, self.sy, self.sx, self.sy])
        mapped: NDArray[np.float64] = (np.asarray(boxes) + 0.5) / factor - 0.5
        return mapped


def resize(image: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return `image` (H, W, C) at (height, width, C), antialiased bicubic, within its range."""
    bands = [
        Image.fromarray(np.ascontiguousarray(image[:, :, band])).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for band in range(image.shape[2])
    ]
    resized = np.stack([np.asarray(band, dtype=np.float32) for band in bands], axis=-1)
    clipped: NDArray[np.float32] = resized.clip(image.min(), image.max())
    return clipped


def to_fixed_psf(
    galaxy: Galaxy, pixels_per_fwhm: float = PIXELS_PER_FWHM
) -> tuple[NDArray[np.float32], Scaling]:
    """Return the picture at `pixels_per_fwhm` and the map of its coordinates.

    Sizes are whole pixels, so that the scale is met to half a pixel over the picture.

    Raises
    ------
    WorkbenchError
        The PSF of the picture is unknown, or the result would be wider than 4096 pixels.
    """
    truth = galaxy.truth
    if truth.psf_fwhm is None:
        raise WorkbenchError(
            f"{truth.name}: the PSF FWHM is unknown; give psf_fwhm_r_px in a catalogue"
        )
    factor = pixels_per_fwhm / truth.psf_fwhm
    width, height = (max(1, round(n * factor)) for n in (truth.width, truth.height))
    if max(width, height) > MAX_SIDE:
        raise WorkbenchError(
            f"{truth.name}: {truth.width} x {truth.height} pixels with a PSF of "
            f"{truth.psf_fwhm:.2f} pixels would become {width} x {height}; expected at most "
            f"{MAX_SIDE} a side: cut it into parts"
        )
    scaling = Scaling(width / truth.width, height / truth.height)
    return resize(galaxy.image, width, height), scaling
