"""The operators that PyTorch sees: `rnnkernels::forward` and `rnnkernels::backward`.

torch.compile, autograd and fake tensors know the recurrence by these two; what runs inside is one
of the backends. A cell travels as its key, so a compiled graph is bound to one definition.

Autograd is registered as a `torch.autograd.Function` at the operators' own dispatch key:
PyTorch's own `register_autograd` costs 40 us more a call, a tenth of the fastest kernels.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, library

from rnnkernels.definition import by_key
from rnnkernels.errors import DerivativeError
from rnnkernels.problem import Problem
from rnnkernels.registry import select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _forward(  # noqa: PLR0917 - the public call's order
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
    kept = [(tuple(tensor.shape), tensor.dtype) for tensor in saved]
    assert kept == problem.saved_like(), f"{runner.name} kept {kept}"
    return [states, last, *saved]


def _forward_like(
    wx: Tensor,
    _r: Tensor,
    _b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    cell: str,
    _backend: str,
    needs_grad: bool,
) -> list[Tensor]:
    problem = _problem(wx, initial, lengths, cell, needs_grad)
    B, T, _, N, D = wx.shape
    count = len(problem.cell.states)
    states, last = wx.new_empty((count, B, T, N, D)), wx.new_empty((count, B, N, D))
    kept = (wx.new_empty(shape, dtype=dtype) for shape, dtype in problem.saved_like())
    return [states, last, *kept]


def _backward(  # noqa: PLR0917 - forward's arguments, then its results
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


def _backward_like(
    wx: Tensor, r: Tensor, b: Tensor, initial: Tensor | None, *_: object
) -> list[Tensor]:
    inputs = (wx, r, b) if initial is None else (wx, r, b, initial)
    return [t.new_empty(t.shape) for t in inputs]


# The guard with which every autograd kernel calls its operator again; it has no public name.
_below_autograd: Callable[[], AbstractContextManager[None]] = torch._C._AutoDispatchBelowAutograd  # noqa: SLF001


class _Recurrence(torch.autograd.Function):
    """The forward operator as autograd sees it; its derivative is the backward operator."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        with _below_autograd():
            results = forward(*inputs)
        *tensors, ctx.cell, ctx.backend, ctx.needs_grad = inputs
        ctx.save_for_backward(*tensors, *results)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *adjoints: Any) -> Any:
        if not ctx.needs_grad:
            raise DerivativeError("forward ran with needs_grad=False and kept nothing: use rnn()")
        wx, r, b, initial, lengths, *results = ctx.saved_tensors
        dwx, dr, db, *dinitial = backward(
            wx, r, b, initial, lengths, results, adjoints[0], adjoints[1], ctx.cell, ctx.backend
        )
        return dwx, dr, db, (dinitial[0] if dinitial else None), None, None, None, None


class _Derivative(torch.autograd.Function):
    """The backward operator as autograd sees it: the end of the line."""

    @staticmethod
    def forward(_ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        with _below_autograd():
            return tuple(backward(*inputs))

    @staticmethod
    def backward(_ctx: Any, *_adjoints: Any) -> NoReturn:
        raise DerivativeError(
            "rnn has no second derivative: the kernels define the first one only. For small "
            "problems, write the loop over time in plain PyTorch, whose autograd goes to any order"
        )


def _define(
    name: str,
    run: Callable[..., list[Tensor]],
    like: Callable[..., list[Tensor]],
    function: Any,
) -> Callable[..., list[Tensor]]:
    """Register an operator: what it runs, its fake for shapes, its autograd function."""
    full = f"rnnkernels::{name}"
    schema = library.infer_schema(run, mutates_args=())
    library.define(full, schema, tags=torch.Tag.pt2_compliant_tag)
    library.impl(full, "CompositeExplicitAutograd", run)
    library.register_fake(full, like)
    operator: Callable[..., list[Tensor]] = getattr(torch.ops.rnnkernels, name).default

    def differentiable(*inputs: Any) -> list[Tensor]:
        if torch.is_grad_enabled():
            return list(function.apply(*inputs))
        with _below_autograd():
            return operator(*inputs)

    library.impl(full, "Autograd", differentiable)
    return operator


forward = _define("forward", _forward, _forward_like, _Recurrence)
backward = _define("backward", _backward, _backward_like, _Derivative)


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


_choose = lru_cache(maxsize=4096)(select)


_NOTHING = nullcontext()


def _plain(wx: Tensor) -> AbstractContextManager[None]:
    """Run on wx's device without autocast: the backends choose every dtype themselves."""
    kind = wx.device.type
    elsewhere = kind == "cuda" and torch.cuda.current_device() != wx.get_device()
    casts = torch.is_autocast_enabled(kind)
    return _changed(wx, elsewhere=elsewhere, casts=casts) if elsewhere or casts else _NOTHING


@contextmanager
def _changed(wx: Tensor, *, elsewhere: bool, casts: bool) -> Iterator[None]:
    with (
        torch.cuda.device(wx.device) if elsewhere else _NOTHING,
        torch.autocast(wx.device.type, enabled=False) if casts else _NOTHING,
    ):
        yield


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
