"""What may be a clump: found by the network or by the published procedure, and what is known of it.

A network that learnt from forty galaxies knows what a clump looks like better than where the
catalogue of Stripe 82 drew its lines; the procedure that made the catalogue (`contrast`) knows
these, but not what a clump looks like. `judge` weighs both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.brightness import G_OVER_U, flux_ratios
from workbench.clumps.cells import BLUE, GREEN
from workbench.clumps.contrast import Contrast, blueness, centre_of_light
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Label, square_boxes
from workbench.clumps.matching import BRIGHTER, Detections, detections, joined
from workbench.clumps.repeated import TIMES, repeated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.contrast import Objects
    from workbench.clumps.galaxy import Galaxy

LEAST_SCORE = 0.03  # what the network finds below it is no candidate
LEAST_OFTEN = 0.2  # part of the repetitions of the procedure, for an object that it alone finds
OWN = 0.6  # PSF FWHM: an object so near to a detection is the same
MISSED_SCORE = 0.02  # stands for the network's of what it did not find
MISSED_PEAK = float(np.exp(-1.0))  # over the level, of what the procedure did not find
MOST_APART = 5.0  # PSF FWHM: neighbours farther away are alike
NAMES = (
    "score", "found_by_procedure", "often", "cells", "peak", "apart",
    "g_i", "g_r", "around_g_i", "bluer", "over_around", "light", "light_of_galaxy",
    "radius", "radius_of_host", "edge", "surface", "host", "objects", "all_scores", "neighbour",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the network or the procedure found in one picture.

    Attributes
    ----------
    found
        Detections that are clumps, the network's first; scores are the network's.
    known
        (N, 21) their properties, `NAMES`.
    others
        What the network found that is no clump.
    """

    found: Detections
    known: NDArray[np.float64]
    others: Detections


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the procedure finds in a picture, which several detectors may look at.

    Attributes
    ----------
    contrast
        Its light.
    objects
        Found in a fifth of the repetitions or more.
    """

    contrast: Contrast
    objects: Objects


def evidence(galaxy: Galaxy, times: int = TIMES) -> Evidence:
    """Return what `times` repetitions of the procedure find in a picture.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """
    contrast = Contrast(galaxy)
    objects = repeated(contrast, times)
    return Evidence(contrast, objects.keep(objects.often >= LEAST_OFTEN))


def candidates(found: Detections, galaxy: Galaxy, seen: Evidence | None = None) -> Candidates:
    """Return what is a candidate in a picture where the network `found` clumps.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """
    seen = seen or evidence(galaxy)
    contrast, objects = seen.contrast, seen.objects
    psf = contrast.cells.psf * contrast.cells.size
    kept = found.keep((found.labels == Label.CLUMP) & (found.scores >= LEAST_SCORE))
    own, apart = _own(kept.centres, objects, psf)
    alone = np.setdiff1d(np.arange(len(objects)), own)
    alone = alone[apart[:, alone].min(axis=0, initial=np.inf) > OWN]
    every = joined([kept, _missed(square_boxes(objects.at[alone], psf), galaxy)])
    which = np.concatenate([own, alone])
    off = np.concatenate([
        np.where(own >= 0, apart[np.arange(len(own)), own] if len(objects) else 1.0, 1.0),
        np.zeros(len(alone)),
    ])  # fmt: skip
    others = found.keep(found.labels != Label.CLUMP)
    return Candidates(every, _known(every, seen, which, off, kept), others)


def _own(
    at: NDArray[np.float64], objects: Objects, psf: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (N,) which object each of N detections is, -1 for none, and (N, M) FWHM apart.

    The nearest pairs go first, and no object is two detections.
    """
    apart = np.hypot(*(at[:, None] - objects.at[None]).transpose(2, 0, 1)) / psf
    own = np.full(len(at), -1)
    for place in np.argsort(apart, axis=None, kind="stable"):
        row, column = np.unravel_index(place, apart.shape)
        if apart[row, column] > OWN:
            break
        if own[row] < 0 and column not in own:
            own[row] = column
    return own, apart


def _missed(boxes: NDArray[np.float64], galaxy: Galaxy) -> Detections:
    """Return what the procedure alone finds, as bright as measured on the picture."""
    found = detections(boxes, np.full(len(boxes), MISSED_SCORE))
    ratios = flux_ratios(galaxy, boxes).reshape(-1, 1) / G_OVER_U
    return replace(found, brighter=(ratios >= np.array(BRIGHTER)).astype(np.float64))


def _known(
    every: Detections,
    seen: Evidence,
    which: NDArray[np.int64],
    off: NDArray[np.float64],
    kept: Detections,
) -> NDArray[np.float64]:
    """Return (N, 21) the properties `NAMES`; lengths are in PSF FWHM, light in nanomaggies."""
    light, objects, psf = seen.contrast.cells, seen.objects, seen.contrast.cells.psf
    by_procedure = which >= 0

    def of_object(values: NDArray[np.float64], missing: float) -> NDArray[np.float64]:
        filled = np.append(values, missing)
        chosen: NDArray[np.float64] = filled[np.where(by_procedure, which, len(values))]
        return chosen

    own, around = light.lights(every.centres)
    cells = light.of(every.centres)
    host = light.host if light.host.any() else np.ones_like(light.host)
    green = light.light[:, :, GREEN].astype(np.float64)
    middle = centre_of_light(green, host, light.of(objects.at), psf)
    radius = np.hypot(*(cells - middle).T) / psf
    scipy = need("scipy.ndimage")
    depth = scipy.distance_transform_edt(host) / psf
    area = host.sum() / psf**2
    total = np.log(max(float((green * host).sum()), 0.1))
    between = np.hypot(*(cells[:, None] - cells[None]).transpose(2, 0, 1)) / psf
    np.fill_diagonal(between, MOST_APART)
    score = every.scores.clip(1e-4, 1 - 1e-4)
    one = np.ones(len(every))
    columns = {
        "score": np.log(score / (1 - score)),
        "found_by_procedure": by_procedure.astype(np.float64),
        "often": of_object(objects.often, 0.0),
        "cells": np.log(of_object(objects.cells, 1.0)),
        "peak": np.log(of_object(objects.peak, MISSED_PEAK)),
        "apart": off,
        "g_i": blueness(own),
        "g_r": np.log(own[BLUE] / own[GREEN]),
        "around_g_i": blueness(around),
        "bluer": blueness(own) - blueness(around),
        "over_around": np.log(own[BLUE] / around[BLUE]),
        "light": np.log(own[BLUE]),
        "light_of_galaxy": np.log(own[BLUE]) - total,
        "radius": radius,
        "radius_of_host": radius / np.sqrt(area / np.pi),
        "edge": scipy.map_coordinates(depth, cells[:, ::-1].T, order=1),
        "surface": np.log(around[GREEN]),
        "host": np.log(area) * one,
        "objects": np.log(1 + (objects.often > 0.5).sum()) * one,
        "all_scores": np.log(0.1 + kept.scores.sum()) * one,
        "neighbour": between.min(axis=1, initial=MOST_APART),
    }
    return np.stack([columns[name] for name in NAMES], axis=1)
