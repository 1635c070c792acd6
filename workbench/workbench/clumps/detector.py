"""The detector: torchvision's Faster R-CNN on a feature pyramid over a timm encoder.

Pictures come at a fixed number of pixels per PSF FWHM, and a clump's box is 2.5 FWHM a side: all
boxes have one size. One anchor of that size on the pyramid's finest map (stride 4) is enough; the
coarser maps give it context.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from workbench.clumps import backbones, batched
from workbench.clumps.context import Context
from workbench.clumps.galaxy import Label
from workbench.clumps.matching import BRIGHTER, Detections
from workbench.clumps.scaling import to_fixed_psf
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.galaxy import Galaxy

CLASSES = 1 + len(Label)  # and background
# torchvision measures boxes from the corner of pixel 0, the workbench from its centre.
HALF_PIXEL = 0.5
STRIDE = 32  # of the coarsest map of any encoder: pictures are padded to its multiples
# Pictures at once: enough to fill a GPU; a CPU gains nothing from more.
BATCH = {"cuda": 256, "cpu": 8, "mps": 32}


class Pyramid(nn.Module):
    """Encoder, context and feature pyramid; gives the finest map, (B, channels, H / 4, W / 4)."""

    def __init__(self, config: DetectorConfig, weights: str) -> None:
        super().__init__()
        row = backbones.backbone(config.backbone)
        self.body = backbones.encoder(config.backbone, weights, config.bands)
        self.context = Context(row.channels[-1], config.context) if config.context else None
        self.fpn = FeaturePyramidNetwork(list(row.channels), config.fpn_channels)
        self.out_channels = config.fpn_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return {"0": the finest map} of images (B, bands, H, W)."""
        maps = list(self.body(images))
        if self.context is not None:
            maps[-1] = self.context(maps[-1])
        named = OrderedDict((str(k), features) for k, features in enumerate(maps))
        return {"0": self.fpn(named)["0"].float()}  # anchors take its precision


