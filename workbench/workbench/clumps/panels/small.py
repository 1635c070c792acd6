"""A training run that fits a laptop: few simulated galaxies, few epochs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.request import Request
from workbench.clumps.run import Plan
from workbench.clumps.training import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = 41
VALIDATION = 32
QUICK = "FLASHCLUMP_EPOCHS"
# From random weights on 64 galaxies, five epochs: F1 .41, with convnext_atto .23. Fewer pixels than
# usual: a step takes half the time.
CONFIG = DetectorConfig(backbone="resnet18", pixels_per_fwhm=4.0)


def epochs(wanted: int, environment: Mapping[str, str] = os.environ) -> int:
    """Return `wanted`, at most ``FLASHCLUMP_EPOCHS`` where that is set: for a quick look."""
    return min(wanted, int(environment.get(QUICK, wanted)))


def small_plan(galaxies: int = 96, wanted_epochs: int = 10) -> Plan:
    """Return a run on `galaxies` simulated ones, from random weights; minutes on two CPU cores."""
    number = epochs(wanted_epochs)
    return Plan(
        Request(number=galaxies, seed=SEED),
        Request(number=VALIDATION, seed=SEED + 1),
        CONFIG,
        TrainOptions(epochs=number, patience=number, batch=4, learning_rate=1e-3, ema=0.9),
    )
