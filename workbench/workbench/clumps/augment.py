"""Pictures turned, cut, blurred, dimmed and made noisy, a batch at once on the network's device.

What is drawn depends on seed, epoch and picture alone, so that a run that was killed goes on with
the same pictures. Noise is drawn on the device: equal on equal devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from workbench.clumps.detector import HALF_PIXEL, padded_size
from workbench.clumps.galaxy import Label
from workbench.clumps.matching import BRIGHTER

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


@dataclass(frozen=True, eq=False)
class Changes:
    """What happens to each of N pictures; arrays of N.

    Attributes
    ----------
    middle
        (N, 2) x, y of the part that is kept, in pixels of the picture.
    size
        (N, 2) width and height of what comes out: of the part, swapped by odd quarter turns.
    turn
        Radians, by which the part is turned about its middle.
    mirrored
        Whether it is mirrored after that.
    gain, gamma, noise, blur
        Factor, exponent, standard deviation of the noise (of full scale), and sigma in pixels, 0
        for none.
    """

    middle: NDArray[np.float64]
    size: NDArray[np.int64]
    turn: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    gain: NDArray[np.float64]
    gamma: NDArray[np.float64]
    noise: NDArray[np.float64]
    blur: NDArray[np.float64]


class Pictures:
    """Training pictures on a device, and their truth beside them on the host."""

    def __init__(self, samples: Sequence[Sample], device: torch.device | str) -> None:
        images = [np.ascontiguousarray(one.image.transpose(2, 0, 1)) for one in samples]
        self.pixels = torch.from_numpy(np.concatenate([image.ravel() for image in images]))
        self.pixels = self.pixels.to(device)  # steps never wait for pictures
        self.bands = images[0].shape[0]
        self.first = np.cumsum([0, *(image.size for image in images[:-1])])
        truths = [one.truth for one in samples]
        self.size = np.array([(truth.width, truth.height) for truth in truths])
        self.number = np.array([len(truth) for truth in truths])
        most = max(1, int(self.number.max()))
        self.labels = np.zeros((len(truths), most), np.int64)  # 0 where a picture has fewer
        self.steps = np.full((len(truths), most), -1)  # `flux_steps` of each
        self.centres, self.halves = np.zeros((2, len(truths), most, 2))
        for row, truth in enumerate(truths):
            here = slice(0, len(truth))
            self.labels[row, here], self.centres[row, here] = truth.labels, truth.centres
            self.steps[row, here] = flux_steps(truth)
            self.halves[row, here] = (truth.boxes[:, 2:] - truth.boxes[:, :2]) / 2

    def draw(self, seed: int, epoch: int, *, free_turns: bool = False) -> Changes:
        """Return the changes of all pictures in an epoch; quarter turns unless `free_turns`."""
        rng, number = np.random.default_rng([seed, epoch]), len(self.size)
        size = cut_size(self.size)
        corner = np.floor(rng.random((number, 2)) * (self.size - size + 1))
        # A cut of this size that holds one of the objects.
        which = np.floor(rng.random(number) * self.number).astype(int)
        at = self.centres[np.arange(number), which].round()
        low = (at - size + 1).clip(0, self.size - size)
        around = low + np.floor(rng.random((number, 2)) * (at.clip(0, self.size - size) - low + 1))
        on_object = (rng.random(number) < ON_OBJECT) & (self.number > 0)
        corner = np.where(on_object[:, None], around, corner)
        quarters = rng.integers(4, size=number)
        turn = (quarters + free_turns * rng.uniform(0, 4, number)) * (np.pi / 2)
        swapped = (quarters % 2 == 1)[:, None] & (not free_turns)
        blurred = rng.random(number) < BLUR_PART
        return Changes(
            middle=corner + (size - 1) / 2,
            size=np.where(swapped, size[:, ::-1], size),
            turn=turn.astype(np.float64),
            mirrored=rng.random(number) < 0.5,
            gain=1 + rng.uniform(-MOST_GAIN, MOST_GAIN, number),
            gamma=np.exp(rng.uniform(-MOST_GAMMA, MOST_GAMMA, number)),
            noise=rng.uniform(0, MOST_NOISE, number),
            blur=np.where(blurred, rng.uniform(*BLUR_PIXELS, number), 0.0),
        )

    def augment(
        self, indices: Sequence[int], changes: Changes, noise_seed: int
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Return changed pictures `indices`, their sizes and what is true of them, on the device.

        Returns
        -------
        images
            (B, C, H, W) in [0, 1], 0 in the padding to the next multiples of the coarsest stride.
        sizes
            (B, 2) heights and widths without padding.
        known
            Boxes (B, M, 4) from the corner of pixel 0, labels (B, M), 0 where a picture has fewer,
            and `flux_steps` (B, M).
        """
        rows = np.asarray(indices)
        # Columns and rows of an output's axes in the picture: a turn, mirrored or not.
        axes = _axes(changes.turn[rows], changes.mirrored[rows])
        size, middle = changes.size[rows], changes.middle[rows]
        device, height, width = self.pixels.device, *padded_size(*size[:, ::-1].max(axis=0))
        drawn = np.concatenate([
            axes.reshape(-1, 4), middle, size, self.size[rows],
            *(getattr(changes, name)[rows, None] for name in ("gain", "gamma", "noise")),
        ], axis=1)  # fmt: skip
        sent = torch.from_numpy(drawn).float().to(device)
        first = torch.from_numpy(self.first[rows]).to(device)
        with torch.autocast(device.type, enabled=False):
            whole, inside = self._gather(sent[:, :10], first, (height, width))
            pictures = _blurred(whole / 255, inside, changes.blur[rows].tolist())
        generator = torch.Generator(device).manual_seed(noise_seed)
        grey = torch.randn(inside.shape, generator=generator, device=device)
        gain, gamma, noise = (column[:, None, None, None] for column in sent[:, 10:].T)
        changed = (pictures.pow(gamma) * gain + grey * noise).clamp(0, 1) * inside
        boxes, labels = self._boxes(rows, axes, middle, size)
        known = (torch.from_numpy(boxes).float().to(device), torch.from_numpy(labels).to(device),
                 torch.from_numpy(self.steps[rows]).to(device))  # fmt: skip
        return changed, sent[:, [7, 6]], known

    def _gather(
        self, known: Tensor, first: Tensor, shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return turned parts (B, C, H, W), linear between pixels, and (B, 1, H, W) 1 inside."""
        axes, middle, size, whole = known[:, :4], *(known[:, k : k + 2] for k in (4, 6, 8))
        device = known.device
        column = torch.arange(shape[1], device=device)[None, None] - (size[:, :1, None] - 1) / 2
        row = torch.arange(shape[0], device=device)[None, :, None] - (size[:, 1:, None] - 1) / 2
        a, b, c, d = (axes[:, k, None, None] for k in range(4))
        x = middle[:, 0, None, None] + a * column + b * row
        y = middle[:, 1, None, None] + c * column + d * row
        wide, high = (whole[:, k, None, None] for k in range(2))
        inside = (
            (column <= (size[:, :1, None] - 1) / 2) & (row <= (size[:, 1:, None] - 1) / 2)
            & (x > -0.5) & (x < wide - 0.5) & (y > -0.5) & (y < high - 0.5)
        )  # fmt: skip
        x, y = torch.minimum(x.clamp(min=0), wide - 1), torch.minimum(y.clamp(min=0), high - 1)
        left, top = x.floor(), y.floor()
        right, bottom = torch.minimum(left + 1, wide - 1), torch.minimum(top + 1, high - 1)
        plane = (wide * high).long() * torch.arange(self.bands, device=device)[:, None, None, None]
        start, wide = first[:, None, None] + plane, wide.long()  # (C, B, 1, 1)
        out = torch.zeros((), device=device)
        for at_x, weight_x in ((left, left + 1 - x), (right, x - left)):
            for at_y, weight_y in ((top, top + 1 - y), (bottom, y - top)):
                pixels = self.pixels[start + at_y.long() * wide + at_x.long()]
                out = out + pixels * (weight_x * weight_y)
        return out.transpose(0, 1) * inside[:, None], inside[:, None].float()

    def _boxes(
        self, rows: NDArray[Any], axes: NDArray[Any], middle: NDArray[Any], size: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return boxes (B, M, 4) and labels (B, M) in the parts, label 0 for those outside."""
        at = (self.centres[rows] - middle[:, None]) @ axes + (size[:, None] - 1) / 2
        inside = ((at > -0.5) & (at < size[:, None] - 0.5)).all(axis=-1)
        swapped = (np.abs(axes[:, 0, 0]) < 0.5)[:, None, None]
        half = np.where(swapped, self.halves[rows][:, :, ::-1], self.halves[rows])
        labels = np.where(inside, self.labels[rows], 0)
        boxes = np.concatenate([at - half, at + half], axis=-1) + HALF_PIXEL
        return np.where(labels[:, :, None] > 0, boxes, 0.0), labels


def flux_steps(truth: Annotation) -> NDArray[np.int64]:
    """Return (N,) how many of `BRIGHTER` a clump's flux ratio reaches; -1: unknown, or no clump."""
    steps = np.searchsorted(BRIGHTER, truth.flux_ratio, side="right")
    known = (truth.labels == Label.CLUMP) & np.isfinite(truth.flux_ratio)
    return np.where(known, steps, -1)


def _axes(turn: NDArray[np.float64], mirrored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (N, 2, 2): columns are the directions of a part's x and y in its picture."""
    cosine, sine = np.cos(turn).round(12), np.sin(turn).round(12)  # quarter turns are exact
    sign = np.where(mirrored, -1.0, 1.0)
    return np.stack([cosine * sign, -sine, sine * sign, cosine], axis=-1).reshape(-1, 2, 2)


def cut_size(size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sizes (..., 2) of pictures after the cut to `LARGEST`."""
    return np.minimum(size, LARGEST)


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
