"""The detector: geometry, weights in files, encoders that never start at random by accident."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import timm
import torch
from clump_cases import disk_galaxy
from huggingface_hub import constants
from safetensors.torch import save_file
from torchvision.ops import nms
from workbench.clumps import backbones, weights
from workbench.clumps.augment import LARGEST, Pictures
from workbench.clumps.averaging import average
from workbench.clumps.detector import HALF_PIXEL, build, detect, infer, to_tensor
from workbench.clumps.detector_config import DetectorConfig, config_from_dict
from workbench.clumps.galaxy import Galaxy
from workbench.clumps.host import segmentation_mask
from workbench.clumps.inject import turn
from workbench.clumps.matching import Detections, detections
from workbench.clumps.postprocess import merge, on_host
from workbench.clumps.samples import Sample, sample
from workbench.clumps.turned import ORIENTATIONS, detect_turned, turned_back
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from pathlib import Path

    from torchvision.models.detection import FasterRCNN

CONFIG = DetectorConfig()


@pytest.fixture(scope="module")
def model() -> FasterRCNN:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return build(CONFIG).eval()


@pytest.mark.parametrize("name", sorted(backbones.BACKBONES))
def test_a_row_says_what_its_encoder_gives(name: str) -> None:
    row = backbones.backbone(name)
    maps = backbones.encoder(name)(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(row.channels, row.strides, strict=True)
    ]


def test_five_bands_are_taken() -> None:
    five = build(replace(CONFIG, bands=5)).eval()
    (found,) = infer(five, CONFIG, [torch.rand(5, 64, 64)])
    assert found.boxes.shape[1] == 4
    with pytest.raises(WorkbenchError, match="4 bands"):
        DetectorConfig(bands=4)


def test_context_changes_nothing_at_first_and_then_sees_the_whole_picture() -> None:
    torch.manual_seed(1)
    seeing = build(CONFIG).eval().backbone
    without = build(replace(CONFIG, context=0)).eval().backbone
    missing = without.load_state_dict(seeing.state_dict(), strict=False)
    assert not missing.missing_keys
    image = torch.rand(1, 3, 192, 192)
    elsewhere = image.clone()
    elsewhere[:, :, 160:, 160:] = 0
    here = (slice(None), slice(None), slice(0, 4), slice(0, 4))
    with torch.no_grad():
        torch.testing.assert_close(seeing(image)["0"], without(image)["0"])
        torch.nn.init.normal_(seeing.context.widen.weight)
        assert not torch.allclose(seeing(image)["0"][here], seeing(elsewhere)["0"][here])
        assert torch.equal(without(image)["0"][here], without(elsewhere)["0"][here])
    with pytest.raises(WorkbenchError, match="-1 blocks of context"):
        DetectorConfig(context=-1)


def test_a_card_from_before_there_was_a_context_has_none() -> None:
    known = CONFIG.to_dict()
    assert config_from_dict(known, "a card") == CONFIG
    del known["context"]
    assert config_from_dict(known, "a card").context == 0


def test_weights_of_a_folder_are_loaded_not_drawn(tmp_path: Path) -> None:
    whole = timm.create_model("convnext_atto", num_classes=0).eval()
    image = torch.rand(1, 3, 64, 64)
    expected = whole.forward_intermediates(image, intermediates_only=True)[3]
    assert not torch.equal(backbones.encoder("convnext_atto").eval()(image)[3], expected)
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(
        {"architecture": "convnext_atto", "num_classes": 0, "num_features": 320}
    ))  # fmt: skip
    loaded = backbones.encoder("convnext_atto", str(tmp_path)).eval()
    torch.testing.assert_close(loaded(image)[3], expected)
    with pytest.raises(
        WorkbenchError, match="weights of convnext_atto, expected those of resnet18"
    ):
        backbones.encoder("resnet18", str(tmp_path))


def test_missing_weights_are_an_error_that_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "https://host.invalid")
    for kind, repository in (("zoobot", "mwalmsley/zoobot-encoder-convnext_pico"),
                             ("imagenet", "timm/convnext_pico")):  # fmt: skip
        with pytest.raises(WorkbenchError, match=f"huggingface.co/{repository}.*into a folder"):
            backbones.encoder("convnext_pico", kind)
    with pytest.raises(WorkbenchError, match=r"no config\.json and no model\.safetensors"):
        backbones.encoder("convnext_pico", str(tmp_path))
    with pytest.raises(WorkbenchError, match="publishes no convnext_atto"):
        backbones.encoder("convnext_atto", "zoobot")
    with pytest.raises(WorkbenchError, match="unknown backbone 'vit'; known: convnext_atto"):
        backbones.encoder("vit")


@pytest.mark.parametrize("name", ["convnext_atto", "resnet18", "efficientnet_b0"])
def test_freezing_leaves_the_last_stages_to_learn(name: str) -> None:
    encoder = backbones.encoder(name)
    total = sum(parameter.numel() for parameter in encoder.parameters())
    every = len(encoder.feature_info.get_dicts())
    counts = [backbones.freeze(encoder, stages) for stages in range(every + 1)]
    assert counts[0] == 0
    assert counts[every] == total == backbones.freeze(encoder, every + 1)
    assert counts == sorted(counts)
    assert len(set(counts)) == every + 1
    backbones.freeze(encoder, 1)
    names = [n for n, parameter in encoder.named_parameters() if parameter.requires_grad]
    last = encoder.feature_info.get_dicts()[-1]["module"].replace(".", "_")
    assert all(n.replace(".", "_").startswith(last) for n in names)


def test_what_is_found_does_not_depend_on_the_rest_of_the_batch(model: FasterRCNN) -> None:
    rng = torch.Generator().manual_seed(1)
    images = [torch.rand(3, side, side, generator=rng) for side in (60, 64, 120, 62)]
    together = infer(model, CONFIG, images)
    for image, found in zip(images, together, strict=True):
        (alone,) = infer(model, CONFIG, [image])
        assert len(found) == len(alone) > 0
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)


def test_boxes_come_back_in_the_pixels_of_the_picture(model: FasterRCNN) -> None:
    galaxy = disk_galaxy()  # PSF of 5 pixels: the network sees it 1.2 times larger
    (found,) = detect(model, CONFIG, [galaxy])
    seen = sample(galaxy, CONFIG.pixels_per_fwhm)
    (inner,) = infer(model, CONFIG, [to_tensor((seen.image / 255).astype(np.float32))])
    assert seen.image.shape[0] == 121
    expected = (inner.boxes + 0.5) * (101 / 121) - 0.5
    # Eight bits of the sample against the float picture move scores and corners a little.
    strong = found.scores > found.scores[len(found) // 2]
    nearest = np.abs(found.boxes[strong][:, None] - expected[None]).max(-1).min(1)
    assert np.median(nearest) < 0.5


def test_a_batch_gives_what_torchvision_gives_picture_by_picture(model: FasterRCNN) -> None:
    rng = torch.Generator().manual_seed(3)
    images = [torch.rand(3, 60, side, generator=rng) for side in (60, 96, 61)]
    for image, found in zip(images, infer(model, CONFIG, images), strict=True):
        with torch.inference_mode():
            output = model([image])[0]
        keep = nms(output["boxes"], output["scores"], CONFIG.nms)[: CONFIG.detections]
        assert len(found) == len(keep) > 5
        np.testing.assert_array_equal(found.labels, output["labels"][keep].numpy())
        np.testing.assert_allclose(found.scores, output["scores"][keep].numpy(), atol=1e-5)
        corners = output["boxes"][keep].numpy() - HALF_PIXEL
        np.testing.assert_allclose(found.boxes, corners, atol=1e-3)


def test_bytes_and_floats_give_the_same(model: FasterRCNN) -> None:
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    for_bytes, for_floats = infer(model, CONFIG, [image, image.float() / 255])
    np.testing.assert_allclose(for_bytes.boxes, for_floats.boxes, atol=1e-3)


def test_a_detector_reads_back_from_its_file(model: FasterRCNN, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights.save_detector(path, model, CONFIG, {"threshold": 0.4, "licence": "Apache-2.0"})
    assert path.stat().st_size < 16e6
    loaded, config, card = weights.load_detector(path)
    assert config == CONFIG
    assert card["threshold"] == 0.4
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=2**-10, atol=2**-24)
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
    before, after = infer(model, CONFIG, [image])[0], infer(loaded, CONFIG, [image])[0]
    assert abs(before.scores[0] - after.scores[0]) < 1e-3


def test_damaged_strange_and_pickled_weights_are_refused(model: FasterRCNN, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(WorkbenchError, match="workbench clumps train"):
        weights.load_detector(path)
    weights.save_detector(path, model, CONFIG, {})
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WorkbenchError, match="damaged"):
        weights.load_detector(path)
    path.write_bytes(content)
    card = json.loads(weights.card_path(path).read_text())
    card["config"]["backbone"] = "convnext_pico"
    weights.card_path(path).write_text(json.dumps(card))
    with pytest.raises(WorkbenchError, match="do not fit convnext_pico"):
        weights.load_detector(path)
    weights.card_path(path).unlink()
    with pytest.raises(WorkbenchError, match="no card"):
        weights.load_detector(path)
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(WorkbenchError, match="never loaded"):
        weights.load_detector(tmp_path / "a.pt")


def test_settings_of_a_newer_version_are_named() -> None:
    assert config_from_dict(CONFIG.to_dict(), "card") == CONFIG
    with pytest.raises(WorkbenchError, match="card: unknown settings shape"):
        config_from_dict({"shape": 1}, "card")


def test_augmentation_keeps_boxes_on_what_they_hold() -> None:
    base = sample(disk_galaxy(), 6.0)
    image = np.zeros((250, 150, 3), np.uint8)
    image[100:104, 60:64] = 200
    truth = replace(
        base.truth, width=150, height=250, boxes=np.array([[54.0, 94.0, 69.0, 109.0]]),
        labels=np.ones(1, np.int64), flux_ratio=np.full(1, 0.05),
    )  # fmt: skip
    pictures = Pictures([Sample(image, truth)] * 2, "cpu")
    seen = set()
    for epoch in range(0, 30, 2):
        changes = pictures.draw(0, epoch, free_turns=epoch >= 20)
        pixels, sizes, (boxes, labels, steps) = pictures.augment([1, 0], changes, epoch)
        assert steps.tolist() == [[2], [2]]
        again = pictures.augment([1, 0], changes, epoch)[0]
        torch.testing.assert_close(again, pixels, rtol=0, atol=0)
        for shown, (height, width), box, label in zip(
            pixels, sizes.int().tolist(), boxes[:, 0], labels[:, 0], strict=True
        ):
            seen.add((height, width))
            assert shown[:, height:].abs().sum() == shown[:, :, width:].abs().sum() == 0
            if label:
                row, column = np.argwhere(shown[0].numpy() > 0.4).mean(axis=0)
                centre = (box[:2] + box[2:]) / 2 - HALF_PIXEL
                np.testing.assert_allclose([column, row], centre, atol=0.6)
            else:
                assert (shown[0] > 0.4).sum() < 12  # a corner of it at most
            torch.testing.assert_close(shown[0], shown[2], rtol=0, atol=1e-6)  # colours stay
    assert seen == {(LARGEST, 150), (150, LARGEST)}


def test_near_detections_are_joined_by_score() -> None:
    found = detections(
        [[0, 0, 10, 10], [2, 0, 12, 10], [30, 30, 40, 40], [31, 30, 41, 40]],
        [0.6, 0.2, 0.5, 0.4], [1, 1, 1, 2],
    )  # fmt: skip
    joined = merge(found, 3.0)
    assert joined.scores.tolist() == [0.6, 0.5, 0.4]
    np.testing.assert_allclose(joined.boxes[0], [0.5, 0, 10.5, 10])
    assert joined.labels.tolist() == [1, 1, 2]
    empty = merge(Detections(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64)), 3.0)
    assert len(empty) == 0


def test_the_segment_of_the_host_keeps_its_clumps_and_drops_the_sky() -> None:
    galaxy = disk_galaxy()
    mask = segmentation_mask(galaxy)
    assert mask[50, 50]
    assert not mask[2, 2]
    found = detections([[45, 45, 55, 55], [0, 0, 4, 4]], [0.9, 0.8])
    assert on_host(found, mask).scores.tolist() == [0.9]
    flat = Galaxy(np.zeros_like(galaxy.image), galaxy.truth)
    assert segmentation_mask(flat).all()


def test_what_is_found_in_turned_pictures_is_turned_back() -> None:
    galaxy = disk_galaxy()
    image = np.concatenate([galaxy.image, galaxy.image[:, :30]], axis=1)  # wider than high
    truth = replace(galaxy.truth, width=image.shape[1])
    wide = Galaxy(image, truth)
    for which in range(ORIENTATIONS):
        there = turn(wide, which).truth
        seen = Detections(there.boxes, np.linspace(0.9, 0.1, len(there)), there.labels)
        back = turned_back(seen, truth, which)
        np.testing.assert_allclose(back.boxes, truth.boxes, atol=1e-9)
    with pytest.raises(WorkbenchError, match="9 orientations; expected 1 to 8"):
        detect_turned(build(CONFIG), CONFIG, [wide], 9)


def test_a_score_is_the_mean_over_orientations() -> None:
    first = detections([[0, 0, 10, 10], [40, 0, 50, 10]], [0.8, 0.6])
    second = detections([[2, 0, 12, 10], [6, 0, 16, 10]], [0.4, 0.5])
    found = average([first, second], reach=3.0, overlap=0.2)
    np.testing.assert_allclose(found.scores, [0.6, 0.3])  # that at 6 overlaps the first
    np.testing.assert_allclose(found.boxes[0], [2 / 3, 0, 10 + 2 / 3, 10])
    np.testing.assert_allclose(found.boxes[1], [40, 0, 50, 10])
    assert len(average([detections([], [])], 3.0, 0.2)) == 0
