"""LSTM, GRU, Elman and SLSTM as `torch.nn` modules; the first three are drop-ins for torch's.

A state dict of torch.nn.LSTM, GRU or RNN loads as it is. Options: see `recurrent.Recurrent`.
"""

from __future__ import annotations

from typing import Any

from rnnkernels.cells import elman, elman_relu, gru, lstm, slstm
from rnnkernels.errors import ArgumentError
from rnnkernels.recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory; returns (outputs, (h, c)). Drop-in for torch.nn.LSTM."""

    cell = lstm


class GRU(Recurrent):
    """Gated recurrent unit as cuDNN has it; returns (outputs, h). Drop-in for torch.nn.GRU."""

    cell = gru


class SLSTM(Recurrent):
    """LSTM with exponential input gate (xLSTM); returns (outputs, (h, c, n, m))."""

    cell = slstm


class Elman(Recurrent):
    """Simple recurrent network, tanh or relu; returns (outputs, h). Drop-in for torch.nn.RNN."""

    cell = elman

    def __init__(self, *sizes: Any, nonlinearity: str = "tanh", **options: Any) -> None:
        cells = {"tanh": elman, "relu": elman_relu}
        if nonlinearity not in cells:
            raise ArgumentError(f"nonlinearity: expected tanh or relu, got {nonlinearity!r}")
        super().__init__(*sizes, cell=cells[nonlinearity], **options)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """Return the options that are not the default."""
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity=relu"
