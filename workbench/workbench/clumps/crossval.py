"""Stripe 82 in five folds by galaxy: as trained elsewhere, and fine-tuned on the other folds.

Every galaxy is scored once, by weights fine-tuned on the four other folds, all epochs the same. The
threshold of a fold is that of the best F1 on what the other folds' detectors found in their own
held-out galaxies.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import evaluate
from workbench.clumps.detecting import run_detector
from workbench.clumps.inject import outline
from workbench.clumps.matching import Criterion, Detections
from workbench.clumps.postprocess import on_host
from workbench.clumps.report import Method, report
from workbench.clumps.request import FOLDS, Request
from workbench.clumps.run import DETECTOR, Plan, train
from workbench.clumps.sources import galaxies
from workbench.clumps.weights import load_detector
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.training import TrainOptions


ON_HOST = ", on the host"  # only what is in the galaxy, as the classical methods are confined
LEVEL = 0.5  # score that each fold's threshold is moved to
# Simulated galaxies like those of Stripe 82: curves while training, the zero-shot threshold.
WATCHED = Request(source="deep", number=16, seed=77_000_000)
CHOOSING = Request(source="deep", number=160, seed=78_000_000, workers=None)


def fold_plan(start_from: str, options: TrainOptions, fold: int | None, place: str | None) -> Plan:
    """Return the fine-tuning run that never sees `fold`; None: that on all galaxies."""
    _, config, _ = load_detector(start_from)
    learning = Request(source="s82", place=place, fold=fold)
    return Plan(learning, WATCHED, config, replace(options, keep_last=True), start_from)


def cross_validate(
    start_from: str,
    options: TrainOptions,
    folder: Path | str,
    place: str | None = None,
    only: int | None = None,
) -> dict[str, Any] | None:
    """Fine-tune in five folds below `folder` and return the report on all galaxies.

    With `only`, that fold alone is fine-tuned and nothing returned: folds may run side by side.
    Finished folds are not trained again.
    """
    folder = Path(folder)
    for fold in range(FOLDS) if only is None else (only,):
        target = folder / f"fold{fold}"
        if not (target / DETECTOR).is_file():
            train(fold_plan(start_from, options, fold, place), target, progress=False)
    if only is not None:
        return None
    tests = [_fold(fold, place) for fold in range(FOLDS)]
    weights = [folder / f"fold{fold}" / DETECTOR for fold in range(FOLDS)]
    tuned = [_found(one, test) for one, test in zip(weights, tests, strict=True)]
    plain = [_found(start_from, test) for test in tests]
    truths = [galaxy.truth for test in tests for galaxy in test]
    named = [("fine-tuned on the other folds", tuned), ("not fine-tuned", plain)]
    named += [(f"{name}{ON_HOST}", on_hosts(found, tests)) for name, found in named]
    methods = [_method(name, found, tests) for name, found in named]
    chosen = _chosen(start_from)
    for name, found in (("zero-shot", plain), (f"zero-shot{ON_HOST}", named[-1][1])):
        methods.append(Method(name, [one for part in found for one in part], chosen))
    about = {"start_from": Path(start_from).name, "options": options.to_dict(),
             "thresholds": "of a fold: the other folds; zero-shot: simulated galaxies"}  # fmt: skip
    result = report(methods, truths, about)
    for row, (_, found) in zip(result["methods"], named, strict=False):
        row["rates"] = by_fold_thresholds(found, tests)
    return result


def fine_tune_on_all(
    start_from: str, options: TrainOptions, folder: Path | str, place: str | None = None
) -> Path:
    """Fine-tune on every galaxy, in the way that `cross_validate` scores; return the detector."""
    return train(fold_plan(start_from, options, None, place), Path(folder) / "all", progress=False)


def by_fold_thresholds(
    found: list[list[Detections]], tests: list[list[Galaxy]]
) -> list[dict[str, Any]]:
    """Return the rates with each fold's threshold chosen, for each flux cut, on the others."""
    rows = []
    for criterion, cut in itertools.product(Criterion, evaluate.FLUX_CUTS):
        chosen = _thresholds(found, tests, cut)
        counted = np.concatenate([
            evaluate.counts(evaluate.match_all(one, _truths(test), criterion, cut), threshold)
            for one, test, threshold in zip(found, tests, chosen, strict=True)
        ])  # fmt: skip
        scored = evaluate.Rates(*map(int, counted.sum(axis=0)))
        rows.append({
            "criterion": str(criterion), "min_flux_ratio": cut, "thresholds": chosen,
            "hits": scored.hits, "found": scored.found, "true": scored.true,
            "completeness": scored.completeness, "purity": scored.purity, "f1": scored.f1,
            "interval_95": evaluate.intervals(counted),
        })  # fmt: skip
    return rows


def _thresholds(
    found: list[list[Detections]], tests: list[list[Galaxy]], cut: float
) -> list[float]:
    matches = [
        evaluate.match_all(one, _truths(test), Criterion.DISTANCE, cut)
        for one, test in zip(found, tests, strict=True)
    ]
    return [
        evaluate.choose_threshold(
            [one for fold, part in enumerate(matches) if fold != mine for one in part]
        )
        for mine in range(len(matches))
    ]


def _method(name: str, found: list[list[Detections]], tests: list[list[Galaxy]]) -> Method:
    """Return the detections of all folds, scores moved so that their thresholds are one."""
    levelled = [
        _levelled(one, threshold)
        for part, threshold in zip(found, _thresholds(found, tests, 0.0), strict=True)
        for one in part
    ]
    return Method(name, levelled, LEVEL)


def _levelled(one: Detections, threshold: float) -> Detections:
    at, to = (0.0, min(max(threshold, 1e-6), 1 - 1e-6), 1.0), (0.0, LEVEL, 1.0)
    return Detections(one.boxes, np.interp(one.scores, at, to), one.labels)


def _truths(test: list[Galaxy]) -> list[Annotation]:
    return [galaxy.truth for galaxy in test]


def _found(weights: Path | str, test: list[Galaxy]) -> list[Detections]:
    return [one for _, one in run_detector(weights, test)]


def on_hosts(found: list[list[Detections]], tests: list[list[Galaxy]]) -> list[list[Detections]]:
    """Return what lies on the galaxies; where none stands out at the centre, everything."""
    return [
        [_on_host(one, galaxy) for one, galaxy in zip(part, test, strict=True)]
        for part, test in zip(found, tests, strict=True)
    ]


def _on_host(found: Detections, galaxy: Galaxy) -> Detections:
    try:
        return on_host(found, outline(galaxy))
    except WorkbenchError:  # too faint to have an outline
        return found


def _chosen(weights: str) -> float:
    made = list(galaxies(CHOOSING))
    return evaluate.choose_threshold(evaluate.match_all(_found(weights, made), _truths(made)))


def _fold(fold: int, place: str | None) -> list[Galaxy]:
    return list(galaxies(Request(source="s82", place=place, fold=fold, held_out=True)))
