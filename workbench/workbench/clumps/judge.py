"""A second look at what was found: the network's score and how the object stands out, weighed.

A network that learnt from forty galaxies knows what a clump looks like better than where the
catalogue of Stripe 82 drew its lines; the procedure that made the catalogue (`contrast`) knows
these, but not what a clump looks like. What either finds is a candidate, and a logistic regression
on 21 properties of it tells how likely the catalogue has it. It is fitted to candidates in
galaxies that the network did not learn from, so that its scores there are those of new galaxies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.brightness import G_OVER_U, flux_ratios
from workbench.clumps.contrast import BLUE, GREEN, RED, TIMES, Contrast, centre_of_light
from workbench.clumps.evaluate import match_all
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Label, square_boxes
from workbench.clumps.matching import BRIGHTER, Detections
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from workbench.clumps.contrast import Objects
    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Match

LEAST_SCORE = 0.03  # what the network finds below it is no candidate
LEAST_OFTEN = 0.2  # part of the repetitions of the procedure, for an object that it alone finds
OWN = 0.6  # PSF FWHM: an object so near to a detection is the same
MISSED_SCORE = 0.02  # stands for the network's of what it did not find
MISSED_PEAK = float(np.exp(-1.0))  # over the level, of what the procedure did not find
MOST_APART = 5.0  # PSF FWHM: neighbours farther away are alike
STRENGTH = 1.0  # inverse of the penalty of the regression
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


@dataclass(frozen=True)
class Judge:
    """A logistic regression on the properties `NAMES`.

    Attributes
    ----------
    mean, scale
        Of the properties, which are weighed less the mean and over the scale.
    weights, constant
        Of the logarithm of the odds.
    galaxies
        That it was fitted to.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    constant: float
    galaxies: int

    def scores(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,) how likely each candidate is a clump, of its properties `known` (N, 21)."""
        odds = (known - self.mean) / self.scale @ np.array(self.weights) + self.constant
        sure: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
        return sure

    def to_dict(self) -> dict[str, Any]:
        """Return what `judge_from_dict` reads."""
        properties = {
            name: {"mean": mean, "scale": scale, "weight": weight}
            for name, mean, scale, weight in zip(
                NAMES, self.mean, self.scale, self.weights, strict=True
            )
        }
        return {"constant": self.constant, "galaxies": self.galaxies, "properties": properties}


def judge_from_dict(content: Mapping[str, Any], place: object) -> Judge:
    """Return the judge that `to_dict` wrote; `place` is named where it is none.

    Raises
    ------
    WorkbenchError
        A property is missing or unknown, or a value is no finite number.
    """
    try:
        properties = content["properties"]
        if set(properties) != set(NAMES):
            odd = sorted(set(properties) ^ set(NAMES))
            raise WorkbenchError(f"{place}: a judge of other properties ({', '.join(odd)}); "
                "this version knows other ones, fit it again")  # fmt: skip
        rows = np.array([
            [float(properties[name][part]) for part in ("mean", "scale", "weight")]
            for name in NAMES
        ])  # fmt: skip
        constant, number = float(content["constant"]), int(content["galaxies"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkbenchError(
            f"{place}: no judge ({error!r}); expected constant, galaxies and properties, each with "
            "mean, scale and weight"
        ) from error
    if not (np.isfinite(rows).all() and np.isfinite(constant) and (rows[:, 1] > 0).all()):
        raise WorkbenchError(f"{place}: a judge with NaN, infinity or a scale that is not positive")
    mean, scale, weight = (tuple(column.tolist()) for column in rows.T)
    return Judge(mean, scale, weight, constant, number)


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
    objects = contrast.often(times)
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
    psf = contrast.psf * contrast.size
    kept = found.keep((found.labels == Label.CLUMP) & (found.scores >= LEAST_SCORE))
    own, apart = _own(_centres(kept.boxes), objects, psf)
    alone = np.setdiff1d(np.arange(len(objects)), own)
    alone = alone[apart[:, alone].min(axis=0, initial=np.inf) > OWN]
    boxes = np.concatenate([kept.boxes, square_boxes(objects.at[alone], psf)])
    scores = np.concatenate([kept.scores, np.full(len(alone), MISSED_SCORE)])
    every = Detections(boxes, scores, np.full(len(boxes), int(Label.CLUMP), np.int64),
                       _brighter(kept, boxes, galaxy))  # fmt: skip
    which = np.concatenate([own, alone])
    off = np.concatenate([
        np.where(own >= 0, apart[np.arange(len(own)), own] if len(objects) else 1.0, 1.0),
        np.zeros(len(alone)),
    ])  # fmt: skip
    others = found.keep(found.labels != Label.CLUMP)
    return Candidates(every, _known(every, seen, which, off, kept), others)


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


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


def _brighter(kept: Detections, boxes: NDArray[np.float64], galaxy: Galaxy) -> NDArray[np.float64]:
    """Return (N, 3) how likely each is so bright; of the procedure's as measured on the picture."""
    bright = np.ones((len(boxes), len(BRIGHTER)))
    if kept.brighter is not None:
        bright[: len(kept)] = kept.brighter
    if len(boxes) > len(kept):
        ratios = flux_ratios(galaxy, boxes[len(kept) :]) / G_OVER_U
        bright[len(kept) :] = ratios[:, None] >= np.array(BRIGHTER)
    return bright


