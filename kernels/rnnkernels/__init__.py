"""Fused recurrent neural network kernels with head-wise (block-diagonal) recurrence."""

from rnnkernels.api import rnn
from rnnkernels.cells import CELLS
from rnnkernels.definition import Cell, cell
from rnnkernels.errors import (
    ArgumentError,
    CellError,
    CompileError,
    DerivativeError,
    RnnError,
    UnsupportedError,
)
from rnnkernels.modules import GRU, LSTM, SLSTM, Elman
from rnnkernels.recurrent import Recurrent
from rnnkernels.registry import available

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "SLSTM",
    "ArgumentError",
    "Cell",
    "CellError",
    "CompileError",
    "DerivativeError",
    "Elman",
    "Recurrent",
    "RnnError",
    "UnsupportedError",
    "available",
    "cell",
    "rnn",
]
