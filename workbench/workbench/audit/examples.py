"""Galaxies and detections for the tutorials: real where there is data, else simulated."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.clumps import classical, s82
from workbench.clumps.simulate import simulate
from workbench.clumps.stretch import STRIPE82

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Detections

SEED = 40
# Of the tutorials: a threshold at which DoG and SEP both find more than there is.
THRESHOLD = 1.5


def galaxies(number: int = 12) -> list[Galaxy]:
    """Return Stripe 82 galaxies with published clumps, or simulated ones.

    Real pictures are taken where ``FLASHCLUMP_DATA`` names a folder with ``s82/``.
    """
    root = os.environ.get("FLASHCLUMP_DATA")
    if root and (Path(root) / "s82" / "clumps.csv").is_file():
        return list(itertools.islice(s82.load(), number))
    return [simulate(SEED, index) for index in range(number)]


def detections(among: Sequence[Galaxy], method: str = "dog") -> dict[str, Detections]:
    """Return what a classical method (`classical.METHODS`) finds, by the galaxy's name.

    Raises
    ------
    WorkbenchError
        The method is unknown, or a galaxy's PSF is.
    """
    settings = classical.Settings(method, THRESHOLD)
    found = classical.propose(method, among)
    return {
        galaxy.truth.name: classical.select(points, settings, galaxy.truth.psf_fwhm or 1.0)
        for galaxy, points in zip(among, found, strict=True)
    }


def linear_planes(among: Sequence[Galaxy]) -> dict[str, NDArray[Any]]:
    """Return the pictures undone to linear bands i, r, g, (H, W, 3) each, by name.

    Exact to 8 bits for simulated pictures; for others relative fluxes, as the stretch is assumed.
    """
    return {galaxy.truth.name: STRIPE82.linear(galaxy.image) for galaxy in among}


def workspace() -> Path:
    """Return a new folder for a tutorial's files; what is to last belongs in one of your own."""
    return Path(tempfile.mkdtemp(prefix="flashclump-audit-"))
