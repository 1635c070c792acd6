"""From an audit back to training: the catalogue as auditor, a fine-tune, what a comparison says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from workbench.audit import Audit, examples, study
from workbench.audit.comparison import CHOSEN, SHIPPED, TUNED, Comparison, compare, together
from workbench.audit.retraining import fine_tune, methods
from workbench.clumps.detector import build
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.evaluate import folds
from workbench.clumps.galaxy import Galaxy, annotation, square_boxes
from workbench.clumps.matching import Detections, detections
from workbench.clumps.weights import read_card, save_detector
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_the_catalogue_accepts_labels_rejects_and_adds(tmp_path: Path) -> None:
    boxes = [[10, 10, 20, 20], [40, 10, 50, 20], [10, 40, 20, 50]]
    truth = annotation("a", (64, 64), boxes, [1, 2, 1], psf_fwhm=4.0)
    image = np.full((64, 64, 3), 0.5, np.float32)
    found = detections([[11, 10, 21, 20], [41, 10, 51, 20], [40, 40, 50, 50]], [0.9, 0.8, 0.7])
    with Audit(
        [Galaxy(image, truth)], {"a": found}, journal=tmp_path / "a.sqlite", show_truth=False
    ) as audit:
        examples.decide_by_catalogue(audit, audit.queue)
        kinds = [row.entry.kind for row in audit.history("a")]
        assert kinds == ["accept", "label", "reject", "add", "done"]
        (made,) = audit.dataset()
        rows = sorted(zip(made.truth.boxes.tolist(), made.truth.labels.tolist(), strict=True))
        assert rows == [
            ([10, 40, 20, 50], 1), ([11, 10, 21, 20], 1), ([41, 10, 51, 20], 2),
        ]  # fmt: skip
        examples.decide_by_catalogue(audit, audit.queue)  # finished: left as it is
        assert len(audit.history("a")) == len(kinds)


def comparison(hits: int) -> Comparison:
    before = np.array([[1, 4, 4]] * 10)
    after = np.array([[hits, 4, 4]] * 10)
    return Comparison({CHOSEN: before, TUNED: after}, {CHOSEN: 0.5, TUNED: 0.3})


def test_gains_are_differences_on_the_same_galaxies() -> None:
    gains = comparison(3).gains()
    for name in ("completeness", "purity", "f1"):
        assert gains[name]["gain"] == pytest.approx(0.5)
        # Every galaxy gains the same: whichever are drawn, so does the sample.
        assert gains[name]["interval_95"] == pytest.approx((0.5, 0.5))
    assert comparison(1).gains()["f1"]["gain"] == 0


def test_comparisons_on_different_galaxies_are_pooled() -> None:
    both = together([comparison(3), comparison(1)])
    tuned = both.rows()[1]
    assert (tuned["method"], tuned["galaxies"], tuned["hits"], tuned["true"]) == (TUNED, 20, 40, 80)
    assert tuned["completeness"] == 0.5
    assert tuned["threshold"] == pytest.approx(0.3)


def test_without_a_detector_nothing_is_trained(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no such file"):
        fine_tune(tmp_path / "none.safetensors", [spots(0), spots(1)], tmp_path / "run")


# Lightning's advice on cores and loggers is filtered where it trains, not where it is set up.
trains = pytest.mark.filterwarnings("ignore::UserWarning:lightning.*")


def spots(number: int) -> Galaxy:
    """A dim picture with three bright spots, one FWHM of 4 pixels each."""
    rng = np.random.default_rng(number)
    at = np.stack([[14, 46, 30], rng.uniform(14, 50, 3)], axis=-1)
    y, x = np.indices((64, 64))
    image = rng.normal(0.1, 0.01, (64, 64, 3))
    for cx, cy in at:
        image += 0.7 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 5.8)[:, :, None]
    truth = annotation(f"spots{number}.png", (64, 64), square_boxes(at, 4.0), psf_fwhm=4.0)
    return Galaxy(image.clip(0, 1).astype(np.float32), truth)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector with random weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = DetectorConfig(backbone="resnet18", pixels_per_fwhm=4.0)
    path = tmp_path_factory.mktemp("start") / "detector.safetensors"
    save_detector(path, build(config), config, {"threshold": 0.3, "training": {}})
    return path


@trains
def test_a_detector_learns_from_an_audit(start: Path, tmp_path: Path) -> None:
    audited = [spots(k) for k in range(8)]
    untouched = [spots(100 + k) for k in range(4)]
    made = fine_tune(start, audited, tmp_path, epochs=3)
    assert (made.before, made.learnt, made.chose, made.shipped) == (start, 6, 2, 0.3)
    rows = (tmp_path / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(row)["train_loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    card = read_card(made.after)
    assert card["training"]["start_from"] == start.name  # no folder of the machine
    assert (card["training"]["galaxies"], card["training"]["epochs_run"]) == (6, 3)

    found = methods(made, untouched)
    assert [(one.name, one.threshold) for one in found] == [
        (SHIPPED, 0.3), (CHOSEN, made.chosen), (TUNED, made.tuned),
    ]  # fmt: skip
    compared = compare(found, untouched)
    for one, row in zip(found, compared.rows(), strict=True):
        clumps = sum(int((d.scores >= one.threshold).sum()) for d in found_clumps(one.found))
        assert (row["galaxies"], row["true"], row["found"]) == (4, 12, clumps)
    figure = compared.figure()
    assert [bar.name for bar in figure.data] == [SHIPPED, CHOSEN, TUNED]
    assert figure.data[2].y[2] == pytest.approx(compared.rows()[2]["f1"], nan_ok=True)
    # A finished run is not trained again.
    assert fine_tune(start, audited, tmp_path, epochs=3) == made


def found_clumps(found: Sequence[Detections]) -> list[Detections]:
    return [Detections(*(part[one.labels == 1] for part in (one.boxes, one.scores, one.labels)))
            for one in found]  # fmt: skip


def test_one_audited_galaxy_is_too_few(start: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="1 finished galaxies; expected at least 2"):
        fine_tune(start, [spots(0)], tmp_path)


@trains
def test_the_study_scores_every_galaxy_by_weights_that_never_saw_it(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [spots(k) for k in range(8)]
    monkeypatch.setattr(study.s82, "load", lambda _: iter(every))
    result = study.study(start, tmp_path, galaxies=3, epochs=1)
    assert [row["galaxies"] for row in result["rates"]] == [8, 8, 8]
    assert [row["true"] for row in result["rates"]] == [24, 24, 24]
    assert result["start_sha256"] == read_card(start)["sha256"]
    halves = folds([one.truth.name for one in every], 2)
    for mine, part in enumerate(result["halves"]):
        assert (part["audited"], part["learnt"], part["chose"]) == (3, 2, 1)
        assert part["actions"]["done"] == 3
        place = tmp_path / f"half{mine}" / "run"
        learnt = [path.stem for kind in ("learning", "choosing")
                  for path in (place / kind / "images").iterdir()]  # fmt: skip
        own = {Path(g.truth.name).stem for g, k in zip(every, halves, strict=True) if k == mine}
        assert len(learnt) == 3
        assert {name.partition("-")[2] for name in learnt} <= own
    assert "fine-tuned" in study.as_text(result)
    with pytest.raises(WorkbenchError, match="halves of 4 and 4; asked for 5"):
        study.study(start, tmp_path, galaxies=5)
