"""One clump on one galaxy, as a slider has it: where, how bright, and whether DoG finds it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps import classical
from workbench.clumps.inject import Clump, inject
from workbench.clumps.stretch import VIEWER, Style

if TYPE_CHECKING:
    from workbench.clumps.galaxy import Galaxy


@dataclass(frozen=True, eq=False)
class InjectionState:
    """A galaxy with one clump added to it.

    Attributes
    ----------
    host
        A picture with known PSF.
    flux_ratio
        The clump's u flux over the galaxy's.
    radius, angle
        From the picture's centre, in PSF FWHM and in degrees from x towards y.
    size
        Gaussian sigma in PSF FWHM; 0 is a point source.
    style
        How the survey made the picture.
    """

    host: Galaxy
    flux_ratio: float = 0.03
    radius: float = 5.0
    angle: float = 45.0
    size: float = 0.0
    style: Style = VIEWER

    @property
    def at(self) -> tuple[float, float]:
        """x, y of the clump in pixels, held inside the picture."""
        truth = self.host.truth
        reach = self.radius * (truth.psf_fwhm or 1.0)
        turn = np.radians(self.angle)
        x = (truth.width - 1) / 2 + reach * np.cos(turn)
        y = (truth.height - 1) / 2 + reach * np.sin(turn)
        return float(np.clip(x, 0, truth.width - 1)), float(np.clip(y, 0, truth.height - 1))

    @cached_property
    def galaxy(self) -> Galaxy:
        """The host with the clump as the last box of its truth.

        Raises
        ------
        WorkbenchError
            The PSF is unknown, or no galaxy stands out at the centre.
        """
        x, y = self.at
        return inject(self.host, [Clump(x, y, self.flux_ratio, self.size)], self.style)

    @property
    def peak(self) -> float:
        """How much brighter the picture got at most, in 1/255 of full scale."""
        return float((self.galaxy.image - self.host.image).max() * 255)

    @cached_property
    def significance(self) -> float:
        """Of the nearest DoG candidate within one PSF FWHM, in noise; 0 where there is none."""
        found = classical.dog(self.galaxy)
        apart = np.hypot(*(found.at - np.array(self.at)).T)
        near = apart <= (self.host.truth.psf_fwhm or 1.0)
        return float(found.significance[near].max()) if near.any() else 0.0

    @property
    def verdict(self) -> str:
        """What the picture and the classical detector say of this clump."""
        seen = (
            f"DoG finds it at {self.significance:.1f} times the noise"
            if self.significance > 0
            else "DoG has no candidate there"
        )
        ratio = f"{self.flux_ratio:.1%} of the galaxy's u light"
        return f"{ratio} raises the picture by {self.peak:.0f}/255; {seen}"

    def moved(
        self, *, flux_ratio: float, radius: float, angle: float, size: float
    ) -> InjectionState:
        """Return the state with other values."""
        return replace(self, flux_ratio=flux_ratio, radius=radius, angle=angle, size=size)
