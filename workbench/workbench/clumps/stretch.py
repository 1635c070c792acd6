"""Linear survey bands to colour pictures and back (Lupton et al. 2004, PASP 116, 133)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.extras import need

if TYPE_CHECKING:
    from numpy.typing import NDArray

# astropy's mapping: brightness 0.1 / asinh(0.1 Q) * asinh(Q I / stretch), 1 is white.
_KNEE = 0.1


@dataclass(frozen=True)
class Style:
    """How a survey makes its pictures.

    Attributes
    ----------
    weights
        Factors of the i, r, g bands (nanomaggies per native pixel) before the stretch.
    softening, stretch
        Q and stretch of `astropy.visualization.make_lupton_rgb`.
    offset
        Added to the weighted bands: makes the sky dark grey, so that its noise is not cut off.
    """

    weights: tuple[float, float, float]
    softening: float
    stretch: float
    offset: float

    def picture(self, irg: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return (H, W, 3) in [0, 1], in steps of 1/255, of linear bands (H, W, 3) i, r, g."""
        bands = np.asarray(irg) * np.array(self.weights)
        lupton = need("astropy.visualization").make_lupton_rgb
        with np.errstate(invalid="ignore"):  # 0 / 0 where all bands are at the minimum: black
            shown = np.nan_to_num(lupton(
                *np.moveaxis(bands, -1, 0), minimum=-self.offset, stretch=self.stretch,
                Q=self.softening, output_dtype=np.float64,
            ))  # fmt: skip
        # Rounded here: astropy's own 8 bits are cut off, half a step too dark on average.
        picture: NDArray[np.float32] = (shown * 255).round().astype(np.float32) / np.float32(255)
        return picture

    def linear(self, picture: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the linear bands (H, W, 3) i, r, g that `picture` maps to the given pixels.

        Exact to the rounding of 8 bits, but where a band is saturated or was cut off at black.
        """
        shown = np.asarray(picture, dtype=np.float64)
        brightness = shown.mean(axis=-1, keepdims=True)
        slope = _KNEE / np.arcsinh(_KNEE * self.softening)
        intensity = np.sinh(brightness / slope) * self.stretch / self.softening
        per_brightness = np.divide(
            intensity, brightness, out=np.zeros_like(brightness), where=brightness > 0
        )
        bands: NDArray[np.float64] = (shown * per_brightness - self.offset) / np.array(self.weights)
        return bands


# Pictures like those of the Legacy viewer, in which clumps were labelled: 1/sqrt(20) asinh(20 I).
VIEWER = Style((1.0, 1.1, 1.5), 4.62, 0.231, 0.017)
# The co-added pictures of Stripe 82, 1/9 asinh(9 I). Scale and weights from the catalogued r and g
# light of the 53 galaxies, which their pictures then give within 12 and 17 % (1 sigma), g-r within
# 0.03 mag. The viewer's stretch scatters by 30 % and makes bright galaxies too faint.
COADD = Style((1.0, 1.1, 1.62), 10.265, 0.0462, 0.0039)
# Pictures like SDSS SkyServer's: redder, darker sky (6/255, noise 4/255).
SKYSERVER = Style((1.0, 0.85, 0.85), 8.0, 0.25, 0.004)
