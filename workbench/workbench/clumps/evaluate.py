"""Completeness and purity of clump detections, with intervals from resampling whole galaxies."""

from __future__ import annotations

import contextlib
import io
import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, Label
from workbench.clumps.matching import BRIGHTER, Criterion, Detections, Match, match
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLUX_CUTS = (0.0, *BRIGHTER)
BOOTSTRAP_DRAWS = 1000
COVERAGE = 0.95


class Aim(StrEnum):
    """What a threshold is chosen for."""

    F1 = "f1"  # the best F1
    BALANCE = "balance"  # completeness and purity alike: the best of the lower of the two


@dataclass(frozen=True)
class Rates:
    """Completeness, purity and their harmonic mean; NaN where there is nothing to divide by.

    Attributes
    ----------
    hits, found, true
        Numbers of detections that hit, that count, and of clumps that count.
    """

    hits: int
    found: int
    true: int

    @property
    def completeness(self) -> float:
        """Part of the true clumps that was found."""
        return self.hits / self.true if self.true else float("nan")

    @property
    def purity(self) -> float:
        """Part of the detections that is true."""
        return self.hits / self.found if self.found else float("nan")

    @property
    def f1(self) -> float:
        """2 hits / (found + true)."""
        both = self.found + self.true
        return 2 * self.hits / both if both else float("nan")


@dataclass(frozen=True, eq=False)
class Curve:
    """Rates against score threshold; arrays of equal length, thresholds rising."""

    thresholds: NDArray[np.float64]
    completeness: NDArray[np.float64]
    purity: NDArray[np.float64]
    f1: NDArray[np.float64]


def match_all(
    found: Sequence[Detections],
    truths: Sequence[Annotation],
    criterion: Criterion = Criterion.DISTANCE,
    min_flux_ratio: float = 0.0,
) -> list[Match]:
    """Match picture by picture.

    Raises
    ------
    WorkbenchError
        The two sequences differ in length.
    """
    if len(found) != len(truths):
        raise WorkbenchError(f"detections of {len(found)} pictures, truth of {len(truths)}")
    pairs = zip(found, truths, strict=True)
    return [match(one, truth, criterion, min_flux_ratio) for one, truth in pairs]


def rates(matches: Sequence[Match], threshold: float = -np.inf) -> Rates:
    """Count over all pictures the detections with score of at least `threshold`."""
    hits, found, true = counts(matches, threshold).sum(axis=0)
    return Rates(int(hits), int(found), int(true))


def counts(matches: Sequence[Match], threshold: float) -> NDArray[np.int64]:
    """Return (galaxies, 3): hits, detections and true clumps that count in each picture."""
    rows = [
        (int((m.hits & (m.scores >= threshold)).sum()), int((m.scores >= threshold).sum()),
         len(m.counted))
        for m in matches
    ]  # fmt: skip
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def curve(matches: Sequence[Match], thresholds: NDArray[np.float64] | None = None) -> Curve:
    """Return the rates at each threshold; by default at every score that occurs (at most 200)."""
    scores = np.concatenate([m.scores for m in matches] or [np.empty(0)])
    if thresholds is None:
        thresholds = np.unique(scores)
        if len(thresholds) > 200:
            thresholds = np.unique(np.quantile(scores, np.linspace(0, 1, 200)))
    hit = np.concatenate([m.hits for m in matches] or [np.empty(0, np.bool_)])
    hits, found = (
        len(part) - np.searchsorted(np.sort(part), thresholds) for part in (scores[hit], scores)
    )
    true = sum(len(m.counted) for m in matches)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = (hits / true, hits / found, 2 * hits / (found + true))
    return Curve(thresholds, *rows)


def choose_threshold(validation: Sequence[Match], aim: Aim = Aim.F1) -> float:
    """Return the best threshold for `aim`; give it validation galaxies, never those you score.

    Raises
    ------
    WorkbenchError
        There is no detection to choose among.
    """
    points = curve(validation)
    if not len(points.thresholds):
        raise WorkbenchError("no detection on the validation galaxies: no threshold to choose")
    merit = points.f1 if aim is Aim.F1 else np.minimum(points.completeness, points.purity)
    return float(points.thresholds[int(np.nan_to_num(merit).argmax())])


def thresholds_by_cut(
    found: Sequence[Detections], truths: Sequence[Annotation], aim: Aim = Aim.F1
) -> dict[float, float]:
    """Return the best threshold for `aim` at each flux cut at which there is something."""
    chosen = {}
    for cut in FLUX_CUTS:
        matches = match_all(found, truths, min_flux_ratio=cut)
        if any(len(match.counted) and len(match.scores) for match in matches):
            chosen[cut] = choose_threshold(matches, aim)
    return chosen


NOTHING_FOUND = 1.0  # threshold of a detector that found nothing on the validation galaxies


def threshold_or_none_found(validation: Sequence[Match], aim: Aim = Aim.F1) -> float:
    """Return `choose_threshold`, or `NOTHING_FOUND`: no long run is lost for want of one."""
    if not any(len(one.scores) for one in validation):
        return NOTHING_FOUND
    return choose_threshold(validation, aim)


def summary(matches: Sequence[Match], threshold: float) -> dict[str, Any]:
    """Return the rates and ``interval_95`` as plain numbers, 0 where there is nothing to divide."""
    scored, spread = rates(matches, threshold), intervals(counts(matches, threshold))
    names = ("completeness", "purity", "f1")
    return {
        **{name: float(np.nan_to_num(getattr(scored, name))) for name in names},
        "interval_95": {name: np.nan_to_num(spread[name]).tolist() for name in names},
    }


