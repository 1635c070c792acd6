"""The detectors that come along: small, honest about what they know, and find clumps at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from workbench.cli import main
from workbench.clumps.averaging import average_each
from workbench.clumps.detecting import run_detector
from workbench.clumps.detector import build
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.evaluate import match_all, rates
from workbench.clumps.export import write_data
from workbench.clumps.request import Request
from workbench.clumps.simulate import simulate
from workbench.clumps.weights import (
    card_threshold,
    read_card,
    refuse_known,
    save_detector,
    shipped,
    simulated,
)
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

DEEP = simulated().with_name("clumps_deep.safetensors")
# A sample that no card names; its pictures are the same on every machine.
UNSEEN = 90_000_000
MOST_BYTES = 16 * 2**20


@pytest.mark.parametrize("path", [simulated(), DEEP], ids=lambda path: path.stem)
def test_they_are_small_and_two_were_trained_on_made_galaxies_alone(path: Path) -> None:
    assert path.stat().st_size + shipped().stat().st_size <= MOST_BYTES
    card = read_card(path)
    training = card["training"]
    while training is not None:  # and on what it was started from
        assert training["train"]["source"] in {"simulated", "injected", "deep", "mixed"}
        assert training["train"]["seed"] != UNSEEN
        training = training.get("before")
    assert card["licence"].startswith("Apache-2.0")
    assert "/" not in json.dumps(card["training"])


def test_the_default_tells_that_it_knows_stripe_82() -> None:
    card = read_card(shipped())
    assert card["training"]["train"] == {"source": "s82"}
    assert card["training"]["before"] == read_card(DEEP)["training"]
    assert "never saw" in card["validation"]["by"]
    assert "/" not in json.dumps(card["training"])


def test_they_are_never_scored_on_galaxies_that_they_learnt_from(tmp_path: Path) -> None:
    every = Request(source="s82")
    refuse_known(simulated(), every)
    refuse_known(DEEP, every)
    refuse_known(shipped(), Request())
    with pytest.raises(WorkbenchError, match="was trained on galaxies of Stripe 82"):
        refuse_known(shipped(), every)
    card = read_card(shipped())
    card["training"]["train"]["fold"] = 2
    (tmp_path / "fold2.json").write_text(json.dumps(card), encoding="utf-8")
    refuse_known(tmp_path / "fold2.safetensors", Request(source="s82", fold=2, held_out=True))
    with pytest.raises(WorkbenchError, match="give clumps_simulated"):
        refuse_known(tmp_path / "fold2.safetensors", Request(source="s82", fold=1, held_out=True))


def test_they_find_the_clumps_of_galaxies_they_never_saw() -> None:
    torch.set_num_threads(1)
    galaxies = [simulate(UNSEEN, index) for index in range(40)]
    found = [one for _, one in run_detector(simulated(), galaxies, device="cpu")]
    threshold = read_card(simulated())["thresholds"]["0.03"]
    scored = rates(match_all(found, [g.truth for g in galaxies], min_flux_ratio=0.03), threshold)
    assert scored.true > 20
    assert scored.f1 > 0.8  # the published recipe has completeness and purity of 0.8


def test_detection_needs_no_weights_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data([simulate(UNSEEN, 1)], tmp_path)
    out = tmp_path / "found.parquet"
    catalog = str(tmp_path / "labels.parquet")
    pictures = str(tmp_path / "images")
    command = ["clumps", "detect", pictures, "--catalog", catalog, "--out", str(out)]
    command += ["--orientations", "2"]
    assert main(command) == 0
    assert "in 1 pictures" in capsys.readouterr().out
    frame = pd.read_parquet(out)
    threshold = read_card(shipped())["judge"]["threshold"]
    assert (frame["score"] >= threshold).all()
    assert frame["ra"].notna().all()


def test_several_look_together_and_their_scores_are_averaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    galaxies = [simulate(UNSEEN, index) for index in range(3)]
    pair = [simulated(), shipped()]
    alone = [[one for _, one in run_detector(path, galaxies, device="cpu")] for path in pair]
    together = [one for _, one in run_detector(pair, galaxies, device="cpu")]
    joined = average_each(alone, galaxies, DetectorConfig().nms)
    for found, expected, first, second in zip(together, joined, *alone, strict=True):
        assert len(found)
        np.testing.assert_allclose(found.scores, expected.scores)
        np.testing.assert_allclose(found.boxes, expected.boxes)
        assert found.scores.max() <= (first.scores.max() + second.scores.max()) / 2 + 1e-9
    write_data(galaxies, tmp_path)
    given = [
        "clumps", "detect", str(tmp_path / "images"), "--catalog", str(tmp_path / "labels.parquet"),
        "--weights", str(pair[0]), "--weights", str(pair[1]), "--out", str(tmp_path / "found.csv"),
    ]  # fmt: skip
    assert main(given) == 0
    mean = (card_threshold(pair[0]) + card_threshold(pair[1])) / 2
    assert f"score >= {mean:.3f} in 3 pictures" in capsys.readouterr().out
    counted = sum(int((found.scores >= mean).sum()) for found in together)
    assert len(pd.read_csv(tmp_path / "found.csv")) == counted


def test_weights_that_are_not_there_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data([simulate(UNSEEN, 1)], tmp_path)
    missing = tmp_path / "none.safetensors"
    assert main(["clumps", "detect", str(tmp_path / "images"), "--weights", str(missing)]) == 2
    assert f"{missing}: no such file; `workbench clumps train` makes" in capsys.readouterr().err
    missing.write_bytes(b"weights without a card")
    assert main(["clumps", "detect", str(tmp_path / "images"), "--weights", str(missing)]) == 2
    assert "none.json: no card of a detector" in capsys.readouterr().err


def test_none_and_detectors_of_other_bands_do_not_look_together(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no detector; give one"):
        next(run_detector([], []))
    config = DetectorConfig(bands=5)
    save_detector(tmp_path / "five.safetensors", build(config), config, {})
    with pytest.raises(WorkbenchError, match=r"takes 5 bands, .*clumps.safetensors 3"):
        next(run_detector([shipped(), tmp_path / "five.safetensors"], []))
