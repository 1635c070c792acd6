"""Detection in pictures seen several times, the scores averaged.

In other orientations: the sky has no up, and what is found in one alone is more often false than
what is found in all. By several detectors: what few galaxies teach depends on the order that they
were seen in. Each look costs as many times the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.detector import detect
from workbench.clumps.inject import turn, turn_points
from workbench.clumps.matching import BRIGHTER, Detections, iou
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
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
    seen = [_look(model, config, galaxies, which) for which in range(orientations)]
    return average_each(seen, galaxies, config.nms)


def _look(
    model: FasterRCNN, config: DetectorConfig, galaxies: Sequence[Galaxy], which: int
) -> list[Detections]:
    """Return what is found in each picture after `inject.turn`, in the pixels of before."""
    found = detect(model, config, [turn(galaxy, which) for galaxy in galaxies])
    return [turned_back(one, galaxy.truth, which)
            for one, galaxy in zip(found, galaxies, strict=True)]  # fmt: skip


def average_each(
    seen: Sequence[Sequence[Detections]], galaxies: Sequence[Galaxy], overlap: float
) -> list[Detections]:
    """Return for each picture the `average` of what each of `seen` found there."""
    if len(seen) == 1:
        return list(seen[0])
    return [
        average(its, SAME_FWHM * (galaxy.truth.psf_fwhm or 0.0), overlap)
        for galaxy, *its in zip(galaxies, *seen, strict=True)
    ]


def turned_back(found: Detections, truth: Annotation, which: int) -> Detections:
    """Return detections in a picture after `inject.turn` in the pixels of the picture before."""
    size = (truth.height, truth.width) if which % 2 else (truth.width, truth.height)
    inverse = which if which >= 4 else (4 - which) % 4  # mirrored turns undo themselves
    half = (found.boxes[:, 2:] - found.boxes[:, :2]) / 2
    at = turn_points(found.boxes[:, :2] + half, size, inverse)
    half = half[:, ::-1] if which % 2 else half
    boxes = np.concatenate([at - half, at + half], axis=1)
    return replace(found, boxes=boxes)


def average(seen: Sequence[Detections], reach: float, overlap: float) -> Detections:
    """Return one set of detections: those within `reach` pixels of a surer one are joined to it.

    The score is the mean over `seen`, 0 where it was not found; box and brightness are means
    weighted by score. Of those that overlap by more than `overlap`, the surest is kept.
    """
    boxes = np.concatenate([one.boxes for one in seen])
    scores = np.concatenate([one.scores for one in seen])
    labels = np.concatenate([one.labels for one in seen])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    bright = _brighter(seen)
    free = np.ones(len(boxes), np.bool_)
    joined: list[tuple[float, int, list[float], list[float]]] = []
    for row in np.argsort(-scores, kind="stable"):
        if not free[row]:
            continue
        near = np.hypot(*(centres - centres[row]).T) <= reach
        group = free & (labels == labels[row]) & near
        free &= ~group
        box, its = (np.average(part[group], axis=0, weights=scores[group])
                    for part in (boxes, bright))  # fmt: skip
        score = min(1.0, scores[group].sum() / len(seen))
        joined.append((score, int(labels[row]), box.tolist(), its.tolist()))
    joined.sort(key=lambda one: -one[0])
    found = Detections(
        np.array([box for _, _, box, _ in joined]).reshape(-1, 4),
        np.array([score for score, _, _, _ in joined]),
        np.array([label for _, label, _, _ in joined], dtype=np.int64),
        np.array([its for _, _, _, its in joined]).reshape(-1, len(BRIGHTER)),
    )
    keep: list[int] = []
    shared = iou(found.boxes, found.boxes) > overlap
    for row in range(len(found)):
        if not shared[row, keep].any():
            keep.append(row)
    return found.keep(keep)


def _brighter(seen: Sequence[Detections]) -> NDArray[np.float64]:
    """Return (N, 3) of all that is `seen`; 1, which changes no score, where a method is silent."""
    return np.concatenate([
        np.ones((len(one), len(BRIGHTER))) if one.brighter is None else one.brighter for one in seen
    ])  # fmt: skip
