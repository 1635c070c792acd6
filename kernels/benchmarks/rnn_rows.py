"""What `bench_rnn.py` times: the rows of the table, their bounds, and a floor under each.

Bounds are milliseconds on an H200 for forward, and forward with backward, through the public call,
in bfloat16 at T = 1024. Floors come from `data/reference/floors_h200.jsonl`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 1024


@dataclass(frozen=True)
class Row:
    """One problem and what it may take at most, in ms."""

    cell: str
    heads: int
    head_dim: int
    batch: int
    forward_bound: float | None = None
    both_bound: float | None = None
    backend: str = "auto"

    @property
    def label(self) -> str:
        """How `--only` names it: cell, heads x head_dim, batch."""
        return f"{self.cell}-{self.heads}x{self.head_dim}-B{self.batch}"


_LSTM_BOUNDS = {
    (48, 16): (0.60, 1.6),
    (24, 32): (0.60, 1.6),
    (12, 64): (0.60, 1.6),
    (6, 128): (0.70, 2.0),
    (3, 256): (0.75, 2.2),
    (1, 512): (1.6, 4.2),
    (1, 768): (2.1, 5.5),
    (1, 1024): (3.0, 8.0),
    (1, 2048): (10.0, 25.0),
}
# times the LSTM's median of the same shape
RELATIVE_BOUNDS = {"gru": 1.3, "slstm": 1.3, "elman": 1.0}
_RELATIVE_SHAPES = ((12, 64), (1, 768))


def _small_batch() -> Iterator[Row]:
    """Yield the rows of batch 16, beside each LSTM what is bounded by its time."""
    for (N, D), bounds in _LSTM_BOUNDS.items():
        yield Row("lstm", N, D, 16, *bounds)
        if (N, D) in _RELATIVE_SHAPES:
            yield from (Row(cell, N, D, 16) for cell in RELATIVE_BOUNDS)


ROWS = (
    *_small_batch(),
    Row("lstm", 12, 64, 64, 0.80, 2.4),
    Row("lstm", 12, 64, 256, 2.6, 8.0),
    Row("lstm", 1, 768, 256, 12.0, 32.0),
    Row("lstm", 12, 64, 16, 1.5, 3.0, backend="triton"),
    *(Row("lstm", 768 // D, D, 16, backend="triton") for D in (16, 32, 128)),
    *(Row("lstm", N, D, 16, backend="alternating") for N, D in ((12, 64), (1, 768), (1, 2048))),
)

GATES = {"lstm": 4, "slstm": 4, "gru": 3, "elman": 1}
STATES = {"lstm": 2, "slstm": 4, "gru": 1, "elman": 1}

# Measured on the H200, in ns: one exchange of h in a cluster by its bytes, and through L2.
_CLUSTER_NS = ((2048, 342.0), (8192, 625.0), (24576, 1121.0))
_GPU_NS = ((2048, 1159.0), (24576, 2450.0), (65536, 4476.0))
_BARRIER_NS, _POINTWISE_NS, _MMA_NS = 20.0, 46.0, 13.7
_BYTES_PER_MS, _FLOPS_PER_MS = 4.3e9, 7.9e11  # copy bandwidth and bfloat16 products, measured


def floors(row: Row) -> dict[str, float]:
    """Return what the forward pass cannot beat, in ms: its steps, its bytes, its products.

    steps: per step one exchange of 8 batch rows of h (a barrier up to head_dim 64, a cluster up to
    512, else through L2), 46 ns of pointwise arithmetic and a quarter of the chain of products.
    """
    if row.head_dim <= 64:
        exchange = _BARRIER_NS
    else:
        exchange = _between(_CLUSTER_NS if row.head_dim <= 512 else _GPU_NS, 16 * row.head_dim)
    chain = max(1.0, row.head_dim / 64) * _MMA_NS
    elements = row.batch * STEPS * row.heads * row.head_dim
    moved = 2 * elements * (GATES[row.cell] + STATES[row.cell])
    flops = 2 * elements * GATES[row.cell] * row.head_dim
    return {
        "steps": STEPS * (exchange + _POINTWISE_NS + chain) / 1e6,
        "bytes": moved / _BYTES_PER_MS,
        "products": flops / _FLOPS_PER_MS,
    }


def _between(points: tuple[tuple[int, float], ...], size: int) -> float:
    """Interpolate, and go on from the last two points beyond them."""
    pairs = list(itertools.pairwise(points))
    (x0, y0), (x1, y1) = next((p for p in pairs if size <= p[1][0]), pairs[-1])
    return y0 + (y1 - y0) * max(size - x0, 0) / (x1 - x0)
