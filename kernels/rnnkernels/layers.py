"""One layer of a recurrent module: from torch's weights and states to a call of `rnn` and back.

B batch, T steps, I inputs, H hidden units in N heads of D, G gates, S states. Both directions of a
bidirectional layer run in one call, as heads of the same recurrence, the second on reversed input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from rnnkernels.api import rnn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from rnnkernels.definition import Cell


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer and direction, as torch lays them out."""

    ih: Tensor  # (G H, I)
    hh: Tensor  # (G H, D), or (G H, P) with a projection
    bias_ih: Tensor | None  # (G H)
    bias_hh: Tensor | None  # (G H)
    hr: Tensor | None  # (P, H): h is projected to P numbers
    p: Tensor | None  # (parameters of the cell, H)


@dataclass(frozen=True)
class Call:
    """What `rnn` takes, for one direction."""

    wx: Tensor  # (B, T, G, N, D)
    r: Tensor  # (G, N, D, D)
    b: Tensor | None  # (G_bias, N, D)
    initial: Tensor | None  # (S, B, N, D)


def run(
    cell: Cell,
    directions: Sequence[Weights],
    x: Tensor,
    initial: Sequence[Tensor] | None,
    lengths: Tensor | None,
    *,
    heads: int,
    backend: str,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer on x (B, T, I), from initial states each (directions, B, H).

    Returns outputs (B, T, directions * H) and the last states, each (directions, B, H); h has size
    P instead of H with a projection.
    """
    B, T = x.shape[:2]
    both = len(directions) == 2
    calls = []
    for k, weights in enumerate(directions):
        start = None if initial is None else [state[k] for state in initial]
        calls.append(_call(cell, weights, reverse(x, lengths) if k else x, start, heads))
    call = _side_by_side(*calls) if both else calls[0]
    states, last = rnn(call.wx, call.r, call.b, cell, backend, call.initial, lengths)
    outputs = list(states[0].reshape(B, T, len(directions), -1).unbind(2))
    h, *others = last.reshape(len(last), B, len(directions), -1).transpose(1, 2).unbind(0)
    if directions[0].hr is not None:
        projections = [w.hr for w in directions if w.hr is not None]
        outputs = [functional.linear(*pair) for pair in zip(outputs, projections, strict=True)]
        h = torch.stack([functional.linear(*pair) for pair in zip(h, projections, strict=True)])
        if initial is not None and lengths is not None:
            h = torch.where((lengths == 0).unsqueeze(1), initial[0].to(h.dtype), h)
    if both:
        outputs[1] = reverse(outputs[1], lengths)
    return torch.cat(outputs, 2) if both else outputs[0], (h, *others)


def _call(
    cell: Cell, weights: Weights, x: Tensor, initial: list[Tensor] | None, heads: int
) -> Call:
    """Return the arguments of `rnn` for one direction; initial states are (B, H) each."""
    B, T = x.shape[:2]
    D = weights.ih.shape[0] // (len(cell.gates) * heads)
    shape = (len(cell.gates), heads, D)
    wx = functional.linear(x, weights.ih).view(B, T, *shape)
    r = weights.hh
    if weights.hr is not None:
        # R (W_hr h) is (R W_hr) h: the recurrence itself needs no projection. Only the first step
        # does, where h is given projected: it goes into W x.
        r = weights.hh @ weights.hr
        if initial is not None:
            first = functional.linear(initial[0], weights.hh).view(B, 1, *shape)
            wx = torch.cat([wx[:, :1] + first, wx[:, 1:]], 1)
            initial = [wx.new_zeros(B, heads * D), *initial[1:]]
    start = None if initial is None else torch.stack(initial).view(-1, B, heads, D)
    return Call(wx, r.view(*shape, D), _bias(cell, weights, shape), start)


def _bias(cell: Cell, weights: Weights, shape: tuple[int, int, int]) -> Tensor | None:
    """Return the rows of b: b_ih + b_hh, or both apart where the cell keeps them apart."""
    rows = []
    if weights.bias_ih is not None and weights.bias_hh is not None:
        inner = weights.bias_hh.view(shape)
        added = [
            torch.zeros_like(row) if gate in cell.recurrent_bias else row
            for gate, row in zip(cell.gates, inner, strict=True)
        ]
        rows.append(weights.bias_ih.view(shape) + torch.stack(added))
        rows += [inner[cell.gates.index(gate)].unsqueeze(0) for gate in cell.recurrent_bias]
    elif weights.p is not None:
        rows.append(weights.p.new_zeros(cell.biases, *shape[1:]))
    if weights.p is not None:
        rows.append(weights.p.view(-1, *shape[1:]))
    return torch.cat(rows) if rows else None


def _side_by_side(first: Call, second: Call) -> Call:
    """Return one call whose heads are those of both."""

    def joined(a: Tensor | None, b: Tensor | None, axis: int) -> Tensor | None:
        return None if a is None or b is None else torch.cat([a, b], axis)

    return Call(
        torch.cat([first.wx, second.wx], 3),
        torch.cat([first.r, second.r], 1),
        joined(first.b, second.b, 1),
        joined(first.initial, second.initial, 2),
    )


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse x (B, T, H) in time, each row within its length; padding stays where it is."""
    if lengths is None:
        return x.flip(1)
    t = torch.arange(x.shape[1], device=x.device)
    ends = lengths.unsqueeze(1)
    return _turn(x, torch.where(t < ends, ends - 1 - t, t).unsqueeze(2))


class _Turn(torch.autograd.Function):
    """Gather steps that change places in pairs, which undoes itself and so is its own derivative.

    The derivative that PyTorch knows of a gather adds with atomics: slow, and refused where
    deterministic algorithms are asked for.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor) -> Tensor:
        ctx.save_for_backward(source)
        return x.gather(1, source.expand_as(x))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return _turn(dy, ctx.saved_tensors[0]), None


def _turn(x: Tensor, source: Tensor) -> Tensor:
    function: Any = _Turn  # torch leaves `apply` without types
    turned: Tensor = function.apply(x, source)
    return turned
