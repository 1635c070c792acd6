"""`rnn`: the public call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rnnkernels import ops
from rnnkernels.cells import find
from rnnkernels.errors import ArgumentError
from rnnkernels.registry import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from rnnkernels.definition import Cell


def rnn(  # noqa: PLR0917 - tensors, then options, each with a default
    wx: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    cell: str | Cell = "lstm",
    backend: str = "auto",
    initial: Tensor | None = None,
    lengths: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run a recurrent cell over time and return (states, last).

    Parameters
    ----------
    wx
        (B, T, G, N, D): W x of each gate, in the order of the cell's `gates`; N heads of size D.
    r
        (G, N, D_out, D_in): the recurrent matrix of each gate and head; D_out = D_in = D.
    b
        (G_bias, N, D): one row per gate, then the cell's recurrent biases (GRU: one, of n), then
        its parameters; None for zeros.
    cell
        "elman", "gru", "lstm", "slstm", or a cell defined with `@cell`.
    backend
        "auto", or one of `available()`; a backend that cannot run the call is an error.
    initial
        (S, B, N, D): the states before the first step, h first; None for zeros.
    lengths
        (B,): the number of valid steps of each row. A finished row keeps its states, its later
        outputs are zero.

    Returns
    -------
    states (S, B, T, N, D), last (S, B, N, D), in the dtype of wx: float32, float16, bfloat16, or
    float64 on the reference. Arithmetic is float32, and so are all states but h between steps.

    Raises
    ------
    ArgumentError, CellError, UnsupportedError: see `rnnkernels.errors`.
    """
    found = find(cell)
    check_name(backend)
    _check_tensors(wx=wx, r=r, b=b, initial=initial)
    wx, r, b, initial = _cast(wx, r, b, initial)
    _check(found, wx, r, b, initial)
    B, T, _, N, D = wx.shape
    b = wx.new_zeros(found.bias_rows, N, D) if b is None else b
    counts = None if lengths is None else check_lengths(lengths, B, T, wx.device)
    return _run(found, wx, r, b, initial, counts, backend)


def _run(  # noqa: PLR0917 - as rnn
    cell: Cell,
    wx: Tensor,
    r: Tensor,
    b: Tensor,
    initial: Tensor | None,
    lengths: Tensor | None,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """Call the operator on checked tensors.

    Backends know no parameters: each travels as one more state that never changes.
    """
    visible = len(cell.states)
    if cell.parameters:
        B, _, _, N, D = wx.shape
        start = wx.new_zeros(visible, B, N, D) if initial is None else initial
        constant = b[cell.biases :].unsqueeze(1).expand(-1, B, N, D)
        initial, b = torch.cat([start, constant]), b[: cell.biases]
    inputs = (wx, r, b) if initial is None else (wx, r, b, initial)
    needs_grad = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
    states, last, *_ = ops.forward(wx, r, b, initial, lengths, cell.kernel_key, backend, needs_grad)
    return (states[:visible], last[:visible]) if cell.parameters else (states, last)


def _check_tensors(**given: object) -> None:
    for name, value in given.items():
        optional = name not in {"wx", "r"}
        if not isinstance(value, torch.Tensor) and not (optional and value is None):
            raise ArgumentError(f"{name}: expected a tensor, got {type(value).__name__}")


def _cast(
    wx: Tensor, r: Tensor, b: Tensor | None, initial: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Under autocast, convert all inputs to its dtype, as for a matrix product."""
    kind = wx.device.type
    known = kind != "meta"  # of which torch cannot tell whether it casts
    if not known or not torch.is_autocast_enabled(kind) or wx.dtype == torch.float64:
        return wx, r, b, initial
    to = torch.get_autocast_dtype(kind)
    return (
        wx.to(to),
        r.to(to),
        None if b is None else b.to(to),
        None if initial is None else initial.to(to),
    )


def _check(cell: Cell, wx: Tensor, r: Tensor, b: Tensor | None, initial: Tensor | None) -> None:
    gates = len(cell.gates)
    if wx.ndim != 5 or wx.shape[2] != gates:
        raise ArgumentError(
            f"wx: expected shape (B, T, {gates}, N, D) for cell {cell.name} with gates "
            f"{', '.join(cell.gates)}, got {tuple(wx.shape)}"
        )
    B, T, _, N, D = wx.shape
    if min(B, T, N, D) < 1:
        raise ArgumentError(f"wx: expected every size to be at least 1, got {tuple(wx.shape)}")
    if not wx.dtype.is_floating_point:
        raise ArgumentError(f"wx: expected a floating dtype, got {wx.dtype}")
    _check_like("r", r, wx, (gates, N, D, D), "(G, N, D_out, D_in)")
    rows = "one row per gate, then recurrent biases, then parameters"
    if b is not None:
        _check_like("b", b, wx, (cell.bias_rows, N, D), f"(G_bias, N, D): {rows}")
    if initial is not None:
        _check_like("initial", initial, wx, (len(cell.states), B, N, D), "(S, B, N, D)")


def _check_like(name: str, given: Tensor, wx: Tensor, shape: tuple[int, ...], layout: str) -> None:
    if tuple(given.shape) != shape:
        raise ArgumentError(
            f"{name}: expected shape {shape}, which is {layout}, got {tuple(given.shape)}"
        )
    if given.dtype != wx.dtype:
        raise ArgumentError(
            f"{name}: expected dtype {wx.dtype} as wx has, got {given.dtype}; "
            "convert it, or use torch.autocast"
        )
    if given.device != wx.device:
        raise ArgumentError(f"{name}: expected device {wx.device} as wx has, got {given.device}")


def check_lengths(lengths: Tensor | Sequence[int], B: int, T: int, device: torch.device) -> Tensor:
    """Return lengths (B,) as int32 on the device; their values are checked if they are on a CPU."""
    counts = torch.as_tensor(lengths)
    if counts.shape != (B,) or counts.dtype.is_floating_point or counts.dtype.is_complex:
        raise ArgumentError(
            f"lengths: expected {B} integers, shape ({B},), got {counts.dtype} of shape "
            f"{tuple(counts.shape)}"
        )
    if counts.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = int(counts.min()), int(counts.max())
        if low < 0 or high > T:
            raise ArgumentError(f"lengths: expected 0 to {T} (T), got {low} to {high}")
    return counts.to(device=device, dtype=torch.int32, non_blocking=True)
