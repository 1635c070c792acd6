"""Seeing how a recurrent kernel's launch is chosen: its space, a picture, what was measured."""

from workbench.tuning.launches import LIMITS, SHAPE, launches
from workbench.tuning.panel import LaunchTuner

__all__ = ["LIMITS", "SHAPE", "LaunchTuner", "launches"]