def _known(
    every: Detections,
    seen: Evidence,
    which: NDArray[np.int64],
    off: NDArray[np.float64],
    kept: Detections,
) -> NDArray[np.float64]:
    """Return (N, 21) the properties `NAMES`; lengths are in PSF FWHM, light in nanomaggies."""
    contrast, objects, number = seen.contrast, seen.objects, len(every)
    at, psf = _centres(every.boxes), contrast.psf
    by_procedure = which >= 0

    def of_object(values: NDArray[np.float64], missing: float) -> NDArray[np.float64]:
        filled = np.append(values, missing)
        chosen: NDArray[np.float64] = filled[np.where(by_procedure, which, len(values))]
        return chosen

    own, around = contrast.lights(at)
    cells = contrast.cells(at)
    host = contrast.host if contrast.host.any() else np.ones_like(contrast.host)
    green = contrast.light[:, :, GREEN].astype(np.float64)
    middle = centre_of_light(green, host, contrast.cells(objects.at), psf)
    radius = np.hypot(*(cells - middle).T) / psf
    scipy = need("scipy.ndimage")
    depth = scipy.distance_transform_edt(host) / psf
    area = host.sum() / psf**2
    total = np.log(max(float((green * host).sum()), 0.1))
    between = np.hypot(*(cells[:, None] - cells[None]).transpose(2, 0, 1)) / psf
    np.fill_diagonal(between, MOST_APART)
    score = every.scores.clip(1e-4, 1 - 1e-4)
    one = np.ones(number)
    columns = {
        "score": np.log(score / (1 - score)),
        "found_by_procedure": by_procedure.astype(np.float64),
        "often": of_object(objects.often, 0.0),
        "cells": np.log(of_object(objects.cells, 1.0)),
        "peak": np.log(of_object(objects.peak, MISSED_PEAK)),
        "apart": off,
        "g_i": np.log(own[BLUE] / own[RED]),
        "g_r": np.log(own[BLUE] / own[GREEN]),
        "around_g_i": np.log(around[BLUE] / around[RED]),
        "bluer": np.log(own[BLUE] / own[RED]) - np.log(around[BLUE] / around[RED]),
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


def fit(found: Sequence[Candidates], galaxies: Sequence[Galaxy]) -> Judge:
    """Return a judge of candidates `found` in `galaxies` whose clumps are known.

    A candidate is a clump where the network's order, the surest first, matches it to one within
    one PSF FWHM.

    Raises
    ------
    WorkbenchError
        All candidates are clumps, or none.
    """
    known = np.concatenate([one.known for one in found])
    hits = np.concatenate([
        _hits(match, len(one.found))
        for match, one in zip(
            match_all([one.found for one in found], [galaxy.truth for galaxy in galaxies]),
            found, strict=True,
        )
    ])  # fmt: skip
    if hits.all() or not hits.any():
        raise WorkbenchError(
            f"a judge of {len(hits)} candidates in {len(galaxies)} galaxies, {int(hits.sum())} of "
            "them clumps: expected some that are clumps and some that are none"
        )
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    model = need("sklearn.linear_model").LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit((known - mean) / scale, hits)
    return Judge(
        tuple(mean.tolist()), tuple(scale.tolist()), tuple(model.coef_[0].tolist()),
        float(model.intercept_[0]), len(galaxies),
    )  # fmt: skip


def _hits(match: Match, number: int) -> NDArray[np.bool_]:
    hits = np.zeros(number, np.bool_)
    hits[match.which] = match.hits
    return hits


def judged(judge: Judge, found: Candidates) -> Detections:
    """Return the candidates with the judge's scores, and what is no clump as it was.

    The surest come first.
    """
    clumps, others = found.found, found.others
    scores = np.concatenate([judge.scores(found.known), others.scores])
    bright = [np.ones((len(one), len(BRIGHTER))) if one.brighter is None else one.brighter
              for one in (clumps, others)]  # fmt: skip
    scored = Detections(
        np.concatenate([clumps.boxes, others.boxes]), scores,
        np.concatenate([clumps.labels, others.labels]), np.concatenate(bright),
    )  # fmt: skip
    return scored.keep(np.argsort(-scores, kind="stable"))