def intervals(
    per_galaxy: NDArray[np.int64], seed: int = 0, draws: int = BOOTSTRAP_DRAWS
) -> dict[str, tuple[float, float]]:
    """Return central 95 % intervals of completeness, purity and f1 by bootstrap over galaxies.

    `per_galaxy` (galaxies, 3) holds hits, detections and true clumps, as `counts` gives.
    """
    number = len(per_galaxy)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(number, np.full(number, 1 / number), size=draws)
    hits, found, true = (weights @ per_galaxy).astype(np.float64).T
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = {
            "completeness": hits / true,
            "purity": hits / found,
            "f1": 2 * hits / (found + true),
        }
    edges = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
    return {name: finite_quantiles(values, edges) for name, values in drawn.items()}


def finite_quantiles(
    values: NDArray[np.float64], edges: tuple[float, float]
) -> tuple[float, float]:
    """Return the quantiles of the finite `values` at `edges`; NaN where there is none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, edges)
    return float(low), float(high)


def folds(names: Sequence[str], number: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold (0 ... number-1) of each galaxy; equal names share a fold."""
    distinct = sorted(set(names))
    if not 2 <= number <= len(distinct):
        raise WorkbenchError(f"{number} folds of {len(distinct)} galaxies; expected 2 or more")
    shuffled = np.random.default_rng(seed).permutation(len(distinct))
    place = {distinct[k]: int(rank) % number for rank, k in enumerate(shuffled)}
    return np.array([place[name] for name in names], dtype=np.int64)


def average_precision(
    found: Sequence[Detections], truths: Sequence[Annotation]
) -> dict[str, float]:
    """Return COCO's AP (IoU 0.50:0.95), AP50 and AP75 of clumps, by pycocotools.

    -1 where there is no true clump, as COCO has it.
    """
    coco, evaluation = need("pycocotools.coco").COCO, need("pycocotools.cocoeval").COCOeval
    images = [{"id": k, "height": t.height, "width": t.width} for k, t in enumerate(truths)]
    boxes = [box for k, t in enumerate(truths) for box in _coco_boxes(k, t.boxes, t.labels)]
    for number, box in enumerate(boxes, start=1):
        box |= {"id": number, "iscrowd": 0}
    scored = [
        {**box, "score": score}
        for k, one in enumerate(found)
        for box, score in zip(
            _coco_boxes(k, one.boxes, one.labels),
            one.scores[one.labels == Label.CLUMP].tolist(),
            strict=True,
        )
    ]
    if not boxes or not scored:
        return dict.fromkeys(("ap", "ap50", "ap75"), 0.0 if boxes else -1.0)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth = coco()
        truth.dataset = {"images": images, "annotations": boxes,
                         "categories": [{"id": int(Label.CLUMP), "name": "clump"}]}  # fmt: skip
        truth.createIndex()
        result = evaluation(truth, truth.loadRes(scored), "bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
    return dict(zip(("ap", "ap50", "ap75"), map(float, result.stats[:3]), strict=True))


def _coco_boxes(
    image: int, boxes: NDArray[np.float64], labels: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return the clumps of one picture as COCO has boxes: x, y, width, height."""
    rows = []
    for x1, y1, x2, y2 in boxes[labels == Label.CLUMP].tolist():
        width, height = x2 - x1, y2 - y1
        rows.append({
            "image_id": image, "category_id": int(Label.CLUMP), "bbox": [x1, y1, width, height],
            "area": width * height,
        })  # fmt: skip
    return rows


def by_property(
    matches: Sequence[Match],
    truths: Sequence[Annotation],
    threshold: float,
    edges: dict[str, tuple[float, ...]] | None = None,
) -> list[dict[str, float | str | int]]:
    """Return completeness in bins of clumps per galaxy, radius and PSF.

    Radius is from the picture's centre in PSF FWHM, the PSF in pixels; bins hold their lower edge.
    """
    bins = edges or {
        "clumps_per_galaxy": (1, 2, 4, 8, np.inf),
        "radius_fwhm": (0, 4, 8, 12, np.inf),
        "psf_fwhm_px": (0, 4, 6, 9, np.inf),
    }
    columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name in bins}
    found = [m.found_at >= threshold for m in matches]
    for one, truth in zip(matches, truths, strict=True):
        psf = truth.psf_fwhm or np.nan
        middle = np.array([truth.width - 1, truth.height - 1]) / 2
        radius = np.hypot(*(truth.centres[one.counted] - middle).T) / psf
        number = len(one.counted)
        known = {"clumps_per_galaxy": number, "radius_fwhm": radius, "psf_fwhm_px": psf}
        for name in bins:
            columns[name].append(np.broadcast_to(known[name], number).astype(np.float64))
    rows: list[dict[str, float | str | int]] = []
    hit = np.concatenate(found) if found else np.empty(0, np.bool_)
    for name, limits in bins.items():
        values = np.concatenate(columns[name]) if columns[name] else np.empty(0)
        for low, high in itertools.pairwise(limits):
            inside = (values >= low) & (values < high)
            rows.append({
                "property": name, "from": float(low), "to": float(high), "true": int(inside.sum()),
                "completeness": float(hit[inside].mean()) if inside.any() else float("nan"),
            })  # fmt: skip
    return rows
