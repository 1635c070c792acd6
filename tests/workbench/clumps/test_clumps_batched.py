"""Batched losses are torchvision's; deep and mixed galaxies are what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from workbench.clumps import evaluate
from workbench.clumps.batched_losses import losses
from workbench.clumps.deep import deep
from workbench.clumps.detector import build, infer, padded_batch
from workbench.clumps.detector_config import DetectorConfig
from workbench.clumps.galaxy import Label
from workbench.clumps.matching import detections
from workbench.clumps.request import Request
from workbench.clumps.sources import galaxies


def test_losses_of_a_batch_are_those_of_torchvision() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build(DetectorConfig()).train()
    drawn = torch.Generator().manual_seed(1)
    images = [torch.rand(3, 90, side, generator=drawn) for side in (80, 96, 70)]
    targets = []
    for number in (3, 0, 5):  # an empty picture among them
        corner = torch.rand(number, 2, generator=drawn) * 50 + 5
        labels = torch.randint(1, 3, (number,), generator=drawn)
        targets.append({"boxes": torch.cat([corner, corner + 15], dim=1), "labels": labels})
    batch, sizes = padded_batch(model, images, (96, 96))
    boxes, labels = (
        pad_sequence([one[name] for one in targets], batch_first=True)
        for name in ("boxes", "labels")
    )
    known = (boxes, labels, torch.full_like(labels, -1))
    with torch.no_grad():
        theirs, ours = model(images, targets), losses(model, batch, sizes, known)
    assert ours.pop("loss_brightness") == 0  # of none is it known
    assert theirs.keys() == ours.keys()
    for name in ("loss_box_reg", "loss_rpn_box_reg"):  # every clump's regions are drawn
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
    for name in ("loss_classifier", "loss_objectness"):  # other negatives are drawn
        torch.testing.assert_close(ours[name], theirs[name], rtol=0.02, atol=1e-3)


def test_brightness_is_learnt_of_clumps_whose_flux_ratio_is_known() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build(DetectorConfig()).train()
    predictor = model.roi_heads.box_predictor
    torch.nn.init.zeros_(predictor.brightness.weight)
    predictor.brightness.bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0])
    corner = torch.tensor([[10.0, 10.0], [50.0, 12.0], [12.0, 60.0]])
    boxes = torch.cat([corner, corner + 15], dim=1)[None]
    images, sizes = padded_batch(model, [torch.rand(3, 96, 96)], (96, 96))
    wrong = -predictor.brightness.bias.detach().log_softmax(0)

    def loss(labels: list[int], steps: list[int]) -> float:
        torch.manual_seed(0)
        known = (boxes, torch.tensor([labels]), torch.tensor([steps]))
        return float(losses(model, images, sizes, known)["loss_brightness"].detach())

    one, other = loss([1, 2, 2], [0, -1, -1]), loss([1, 2, 2], [3, -1, -1])
    assert one / other == pytest.approx(float(wrong[0] / wrong[3]))  # the same regions are drawn
    assert loss([1, 1, 2], [0, -1, -1]) == pytest.approx(one)  # nor counts a clump of unknown ratio
    assert loss([1, 1, 2], [0, 0, -1]) > 1.2 * one


def test_older_detectors_do_not_tell_brightness() -> None:
    config = replace(DetectorConfig(), brightness=False)
    model = build(config).train()
    images, sizes = padded_batch(model, [torch.rand(3, 96, 96)], (96, 96))
    known = torch.tensor([[[10.0, 10, 25, 25]]]), torch.tensor([[1]]), torch.tensor([[2]])
    assert "loss_brightness" not in losses(model, images, sizes, known)
    told = model.roi_heads.box_predictor.brighter(torch.rand(5, config.head_channels))
    assert told.tolist() == [[1.0] * 3] * 5
    (found,) = infer(model, config, [torch.rand(3, 96, 96)])
    np.testing.assert_array_equal(found.scores_at(0.08), found.scores)


def test_deep_galaxies_are_the_same_in_any_order_and_have_faint_clumps() -> None:
    first, again = deep(4, 7), next(iter(galaxies(Request("deep", number=1, seed=4, start=7))))
    np.testing.assert_array_equal(first.image, again.image)
    many = [deep(4, index).truth for index in range(12)]
    ratios = np.concatenate([t.flux_ratio[t.labels == Label.CLUMP] for t in many])
    assert 0.003 < np.median(ratios) < 0.02
    assert len(ratios) / len(many) > 2


def test_deep_pictures_have_no_colour_in_the_dark() -> None:
    galaxy = deep(4, 7)
    grey = galaxy.image.mean(axis=-1)
    colour = np.ptp(galaxy.image, axis=-1)
    assert (colour[grey < 15 / 255] < 1.5 / 255).mean() > 0.9
    assert np.median(colour[grey > 0.4]) > 10 / 255


def test_mixed_galaxies_take_their_sources_in_turn() -> None:
    names = [g.truth.name.split("-")[0] for g in galaxies(Request("mixed", number=6, seed=3))]
    assert names == ["sim", "inj", "deep"] * 2


def test_a_run_that_found_nothing_still_has_a_threshold_and_rates() -> None:
    truth = deep(4, 7).truth
    nothing = evaluate.match_all([detections([], [])], [truth])
    assert evaluate.threshold_or_none_found(nothing) == 1.0
    assert evaluate.summary(nothing, 1.0)["purity"] == 0.0
    hit = evaluate.match_all([detections(truth.boxes[:1], [0.7], truth.labels[:1])], [truth])
    assert evaluate.threshold_or_none_found(hit) == 0.7
