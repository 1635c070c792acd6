"""Light measured on the picture, and what folds of Stripe 82 are trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from clump_cases import disk_galaxy
from workbench.clumps import crossval
from workbench.clumps.brightness import flux_ratios
from workbench.clumps.detector import build
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.galaxy import Galaxy
from workbench.clumps.inject import Clump, inject
from workbench.clumps.run import DETECTOR
from workbench.clumps.stretch import VIEWER
from workbench.clumps.training import TrainOptions
from workbench.clumps.weights import (
    averaged,
    load_detector,
    read_card,
    save_detector,
    simulated,
)
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


def test_the_weights_of_the_runs_of_a_fold_are_averaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossval, "WATCHED", replace(crossval.WATCHED, number=1))
    config = DetectorConfig()
    for run in range(2):
        torch.manual_seed(run)
        training = {"options": {"seed": run}}
        known = {"training": training, "date": "d", "commit": "c", "licence": "l"}
        save_detector(tmp_path / f"fold1/run{run}" / DETECTOR, build(config), config, known)
    study = crossval.Study("none", TrainOptions(), tmp_path, workers=1, runs=2)
    path = study.weights(1)
    first, second, mean = (
        load_detector(tmp_path / "fold1" / part / DETECTOR)[0].state_dict()
        for part in ("run0", "run1", ".")
    )
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(
                value, (first[name] + second[name]) / 2, rtol=1e-3, atol=1e-5
            )
    card = read_card(path)
    assert card["training"]["mean_of_seeds"] == [0, 1]
    assert card["validation"]["galaxies"] == 1
    assert study.weights(1) == path
    with pytest.raises(WorkbenchError, match="is of 2 runs, asked for 1"):
        replace(study, runs=1).weights(1)
    with pytest.raises(WorkbenchError, match="mean of no detectors"):
        averaged([])
    other = replace(config, context=0)
    save_detector(tmp_path / "other.safetensors", build(other), other, {})
    with pytest.raises(WorkbenchError, match="its config is not that of"):
        averaged([path, tmp_path / "other.safetensors"])
