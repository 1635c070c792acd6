"""A training run that fits a laptop: few simulated galaxies, few epochs."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import torch

from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.request import Request
from workbench.clumps.run import Plan
from workbench.clumps.training import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.clumps.galaxy import Galaxy

SEED = 41  # galaxies of the tutorials have others
VALIDATION = 32
QUICK = "FLASHCLUMP_EPOCHS"
# From random weights on 64 galaxies, five epochs: F1 .41, with convnext_atto .23. Fewer pixels than
# usual: a step takes half the time.
CONFIG = DetectorConfig(backbone="resnet18", pixels_per_fwhm=4.0)


def epochs(wanted: int, environment: Mapping[str, str] = os.environ) -> int:
    """Return `wanted`, at most ``FLASHCLUMP_EPOCHS`` where that is set: for a quick look."""
    return min(wanted, int(environment.get(QUICK, wanted)))


def few(
    galaxies: Sequence[Galaxy], quick: int = 6, environment: Mapping[str, str] = os.environ
) -> Sequence[Galaxy]:
    """Return the galaxies, the first `quick` where ``FLASHCLUMP_EPOCHS`` is set."""
    return galaxies[:quick] if QUICK in environment else galaxies


def small_plan(galaxies: int = 96, wanted_epochs: int = 8) -> Plan:
    """Return a run on `galaxies` simulated ones, from random weights; minutes on two CPU cores."""
    number = epochs(wanted_epochs)
    return Plan(
        Request(number=galaxies, seed=SEED),
        Request(number=VALIDATION, seed=SEED + 1),
        CONFIG,
        TrainOptions(epochs=number, patience=number, batch=4, learning_rate=1e-3, ema=0.9),
    )


def settle() -> None:
    """Leave one core to the notebook, and keep Lightning from saying which device it takes.

    Two threads on two cores that something else uses as well wait for each other: an epoch took
    190 s, with one thread 20 s.
    """
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
