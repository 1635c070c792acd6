"""Stripe 82 in five folds by galaxy: as trained elsewhere, and fine-tuned on the other folds.

Every galaxy is scored once, by weights fine-tuned on the four other folds, all epochs the same,
with simulated galaxies beside them, so that these are not forgotten. The threshold of a fold is
that of the best F1 on what the other folds' detectors found in their own held-out galaxies, and so
is its judge fitted.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from workbench.clumps import evaluate
from workbench.clumps.candidates import evidence
from workbench.clumps.detecting import run_detector
from workbench.clumps.files import write_atomically
from workbench.clumps.fold_scores import (
    by_fold_thresholds,
    judged_by_folds,
    levelled,
    on_hosts,
    truths_of,
    weigh,
)
from workbench.clumps.judge import fit
from workbench.clumps.report import Method, report
from workbench.clumps.request import FOLDS, Request
from workbench.clumps.run import DETECTOR, Plan, train, validated
from workbench.clumps.samples import sample
from workbench.clumps.sources import galaxies
from workbench.clumps.weights import (
    averaged,
    card_path,
    load_detector,
    read_card,
    save_detector,
)
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.matching import Detections
    from workbench.clumps.training import TrainOptions


ON_HOST = ", on the host"  # only what is in the galaxy, as the classical methods are confined
JUDGED = ", judged"  # scores weighed again by a judge fitted on the other folds
BY_LIGHT = ", cut by light"  # and for a flux cut, bright enough as measured on the picture
# Simulated galaxies like those of Stripe 82: curves while training, the zero-shot threshold.
WATCHED = Request(source="deep", number=16, seed=77_000_000)
CHOOSING = Request(source="deep", number=160, seed=78_000_000)
# A pass shows each real galaxy so often, and simulated ones, about as many.
REPEATS = 12
BESIDE = Request(source="mixed", number=600, seed=1)


@dataclass(frozen=True)
class Study:
    """A cross-validation.

    Attributes
    ----------
    start_from
        Detector (.safetensors) to fine-tune.
    options
        Of the fine-tuning.
    folder
        Of the runs, ``fold0`` to ``fold4`` and ``all``; finished ones are not trained again.
    place
        Folder of converted Stripe 82 data; by default that of ``FLASHCLUMP_DATA``, or a download.
    cache
        Folder of simulated galaxies.
    orientations
        In which each picture is seen when it is scored.
    workers
        Processes that make simulated galaxies; by default one a core.
    runs
        Fine-tunings of each fold, of different seeds, whose weights are averaged.
    jobs
        Runs that are trained at once, each in a process of its own.
    watched, beside, repeats, choosing
        Simulated galaxies that a run is watched on, those that a pass shows beside the real ones,
        how often it shows each of these, and those that choose the zero-shot threshold.
    """

    start_from: str
    options: TrainOptions
    folder: Path
    place: str | None = None
    cache: str | None = None
    orientations: int = 1
    workers: int | None = None
    runs: int = 1
    jobs: int = 1
    watched: Request = WATCHED
    beside: Request = BESIDE
    repeats: int = REPEATS
    choosing: Request = CHOOSING

    def made(self, request: Request) -> Request:
        """Return `request` for simulated galaxies with the cache and processes of this study."""
        return replace(request, cache=self.cache, workers=self.workers)

    def plan(self, fold: int | None, run: int = 0) -> Plan:
        """Return the fine-tuning run that never sees `fold`; None: that on all galaxies."""
        _, config, _ = load_detector(self.start_from)
        learning = Request(source="s82", place=self.place, fold=fold)
        options = replace(
            self.options, keep_last=True, free_turns=True, seed=self.options.seed + run
        )
        return Plan(
            learning, self.made(self.watched), config, options, self.start_from,
            repeats=self.repeats, beside=self.made(self.beside),
        )  # fmt: skip

    def place_of(self, fold: int | None) -> Path:
        """Return the folder of the detector of `fold`."""
        return self.folder / ("all" if fold is None else f"fold{fold}")

    def place_of_run(self, fold: int | None, run: int) -> Path:
        """Return the folder of one of the runs of `fold`."""
        folder = self.place_of(fold)
        return folder if self.runs == 1 else folder / f"run{run}"

    def run(self, fold: int | None, run: int) -> Path:
        """Return one of the detectors of `fold`; trained now if it is not there."""
        folder = self.place_of_run(fold, run)
        if not (folder / DETECTOR).is_file():
            train(self.plan(fold, run), folder, progress=False)
        return folder / DETECTOR

    def weights(self, fold: int | None) -> Path:
        """Return the detector of `fold`, None: of all galaxies; trained now if it is not there.

        Raises
        ------
        WorkbenchError
            There is one that is the mean of another number of runs.
        """
        path = self.place_of(fold) / DETECTOR
        if path.is_file():
            known = len(read_card(path)["training"].get("mean_of_seeds", [0]))
            if known != self.runs:
                raise WorkbenchError(
                    f"{path} is of {known} runs, asked for {self.runs}; give another folder"
                )
            return path
        parts = [self.run(fold, run) for run in range(self.runs)]
        if parts != [path]:
            model, config = averaged(parts)
            valid = [
                sample(one, config.pixels_per_fwhm) for one in galaxies(self.made(self.watched))
            ]
            card = read_card(parts[0])
            seeds = [read_card(part)["training"]["options"]["seed"] for part in parts]
            save_detector(path, model, config, {
                **validated(model, config, valid, self.options.min_flux_ratio),
                "training": {**card["training"], "mean_of_seeds": seeds},
                **{name: card[name] for name in ("date", "commit", "licence")},
            })  # fmt: skip
        return path

    def train_all(self, folds: Sequence[int | None]) -> None:
        """Train the runs of `folds`, `jobs` at once; with one job each is when it is asked for.

        Raises
        ------
        WorkbenchError
            As `run.train` does, or a process died; what has ended stays, and what was begun goes on
            the next time.
        """
        wanted = [
            (fold, run)
            for run in range(self.runs)
            for fold in folds
            if not (self.place_of_run(fold, run) / DETECTOR).is_file()
        ]
        if self.jobs == 1 or not wanted:
            return
        with tempfile.TemporaryDirectory() as own:
            kept = replace(self, cache=self.cache or own)
            for request in (self.watched, self.beside):
                for _ in galaxies(kept.made(request)):
                    pass  # made once, for all runs
            alone = replace(kept, workers=1, jobs=1)
            spawn = multiprocessing.get_context("spawn")  # fork is unsafe beside threads and CUDA
            with ProcessPoolExecutor(
                self.jobs, mp_context=spawn, initializer=_share_cores, initargs=(self.jobs,)
            ) as pool:
                waiting = [pool.submit(alone.run, fold, run) for fold, run in wanted]
                try:
                    for one in waiting:
                        one.result()
                except BrokenProcessPool as error:
                    raise WorkbenchError(
                        f"one of {self.jobs} trainings died, perhaps for want of memory; give "
                        f"fewer jobs: what has ended under {self.folder} stays, the rest goes on"
                    ) from error
                finally:
                    pool.shutdown(wait=True, cancel_futures=True)

    def tests(self) -> list[list[Galaxy]]:
        """Return the galaxies of each fold."""
        return [
            list(galaxies(Request(source="s82", place=self.place, fold=fold, held_out=True)))
            for fold in range(FOLDS)
        ]

    def found(
        self, weights: Path | str | Sequence[Path], test: Iterable[Galaxy]
    ) -> list[Detections]:
        """Return what a detector, or several together, find in each picture."""
        return [one for _, one in run_detector(weights, test, orientations=self.orientations)]


def _share_cores(jobs: int) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))


def cross_validate(study: Study) -> dict[str, Any]:
    """Fine-tune in five folds and return the report on all galaxies."""
    study.train_all(range(FOLDS))
    tests = study.tests()
    trained = [study.weights(fold) for fold in range(FOLDS)]
    tuned = [study.found(path, test) for path, test in zip(trained, tests, strict=True)]
    plain = [study.found(study.start_from, test) for test in tests]
    truths = [galaxy.truth for test in tests for galaxy in test]
    named = [("fine-tuned on the other folds", tuned), ("not fine-tuned", plain)]
    if study.runs > 1:
        every = [[study.run(fold, run) for run in range(study.runs)] for fold in range(FOLDS)]
        together = [study.found(paths, test) for paths, test in zip(every, tests, strict=True)]
        named.append((f"fine-tuned on the other folds, {study.runs} together", together))
    seen = [[evidence(galaxy) for galaxy in test] for test in tests]
    on_host = [(f"{name}{ON_HOST}", on_hosts(found, tests)) for name, found in named]
    weighed = [(f"{name}{JUDGED}", judged_by_folds(weigh(found, tests, seen), tests))
               for name, found in named]  # fmt: skip
    named += [*on_host, *weighed]
    named += [(f"{name}{BY_LIGHT}", found) for name, found in (*on_host, *weighed)]
    methods = [levelled(name, found, tests) for name, found in named]
    made = list(galaxies(study.made(study.choosing)))
    chosen = evaluate.choose_threshold(
        evaluate.match_all(study.found(study.start_from, made), truths_of(made))
    )
    for name, found in (("zero-shot", plain), (f"zero-shot{ON_HOST}", on_hosts(plain, tests))):
        methods.append(Method(name, [one for part in found for one in part], chosen))
    about = {"start_from": Path(study.start_from).name, "options": study.options.to_dict(),
             "epochs_run": [read_card(path)["training"]["epochs_run"] for path in trained],
             "runs": study.runs, "repeats": study.repeats, "beside": study.beside.describe(),
             "orientations": study.orientations,
             "thresholds": "of a fold: the other folds; zero-shot: simulated galaxies"}  # fmt: skip
    result = report(methods, truths, about)
    for row, (_, found) in zip(result["methods"], named, strict=False):
        row["rates"] = by_fold_thresholds(found, tests, cut_light=BY_LIGHT in row["name"])
    return result


def fine_tune_on_all(study: Study) -> Path:
    """Fine-tune on every galaxy, in the way that the folds score; return the detector.

    Thresholds, scores and judge on its card are of what the folds find in galaxies that they never
    saw, looking once at each picture, as `detect` does unless told otherwise.
    """
    study = replace(study, orientations=1)
    study.train_all([None, *range(FOLDS)])
    path, tests = study.weights(None), study.tests()
    found_by_fold = [study.found(study.weights(fold), test) for fold, test in enumerate(tests)]
    found = [one for part in found_by_fold for one in part]
    truths = [galaxy.truth for test in tests for galaxy in test]
    card = read_card(path) | _chosen_on(found, truths)
    seen = [[evidence(galaxy) for galaxy in test] for test in tests]
    weighed = weigh(found_by_fold, tests, seen)
    of_all = fit([one for part in weighed for one in part], [one for test in tests for one in test])
    scored = [one for part in judged_by_folds(weighed, tests) for one in part]
    card["judge"] = {**of_all.to_dict(), **_chosen_on(scored, truths)}
    write_atomically(card_path(path), (json.dumps(card, indent=2) + "\n").encode())
    return path


def _chosen_on(found: Sequence[Detections], truths: Sequence[Annotation]) -> dict[str, Any]:
    """Return thresholds and scores for a card, of what was found in new galaxies."""
    matches = evaluate.match_all(found, truths)
    threshold = evaluate.choose_threshold(matches)
    return {
        "thresholds": evaluate.thresholds_by_cut(found, truths), "threshold": threshold,
        "validation": {
            "galaxies": len(truths), "min_flux_ratio": 0.0,
            "by": "five folds: detectors fine-tuned alike, on galaxies that they never saw",
            **evaluate.summary(matches, threshold),
        },
    }  # fmt: skip
