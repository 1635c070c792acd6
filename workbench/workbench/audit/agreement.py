"""How far auditors agree, and the labels that most of them share.

Boxes of different auditors are the same clump when their centres are within one PSF FWHM (where
the PSF is unknown: when they overlap by half), matched one to one, the nearest first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.audit.box import LABELS, Box
from workbench.clumps.matching import MIN_IOU, iou
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

NONE = "none"  # what an auditor says of a place without a box


@dataclass(frozen=True)
class Opinion:
    """One auditor's boxes of one finished galaxy.

    Attributes
    ----------
    accepted, rejected
        Boxes; pending ones are no opinion.
    psf_fwhm
        Pixels, None where unknown.
    """

    accepted: tuple[Box, ...]
    rejected: tuple[Box, ...] = ()
    psf_fwhm: float | None = None


@dataclass(frozen=True)
class Agreement:
    """Two auditors compared over the galaxies that both finished.

    Attributes
    ----------
    galaxies
        How many these are.
    matched
        Accepted boxes that both have.
    first, second
        Accepted boxes of each.
    kappa
        Cohen's kappa over clump, odd and none, at every place where either has an accepted box
        and where both rejected the same; NaN where chance alone would agree always.
    """

    galaxies: int
    matched: int
    first: int
    second: int
    kappa: float

    @property
    def f1(self) -> float:
        """2 matched / (first + second), NaN without boxes."""
        both = self.first + self.second
        return 2 * self.matched / both if both else float("nan")


def pairs(
    first: Sequence[Box], second: Sequence[Box], psf_fwhm: float | None
) -> list[tuple[int, int]]:
    """Return indices of boxes that are the same clump, one to one, the nearest first."""
    if not first or not second:
        return []
    cost = _apart(first, second, psf_fwhm)
    found: list[tuple[int, int]] = []
    while np.isfinite(cost).any():
        row, column = (int(k) for k in np.unravel_index(cost.argmin(), cost.shape))
        found.append((row, column))
        cost[row, :] = np.inf
        cost[:, column] = np.inf
    return found


def _apart(
    first: Sequence[Box], second: Sequence[Box], psf_fwhm: float | None
) -> NDArray[np.float64]:
    """(N, M) smaller is nearer, infinite where two boxes are not the same clump."""
    if psf_fwhm is None:
        overlap = iou(*(np.array([box.corners for box in boxes]) for boxes in (first, second)))
        return np.where(overlap >= MIN_IOU, -overlap, np.inf)
    a, b = (np.array([box.centre for box in boxes]) for boxes in (first, second))
    distance = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    return np.where(distance <= psf_fwhm, distance, np.inf)


def compare(first: Mapping[str, Opinion], second: Mapping[str, Opinion]) -> Agreement:
    """Return the agreement of two auditors, their opinions by galaxy.

    Raises
    ------
    WorkbenchError
        They finished no galaxy in common.
    """
    common = [name for name in first if name in second]
    if not common:
        raise WorkbenchError(
            f"no galaxy was finished by both auditors ({len(first)} by the first, "
            f"{len(second)} by the second)"
        )
    votes: Counter[tuple[str, str]] = Counter()
    matched = 0
    for name in common:
        joined = _votes(first[name], second[name])
        matched += sum(NONE not in vote for vote in joined)
        votes.update(joined)
    ours, theirs = (sum(len(side[name].accepted) for name in common) for side in (first, second))
    return Agreement(len(common), matched, ours, theirs, cohen_kappa(votes))


def _votes(first: Opinion, second: Opinion) -> list[tuple[str, str]]:
    same = pairs(first.accepted, second.accepted, first.psf_fwhm)
    rows, columns = {i for i, _ in same}, {j for _, j in same}
    votes = [(LABELS[first.accepted[i].label], LABELS[second.accepted[j].label]) for i, j in same]
    votes += [(LABELS[b.label], NONE) for i, b in enumerate(first.accepted) if i not in rows]
    votes += [(NONE, LABELS[b.label]) for j, b in enumerate(second.accepted) if j not in columns]
    both_rejected = pairs(first.rejected, second.rejected, first.psf_fwhm)
    return votes + [(NONE, NONE)] * len(both_rejected)


def cohen_kappa(votes: Mapping[tuple[str, str], int]) -> float:
    """Return Cohen's kappa (1960, Educ. Psychol. Meas. 20, 37) of counted pairs of categories."""
    total = sum(votes.values())
    if not total:
        return float("nan")
    observed = sum(n for (a, b), n in votes.items() if a == b) / total
    firsts, seconds = Counter[str](), Counter[str]()
    for (a, b), number in votes.items():
        firsts[a] += number
        seconds[b] += number
    expected = sum(firsts[name] * seconds[name] for name in firsts) / total**2
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def consensus(opinions: Sequence[Opinion]) -> list[tuple[Box, int]]:
    """Return the boxes that more than half of the auditors of a galaxy accepted, and their votes.

    A box is the median of its voters' corners, with the label that most of them gave (clump where
    they are split); its score is the part of the auditors that voted for it.
    """
    groups: list[list[Box]] = []
    for opinion in opinions:
        heads = [group[0] for group in groups]
        same = {j: i for i, j in pairs(heads, opinion.accepted, opinion.psf_fwhm)}
        for index, box in enumerate(opinion.accepted):
            if index in same:
                groups[same[index]].append(box)
            else:
                groups.append([box])
    shared = [group for group in groups if 2 * len(group) > len(opinions)]
    return [(_middle(group, len(opinions)), len(group)) for group in shared]


def _middle(group: list[Box], auditors: int) -> Box:
    corners = np.median([box.corners for box in group], axis=0)
    labels = Counter(box.label for box in group)
    label = min(labels, key=lambda name: (-labels[name], name))
    return replace(group[0].at(corners.tolist()), label=label, score=len(group) / auditors)
