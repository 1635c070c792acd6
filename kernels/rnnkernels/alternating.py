"""The alternating backend: per time step a product and a pointwise kernel. No limit on head_dim.

    forward     p = R h;  states = cell(W x + b, p + b_r, states)
    backward    dx, dr, d = cell'(W x + b, p + b_r, states_{t-1}, d);  d_h += R^T dr

On a GPU the product is the library's, the pointwise kernel is generated with Triton, and CUDA
graphs launch them (`rnnkernels.triton.steps`). On a CPU both are PyTorch calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rnnkernels.emit import torch_functions
from rnnkernels.gradients import recurrent_gradient, recurrent_products

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem

name = "alternating"

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def missing() -> str | None:
    """Return why no problem runs on this machine: never the case."""
    return None


def unsupported(problem: Problem) -> str | None:
    """Return why this problem does not run here and what would, or None."""
    if problem.dtype not in _DTYPES:
        return f'dtype {problem.dtype}: expected bfloat16, float16 or float32; use "reference"'
    if problem.device.type == "cpu":
        return None
    if problem.device.type != "cuda":
        return f'device {problem.device}: expected a CPU or CUDA device; use "reference"'
    major, minor = torch.cuda.get_device_capability(problem.device)
    if (major, minor) < (8, 0):
        return f'{problem.device} is sm_{major}{minor}: needs sm_80 or newer; use "reference"'
    return None


def _keeps_carried(problem: Problem) -> bool:
    """Whether c, n, m are kept in float32: if storage would round them before backward."""
    several = len(problem.cell.states) > 1
    return problem.needs_grad and several and problem.dtype != torch.float32


def saved_like(problem: Problem) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Return what forward keeps: c, n, m of every step in float32, for 16-bit storage."""
    if not _keeps_carried(problem):
        return []
    states = len(problem.cell.states)
    shape = (states - 1, problem.batch, problem.steps, problem.heads, problem.head_dim)
    return [(shape, torch.float32)]


