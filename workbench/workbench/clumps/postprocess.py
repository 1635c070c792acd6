"""After the network, as Popp et al. 2024: keep detections on the host, merge near ones."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.host import segmentation_mask
from workbench.clumps.inject import outline
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Detections


class HostRule(StrEnum):
    """What counts as the galaxy."""

    OUTLINE = "outline"  # seven times the noise, joined to the centre: what decision 10 quotes
    SEGMENT = "segment"  # half the noise, grown by one PSF FWHM: Popp et al. 2024


def on_galaxy(found: Detections, galaxy: Galaxy, rule: HostRule = HostRule.OUTLINE) -> Detections:
    """Return the detections on the galaxy; where none stands out at the centre, all of them."""
    if rule is HostRule.SEGMENT:
        return on_host(found, segmentation_mask(galaxy))
    try:
        return on_host(found, outline(galaxy))
    except WorkbenchError:  # too faint to have an outline
        return found


def on_host(found: Detections, mask: NDArray[np.bool_]) -> Detections:
    """Return the detections whose centre is on `mask` (H, W)."""
    x = found.centres[:, 0].round().astype(int).clip(0, mask.shape[1] - 1)
    y = found.centres[:, 1].round().astype(int).clip(0, mask.shape[0] - 1)
    keep = mask[y, x]
    return found.keep(keep)


def merge(found: Detections, distance: float) -> Detections:
    """Return detections with those of a label within `distance` pixels of a surer one joined to it.

    The joined box is the mean weighted by score; its score is the surest one's.
    """
    found = found.keep(np.argsort(-found.scores, kind="stable"))
    boxes, scores, labels, centres = found.boxes, found.scores, found.labels, found.centres
    free = np.ones(len(boxes), np.bool_)
    joined: list[NDArray[np.float64]] = []
    kept: list[int] = []
    for row in range(len(boxes)):
        if not free[row]:
            continue
        apart = np.hypot(*(centres - centres[row]).T)
        group = free & (apart <= distance) & (labels == labels[row])
        free &= ~group
        weight = scores[group] / scores[group].sum() if scores[group].sum() > 0 else None
        joined.append(np.average(boxes[group], axis=0, weights=weight))
        kept.append(row)
    return replace(found.keep(kept), boxes=np.array(joined).reshape(-1, 4))
