"""Detection in pictures seen in several orientations, the scores averaged.

The sky has no up: what is found in one orientation alone is more often false than what is found in
all. Costs as many times the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.detector import detect
from workbench.clumps.inject import turn, turn_points
from workbench.clumps.matching import Detections, iou
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.galaxy import Annotation, Galaxy

ORIENTATIONS = 8  # four quarter turns, each also mirrored
SAME_FWHM = 0.5  # detections so near to each other, in PSF FWHM, are of one clump


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
    seen = [
        detect(model, config, [turn(galaxy, which) for galaxy in galaxies])
        for which in range(orientations)
    ]
    return [
        average(
            [turned_back(found[k], galaxy.truth, which) for which, found in enumerate(seen)],
            SAME_FWHM * (galaxy.truth.psf_fwhm or 0.0),
            config.nms,
        )
        for k, galaxy in enumerate(galaxies)
    ]


def turned_back(found: Detections, truth: Annotation, which: int) -> Detections:
    """Return detections in a picture after `inject.turn` in the pixels of the picture before."""
    size = (truth.height, truth.width) if which % 2 else (truth.width, truth.height)
    inverse = which if which >= 4 else (4 - which) % 4  # mirrored turns undo themselves
    half = (found.boxes[:, 2:] - found.boxes[:, :2]) / 2
    at = turn_points(found.boxes[:, :2] + half, size, inverse)
    half = half[:, ::-1] if which % 2 else half
    boxes = np.concatenate([at - half, at + half], axis=1)
    return Detections(boxes, found.scores, found.labels)


def average(seen: Sequence[Detections], reach: float, overlap: float) -> Detections:
    """Return one set of detections: those within `reach` pixels of a surer one are joined to it.

    The score is the mean over `seen`, 0 where it was not found; the box the mean weighted by
    score. Of those that overlap by more than `overlap`, the surest is kept.
    """
    boxes = np.concatenate([one.boxes for one in seen])
    scores = np.concatenate([one.scores for one in seen])
    labels = np.concatenate([one.labels for one in seen])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    free = np.ones(len(boxes), np.bool_)
    joined: list[tuple[float, int, list[float]]] = []
    for row in np.argsort(-scores, kind="stable"):
        if not free[row]:
            continue
        near = np.hypot(*(centres - centres[row]).T) <= reach
        group = free & (labels == labels[row]) & near
        free &= ~group
        box = np.average(boxes[group], axis=0, weights=scores[group])
        joined.append((min(1.0, scores[group].sum() / len(seen)), int(labels[row]), box.tolist()))
    joined.sort(key=lambda one: -one[0])
    found = Detections(
        np.array([box for _, _, box in joined]).reshape(-1, 4),
        np.array([score for score, _, _ in joined]),
        np.array([label for _, label, _ in joined], dtype=np.int64),
    )
    keep: list[int] = []
    shared = iou(found.boxes, found.boxes) > overlap
    for row in range(len(found)):
        if not shared[row, keep].any():
            keep.append(row)
    return Detections(found.boxes[keep], found.scores[keep], found.labels[keep])
