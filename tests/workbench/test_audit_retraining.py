"""From an audit back to training: the catalogue as auditor, and what a comparison says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from workbench.audit import Audit, examples
from workbench.audit.retraining import CHOSEN, TUNED, Comparison, fine_tune, together
from workbench.clumps.galaxy import Galaxy, annotation
from workbench.clumps.matching import detections
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path


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
    with pytest.raises(WorkbenchError, match="no card of a detector"):
        fine_tune(tmp_path / "none.safetensors", [], tmp_path / "run")
