"""The detector on a whole batch at once: what torchvision's loop over pictures gives, in few steps.

torchvision handles the proposals of each picture by itself, dozens of small operations a picture;
here all pictures of a batch go together. Boxes and scores are float32 whatever the network's
precision: bfloat16 has 8 bits, a whole pixel at 200.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align

if TYPE_CHECKING:
    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig

SMALLEST = 1e-3  # pixels a side, torchvision's own limit for proposals
SMALLEST_FOUND = 1e-2  # and for detections
PASSES = 3  # of a suppression before the host asks whether it is done, for which a GPU waits
MOST_FOUND = 400  # boxes of one picture before the first suppression, two a proposal


def suppress(boxes: Tensor, valid: Tensor, limit: float, labels: Tensor | None = None) -> Tensor:
    """Return which of `boxes` (B, N, 4), surest first, greedy suppression keeps, (B, N) bool.

    A box goes when it overlaps a kept, surer one of its label by more than `limit`. Starting from
    all, each pass decides at least one more box of every chain of overlaps, so the passes end in
    exactly what one box after the other gives.
    """
    overlap = intersection_over_union(boxes, boxes) > limit
    if labels is not None:
        overlap &= labels[:, :, None] == labels[:, None, :]
    surer = torch.ones(boxes.shape[1], boxes.shape[1], dtype=torch.bool, device=boxes.device)
    overlap = (overlap & surer.triu(1) & valid[:, :, None] & valid[:, None, :]).float()
    keep = valid
    while True:
        before = keep
        for _ in range(PASSES):
            keep = valid & (torch.bmm(keep.float()[:, None], overlap)[:, 0] == 0)
        if torch.equal(keep, before):
            return keep


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of all pairs in each row: (B, M, 4), (B, N, 4) -> (B, M, N)."""
    one, other = first[:, :, None], second[:, None]
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (first, second)]
    return shared / (areas[0][:, :, None] + areas[1][:, None] - shared)


def compact(keep: Tensor, most: int, *values: Tensor) -> tuple[Tensor, ...]:
    """Move the kept entries of each row to the front, at most `most`; returns kept and values."""
    order = torch.argsort(~keep, dim=1, stable=True)[:, :most]
    rows = torch.arange(len(keep), device=keep.device)[:, None]
    return keep[rows, order], *(value[rows, order] for value in values)


def proposals(
    model: FasterRCNN, features: Tensor, padded: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return boxes (B, P, 4) worth a look and which of them are real, (B, P)."""
    rpn = model.rpn
    (scores,), (deltas,) = rpn.head([features])
    number = len(features)
    anchors = rpn.anchor_generator(ImageList(padded, [(0, 0)] * number), [features])
    objectness = scores.permute(0, 2, 3, 1).reshape(number, -1)
    offsets = deltas.permute(0, 2, 3, 1).reshape(number, -1, 4)
    return select_proposals(model, anchors[0], objectness, offsets, sizes)


def select_proposals(
    model: FasterRCNN, anchors: Tensor, objectness: Tensor, offsets: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """Return boxes (B, P, 4) of the surest anchors (A, 4), and which are real, (B, P).

    `objectness` is (B, A), `offsets` (B, A, 4).
    """
    rpn, number = model.rpn, len(objectness)
    best, at = objectness.float().topk(min(rpn.pre_nms_top_n(), objectness.shape[1]), dim=1)
    rows = torch.arange(number, device=objectness.device)[:, None]
    chosen = anchors[at].reshape(-1, 4)
    decoded = rpn.box_coder.decode_single(offsets[rows, at].float().reshape(-1, 4), chosen)
    boxes = _clip(decoded.reshape(number, -1, 4), sizes)
    valid = _large(boxes, SMALLEST) & (best.sigmoid() >= rpn.score_thresh)
    keep = suppress(boxes, valid, rpn.nms_thresh)
    kept, chosen_boxes = compact(keep, rpn.post_nms_top_n(), boxes)
    return chosen_boxes, kept


def _clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Return `boxes` (B, N, 4) cut off at the edges of pictures of `sizes` (B, 2)."""
    most = sizes.to(boxes.dtype)[:, None, [1, 0, 1, 0]]
    return torch.minimum(boxes.clamp(min=0), most)


def _large(boxes: Tensor, least: float) -> Tensor:
    sides = boxes[..., 2:] - boxes[..., :2]
    return (sides >= least).all(dim=-1)


def find(
    model: FasterRCNN, config: DetectorConfig, images: Tensor, sizes: Tensor
) -> tuple[Tensor, ...]:
    """Return what is found in `images`, surest first.

    Kept (B, N), boxes (B, N, 4), scores and labels (B, N), and `matching.Detections.brighter`
    (B, N, 3).

    Parameters
    ----------
    images
        (B, C, H, W) normalised, padded to multiples of the coarsest stride.
    sizes
        (B, 2) height and width of each without padding, in pixels.
    """
    features = model.backbone(images)["0"]
    heads, number = model.roi_heads, len(images)
    boxes, real = proposals(model, features, images, sizes)
    rows = torch.arange(number, device=images.device).repeat_interleave(boxes.shape[1])
    regions = torch.cat([rows[:, None].to(boxes.dtype), boxes.reshape(-1, 4)], dim=1)
    pooled = roi_align(features.float(), regions, 7, 1 / 4, 2)  # as MultiScaleRoIAlign does
    inner = heads.box_head(pooled)
    logits, offsets = heads.box_predictor(inner)
    bright = heads.box_predictor.brighter(inner).reshape(number, boxes.shape[1], 1, -1)
    scores = logits.float().softmax(-1).reshape(number, -1, logits.shape[-1])[:, :, 1:]
    coder = heads.box_coder
    decoded = coder.decode_single(offsets.float(), boxes.reshape(-1, 4))
    found = decoded.reshape(number, boxes.shape[1], -1, 4)[:, :, 1:]
    found = _clip(found.reshape(number, -1, 4), sizes).reshape(found.shape)
    classes = torch.arange(1, logits.shape[-1], device=images.device).expand(scores.shape)
    valid = real[:, :, None] & (scores > config.min_score) & _large(found, SMALLEST_FOUND)
    bright = bright.expand(*scores.shape, -1)
    return _last(config, valid, scores, (found, classes, bright))


def _last(
    config: DetectorConfig, valid: Tensor, scores: Tensor, found: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, ...]:
    """Suppress within each class as torchvision does, then across classes."""
    number = len(valid)
    sure = torch.where(valid, scores, -1.0).reshape(number, -1)
    best, at = sure.topk(min(MOST_FOUND, sure.shape[1]), dim=1)
    rows = torch.arange(number, device=valid.device)[:, None]
    boxes, labels, bright = (part.flatten(1, 2)[rows, at] for part in found)
    keep = suppress(boxes, best > 0, config.nms, labels)
    keep, *known = compact(keep, 2 * config.detections, boxes, best, labels, bright)
    return compact(suppress(known[0], keep, config.nms), config.detections, *known)
