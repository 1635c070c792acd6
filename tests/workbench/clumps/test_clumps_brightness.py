"""Light of detections, measured on the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clump_cases import disk_galaxy
from workbench.clumps.brightness import flux_ratios
from workbench.clumps.galaxy import Galaxy
from workbench.clumps.inject import Clump, inject
from workbench.clumps.stretch import VIEWER
from workbench.errors import WorkbenchError


def test_light_grows_with_the_flux_ratio() -> None:
    plain = disk_galaxy()
    made = [inject(plain, [Clump(58.0, 50.0, ratio, 0.0)]) for ratio in (0.01, 0.02, 0.04)]
    without, *measured = (
        float(flux_ratios(one, made[0].truth.boxes[-1:], VIEWER)[0]) for one in (plain, *made)
    )
    first, second, third = np.array(measured) - without
    assert first > 0
    assert second == pytest.approx(2 * first, rel=0.2)
    assert third == pytest.approx(4 * first, rel=0.2)


def test_without_a_galaxy_nothing_is_called_faint_and_without_a_psf_it_says_so() -> None:
    galaxy = disk_galaxy()
    flat = Galaxy(np.full_like(galaxy.image, 0.1), galaxy.truth)
    assert np.isinf(flux_ratios(flat, galaxy.truth.boxes)).all()
    with pytest.raises(WorkbenchError, match="photometry needs the PSF"):
        flux_ratios(Galaxy(galaxy.image, replace(galaxy.truth, psf_fwhm=None)), galaxy.truth.boxes)
