"""The backends, declared as data; which of them run here; which one `auto` takes.

A backend is a module with the functions of `Backend`. To add one: its module, and one row below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem


class Backend(Protocol):
    """What a backend module offers. All tensors are contiguous, on one device, of one dtype.

    wx (B, T, G, N, D); r (G, N, D_out, D_in); b (biases, N, D); initial (S, B, N, D) or None;
    lengths (B,) int32 or None; states (S, B, T, N, D); last (S, B, N, D).
    """

    name: str

    def unsupported(self, problem: Problem) -> str | None:
        """Return why this problem cannot run here and what would work, or None if it can."""
        ...

    def forward(  # noqa: PLR0917 - one order for every backend
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return states, last and what backward wants kept (only if problem.needs_grad)."""
        ...

    def backward(  # noqa: PLR0917 - forward's arguments, then its results
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
        states: Tensor,
        last: Tensor,
        saved: tuple[Tensor, ...],
        dstates: Tensor | None,
        dlast: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return dwx, dr, db and dinitial (None without an initial state)."""
        ...
