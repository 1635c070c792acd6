"""The reference: the recurrence as a loop in PyTorch, any dtype, any device.

    r_t = R h_{t-1} + b_r;   states_t = cell(W x_t + b, r_t, states_{t-1})

and back, with the cell's derived derivative and the adjoints of the states, dstates:

    dx_t, dr_t, ds_t = cell'(..., dstates_t);   dstates_{t-1} += ds_t;   dh_{t-1} += R^T dr_t

R h and R^T dr are products in the storage dtype, as PyTorch users write them; the pointwise part is
float32 (float64 for float64), in which all states but h stay from step to step. Backward runs the
loop again instead of storing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rnnkernels.emit import torch_functions

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem

name = "reference"


def missing() -> str | None:
    """Return why this backend runs nowhere on this machine: never the case."""
    return None


def unsupported(problem: Problem) -> str | None:
    """Return None for every floating dtype."""
    if not problem.dtype.is_floating_point:
        return f"dtype {problem.dtype}: expected a floating dtype such as torch.float32"
    return None


@dataclass(frozen=True)
class _Step:
    """What one step read: x, r (G, B, N, D), h in the storage dtype, states (S, B, N, D)."""

    x: Tensor
    r: Tensor
    h: Tensor
    states: Tensor


class _Loop:
    """The loop of one call; `exact` is the dtype of everything pointwise."""

    def __init__(self, problem: Problem, wx: Tensor, r: Tensor, b: Tensor) -> None:
        self.cell, self.wx = problem.cell, wx
        self.storage = wx.dtype
        self.exact = torch.float64 if wx.dtype == torch.float64 else torch.float32
        self.B, self.T, self.G, self.N, self.D = wx.shape
        self.product = r.permute(1, 3, 0, 2).reshape(self.N, self.D, self.G * self.D)
        self.bias = b.to(self.exact)[: self.G].unsqueeze(1)
        rows = self.cell.recurrent_row
        none = torch.zeros_like(b[0])
        added = [none if row is None else b[row] for row in rows]
        self.recurrent_bias = torch.stack(added).to(self.exact).unsqueeze(1)
        self.forward_step, self.backward_step = torch_functions(self.cell)

    def read(self, t: int, states: Tensor) -> _Step:
        """Return the inputs of step t after these states."""
        h = states[0].to(self.storage)
        product = torch.bmm(h.transpose(0, 1), self.product).to(self.exact)
        r = product.view(self.N, self.B, self.G, self.D).permute(2, 1, 0, 3) + self.recurrent_bias
        x = self.wx[:, t].to(self.exact).transpose(0, 1) + self.bias
        # h is what was stored, also where the equations read it
        return _Step(x, r, h, torch.cat([h.to(self.exact).unsqueeze(0), states[1:]]))

    def start(self, initial: Tensor | None) -> Tensor:
        """Return the states before the first step."""
        shape = (len(self.cell.states), self.B, self.N, self.D)
        return (
            self.wx.new_zeros(shape, dtype=self.exact)
            if initial is None
            else initial.to(self.exact)
        )

    def live(self, t: int, lengths: Tensor) -> Tensor:
        """Return which rows still run at step t, to be broadcast over (S, B, N, D)."""
        return (lengths > t).view(1, self.B, 1, 1)

    def advance(self, t: int, step: _Step, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the states after the step, and as they are shown: zero in finished rows."""
        new = torch.stack(self.forward_step(*step.x, *step.r, *step.states))
        if lengths is None:
            return new, new
        live = self.live(t, lengths)
        return torch.where(live, new, step.states), torch.where(live, new, torch.zeros_like(new))

    def retreat(
        self, step: _Step, dafter: Tensor, live: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return dx, dr (G, B, N, D), dr in the storage dtype, and dstates before the step.

        A finished row passes its adjoints on, whatever its padding holds.
        """
        grads = torch.stack(self.backward_step(*step.x, *step.r, *step.states, *dafter))
        if live is not None:
            grads = torch.where(live, grads, torch.zeros_like(grads))
        dx, dr, before = grads[: self.G], grads[self.G : 2 * self.G], grads[2 * self.G :]
        dr = dr.to(self.storage)
        flat = dr.permute(2, 1, 0, 3).reshape(self.N, self.B, self.G * self.D)
        dh = torch.bmm(flat, self.product.transpose(1, 2)).to(self.exact).transpose(0, 1)
        before = torch.cat([(before[0] + dh).unsqueeze(0), before[1:]])
        return dx, dr, before if live is None else torch.where(live, before, dafter)


def forward(  # noqa: PLR0917 - as registry.Backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Run the loop; shapes as in `registry.Backend`."""
    loop = _Loop(problem, wx, r, b)
    states = loop.start(initial)
    shown = wx.new_empty((len(problem.cell.states), *wx.shape[:2], *wx.shape[3:]))
    saved = tuple(wx.new_empty(shape, dtype=dtype) for shape, dtype in problem.saved_like())
    for t in range(loop.T):
        states, seen = loop.advance(t, loop.read(t, states), lengths)
        shown[:, :, t] = seen
        for carried in saved:
            carried[:, :, t] = seen[1:]
    return shown, states.to(wx.dtype), saved


def backward(  # noqa: PLR0917 - as registry.Backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    _states: Tensor,
    last: Tensor,
    _saved: tuple[Tensor, ...],
    dstates: Tensor | None,
    dlast: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Run the loop again, then back through time; shapes as in `registry.Backend`."""
    loop = _Loop(problem, wx, r, b)
    steps, states = [], loop.start(initial)
    for t in range(loop.T):
        steps.append(loop.read(t, states))
        states, _ = loop.advance(t, steps[-1], lengths)
    dnow = torch.zeros_like(last, dtype=loop.exact) if dlast is None else dlast.to(loop.exact)
    dwx, dr = torch.empty_like(wx), torch.zeros_like(r, dtype=loop.exact)
    db = torch.zeros_like(b, dtype=loop.exact)
    for t in reversed(range(loop.T)):
        step, live = steps[t], None if lengths is None else loop.live(t, lengths)
        if dstates is not None:
            shown = dstates[:, :, t].to(loop.exact)
            dnow = dnow + (shown if live is None else torch.where(live, shown, 0.0))
        dx, drt, dnow = loop.retreat(step, dnow, live)
        dwx[:, t] = dx.transpose(0, 1)
        dr += torch.einsum("gbno,bni->gnoi", drt.to(loop.exact), step.h.to(loop.exact))
        db[: loop.G] += dx.sum(1)
        for gate, row in enumerate(problem.cell.recurrent_row):
            if row is not None:
                db[row] += drt[gate].to(loop.exact).sum(0)
    dinitial = None if initial is None else dnow.to(wx.dtype)
    return dwx, dr.to(wx.dtype), db.to(wx.dtype), dinitial
