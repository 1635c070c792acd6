"""What the folds of a cross-validation found, scored: all that is chosen for one is of the others.

That is each fold's threshold of the best F1, at a flux cut the least measured light, and the judge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import evaluate
from workbench.clumps.brightness import flux_ratios
from workbench.clumps.candidates import candidates
from workbench.clumps.judge import fit, judged
from workbench.clumps.matching import Criterion
from workbench.clumps.postprocess import on_galaxy
from workbench.clumps.report import Method

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.candidates import Candidates, Evidence
    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.matching import Detections

LIGHT = (0.0, 0.25, 0.5, 0.75, 1.0)  # least measured light, in units of the cut, that are tried
LEVEL = 0.5  # score that each fold's threshold is moved to


def weigh(
    found: list[list[Detections]], tests: list[list[Galaxy]], seen: list[list[Evidence]]
) -> list[list[Candidates]]:
    """Return the candidates in each picture, by fold."""
    return [
        [candidates(*one) for one in zip(part, test, its, strict=True)]
        for part, test, its in zip(found, tests, seen, strict=True)
    ]


def judged_by_folds(
    weighed: list[list[Candidates]], tests: list[list[Galaxy]]
) -> list[list[Detections]]:
    """Return what judges fitted on the other folds make of the candidates of each."""
    made = []
    for mine, part in enumerate(weighed):
        others = [fold for fold in range(len(tests)) if fold != mine]
        judge = fit([one for fold in others for one in weighed[fold]],
                    [galaxy for fold in others for galaxy in tests[fold]])  # fmt: skip
        made.append([judged(judge, one) for one in part])
    return made


def by_fold_thresholds(
    found: list[list[Detections]], tests: list[list[Galaxy]], *, cut_light: bool = False
) -> list[dict[str, Any]]:
    """Return the rates with each fold's threshold chosen, for each flux cut, on the others.

    With `cut_light` also the least measured light is chosen there, in units of the flux cut, and
    what is fainter left out: the score alone does not know a bright clump from a faint one.
    """
    light = _light(found, tests) if cut_light else []
    rows = []
    for cut in evaluate.FLUX_CUTS:
        parts = LIGHT if cut_light and cut else (0.0,)
        kept = {part: _brighter(found, light, part * cut) if part else found for part in parts}
        chosen = _chosen(kept, tests, cut)
        for criterion in Criterion:
            counted = np.concatenate([
                evaluate.counts(
                    evaluate.match_all(kept[part][fold], truths_of(test), criterion, cut), threshold
                )
                for fold, (test, (part, threshold)) in enumerate(zip(tests, chosen, strict=True))
            ])  # fmt: skip
            scored = evaluate.Rates(*map(int, counted.sum(axis=0)))
            rows.append({
                "criterion": str(criterion), "min_flux_ratio": cut,
                "thresholds": [threshold for _, threshold in chosen],
                "least_light": [part for part, _ in chosen],
                "hits": scored.hits, "found": scored.found, "true": scored.true,
                "completeness": scored.completeness, "purity": scored.purity, "f1": scored.f1,
                "interval_95": evaluate.intervals(counted),
            })  # fmt: skip
    return sorted(rows, key=lambda row: row["criterion"] != str(Criterion.DISTANCE))


def _light(
    found: list[list[Detections]], tests: list[list[Galaxy]]
) -> list[list[NDArray[np.float64]]]:
    return [
        [flux_ratios(galaxy, one.boxes) for one, galaxy in zip(part, test, strict=True)]
        for part, test in zip(found, tests, strict=True)
    ]


def _brighter(
    found: list[list[Detections]], light: list[list[NDArray[np.float64]]], least: float
) -> list[list[Detections]]:
    """Return what has at least so much of its galaxy's light."""
    return [
        [
            one.keep(have >= least) for one, have in zip(part, mine, strict=True)
        ]
        for part, mine in zip(found, light, strict=True)
    ]  # fmt: skip


def _chosen(
    kept: dict[float, list[list[Detections]]], tests: list[list[Galaxy]], cut: float
) -> list[tuple[float, float]]:
    """Return for each fold the least light and the threshold of the best F1 on the others."""
    matches = {
        part: [
            evaluate.match_all(one, truths_of(test), Criterion.DISTANCE, cut)
            for one, test in zip(found, tests, strict=True)
        ]
        for part, found in kept.items()
    }
    best = []
    for mine in range(len(tests)):
        points = []
        for part, each in matches.items():
            others = [one for fold, those in enumerate(each) if fold != mine for one in those]
            threshold = evaluate.choose_threshold(others)
            points.append((evaluate.rates(others, threshold).f1, part, threshold))
        best.append(max(points)[1:])
    return best


def levelled(name: str, found: list[list[Detections]], tests: list[list[Galaxy]]) -> Method:
    """Return the detections of all folds, scores moved so that their thresholds are one."""
    moved = [
        _moved(one, threshold)
        for part, (_, threshold) in zip(found, _chosen({0.0: found}, tests, 0.0), strict=True)
        for one in part
    ]
    return Method(name, moved, LEVEL)


def _moved(one: Detections, threshold: float) -> Detections:
    at, to = (0.0, min(max(threshold, 1e-6), 1 - 1e-6), 1.0), (0.0, LEVEL, 1.0)
    return replace(one, scores=np.interp(one.scores, at, to))


def truths_of(test: list[Galaxy]) -> list[Annotation]:
    """Return what is known about the pictures of a fold."""
    return [galaxy.truth for galaxy in test]


def on_hosts(found: list[list[Detections]], tests: list[list[Galaxy]]) -> list[list[Detections]]:
    """Return what lies on the galaxies; where none stands out at the centre, everything."""
    return [
        [on_galaxy(one, galaxy) for one, galaxy in zip(part, test, strict=True)]
        for part, test in zip(found, tests, strict=True)
    ]
