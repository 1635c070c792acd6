"""`Recurrent`: layers of any cell as a `torch.nn` module, laid out as torch's own modules are.

Parameters are named and shaped as in torch.nn.LSTM, GRU and RNN (weight_ih_l0 (G H, I),
weight_hh_l0 (G H, H / num_heads), bias_ih_l0 and bias_hh_l0 (G H), ..., suffix _reverse), gates in
the same order, so a state dict of those loads as it is. With more heads the recurrent matrix is
block-diagonal: rows (gate, head, unit), columns the units of that head.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnnkernels import layers
from rnnkernels.api import check_lengths
from rnnkernels.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnkernels.definition import Cell

    State = Tensor | tuple[Tensor, ...]


class Recurrent(nn.Module):
    """Layers of one cell: what LSTM, GRU, Elman and SLSTM share, and a base for cells of your own.

    `class Peephole(Recurrent): cell = peephole` is a module of the cell `peephole`; a cell with
    parameters has them in weight_p_l0 (P, H) and so on.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size
        As in torch.nn.LSTM: input (T, B, input_size), or (B, T, input_size) if batch_first; dropout
        between layers; the output is W_hr h of size proj_size if that is not 0 (not for GRU).
    device, dtype
        Of the parameters.
    num_heads
        Heads of hidden_size / num_heads units that do not see each other in the recurrence.
    backend
        As in `rnn`.
    cell
        The cell, if not the class's own.

    Raises
    ------
    ArgumentError: a size does not fit.
    """

    cell: Cell

    def __init__(  # noqa: PLR0917 - the order of torch.nn.LSTM
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        num_heads: int = 1,
        backend: str = "auto",
        cell: Cell | None = None,
    ) -> None:
        super().__init__()
        if cell is not None:
            self.cell = cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.num_heads, self.proj_size = bidirectional, num_heads, proj_size
        self.backend = backend
        self._check_options()
        for layer in range(num_layers):
            for name, shape in self._shapes(layer).items():
                empty = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(name, nn.Parameter(empty))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of each parameter of a layer, in torch's order."""
        rows, out = len(self.cell.gates) * self.hidden_size, self.proj_size or self.hidden_size
        columns = out * self._directions if layer else self.input_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, columns),
            "weight_hh": (rows, out // self.num_heads),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        if self.cell.parameters:
            shapes["weight_p"] = (len(self.cell.parameters), self.hidden_size)
        return {
            name + suffix: shape
            for suffix in self._suffixes(layer)
            for name, shape in shapes.items()
        }

    def _check_options(self) -> None:
        if min(self.input_size, self.hidden_size, self.num_layers, self.num_heads) < 1:
            raise ArgumentError(
                "input_size, hidden_size, num_layers, num_heads: expected at least 1 each, got "
                f"{self.input_size}, {self.hidden_size}, {self.num_layers}, {self.num_heads}"
            )
        if self.hidden_size % self.num_heads:
            raise ArgumentError(
                f"num_heads: expected a divisor of hidden_size {self.hidden_size}, "
                f"got {self.num_heads}"
            )
        if not 0 <= self.dropout <= 1:
            raise ArgumentError(f"dropout: expected 0 to 1, got {self.dropout}")
        if not self.proj_size:
            return
        if not 0 < self.proj_size < self.hidden_size or self.num_heads > 1:
            raise ArgumentError(
                f"proj_size: expected 1 to hidden_size - 1 = {self.hidden_size - 1} and one head, "
                f"got {self.proj_size} with {self.num_heads} heads"
            )
        if self.cell.uses_state[0]:
            raise ArgumentError(
                f"proj_size: cell {self.cell.name} reads the previous h unit by unit, so h cannot "
                "have another size; use proj_size with LSTM, SLSTM or Elman"
            )

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-1 / sqrt(hidden_size), 1 / sqrt(hidden_size)), as torch."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: torch's modules pack their weights for cuDNN here, these need no packing."""

    def extra_repr(self) -> str:
        """Return the options that are not the default."""
        text = f"{self.input_size}, {self.hidden_size}"
        options: dict[str, object] = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
        }
        options |= {"bidirectional": False, "num_heads": 1, "proj_size": 0, "backend": "auto"}
        changed = [
            (key, getattr(self, key))
            for key, usual in options.items()
            if getattr(self, key) != usual
        ]
        return ", ".join([text, *(f"{key}={value}" for key, value in changed)])

    def forward(
        self,
        inputs: Tensor,
        initial: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor, State]:
        """Return the outputs of the last layer and the last states of every layer.

        Parameters
        ----------
        inputs
            (T, B, I), (B, T, I) if batch_first, or (T, I) without a batch.
        initial
            The states before the first step as torch has them: each (num_layers * directions, B, H)
            (h of size proj_size if given); a tuple if the cell has several, h first; None: zeros.
        lengths
            (B,): valid steps of each row, instead of a packed sequence: outputs after them are
            zero, last states are those at each row's end, the reverse direction starts there.

        Returns
        -------
        outputs (T, B, directions * H), laid out as inputs; last states, laid out as `initial`.
        """
        x, unbatched = self._batch_first(inputs)
        if lengths is not None:
            lengths = check_lengths(lengths, x.shape[0], x.shape[1], x.device)
            finished = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
            x = x.masked_fill(finished.unsqueeze(2), 0)  # padding may hold anything
        x, last = self._layers(x, self._unpack(initial, x.shape[0], unbatched=unbatched), lengths)
        if unbatched:
            last = tuple(state.squeeze(1) for state in last)
            x = x.squeeze(0)
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x, last if len(last) > 1 else last[0]

    def _layers(
        self, x: Tensor, initial: list[Tensor] | None, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run all layers on x (B, T, I)."""
        ends = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = functional.dropout(x, self.dropout)
            here = slice(layer * self._directions, (layer + 1) * self._directions)
            x, end = layers.run(
                self.cell,
                [self._weights(suffix) for suffix in self._suffixes(layer)],
                x,
                None if initial is None else [state[here] for state in initial],
                lengths,
                heads=self.num_heads,
                backend=self.backend,
            )
            ends.append(end)
        return x, tuple(torch.cat(parts) for parts in zip(*ends, strict=True))

    def step(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the output (B, H) and the states after one input (B, I), for inference."""
        if self.bidirectional:
            raise ArgumentError("step: a bidirectional module needs the whole sequence; call it")
        if inputs.ndim != 2:
            raise ArgumentError(f"step: expected inputs (B, I), got {tuple(inputs.shape)}")
        axis = 1 if self.batch_first else 0
        outputs, state = self(inputs.unsqueeze(axis), state)
        return outputs.squeeze(axis), state

    def _batch_first(self, inputs: Tensor) -> tuple[Tensor, bool]:
        """Return inputs as (B, T, I), and whether they came without a batch."""
        if not isinstance(inputs, Tensor):
            raise ArgumentError(
                f"inputs: expected a tensor, got {type(inputs).__name__}; instead of a packed "
                "sequence pass the padded tensor and lengths="
            )
        if inputs.ndim not in {2, 3} or inputs.shape[-1] != self.input_size:
            raise ArgumentError(
                f"inputs: expected 2 or 3 dimensions, the last of size {self.input_size}, "
                f"got {tuple(inputs.shape)}"
            )
        if inputs.ndim == 2:
            return inputs.unsqueeze(0), True
        return (inputs if self.batch_first else inputs.transpose(0, 1)), False

    def _unpack(self, initial: State | None, batch: int, *, unbatched: bool) -> list[Tensor] | None:
        """Return the initial states as a list of (num_layers * directions, B, H)."""
        if initial is None:
            return None
        states = [initial] if isinstance(initial, Tensor) else list(initial)
        if len(states) != len(self.cell.states):
            raise ArgumentError(
                f"initial: expected {len(self.cell.states)} states "
                f"({', '.join(self.cell.states)}), got {len(states)}"
            )
        if unbatched:
            states = [state.unsqueeze(1) for state in states]
        layers = self.num_layers * self._directions
        for k, (name, state) in enumerate(zip(self.cell.states, states, strict=True)):
            size = self.proj_size if k == 0 and self.proj_size else self.hidden_size
            if tuple(state.shape) != (layers, batch, size):
                raise ArgumentError(
                    f"initial {name}: expected shape {(layers, batch, size)}, "
                    f"got {tuple(state.shape)}"
                )
        return states

    def _weights(self, suffix: str) -> layers.Weights:
        """Return the parameters of one layer and direction."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", "weight_p")
        ih, hh, *rest = (self._parameters.get(name + suffix) for name in names)
        assert ih is not None
        assert hh is not None
        return layers.Weights(ih, hh, *rest)
