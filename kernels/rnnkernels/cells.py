"""The cells, each defined once: every backend's code and every derivative comes from here.

x is W x + b, r is R h (with h of the previous step), s are the previous states. A new cell is one
function like these, here or in a notebook.
"""

from __future__ import annotations

from rnnkernels.definition import Cell, Inputs, cell
from rnnkernels.errors import CellError
from rnnkernels.trace import (
    Value,
    exp,
    log_sigmoid,
    maximum,
    relu,
    sigmoid,
    tanh,
    where,
)


@cell(gates=("z",), states=("h",))
def elman(x: Inputs, r: Inputs, _s: Inputs) -> Value:
    """Return h = tanh(x + r).

    Elman, Finding structure in time, Cognitive Science 14, 1990.
    """
    return tanh(x.z + r.z)


@cell(gates=("z",), states=("h",))
def elman_relu(x: Inputs, r: Inputs, _s: Inputs) -> Value:
    """Return h = relu(x + r).

    Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified linear units,
    arXiv:1504.00941, 2015.
    """
    return relu(x.z + r.z)


@cell(gates=("i", "f", "z", "o"), states=("h", "c"))
def lstm(x: Inputs, r: Inputs, s: Inputs) -> tuple[Value, ...]:
    """Return c = f c + i tanh(z), h = o tanh(c).

    Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9, 1997; forget gate:
    Gers, Schmidhuber and Cummins, Learning to forget, Neural Computation 12, 2000.
    """
    i, f, o = sigmoid(x.i + r.i), sigmoid(x.f + r.f), sigmoid(x.o + r.o)
    c = f * s.c + i * tanh(x.z + r.z)
    return o * tanh(c), c


@cell(gates=("r", "u", "n"), states=("h",), recurrent_bias=("n",))
def gru(x: Inputs, r: Inputs, s: Inputs) -> Value:
    """Return h = (1 - u) n + u h, with n = tanh(x_n + r (R_n h + b_n)).

    Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014, in the
    variant of cuDNN: the reset gate multiplies R_n h and its own bias.
    """
    reset, u = sigmoid(x.r + r.r), sigmoid(x.u + r.u)
    n = tanh(x.n + reset * r.n)
    return n + u * (s.h - n)


# Below this n, c / n has lost its digits in float32; see slstm.
_VANISHED = 1e-30


@cell(gates=("i", "f", "z", "o"), states=("h", "c", "n", "m"))
def slstm(x: Inputs, r: Inputs, s: Inputs) -> tuple[Value, ...]:
    """Return c = a c + b tanh(z), n = a n + b, h = sigmoid(o) c / n, scaled by exp(m).

    m = max(log sigmoid(f) + m, i), a = exp(log sigmoid(f) + m_prev - m), b = exp(i - m).
    Beck et al., xLSTM: Extended long short-term memory, NeurIPS 2024, equations 8 to 17, forget
    gate by sigmoid. c / n is a weighted mean of the tanh(z) so far. When the stabiliser starts at 0
    and every i is far below it, all weights, and with them n, underflow: the mean is then taken as
    the newest tanh(z), exact in the first step.
    """
    decay, i = log_sigmoid(x.f + r.f) + s.m, x.i + r.i
    m = maximum(decay, i)
    a, b = exp(decay - m), exp(i - m)
    z = tanh(x.z + r.z)
    c, n = a * s.c + b * z, a * s.n + b
    vanished = abs(n) <= _VANISHED
    mean = where(vanished, z, c / where(vanished, 1.0, n))
    return sigmoid(x.o + r.o) * mean, c, n, m


CELLS: dict[str, Cell] = {"elman": elman, "gru": gru, "lstm": lstm, "slstm": slstm}


def find(name: str | Cell) -> Cell:
    """Return the cell of this name, or the cell itself; raises CellError for an unknown name."""
    if isinstance(name, Cell):
        return name
    if name not in CELLS:
        raise CellError(
            f"unknown cell {name!r}; known: {', '.join(sorted(CELLS))}; "
            "or pass a cell defined with @cell"
        )
    return CELLS[name]
