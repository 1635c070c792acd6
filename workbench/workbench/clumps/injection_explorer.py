"""A galaxy and sliders for a clump in it. A view: all that it shows is in `InjectionState`."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from workbench.clumps.figures import png
from workbench.clumps.injection_state import InjectionState
from workbench.clumps.scene import FLUX_RATIO
from workbench.clumps.stretch import VIEWER, Style

if TYPE_CHECKING:
    from workbench.clumps.galaxy import Galaxy

ZOOM = 2


class InjectionExplorer(w.VBox):  # type: ignore[misc]
    """Sliders for flux ratio, radius, angle and size; the picture follows each move.

    Parameters
    ----------
    galaxy
        A picture with known PSF.
    style
        How its survey made it: `stretch.VIEWER`, or `stretch.COADD` for Stripe 82.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or no galaxy stands out at the picture's centre.
    """

    def __init__(self, galaxy: Galaxy, style: Style = VIEWER) -> None:
        self.state = InjectionState(galaxy, style=style)
        wide = {"style": {"description_width": "9em"}, "layout": w.Layout(width="28em")}
        low, high = FLUX_RATIO
        self.flux_ratio = w.FloatLogSlider(
            self.state.flux_ratio, base=10, min=log10(low), max=log10(high), step=0.02,
            readout_format=".2%", description="flux ratio (u)", **wide,
        )  # fmt: skip
        self.radius = w.FloatSlider(
            self.state.radius, min=0, max=12, step=0.25, description="radius (FWHM)", **wide
        )
        self.angle = w.FloatSlider(
            self.state.angle, min=0, max=360, step=5, description="angle (degrees)", **wide
        )
        self.size = w.FloatSlider(
            self.state.size, min=0, max=1, step=0.05, description="size (FWHM)", **wide
        )
        self.box = w.Checkbox(value=True, description="show its box")
        self.picture, self.before = (
            w.Image(format="png", layout=w.Layout(width="400px", height="400px")) for _ in range(2)
        )
        self.before.value = png(galaxy, ZOOM)
        self.verdict = w.Label()
        for name in ("flux_ratio", "radius", "angle", "size"):
            getattr(self, name).observe(self._moved, "value")
        self.box.observe(self._moved, "value")
        self._show()
        sliders = w.VBox([self.flux_ratio, self.radius, self.angle, self.size, self.box])
        super().__init__([w.HBox([self.before, self.picture]), sliders, self.verdict])

    def _moved(self, change: Any) -> None:
        del change
        self.state = self.state.moved(
            flux_ratio=self.flux_ratio.value, radius=self.radius.value,
            angle=self.angle.value, size=self.size.value,
        )  # fmt: skip
        self._show()

    def _show(self) -> None:
        galaxy = self.state.galaxy
        only = galaxy.truth.boxes[-1:] if self.box.value else ()
        self.picture.value = png(galaxy, ZOOM, only)
        self.verdict.value = self.state.verdict
