"""Folds of Stripe 82: what they are trained on, several at once, and the report on them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from clump_cases import DATA, real_data
from workbench.clumps import crossval
from workbench.clumps.detector import build
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.request import Request
from workbench.clumps.run import DETECTOR
from workbench.clumps.sources import galaxies
from workbench.clumps.training import TrainOptions
from workbench.clumps.weights import (
    averaged,
    card_judge,
    card_threshold,
    load_detector,
    read_card,
    save_detector,
    simulated,
)
from workbench.errors import WorkbenchError


def test_a_fold_never_sees_its_galaxies_and_simulated_ones_go_along(tmp_path: Path) -> None:
    study = crossval.Study(str(simulated()), TrainOptions(epochs=4), tmp_path, cache="c", workers=3)
    plan, every = study.plan(3), study.plan(None)
    assert (plan.train.source, plan.train.fold, plan.train.held_out) == ("s82", 3, False)
    assert every.train.fold is None
    assert plan.beside is not None
    assert plan.beside.source == "mixed"
    assert (plan.beside.cache, plan.beside.workers, plan.valid.workers) == ("c", 3, 3)
    assert plan.repeats > 1
    assert plan.options.keep_last
    assert plan.options.free_turns
    assert plan.settings()["beside"] == plan.beside.describe()


def test_the_weights_of_the_runs_of_a_fold_are_averaged(tmp_path: Path) -> None:
    config = DetectorConfig()
    for run in range(2):
        torch.manual_seed(run)
        training = {"options": {"seed": run}}
        known = {"training": training, "date": "d", "commit": "c", "licence": "l"}
        save_detector(tmp_path / f"fold1/run{run}" / DETECTOR, build(config), config, known)
    watched = Request(source="deep", number=1)
    study = crossval.Study("none", TrainOptions(), tmp_path, workers=1, runs=2, watched=watched)
    path = study.weights(1)
    first, second, mean = (
        load_detector(tmp_path / "fold1" / part / DETECTOR)[0].state_dict()
        for part in ("run0", "run1", ".")
    )
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(
                value, (first[name] + second[name]) / 2, rtol=1e-3, atol=1e-5
            )
    card = read_card(path)
    assert card["training"]["mean_of_seeds"] == [0, 1]
    assert card["validation"]["galaxies"] == 1
    assert study.weights(1) == path
    with pytest.raises(WorkbenchError, match="is of 2 runs, asked for 1"):
        replace(study, runs=1).weights(1)
    with pytest.raises(WorkbenchError, match="no detector; give one"):
        averaged([])
    other = replace(config, context=0)
    save_detector(tmp_path / "other.safetensors", build(other), other, {})
    with pytest.raises(WorkbenchError, match="its config is not that of"):
        averaged([path, tmp_path / "other.safetensors"])


@real_data
def test_runs_of_folds_are_trained_at_once_and_go_on_after_an_error(tmp_path: Path) -> None:
    few, runs = few_of_stripe_82(tmp_path / "few", 6), tmp_path / "runs"
    study = crossval.Study(
        str(simulated()), TrainOptions(epochs=1), runs, str(few), workers=1, jobs=2, repeats=1,
        watched=Request(source="deep", number=1, seed=8), beside=Request(number=2, seed=9),
    )  # fmt: skip
    (runs / "fold4").mkdir(parents=True)
    (runs / "fold4" / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(WorkbenchError, match="fold4 holds a run of other settings"):
        study.train_all([3, 4])
    first = runs / "fold3" / DETECTOR
    before = first.stat().st_mtime_ns
    (runs / "fold4" / "run.json").unlink()
    alone = replace(study, jobs=1)
    assert [alone.weights(fold).parent.name for fold in (3, 4)] == ["fold3", "fold4"]
    assert first.stat().st_mtime_ns == before
    for fold in (3, 4):
        training = read_card(runs / f"fold{fold}" / DETECTOR)["training"]
        learnt = list(galaxies(Request(source="s82", place=str(few), fold=fold)))
        assert training["train"] == {"source": "s82", "place": str(few), "fold": fold}
        assert training["galaxies"] == len(learnt) + 2
        assert 0 < len(learnt) < 6


@real_data
def test_the_report_has_one_detector_a_fold_all_runs_together_and_zero_shot(tmp_path: Path) -> None:
    few, runs = few_of_stripe_82(tmp_path / "few", 6), tmp_path / "runs"
    model, config, card = load_detector(simulated())
    card = {name: card[name] for name in ("date", "commit", "licence")}
    for fold in range(5):
        for run in range(2):
            training = {"options": {"seed": run}, "epochs_run": 1}
            known = {"training": training, **card}
            save_detector(runs / f"fold{fold}/run{run}" / DETECTOR, model, config, known)
    study = crossval.Study(
        str(simulated()), TrainOptions(epochs=1), runs, str(few), workers=1, runs=2,
        watched=Request(source="deep", number=1), choosing=Request(source="deep", number=4),
    )  # fmt: skip
    told = crossval.cross_validate(study)
    rates = {row["name"]: row["rates"] for row in told["methods"]}
    alone, both = (rates[f"fine-tuned on the other folds{what}"] for what in ("", ", 2 together"))
    plain = rates["not fine-tuned"]
    assert {"zero-shot", "zero-shot, on the host"} < set(rates)
    weighed = [name for name in rates if crossval.JUDGED in name]
    assert len(weighed) == 6  # of three, each cut by light too
    assert rates["not fine-tuned, judged"][0]["f1"] == pytest.approx(
        rates["fine-tuned on the other folds, judged"][0]["f1"], abs=1e-9
    )
    assert told["galaxies"] == 6
    assert told["about"]["runs"] == 2
    assert plain[0]["true"] == told["clumps"] > 10
    for one, other, third in zip(alone, both, plain, strict=True):  # all are the same detector
        assert one["f1"] == other["f1"] == third["f1"]
        np.testing.assert_allclose(one["thresholds"], third["thresholds"], atol=0.01)


def few_of_stripe_82(folder: Path, number: int) -> Path:
    """Return `folder` with the first few of the real galaxies whose registration is sure."""
    assert DATA is not None
    place = Path(DATA) / "s82"
    shutil.copytree(place / "images", folder / "images")
    sample = pd.read_csv(place / "galaxies.csv", dtype={"survey_id": str})
    sample = sample[sample["registration"] == "ok"].iloc[:number]
    clumps = pd.read_csv(place / "clumps.csv", dtype={"survey_id": str})
    sample.to_csv(folder / "galaxies.csv", index=False)
    clumps[clumps["survey_id"].isin(sample["survey_id"])].to_csv(folder / "clumps.csv", index=False)
    return folder


@real_data
def test_a_detector_tuned_on_all_carries_a_judge_of_the_folds(tmp_path: Path) -> None:
    few, runs = few_of_stripe_82(tmp_path / "few", 6), tmp_path / "runs"
    model, config, card = load_detector(simulated())
    known = {name: card[name] for name in ("date", "commit", "licence")}
    known["training"] = {"options": {"seed": 0}, "epochs_run": 1}
    for name in ("all", *(f"fold{fold}" for fold in range(5))):
        save_detector(runs / name / DETECTOR, model, config, known)
    study = crossval.Study(str(simulated()), TrainOptions(epochs=1), runs, str(few), workers=1)
    path = crossval.fine_tune_on_all(study)
    judge, told = card_judge(path), read_card(path)
    assert judge is not None
    assert judge.galaxies == 6
    assert told["judge"]["validation"]["galaxies"] == 6
    assert card_threshold(path, judged=True) == told["judge"]["threshold"] != told["threshold"]
    assert set(told["judge"]["thresholds"]) == set(told["thresholds"])