class _AsIs(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Batches pictures padded to a multiple of 32, without resizing: their scale is right."""

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Return both unchanged."""
        return image, target


def build(config: DetectorConfig, weights: str = backbones.RANDOM) -> FasterRCNN:
    """Return a detector with an encoder of these weights (see `backbones.encoder`), else random.

    Raises
    ------
    WorkbenchError
        The backbone is unknown or its weights cannot be had.
    """
    pyramid = Pyramid(config, weights)
    anchors = AnchorGenerator(sizes=((config.box_side,),), aspect_ratios=((1.0,),))
    pool = MultiScaleRoIAlign(featmap_names=["0"], output_size=7, sampling_ratio=2)
    model = FasterRCNN(
        pyramid,
        rpn_anchor_generator=anchors,
        rpn_head=_RpnHead(config.fpn_channels, 1),
        box_roi_pool=pool,
        box_head=_head(config),
        box_predictor=_Predictor(config),
        rpn_fg_iou_thresh=config.rpn_foreground,
        rpn_bg_iou_thresh=config.rpn_background,
        rpn_pre_nms_top_n_train=600,
        rpn_pre_nms_top_n_test=600,
        rpn_post_nms_top_n_train=2 * config.proposals,
        rpn_post_nms_top_n_test=config.proposals,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=128,
        box_score_thresh=config.min_score,
        box_nms_thresh=config.nms,
        box_detections_per_img=2 * config.detections,
    )
    mean, std = _normalisation(weights, config.bands)
    model.transform = _AsIs(1, 1, mean, std)
    return model


def _normalisation(weights: str, bands: int) -> tuple[list[float], list[float]]:
    """Zoobot takes [0, 1] as it is; timm's ImageNet encoders want ImageNet's statistics."""
    if weights == backbones.IMAGENET and bands == 3:
        return [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return [0.0] * bands, [1.0] * bands


def _head(config: DetectorConfig) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(1),
        nn.Linear(config.fpn_channels * 49, config.head_channels),
        nn.ReLU(),
        nn.Linear(config.head_channels, config.head_channels),
        nn.ReLU(),
    )


class _Predictor(nn.Module):
    """Class scores, box offsets, and how bright a clump would be, of each region."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        channels = config.head_channels
        self.cls_score = nn.Linear(channels, CLASSES)
        self.bbox_pred = nn.Linear(channels, 4 * CLASSES)
        self.brightness = nn.Linear(channels, 1 + len(BRIGHTER)) if config.brightness else None

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Regions (N, channels) -> scores (N, 3), offsets (N, 12)."""
        return self.cls_score(regions).float(), self.bbox_pred(regions).float()

    def brighter(self, regions: Tensor) -> Tensor:
        """Regions (N, channels) -> (N, 3), how likely a clump there is at least so bright."""
        if self.brightness is None:
            return torch.ones(len(regions), len(BRIGHTER), device=regions.device)
        parts: Tensor = self.brightness(regions).float().softmax(-1)
        return parts[:, 1:].flip(-1).cumsum(-1).flip(-1)


class _RpnHead(RPNHead):  # type: ignore[misc]
    """torchvision's, with float32 answers: it decodes boxes in their precision."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Give scores (B, 1, H, W) and offsets (B, 4, H, W) of each map (B, channels, H, W)."""
        scores, offsets = super().forward(x)
        return [one.float() for one in scores], [one.float() for one in offsets]


def to_tensor(image: np.ndarray[Any, Any]) -> Tensor:
    """(H, W, C) float32 or uint8 -> (C, H, W) float32 in [0, 1]."""
    scale = 255.0 if image.dtype == np.uint8 else 1.0
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / scale


def detect(
    model: FasterRCNN, config: DetectorConfig, galaxies: Sequence[Galaxy]
) -> list[Detections]:
    """Return what is found in each picture, in its own pixels.

    Raises
    ------
    WorkbenchError
        The PSF of a picture is unknown, or it has other bands than the detector takes.
    """
    for galaxy in galaxies:
        if galaxy.image.shape[2] != config.bands:
            raise WorkbenchError(
                f"{galaxy.truth.name}: {galaxy.image.shape[2]} bands; the detector takes "
                f"{config.bands}"
            )
    resized = [to_fixed_psf(galaxy, config.pixels_per_fwhm) for galaxy in galaxies]
    found = infer(model, config, [to_tensor(image) for image, _ in resized])
    return [
        replace(one, boxes=scaling.backward(one.boxes))
        for one, (_, scaling) in zip(found, resized, strict=True)
    ]


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Return the size that a picture is padded to: the next multiples of the coarsest stride."""
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


def infer(model: FasterRCNN, config: DetectorConfig, images: Sequence[Tensor]) -> list[Detections]:
    """Return what is found in each of `images` (C, H, W), in their pixels.

    Only pictures padded to the same size share a batch, so that what is found in one does not
    depend on the others: the encoder sees the padding. Images may be bytes or float in [0, 1].
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(padded_size(image.shape[1], image.shape[2]), []).append(index)
    found: dict[int, Detections] = {}
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        for size, group in groups.items():
            for first in range(0, len(group), BATCH[device.type]):
                batch = group[first : first + BATCH[device.type]]
                outputs = _find(model, config, [images[k] for k in batch], size)
                found.update(zip(batch, _each(outputs), strict=True))
    return [found[index] for index in range(len(images))]


def _find(
    model: FasterRCNN, config: DetectorConfig, images: Sequence[Tensor], size: tuple[int, int]
) -> tuple[Tensor, ...]:
    batch, sizes = padded_batch(model, images, size)
    return batched.find(model, config, batch, sizes)


def padded_batch(
    model: FasterRCNN, images: Sequence[Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Pad `images` (C, H, W) with black to `size` and normalise them, on the model's device.

    Returns (B, C, *size) and the heights and widths without padding (B, 2).
    """
    device = next(model.parameters()).device
    sizes = torch.tensor([image.shape[1:] for image in images])
    alike = bool((sizes == sizes[0]).all()) and len({image.dtype for image in images}) == 1
    if alike:  # one copy for all
        batch = torch.stack(list(images)).to(device)
        room = (0, size[1] - batch.shape[3], 0, size[0] - batch.shape[2])
        batch = nn.functional.pad(batch, room)
    else:
        batch = torch.zeros(len(images), images[0].shape[0], *size, device=device)
        for row, image in zip(batch, images, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = _as_float(image.to(device))
    return normalised(model, batch), sizes.to(device)


def _as_float(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


def normalised(model: FasterRCNN, images: Tensor) -> Tensor:
    """Return `images` (..., C, H, W), bytes or float in [0, 1], as the encoder wants them."""
    images = _as_float(images)
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in (model.transform.image_mean, model.transform.image_std)
    )
    return (images - mean) / std


def _each(outputs: tuple[Tensor, ...]) -> list[Detections]:
    """Return the detections of each picture of a batch, on the host."""
    kept, boxes, scores, labels, brighter = (part.cpu() for part in outputs)
    numbers = kept.sum(dim=1).tolist()  # what is kept comes first
    at = boxes.double().numpy() - HALF_PIXEL
    score, label, bright = scores.double().numpy(), labels.long().numpy(), brighter.double().numpy()
    return [
        Detections(at[k, :number], score[k, :number], label[k, :number], bright[k, :number])
        for k, number in enumerate(numbers)
    ]
