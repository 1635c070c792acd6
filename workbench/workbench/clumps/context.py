"""What is around a clump: the galaxy, far beyond what an encoder's coarsest pixel sees well.

A faint blue point is a clump on a disk and a galaxy of the field beside one. The coarsest map
(stride 16 of the default) is a dozen pixels a side, so kernels of seven see the whole galaxy in a
few blocks. Blocks are those of ConvNeXt (Liu et al. 2022, arXiv 2201.03545) with the mean over the
map added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import gelu

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, KERNEL = 128, 7  # channels, pixels


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.whole = nn.Linear(channels, channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norm(self.around(x)) + self.whole(x.mean(dim=(2, 3)))[:, :, None, None]
        changed: Tensor = self.narrow(gelu(self.widen(seen)))
        return x + changed


class Context(nn.Module):
    """Adds to each pixel of a map (B, channels, H, W) what `blocks` make of its surroundings.

    Nothing at first: a detector of other weights goes on as it was.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, WIDTH, 1)
        self.blocks = nn.Sequential(*(_Block(WIDTH) for _ in range(blocks)))
        self.widen = nn.Conv2d(WIDTH, channels, 1)
        for parameter in self.widen.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        """Return the map with its context, of the same shape."""
        added: Tensor = self.widen(self.blocks(self.narrow(features)))
        return features + added
