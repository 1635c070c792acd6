"""The four losses of Faster R-CNN for a whole batch at once, as torchvision defines them.

torchvision assigns and samples picture by picture, some hundred small operations each; a GPU waits
for them most of the time. Here the truth is padded to the most boxes of a picture, and all pictures
go together. Only which regions are drawn at random differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align

from workbench.clumps.batched import intersection_over_union, select_proposals

if TYPE_CHECKING:
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection._utils import BoxCoder

BETA = 1 / 9  # of the smooth L1 loss
IGNORED = -1


def losses(
    model: FasterRCNN, images: Tensor, sizes: Tensor, known: tuple[Tensor, Tensor, Tensor]
) -> dict[str, Tensor]:
    """Return the losses of objectness, proposals' boxes, classes, boxes, and of brightness.

    Parameters
    ----------
    images
        (B, C, H, W) normalised, padded to multiples of the coarsest stride.
    sizes
        (B, 2) height and width of each without padding.
    known
        Boxes (B, M, 4) in pixels from the corner of pixel 0, labels (B, M), 0 where a picture has
        fewer, and (B, M) how many of `matching.BRIGHTER` a clump's flux ratio reaches, -1 where
        unknown.
    """
    truth, labels, _ = known
    features = model.backbone(images)["0"]
    (scores,), (deltas,) = model.rpn.head([features])
    number = len(images)
    objectness = scores.permute(0, 2, 3, 1).reshape(number, -1)
    offsets = deltas.permute(0, 2, 3, 1).reshape(number, -1, 4)
    batch = ImageList(images, [(0, 0)] * number)
    anchors = model.rpn.anchor_generator(batch, [features])[0]
    first = _proposal_losses(model, anchors, objectness, offsets, (truth, labels))
    with torch.no_grad():
        boxes, real = select_proposals(model, anchors, objectness, offsets, sizes)
    return first | _head_losses(model, features, (boxes, real), known)


def _overlaps(truth: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
    """(B, M, N), minus one in rows that hold no box."""
    overlap = intersection_over_union(truth, boxes)
    return torch.where(labels[:, :, None] > 0, overlap, -1.0)


def _proposal_losses(
    model: FasterRCNN,
    anchors: Tensor,
    objectness: Tensor,
    offsets: Tensor,
    known: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    truth, labels = known
    matcher, sampler = model.rpn.proposal_matcher, model.rpn.fg_bg_sampler
    overlap = _overlaps(truth, labels, anchors.expand(len(truth), -1, -1))
    best, match = overlap.max(dim=1)
    kind = torch.full_like(match, IGNORED)
    kind[best < matcher.low_threshold] = 0
    kind[best >= matcher.high_threshold] = 1
    # Each clump keeps its best anchors, however little they overlap.
    top = overlap.max(dim=2, keepdim=True).values
    kind[((overlap == top) & (labels[:, :, None] > 0)).any(dim=1)] = 1
    drawn = int(sampler.batch_size_per_image)
    at, positive, used = _draw(kind, drawn, int(drawn * sampler.positive_fraction))
    rows = torch.arange(len(at), device=at.device)[:, None]
    wanted = _encode(model.rpn.box_coder, truth[rows, match[rows, at]], anchors[at])
    count = used.sum().clamp(min=1)
    each = binary_cross_entropy_with_logits(
        objectness[rows, at].float(), positive.float(), reduction="none"
    )
    apart = smooth_l1_loss(offsets[rows, at].float(), wanted, beta=BETA, reduction="none").sum(-1)
    return {
        "loss_objectness": (each * used).sum() / count,
        "loss_rpn_box_reg": (apart * (used & positive)).sum() / count,
    }


def _head_losses(
    model: FasterRCNN,
    features: Tensor,
    found: tuple[Tensor, Tensor],
    known: tuple[Tensor, Tensor, Tensor],
) -> dict[str, Tensor]:
    (boxes, real), (truth, labels, steps) = found, known
    heads = model.roi_heads
    boxes = torch.cat([boxes, truth], dim=1)  # what is true is always looked at
    real = torch.cat([real, labels > 0], dim=1)
    best, match = _overlaps(truth, labels, boxes).max(dim=1)
    kind = torch.where(best >= heads.proposal_matcher.high_threshold, 1, 0)
    kind = torch.where(real, kind, IGNORED)
    drawn = int(heads.fg_bg_sampler.batch_size_per_image)
    part = int(drawn * heads.fg_bg_sampler.positive_fraction)
    at, positive, used = _draw(kind, drawn, part)
    rows = torch.arange(len(at), device=at.device)[:, None]
    chosen, mine = boxes[rows, at], match[rows, at]
    classes = torch.where(positive, labels[rows, mine], 0)
    wanted = _encode(heads.box_coder, truth[rows, mine], chosen)
    index = rows.expand_as(at).reshape(-1, 1).to(chosen.dtype)
    regions = torch.cat([index, chosen.reshape(-1, 4)], dim=1)
    pooled = roi_align(features.float(), regions, 7, 1 / 4, 2)
    inner = heads.box_head(pooled)
    logits, offsets = heads.box_predictor(inner)
    each = cross_entropy(logits.float(), classes.reshape(-1), reduction="none").reshape(at.shape)
    offsets = offsets.float().reshape(*at.shape, -1, 4)
    ours = offsets.gather(2, classes[:, :, None, None].expand(-1, -1, 1, 4))[:, :, 0]
    apart = smooth_l1_loss(ours, wanted, beta=BETA, reduction="none").sum(-1)
    count = used.sum().clamp(min=1)
    found_losses = {
        "loss_classifier": (each * used).sum() / count,
        "loss_box_reg": (apart * (used & positive)).sum() / count,
    }
    if heads.box_predictor.brightness is not None:
        step = steps[rows, mine]
        told = heads.box_predictor.brightness(inner).float()
        wrong = cross_entropy(told, step.clamp(min=0).reshape(-1), reduction="none")
        of = used & positive & (step >= 0)
        found_losses["loss_brightness"] = (wrong.reshape(at.shape) * of).sum() / count
    return found_losses


def _draw(kind: Tensor, number: int, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw at random up to `most` positives of each row and fill up with negatives to `number`.

    `kind` (B, N) is 1, 0 or `IGNORED`. Returns indices (B, K), which are positive, and which count.
    """
    chance = torch.rand(kind.shape, device=kind.device)
    most, number = min(most, kind.shape[1]), min(number, kind.shape[1])
    hits, first = torch.where(kind == 1, chance, -1.0).topk(most, dim=1)
    misses, second = torch.where(kind == 0, chance, -1.0).topk(number, dim=1)
    positive = hits >= 0
    room = number - positive.sum(dim=1, keepdim=True)
    order = torch.arange(number, device=kind.device)
    used = torch.cat([positive, (misses >= 0) & (order < room)], dim=1)
    at = torch.cat([first, second], dim=1)
    return at, torch.cat([positive, torch.zeros_like(misses, dtype=torch.bool)], dim=1), used


def _encode(coder: BoxCoder, truth: Tensor, boxes: Tensor) -> Tensor:
    """Return the offsets (B, K, 4) that lead from `boxes` to `truth`; zero for empty boxes."""
    size, wanted = boxes[..., 2:] - boxes[..., :2], truth[..., 2:] - truth[..., :2]
    size, wanted = size.clamp(min=1e-3), wanted.clamp(min=1e-3)
    middle = (truth[..., :2] + truth[..., 2:] - boxes[..., :2] - boxes[..., 2:]) / 2
    weights = torch.tensor(coder.weights, device=boxes.device)
    return torch.cat([middle / size, (wanted / size).log()], dim=-1) * weights
