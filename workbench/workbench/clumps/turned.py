"""Detection in pictures seen in several orientations, the scores averaged.

The sky has no up: what is found in one orientation alone is more often false than what is found in
all. Costs as many times the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.averaging import average_each
from workbench.clumps.detector import detect
from workbench.clumps.inject import turn, turn_points
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.matching import Detections

ORIENTATIONS = 8  # four quarter turns, each also mirrored


def detect_turned(
    model: FasterRCNN, config: DetectorConfig, galaxies: Sequence[Galaxy], orientations: int
) -> list[Detections]:
    """Return what is found in each picture, in its own pixels; see `detector.detect`.

    Raises
    ------
    WorkbenchError
        The number of orientations is not 1 to 8, or the PSF of a picture is unknown.
    """
    if not 1 <= orientations <= ORIENTATIONS:
        raise WorkbenchError(f"{orientations} orientations; expected 1 to {ORIENTATIONS}")
    if orientations == 1:
        return detect(model, config, galaxies)
    seen = [_look(model, config, galaxies, which) for which in range(orientations)]
    return average_each(seen, galaxies, config.nms)


def _look(
    model: FasterRCNN, config: DetectorConfig, galaxies: Sequence[Galaxy], which: int
) -> list[Detections]:
    """Return what is found in each picture after `inject.turn`, in the pixels of before."""
    found = detect(model, config, [turn(galaxy, which) for galaxy in galaxies])
    return [turned_back(one, galaxy.truth, which)
            for one, galaxy in zip(found, galaxies, strict=True)]  # fmt: skip


def turned_back(found: Detections, truth: Annotation, which: int) -> Detections:
    """Return detections in a picture after `inject.turn` in the pixels of the picture before."""
    size = (truth.height, truth.width) if which % 2 else (truth.width, truth.height)
    inverse = which if which >= 4 else (4 - which) % 4  # mirrored turns undo themselves
    half = (found.boxes[:, 2:] - found.boxes[:, :2]) / 2
    at = turn_points(found.boxes[:, :2] + half, size, inverse)
    half = half[:, ::-1] if which % 2 else half
    boxes = np.concatenate([at - half, at + half], axis=1)
    return replace(found, boxes=boxes)
