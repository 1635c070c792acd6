"""What is found in one picture by several looks, as one: other orientations, other detectors.

What few galaxies teach a detector depends on the order that they were seen in: what several find
together is surer than what one finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.matching import BRIGHTER, Detections, iou, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.galaxy import Galaxy

SAME_FWHM = 0.5  # detections so near to each other, in PSF FWHM, are of one clump


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


def average(seen: Sequence[Detections], reach: float, overlap: float) -> Detections:
    """Return one set of detections: those within `reach` pixels of a surer one are joined to it.

    The score is the mean over `seen`, 0 where it was not found; box and brightness are means
    weighted by score. Of those that overlap by more than `overlap`, the surest is kept.
    """
    every = joined(seen)
    boxes, scores, labels, centres = every.boxes, every.scores, every.labels, every.centres
    free = np.ones(len(boxes), np.bool_)
    rows: list[tuple[float, int, list[float], list[float]]] = []
    for row in np.argsort(-scores, kind="stable"):
        if not free[row]:
            continue
        near = np.hypot(*(centres - centres[row]).T) <= reach
        group = free & (labels == labels[row]) & near
        free &= ~group
        box, its = (np.average(part[group], axis=0, weights=scores[group])
                    for part in (boxes, every.known_brighter))  # fmt: skip
        score = min(1.0, scores[group].sum() / len(seen))
        rows.append((score, int(labels[row]), box.tolist(), its.tolist()))
    rows.sort(key=lambda one: -one[0])
    found = Detections(
        np.array([box for _, _, box, _ in rows]).reshape(-1, 4),
        np.array([score for score, _, _, _ in rows]),
        np.array([label for _, label, _, _ in rows], dtype=np.int64),
        np.array([its for _, _, _, its in rows]).reshape(-1, len(BRIGHTER)),
    )
    keep: list[int] = []
    shared = iou(found.boxes, found.boxes) > overlap
    for row in range(len(found)):
        if not shared[row, keep].any():
            keep.append(row)
    return found.keep(keep)
