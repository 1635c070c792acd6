"""The models: letters (B, T) in, scores of all states (B, T, G) out, nothing seen of the future."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from rnnkernels import LSTM, SLSTM
from torch import nn
from torch.nn import functional

from workbench.errors import WorkbenchError
from workbench.statetracking.tasks import find_task

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.statetracking.settings import Settings

ATTENTION_HEADS = 4
WIDTH_STEP = 4 * ATTENTION_HEADS  # fused attention wants heads of 16 bytes
RNNS = {"lstm": LSTM, "slstm": SLSTM}


class RecurrentTracker(nn.Module):
    """Embedding, layers of a recurrent cell, one linear map to the states' scores."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        task, hidden = find_task(settings.task), settings.hidden
        self.embedding = nn.Embedding(len(task.letters), hidden)
        self.rnn = RNNS[settings.model](
            hidden, hidden, settings.layers, batch_first=True, num_heads=settings.heads
        )
        self.scores = nn.Linear(hidden, task.states)

    def forward(self, letters: Tensor) -> Tensor:
        """Return scores (B, T, G) for letters (B, T)."""
        outputs, _ = self.rnn(self.embedding(letters))
        scores: Tensor = self.scores(outputs)
        return scores


class Transformer(nn.Module):
    """Causal Transformer with normalisation before each part, as is usual for language models."""

    def __init__(self, settings: Settings, width: int, inner: int) -> None:
        super().__init__()
        task = find_task(settings.task)
        rotary = settings.positions == "rotary"
        self.embedding = nn.Embedding(len(task.letters), width)
        self.blocks = nn.ModuleList(
            Block(width, inner, rotary=rotary) for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, task.states)

    def forward(self, letters: Tensor) -> Tensor:
        """Return scores (B, T, G) for letters (B, T)."""
        x = self.embedding(letters)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.scores(self.norm(x))
        return scores


class Block(nn.Module):
    """Attention to the past, then a perceptron with `inner` hidden units."""

    def __init__(self, width: int, inner: int, *, rotary: bool) -> None:
        super().__init__()
        self.rotary = rotary
        self.norm_attention, self.norm_perceptron = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output (B, T, width)."""
        x = x + self._attend(self.norm_attention(x))
        raised: Tensor = self.down(functional.gelu(self.up(self.norm_perceptron(x))))
        return x + raised

    def _attend(self, x: Tensor) -> Tensor:
        B, T, width = x.shape
        q, k, v = (
            part.view(B, T, ATTENTION_HEADS, -1).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        if self.rotary:
            q, k = rotate(q), rotate(k)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(seen.transpose(1, 2).reshape(B, T, width))
        return out


def rotate(x: Tensor) -> Tensor:
    """Turn pairs of numbers of x (B, N, T, D) by angles that grow with t (Su et al. 2021)."""
    half = x.shape[-1] // 2
    speeds = 10_000.0 ** (-torch.arange(half, device=x.device) / half)
    angles = torch.outer(torch.arange(x.shape[-2], device=x.device), speeds)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def parameters(model: nn.Module) -> int:
    """Return the number of weights."""
    return sum(p.numel() for p in model.parameters())


def build(settings: Settings) -> nn.Module:
    """Return the model of a run with the first weights of its seed.

    A Transformer is given as many parameters as the LSTM of the same settings has.
    """
    torch.manual_seed(settings.seed)
    if settings.model in RNNS:
        return RecurrentTracker(settings)
    return Transformer(settings, *matched_widths(settings))


def matched_widths(settings: Settings) -> tuple[int, int]:
    """Return width and perceptron's width with which a Transformer is of the LSTM's size.

    The width is the one of those that fast attention takes at which the perceptron is nearest to
    four times as wide, as is usual; the perceptron's width then takes up what is left.
    """
    task, hidden = find_task(settings.task), settings.hidden
    ends, layers = len(task.letters) + task.states, settings.layers
    goal = hidden * ends + layers * 4 * hidden * (hidden + hidden // settings.heads + 2)

    def inner(width: int) -> int:
        rest = goal - width * (ends + 2) - settings.depth * width * (4 * width + 5)
        return round(rest / (settings.depth * (2 * width + 1)))

    widths = range(WIDTH_STEP, 8 * hidden + WIDTH_STEP, WIDTH_STEP)
    width = min(widths, key=lambda w: abs(inner(w) / w - 4))
    if inner(width) < 1:
        raise WorkbenchError(
            f"hidden: no Transformer of {settings.depth} layers is as small as an LSTM of "
            f"{hidden} units; give more units or less depth"
        )
    return width, inner(width)
