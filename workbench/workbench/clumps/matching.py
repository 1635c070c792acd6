"""One-to-one matching of detections to true clumps, within one PSF FWHM or by overlap.

Detections are taken in order of falling score, as COCO does, so that the matches at a threshold
are those of the detections above it. Each takes the nearest (or best overlapping) free truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.galaxy import Annotation, Label
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MIN_IOU = 0.5
# Flux ratios at which a detector says how likely a clump is at least so bright: 1 % for deep
# catalogues, 3 and 8 % are the cuts of Popp et al. 2024.
BRIGHTER = (0.01, 0.03, 0.08)
SURE, NEVER = 1e-4, 1.0  # every clump is brighter than the first, none than the second


class Criterion(StrEnum):
    """When a detection may match a truth."""

    DISTANCE = "within_fwhm"  # centres at most one PSF FWHM apart
    OVERLAP = "iou_0.5"  # intersection over union of the boxes at least 0.5


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one picture.

    Attributes
    ----------
    boxes
        (N, 4) x1, y1, x2, y2 in pixels, 0-based pixel centres.
    scores
        (N,) higher is surer.
    labels
        (N,) values of `Label`.
    brighter
        (N, 3) how likely a clump here has at least each flux ratio of `BRIGHTER`; None where the
        method does not say.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    brighter: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(N, 2) x, y of the boxes' centres in pixels."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def known_brighter(self) -> NDArray[np.float64]:
        """(N, 3) `brighter`, or 1, which changes no score, where the method does not say."""
        return np.ones((len(self), len(BRIGHTER))) if self.brighter is None else self.brighter

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64] | list[int]) -> Detections:
        """Return those that a mask or indices choose, in their order."""
        bright = None if self.brighter is None else self.brighter[which]
        return Detections(self.boxes[which], self.scores[which], self.labels[which], bright)

    def scores_at(self, min_flux_ratio: float) -> NDArray[np.float64]:
        """Return (N,) how sure a clump of at least `min_flux_ratio` is, fainter ones set aside.

        With s the score and q how likely a clump is so bright: q s / (q s + 1 - s), the part of
        such clumps among these and what is no clump. Between the flux ratios of `BRIGHTER` q is
        interpolated in the logarithm. The scores themselves where the method does not say.
        """
        if self.brighter is None or min_flux_ratio <= 0:
            return self.scores
        edges = np.log([SURE, *BRIGHTER, NEVER])
        known = np.pad(self.brighter, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        at = np.clip(np.log(min_flux_ratio), edges[0], edges[-1])
        right = int(np.clip(np.searchsorted(edges, at), 1, len(edges) - 1))
        part = (at - edges[right - 1]) / (edges[right] - edges[right - 1])
        bright = (known[:, right - 1] * (1 - part) + known[:, right] * part) * self.scores
        whole = bright + 1 - self.scores
        sure: NDArray[np.float64] = bright / np.where(whole > 0, whole, 1.0)
        return sure


def joined(parts: Sequence[Detections]) -> Detections:
    """Return the detections of all `parts`, one after the other."""
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.known_brighter for part in parts]),
    )


def detections(boxes: ArrayLike, scores: ArrayLike, labels: ArrayLike | None = None) -> Detections:
    """Return checked detections, labels clump unless given.

    Raises
    ------
    WorkbenchError
        Lengths differ or a score is not finite.
    """
    box = np.asarray(boxes, np.float64).reshape(-1, 4)
    score = np.asarray(scores, np.float64).reshape(-1)
    label = np.full(len(box), int(Label.CLUMP)) if labels is None else np.asarray(labels, np.int64)
    if not len(box) == len(score) == label.size:
        raise WorkbenchError(f"{len(box)} boxes, {len(score)} scores and {label.size} labels")
    if not np.isfinite(score).all():
        raise WorkbenchError("scores: expected finite numbers, got NaN or infinity")
    return Detections(box, score, label.reshape(-1))


@dataclass(frozen=True, eq=False)
class Match:
    """Outcome for one picture.

    Attributes
    ----------
    scores
        (N,) of the detections that count, for clumps as bright as asked for: hits and false
        ones, not those on ignored truth.
    hits
        (N,) bool, whether each is a hit.
    found_at
        (M,) for each truth that counts, the score of its detection; minus infinity if missed.
    counted
        (M,) indices of these truths in the annotation.
    which
        (N,) indices of these detections among those given.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    found_at: NDArray[np.float64]
    counted: NDArray[np.int64]
    which: NDArray[np.int64]


def match(
    found: Detections,
    truth: Annotation,
    criterion: Criterion = Criterion.DISTANCE,
    min_flux_ratio: float = 0.0,
) -> Match:
    """Match the clumps of one picture.

    A truth fainter than `min_flux_ratio` (or of unknown ratio, when a cut is asked for) is
    ignored: a detection that matches none brighter but that one counts neither way. Scores are
    those for clumps so bright, `Detections.scores_at`.

    Raises
    ------
    WorkbenchError
        Matching by distance, and the PSF is unknown.
    """
    clumps = np.flatnonzero(truth.labels == Label.CLUMP)
    bright = (
        truth.flux_ratio[clumps] >= min_flux_ratio
        if min_flux_ratio > 0
        else np.ones(len(clumps), np.bool_)
    )
    found_clumps = np.flatnonzero(found.labels == Label.CLUMP)
    sure = found.scores_at(min_flux_ratio)
    which = found_clumps[np.argsort(-sure[found_clumps], kind="stable")]
    boxes, scores = found.boxes[which], sure[which]
    merit = _merit(found.keep(which), truth.keep(clumps), criterion)
    taken = np.full(len(clumps), -1)
    fate = np.zeros(len(boxes), np.int64)  # 0 false, 1 hit, 2 ignored
    for row in range(len(boxes)):
        for group, outcome in ((bright, 1), (~bright, 2)):
            options = np.where(group & (taken < 0), merit[row], -np.inf)
            if options.size and options.max() > -np.inf:
                taken[options.argmax()] = row
                fate[row] = outcome
                break
    counts = fate != 2
    found_at = np.where(taken >= 0, np.append(scores, 0.0)[taken], -np.inf)[bright]
    return Match(scores[counts], fate[counts] == 1, found_at, clumps[bright], which[counts])


def _merit(found: Detections, truth: Annotation, criterion: Criterion) -> NDArray[np.float64]:
    """(N, M) higher is better, minus infinity where a match is not allowed."""
    if criterion is Criterion.OVERLAP:
        overlap = iou(found.boxes, truth.boxes)
        return np.where(overlap >= MIN_IOU, overlap, -np.inf)
    if truth.psf_fwhm is None:
        raise WorkbenchError(f"{truth.name}: matching within one PSF FWHM needs the PSF")
    apart = np.hypot(*(found.centres[:, None] - truth.centres[None]).transpose(2, 0, 1))
    return np.where(apart <= truth.psf_fwhm, -apart, -np.inf)


def iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, M) intersection over union of boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    overlap: NDArray[np.float64] = shared / (areas[0][:, None] + areas[1][None] - shared)
    return overlap
