"""The operators that PyTorch sees: `rnnkernels::forward` and `rnnkernels::backward`.

torch.compile, autograd and fake tensors know the recurrence by these two; what runs inside is one
of the backends. A cell travels as its key, so a compiled graph is bound to one definition.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from rnnkernels.definition import by_key
from rnnkernels.errors import DerivativeError
from rnnkernels.problem import Problem
from rnnkernels.registry import select

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnnkernels.registry import Backend


@torch.library.custom_op("rnnkernels::forward", mutates_args=())
def forward(  # noqa: PLR0917 - the public call's order
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    backend: str,
    needs_grad: bool,
) -> list[Tensor]:
    """Return states (S, B, T, N, D), last (S, B, N, D) and what backward needs.

    wx (B, T, G, N, D), r (G, N, D, D), b (biases, N, D), initial (S, B, N, D), lengths (B,) int32.
    """
    problem = _problem(wx, initial, lengths, cell, needs_grad)
    runner = _choose(backend, problem)
    with _plain(wx):
        states, last, saved = runner.forward(
            problem,
            wx.contiguous(),
            r.contiguous(),
            b.contiguous(),
            _dense(initial),
            _dense(lengths),
        )
    return [states, last, *saved]


@forward.register_fake
def _forward_like(  # noqa: PLR0917 - as forward
    wx: Tensor,
    _r: Tensor,
    _b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    backend: str,
    needs_grad: bool,
) -> list[Tensor]:
    problem = _problem(wx, initial, lengths, cell, needs_grad)
    B, T, _, N, D = wx.shape
    count = len(problem.cell.states)
    states, last = wx.new_empty((count, B, T, N, D)), wx.new_empty((count, B, N, D))
    kept = _choose(backend, problem).saved_like(problem) if needs_grad else []
    return [states, last, *(wx.new_empty(shape, dtype=dtype) for shape, dtype in kept)]


@torch.library.custom_op("rnnkernels::backward", mutates_args=())
def backward(  # noqa: PLR0917 - forward's arguments, then its results
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    results: list[Tensor],
    dstates: Tensor | None,
    dlast: Tensor | None,
    cell: str,
    backend: str,
) -> list[Tensor]:
    """Return dwx, dr, db and, with an initial state, dinitial, each shaped like its input."""
    problem = _problem(wx, initial, lengths, cell, needs_grad=True)
    runner = _choose(backend, problem)
    states, last, *saved = results
    with _plain(wx):
        *grads, dinitial = runner.backward(
            problem,
            wx.contiguous(),
            r.contiguous(),
            b.contiguous(),
            _dense(initial),
            _dense(lengths),
            states,
            last,
            tuple(saved),
            _dense(dstates),
            _dense(dlast),
        )
    return [*grads, dinitial] if dinitial is not None else list(grads)


@backward.register_fake
def _backward_like(
    wx: Tensor, r: Tensor, b: Tensor, initial: Tensor | None, *_: object
) -> list[Tensor]:
    inputs = (wx, r, b) if initial is None else (wx, r, b, initial)
    return [t.new_empty(t.shape) for t in inputs]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    wx, r, b, initial, lengths, ctx.cell, ctx.backend, ctx.needs_grad = inputs
    ctx.save_for_backward(wx, r, b, initial, lengths, *output)
    ctx.set_materialize_grads(False)


def _derive(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    if not ctx.needs_grad:
        raise DerivativeError("forward ran with needs_grad=False, so nothing was kept: use rnn()")
    wx, r, b, initial, lengths, *results = ctx.saved_tensors
    dwx, dr, db, *dinitial = backward(
        wx, r, b, initial, lengths, results, grads[0], grads[1], ctx.cell, ctx.backend
    )
    return dwx, dr, db, (dinitial[0] if dinitial else None), None, None, None, None


def _no_second(_ctx: Any, *_grads: object) -> NoReturn:
    raise DerivativeError(
        "rnn has no second derivative: the kernels define the first one only. For small problems, "
        "write the loop over time in plain PyTorch, whose autograd goes to any order"
    )


forward.register_autograd(_derive, setup_context=_keep)
backward.register_autograd(_no_second)


def _problem(
    wx: Tensor, initial: Tensor | None, lengths: Tensor | None, cell: str, needs_grad: bool
) -> Problem:
    B, T, _, N, D = wx.shape
    tf32 = (
        wx.dtype == torch.float32
        and wx.device.type == "cuda"
        and torch.backends.cuda.matmul.fp32_precision == "tf32"
    )
    return Problem(
        by_key(cell),
        *(B, T, N, D),
        wx.dtype,
        wx.device,
        initial is not None,
        lengths is not None,
        needs_grad,
        tf32,
    )


_cached_select = lru_cache(maxsize=4096)(select)


def _choose(backend: str, problem: Problem) -> Backend:
    sizes = (problem.batch, problem.steps, problem.heads, problem.head_dim)
    # Symbolic sizes, under torch.compile, have no hash.
    fixed = all(isinstance(size, int) for size in sizes)
    return _cached_select(backend, problem) if fixed else select(backend, problem)


@contextmanager
def _plain(wx: Tensor) -> Iterator[None]:
    """Run on wx's device without autocast: the backends choose every dtype themselves."""
    device = wx.device
    with (
        torch.cuda.device(device) if device.type == "cuda" else nullcontext(),
        torch.autocast(device.type, enabled=False),
    ):
        yield


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
