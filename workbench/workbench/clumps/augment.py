"""Pictures turned, cut, blurred, dimmed and made noisy, a batch at once on the network's device.

What is drawn depends on seed, epoch and picture alone, so that a run that was killed goes on with
the same pictures. Noise is drawn on the device: equal on equal devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from workbench.clumps.detector import HALF_PIXEL, padded_size
from workbench.clumps.inject import turn_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Annotation
    from workbench.clumps.samples import Sample

# Same change in every band, so that colours stay: what sky, exposure and seeing vary by.
MOST_NOISE = 0.015  # of full scale: a third of that of Stripe 82 pictures at the network's scale
MOST_GAIN = 0.15
MOST_GAMMA = 0.25  # ln of the exponent: surveys stretch their pictures differently
BLUR_PIXELS = (0.3, 1.2)  # at 6 pixels per FWHM: seeing up to 11 % worse
BLUR_PART = 0.3
BLUR_REACH = 4  # pixels, 3.3 of the widest sigma
# Larger pictures are cut: bounds time and memory of a step. A typical one has 171 pixels.
LARGEST = 224
# Cuts around an object; the others are anywhere, so that empty sky is seen too.
ON_OBJECT = 0.8


@dataclass(frozen=True)
class Change:
    """What happens to one picture.

    Attributes
    ----------
    top, left, height, width
        The part that is kept, in pixels.
    turn
        `turn % 4` quarter turns, then mirrored for 4 and more.
    gain, gamma, noise, blur
        Factor, exponent, standard deviation of the noise (of full scale), and sigma in pixels, 0
        for none.
    """

    top: int
    left: int
    height: int
    width: int
    turn: int
    gain: float
    gamma: float
    noise: float
    blur: float


def draw(truth: Annotation, seed: int, epoch: int, index: int) -> Change:
    """Return the change of picture `index` in an epoch."""
    rng = np.random.default_rng([seed, epoch, index])
    height, width = cut_size(truth.height, truth.width)
    top = int(rng.integers(truth.height - height + 1))
    left = int(rng.integers(truth.width - width + 1))
    if len(truth) and rng.random() < ON_OBJECT:
        x, y = truth.centres[int(rng.integers(len(truth)))]
        left = _around(x, left, width, truth.width, rng)
        top = _around(y, top, height, truth.height, rng)
    return Change(
        top, left, height, width, int(rng.integers(8)),
        gain=float(1 + rng.uniform(-MOST_GAIN, MOST_GAIN)),
        gamma=float(np.exp(rng.uniform(-MOST_GAMMA, MOST_GAMMA))),
        noise=float(rng.uniform(0, MOST_NOISE)),
        blur=float(rng.uniform(*BLUR_PIXELS)) if rng.random() < BLUR_PART else 0.0,
    )  # fmt: skip


def _around(at: float, plain: int, size: int, whole: int, rng: np.random.Generator) -> int:
    """Return a start of a cut of `size` that holds pixel `at`; `plain` where all do."""
    if size == whole:
        return plain
    low, high = max(0, round(at) - size + 1), min(whole - size, round(at))
    return int(rng.integers(low, high + 1))


def cut_size(height: int, width: int) -> tuple[int, int]:
    """Return the size of a picture after the cut to `LARGEST`."""
    return min(height, LARGEST), min(width, LARGEST)


def augment(
    samples: Sequence[Sample], images: Sequence[Tensor], changes: Sequence[Change], noise_seed: int
) -> tuple[Tensor, Tensor, list[dict[str, Tensor]]]:
    """Return changed pictures of equal padded size, their sizes, and what the losses take.

    Parameters
    ----------
    samples
        For their truth.
    images
        Their pictures (C, H, W), bytes, on the network's device.

    Returns
    -------
    images
        (B, C, H, W) in [0, 1], 0 in the padding to the next multiples of the coarsest stride.
    sizes
        (B, 2) heights and widths without padding.
    targets
        For each the boxes (N, 4) from the corner of pixel 0 and labels (N,), on the host.
    """
    parts = [_turned(image, change) for image, change in zip(images, changes, strict=True)]
    heights, widths = zip(*(padded_size(*part.shape[1:]) for part in parts), strict=True)
    shape = (len(parts), parts[0].shape[0], max(heights), max(widths))
    device = parts[0].device
    whole = torch.zeros(shape, dtype=torch.uint8, device=device)
    inside = torch.zeros((shape[0], 1, *shape[2:]), device=device)
    for row, mask, part in zip(whole, inside, parts, strict=True):
        row[:, : part.shape[1], : part.shape[2]] = part
        mask[:, : part.shape[1], : part.shape[2]] = 1
    with torch.autocast(device.type, enabled=False):
        pictures = _blurred(whole.float() / 255, inside, [change.blur for change in changes])
    generator = torch.Generator(device).manual_seed(noise_seed)
    grey = torch.randn(inside.shape, generator=generator, device=device)
    gain, gamma, noise = (
        torch.tensor(values, device=device)[:, None, None, None]
        for values in zip(*((c.gain, c.gamma, c.noise) for c in changes), strict=True)
    )
    sizes = torch.tensor([part.shape[1:] for part in parts], device=device)
    targets = [_target(one.truth, change) for one, change in zip(samples, changes, strict=True)]
    changed = (pictures.pow(gamma) * gain + grey * noise).clamp(0, 1)
    return changed * inside, sizes, targets


def _turned(image: Tensor, change: Change) -> Tensor:
    part = image[
        :, change.top : change.top + change.height, change.left : change.left + change.width
    ]
    part = torch.rot90(part, change.turn % 4, (1, 2))
    return part.flip(2) if change.turn >= 4 else part


def _blurred(images: Tensor, inside: Tensor, sigmas: list[float]) -> Tensor:
    """Return `images`, those with a sigma smoothed by a Gaussian; padding counts for nothing."""
    rows = [k for k, sigma in enumerate(sigmas) if sigma > 0]
    if not rows:
        return images
    reach = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=images.device)
    wanted = torch.tensor([sigmas[k] for k in rows], device=images.device)
    line = torch.exp(-0.5 * (reach / wanted[:, None]) ** 2)
    layers = torch.cat([images[rows], inside[rows]], dim=1)  # (b, C + 1, H, W)
    number, channels, height, width = layers.shape
    kernel = line.repeat_interleave(channels, dim=0)[:, None, None]
    flat = layers.reshape(1, number * channels, height, width)
    room = (BLUR_REACH,) * 2
    flat = conv2d(pad(flat, (*room, 0, 0)), kernel, groups=number * channels)
    flat = conv2d(pad(flat, (0, 0, *room)), kernel.transpose(2, 3), groups=number * channels)
    smooth = flat.reshape(layers.shape)
    out = images.clone()
    out[rows] = smooth[:, :-1] / smooth[:, -1:].clamp(min=1e-6)
    return out


def _target(truth: Annotation, change: Change) -> dict[str, Tensor]:
    """Return the boxes centred in the part of the picture, turned like it, and their labels."""
    centres = truth.centres - np.array([change.left, change.top])
    size = np.array([change.width, change.height])
    kept = ((centres > -0.5) & (centres < size - 0.5)).all(axis=1)
    at = turn_points(centres[kept], (change.width, change.height), change.turn)
    half: NDArray[np.float64] = (truth.boxes[kept, 2:] - truth.boxes[kept, :2]) / 2
    half = half[:, ::-1] if change.turn % 2 else half
    boxes = np.concatenate([at - half, at + half], axis=1) + HALF_PIXEL
    return {
        "boxes": torch.from_numpy(boxes).float(),
        "labels": torch.from_numpy(truth.labels[kept]),
    }
