"""What backward passes compute for all time steps at once: before and after their reverse loop.

    before   R h_{t-1} of every step from the stored h, so that no gate has to be stored
    after    dR_g = sum over b, t of dr_g h_{t-1}^T,    db_g = sum over b, t of dx_g or dr_g

B batch, T steps, G gates, N heads, D head dim. `dx` (B, T, G, N, D) is the gradient of W x + b, and
of R h too except for the cell's distinct gates, whose dr is kept apart in `distinct`
(B, T, K, N, D), K = sum(cell.distinct), in the order of the gates (None if K is 0).
Products accumulate in float32 (float64 for float64). Same inputs, same bits.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import torch

from rnnkernels.driver import bind_context
from rnnkernels.triton import sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from rnnkernels.definition import Cell


def multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Write a @ b, batched, into `out`, whose type may be wider; sums are float32 or wider."""
    if out.dtype == a.dtype:
        torch.bmm(a, b, out=out)
    elif a.is_cuda:
        torch.bmm(a, b, out_dtype=out.dtype, out=out)
    else:  # the CPU has no product with a wider result
        torch.bmm(a.to(out.dtype), b.to(out.dtype), out=out)


# Terms of a float32 sum that are added one after the other; then their sums are.
_AT_ONCE = 64
# Elements of a gradient that float64 costs nothing for.
_SMALL = 1024


def multiply_in_parts(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Write a @ b as `multiply`, but float32 sums of many terms in two levels.

    Added step by step, their error grows with the number of terms past that of storage in float32.
    """
    terms = a.shape[2]
    if a.dtype != torch.float32 or terms <= _AT_ONCE:
        multiply(a, b, out)
        return
    for first in range(0, terms, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        torch.baddbmm(out, a[:, :, part], b[:, part], beta=int(first > 0), out=out)


def previous_hidden(hidden: Tensor, initial: Tensor | None) -> Tensor:
    """Return h_{t-1} (B, T, N, D) from h (B, T, N, D) and h_{-1} (B, N, D), zero if None."""
    previous = torch.empty(hidden.shape, dtype=hidden.dtype, device=hidden.device)
    previous[:, 1:] = hidden[:, :-1]
    previous[:, 0] = 0 if initial is None else initial
    return previous


def recurrent_products(
    hidden: Tensor, initial: Tensor | None, r: Tensor, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Return R h_{t-1} (B, T, G, N, D) for all steps, as batched products over the heads.

    hidden (B, T, N, D) is h, initial (B, N, D) is h before the first step (zero if None),
    r (G, N, D_out, D_in). `dtype` is that of the result: of the inputs if None, else it may be
    float32.
    """
    B, T, N, D = hidden.shape
    G = r.shape[0]
    if hidden.is_cuda:  # autograd's thread may have no context yet, of which cuBLAS would warn
        bind_context(hidden.get_device())
    out = torch.empty((B, T, G, N, D), dtype=dtype or hidden.dtype, device=hidden.device)
    if sums.fits(hidden):
        sums.recurrent_products(hidden, initial, r, out)
        return out
    # The h before row b T + t is row b T + t - 1, but for t = 0. Those rows are written again
    # below, which costs less than a shifted copy of h.
    rows = B * T
    before, after = hidden.reshape(rows, N, D)[:-1], out.view(rows, G, N, D)[1:]
    if rows > 1 and N == 1:
        multiply_in_parts(before.view(1, -1, D), r.view(1, G * D, D).mT, after.view(1, -1, G * D))
    elif rows > 1:
        for gate in range(G):
            multiply_in_parts(before.transpose(0, 1), r[gate].mT, after[:, gate].transpose(0, 1))
    if initial is None:
        out[:, 0] = 0
    else:
        for gate in range(G):
            first = torch.empty((N, B, D), dtype=out.dtype, device=out.device)
            multiply_in_parts(initial.transpose(0, 1), r[gate].mT, first)
            out[:, 0, gate] = first.transpose(0, 1)
    return out


def recurrent_gradient(
    cell: Cell, dx: Tensor, distinct: Tensor | None, hidden: Tensor, initial: Tensor | None
) -> Tensor:
    """Return dR (G, N, D_out, D_in), in the type of dx.

    dx and distinct as at the top of this file, hidden (B, T, N, D) is h, initial (B, N, D) or None.
    """
    if sums.fits(dx):
        runs = _runs(cell, dx, distinct)
        return sums.weight_gradient(runs, dx.shape[2], hidden, initial).to(dx.dtype)
    B, T, G, N, D = dx.shape
    previous = previous_hidden(hidden, initial).view(B * T, N, D).transpose(0, 1)
    wide = torch.float64 if dx.dtype == torch.float64 else torch.float32
    dr = torch.empty((G, N, D, D), dtype=wide, device=dx.device)
    if N == 1 and distinct is None:
        _sum_over_rows(dx.view(1, B * T, G * D), previous, dr.view(1, G * D, D))
        return dr.to(dx.dtype)
    for gate in range(G):
        source = _recurrent(cell, gate, dx, distinct).flatten(0, 1)
        _sum_over_rows(source.transpose(0, 1), previous, dr[gate])
    return dr.to(dx.dtype)


def _sum_over_rows(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Write a^T b, batched, of a (N, rows, P) and b (N, rows, Q) into out (N, P, Q).

    Storage of 16 bits rounds more than float32 sums over all rows do; of float32, small heads are
    summed in float64.
    """
    if a.dtype == torch.float32 and a.shape[2] * b.shape[2] <= _SMALL:
        out.copy_(torch.bmm(a.mT.double(), b.double()))
    else:
        multiply_in_parts(a.mT, b, out)


def bias_gradient(cell: Cell, dx: Tensor, distinct: Tensor | None) -> Tensor:
    """Return db (biases, N, D), in the type of dx: a row per gate, then the recurrent rows."""
    wide = torch.float64 if dx.dtype == torch.float64 else torch.float32
    rows = [dx.sum((0, 1), dtype=wide)]
    for name in cell.recurrent_bias:
        source = _recurrent(cell, cell.gates.index(name), dx, distinct)
        rows.append(source.sum((0, 1), dtype=wide).unsqueeze(0))
    return torch.cat(rows).to(dx.dtype)


def _runs(cell: Cell, dx: Tensor, distinct: Tensor | None) -> Iterator[tuple[Tensor, int, int]]:
    """Yield (tensor, first gate in it, how many) that together are dr of all gates in order."""
    gate = 0
    for apart, run in groupby(cell.distinct):
        count = len(list(run))
        if apart:
            yield _kept_apart(cell, gate, distinct), sum(cell.distinct[:gate]), count
        else:
            yield dx, gate, count
        gate += count


def _kept_apart(cell: Cell, gate: int, distinct: Tensor | None) -> Tensor:
    if distinct is None:
        raise ValueError(f"gate {cell.gates[gate]} of {cell.name} has a dr of its own: expected it")
    return distinct


def _recurrent(cell: Cell, gate: int, dx: Tensor, distinct: Tensor | None) -> Tensor:
    """Return dr (B, T, N, D) of one gate."""
    if not cell.distinct[gate]:
        return dx[:, :, gate]
    return _kept_apart(cell, gate, distinct)[:, :, sum(cell.distinct[:gate])]
