"""Inputs of a problem, several sets of them, and what the right results are.

Right is what PyTorch's products give in more digits: the alternating backend in float32 for 16-bit
types on a GPU, the loop of the reference backend in float64 for float32 and on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from rnnkernels import CELLS, rnn

from workbench.bench.case import BOTH, Case

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("h", "dwx", "dr", "db")
_L2_TWICE = 120e6  # bytes; no GPU here has more L2 than half of it, or little more
_CPU_CACHE = 40e6


class Problem:
    """Sets of W x (B, T, G, N, D), with r (G, N, D, D), b (G_bias, N, D), dh (B, T, N, D)."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        self.dtype = getattr(torch, case.dtype)
        cell = CELLS[case.cell]
        B, T, N, D, G = case.batch, case.steps, case.heads, case.head_dim, len(cell.gates)
        generator = torch.Generator(device).manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, device=device, dtype=self.dtype, generator=generator)

        self.sets = rotation(B * T * G * N * D * self.dtype.itemsize, device)
        self.wx = [draw(B, T, G, N, D).requires_grad_() for _ in range(self.sets)]
        self.r = (draw(G, N, D, D) / D**0.5).requires_grad_()
        self.b = draw(cell.bias_rows, N, D).requires_grad_()
        self.dh = draw(B, T, N, D)
        self._truth: dict[str, Tensor] = {}

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor]:
        """W x of the first set, R and b."""
        return self.wx[0], self.r, self.b

    def results(self, backend: str, dtype: torch.dtype, direction: str) -> dict[str, Tensor]:
        """Return h, and for both directions the gradients, of the first set of inputs."""
        leaves = [leaf.detach().to(dtype).requires_grad_() for leaf in self.leaves]
        wx, r, b = leaves
        if direction != BOTH:
            with torch.no_grad():
                return {"h": rnn(wx, r, b, self.case.cell, backend)[0][0]}
        h = rnn(wx, r, b, self.case.cell, backend)[0][0]
        grads = torch.autograd.grad(h, leaves, self.dh.to(dtype))
        return dict(zip(NAMES, (h.detach(), *grads), strict=True))

    def truth(self) -> dict[str, Tensor]:
        """Return the right h and gradients; computed once a problem."""
        if not self._truth:
            several_digits = self.device.type == "cuda" and self.dtype.itemsize == 2
            backend, dtype = (
                ("alternating", torch.float32) if several_digits else ("reference", torch.float64)
            )
            self._truth = self.results(backend, dtype, BOTH)
        return self._truth


def rotation(size: int, device: torch.device) -> int:
    """Return how many sets of inputs of `size` bytes keep one from waiting in a cache: 2 to 32."""
    cache = _L2_TWICE if device.type == "cuda" else _CPU_CACHE
    return max(2, min(32, int(cache // size) + 1))


def allowed(case: Case, name: str) -> float:
    """Return the relative error a result may have, in norm over the norm of the right one.

    Four roundings of the stored type (h is rounded in each step, and steps before it weigh less and
    less), and sums of n terms in float32, which err by sqrt(n) roundings: n is the head size, for
    gradients of weights also all batch rows and steps.
    """
    terms: int = case.head_dim if name in {"h", "dwx", "y", "dx"} else case.batch * case.steps
    eps = float(torch.finfo(torch.float32).eps)
    stored = float(torch.finfo(getattr(torch, case.dtype)).eps)
    return 4 * stored + float(terms**0.5) * eps


def relative(found: Tensor, exact: Tensor) -> float:
    """Return the norm of the difference over the norm of the exact values."""
    return float((found.to(exact.dtype) - exact).norm() / exact.norm())