def forward(  # noqa: PLR0917 - one order for every backend
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return states, last and what is kept; shapes as in `registry.Backend`."""
    B, T, _, N, D = wx.shape
    states = wx.new_empty((len(problem.cell.states), B, T, N, D))
    saved = tuple(wx.new_empty(shape, dtype=dtype) for shape, dtype in saved_like(problem))
    carried = saved[0] if saved else None
    if wx.is_cuda:
        from rnnkernels.triton.steps import forward_steps  # noqa: PLC0415 - needs Triton

        last = forward_steps(problem, (wx, b, lengths), r, initial, states, carried)
    else:
        last = _forward_loop(problem, wx, r, b, initial, lengths, states, carried)
    return states, last, saved


def backward(  # noqa: PLR0917 - forward's arguments, then its results
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    states: Tensor,
    _last: Tensor,
    saved: tuple[Tensor, ...],
    dstates: Tensor | None,
    dlast: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return dwx, dr, db and dinitial (None without an initial state)."""
    cell, hidden = problem.cell, states[0]
    first = None if initial is None else initial[0]
    B, T, _, N, D = wx.shape
    dx = torch.empty_like(wx)
    apart = wx.new_empty((B, T, sum(cell.distinct), N, D)) if any(cell.distinct) else None
    products = recurrent_products(hidden, first, r)
    carried = saved[0] if saved else None
    inputs = (wx, products, b, initial, lengths, states, carried)
    if wx.is_cuda:
        from rnnkernels.triton.steps import backward_steps  # noqa: PLC0415 - needs Triton

        db, dinitial = backward_steps(
            problem, inputs, r, dstates, dlast, (dx, apart), kept=carried is not None
        )
    else:
        db, dinitial = _backward_loop(problem, inputs, r, dstates, dlast, (dx, apart))
    dr = recurrent_gradient(cell, dx, apart, hidden, first)
    return dx, dr, db, None if initial is None else dinitial


def _biased(problem: Problem, x: Tensor, p: Tensor, b: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return W x + b and R h + b_r per gate, in float32, from x and p (B, G, N, D)."""
    cell, wide = problem.cell, b.float()
    xs = [x[:, g].float() + wide[g] for g in range(len(cell.gates))]
    rows = enumerate(cell.recurrent_row)
    return xs, [p[:, g].float() + (0 if row is None else wide[row]) for g, row in rows]


def _forward_loop(  # noqa: PLR0917 - as forward
    problem: Problem,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    states: Tensor,
    carried: Tensor | None,
) -> Tensor:
    """Fill states and carried on the CPU; return last."""
    S, B, T, N, D = states.shape
    step = torch_functions(problem.cell)[0]
    start = wx.new_zeros((S, B, N, D)) if initial is None else initial
    now = list(start.float().unbind(0))
    factor = r.transpose(0, 1).flatten(1, 2).float().mT  # (N, D_in, G D_out)
    for t in range(T):
        p = torch.bmm(now[0].transpose(0, 1), factor).view(N, B, -1, D).permute(1, 2, 0, 3)
        new = list(step(*_together(_biased(problem, wx[:, t], p, b)), *now))
        new[0] = new[0].to(wx.dtype).float()
        shown = new
        if lengths is not None:
            inner = (t < lengths).view(B, 1, 1)
            shown = [torch.where(inner, n, 0.0) for n in new]
            new = [torch.where(inner, n, s) for n, s in zip(new, now, strict=True)]
        now = new
        states[:, :, t] = torch.stack(shown)
        if carried is not None:
            carried[:, :, t] = torch.stack(shown[1:])
    return torch.stack(now).to(wx.dtype)


def _backward_loop(  # noqa: PLR0917 - as backward
    problem: Problem,
    inputs: tuple[Tensor | None, ...],
    r: Tensor,
    dstates: Tensor | None,
    dlast: Tensor | None,
    outputs: tuple[Tensor, Tensor | None],
) -> tuple[Tensor, Tensor]:
    """Fill dx and apart on the CPU; return db and dinitial."""
    wx, products, b, initial, lengths, states, carried = inputs
    assert wx is not None
    assert products is not None
    assert b is not None
    assert states is not None
    S, B, T, N, D = states.shape
    cell, (dx, apart) = problem.cell, outputs
    G = len(cell.gates)
    step = torch_functions(cell)[1]
    start = wx.new_zeros((S, B, N, D)) if initial is None else initial
    d = torch.zeros(S, B, N, D) if dlast is None else dlast.float()
    factor = r.transpose(0, 1).flatten(1, 2).float()  # (N, G D_out, D_in)
    recurrent = [cell.gates.index(gate) for gate in cell.recurrent_bias]
    db = torch.zeros(cell.biases, N, D)
    for t in reversed(range(T)):
        before = start if t == 0 else states[:, :, t - 1]
        s = list(before.float().unbind(0))
        if t > 0 and carried is not None:
            s[1:] = carried[:, :, t - 1].unbind(0)
        given = d if dstates is None else d + dstates[:, :, t]
        back = step(*_together(_biased(problem, wx[:, t], products[:, t], b)), *s, *given.unbind(0))
        step_dx, step_dr, ds = (
            torch.stack(part) for part in (back[:G], back[G : 2 * G], back[2 * G :])
        )
        if lengths is not None:
            inner = (t < lengths).view(1, B, 1, 1)
            step_dx, step_dr = (torch.where(inner, g, 0.0) for g in (step_dx, step_dr))
            ds = torch.where(inner, ds, d)
        db += torch.cat([step_dx, step_dr[recurrent]]).sum(1)
        dx[:, t] = step_dx.transpose(0, 1)
        if apart is not None:
            apart[:, t] = step_dr[list(cell.distinct)].transpose(0, 1)
        rounded = step_dr.to(wx.dtype).float().permute(2, 1, 0, 3).reshape(N, B, G * D)
        d = ds.clone()
        d[0] += torch.bmm(rounded, factor).transpose(0, 1)
    return db.to(wx.dtype), d.to(wx.dtype)


def _together(pair: tuple[list[Tensor], list[Tensor]]) -> list[Tensor]:
    return [*pair[0], *pair[1]]
