"""Light measured on the picture, and what folds of Stripe 82 are trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from clump_cases import disk_galaxy
from workbench.clumps import crossval
from workbench.clumps.brightness import flux_ratios
from workbench.clumps.galaxy import Galaxy
from workbench.clumps.inject import Clump, inject
from workbench.clumps.run import DETECTOR
from workbench.clumps.stretch import VIEWER
from workbench.clumps.training import TrainOptions
from workbench.clumps.weights import simulated
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_fold_never_sees_its_galaxies_and_simulated_ones_go_along(tmp_path: Path) -> None:
    study = crossval.Study(str(simulated()), TrainOptions(epochs=4), tmp_path, cache="c", workers=3)
    plan, every = study.plan(3), study.plan(None)
    assert (plan.train.source, plan.train.fold, plan.train.held_out) == ("s82", 3, False)
    assert every.train.fold is None
    assert plan.beside is not None
    assert plan.beside.source == "mixed"
    assert (plan.beside.cache, plan.beside.workers, plan.valid.workers) == ("c", 3, 3)
    assert plan.repeats > 1
    assert plan.options.keep_last
    assert plan.options.free_turns
    assert plan.settings()["beside"] == plan.beside.describe()


def test_the_first_run_of_a_fold_stands_alone_and_all_look_together(tmp_path: Path) -> None:
    study = crossval.Study(str(simulated()), TrainOptions(seed=5), tmp_path, runs=2)
    assert [study.plan(3, run).options.seed for run in range(2)] == [5, 6]
    for folder in ("fold3", "fold3-1", "all-1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / DETECTOR).write_bytes(b"")
    assert study.weights(3) == tmp_path / "fold3" / DETECTOR
    assert study.weights(3, 1) == tmp_path / "fold3-1" / DETECTOR
    assert study.weights(None, 1) == tmp_path / "all-1" / DETECTOR
