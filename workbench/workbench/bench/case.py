"""One timing: what runs, on which problem, in which direction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import WorkbenchError

CELLS = ("lstm", "gru", "slstm", "elman")
KERNELS = ("auto", "cuda", "triton", "alternating", "reference")  # of `rnnkernels.rnn`
BASELINES = ("module", "nn", "gemm", "compiled", "vanilla", "attention")
BACKENDS = {
    "auto": "rnn(...), the fastest backend that runs the problem",
    "cuda": "rnn(...), the fused CUDA kernels",
    "triton": "rnn(...), the fused Triton kernels",
    "alternating": "rnn(...), a product and a pointwise kernel a step, in a CUDA graph",
    "reference": "rnn(...), a loop over time in PyTorch from the cell's equations",
    "module": "rnnkernels.LSTM and so on: W x included, as nn.LSTM does",
    "nn": "torch.nn.LSTM, GRU, RNN (cuDNN on a GPU), W x included; one head of that size",
    "gemm": "W x alone, the part that nn.LSTM has and rnn(...) has not",
    "compiled": "a compiled step of plain PyTorch, all steps in one CUDA graph",
    "vanilla": "a loop over time in plain PyTorch",
    "attention": "causal scaled dot-product attention of equal width and head size",
}
DTYPES = ("bfloat16", "float16", "float32")
FORWARD, BOTH = "forward", "both"
DIRECTIONS = {FORWARD: "forward", BOTH: "forward and backward"}


@dataclass(frozen=True, slots=True)
class Case:
    """One timing. Sizes as in `rnnkernels.rnn`: batch B, steps T, heads N, head_dim D."""

    backend: str
    cell: str
    dtype: str
    direction: str
    batch: int
    steps: int
    heads: int
    head_dim: int

    def __post_init__(self) -> None:
        allowed = {"backend": BACKENDS, "cell": CELLS, "dtype": DTYPES, "direction": DIRECTIONS}
        for name, known in allowed.items():
            if getattr(self, name) not in known:
                raise WorkbenchError(
                    f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )
        for name in ("batch", "steps", "heads", "head_dim"):
            if getattr(self, name) < 1:
                raise WorkbenchError(f"{name}: expected at least 1, got {getattr(self, name)}")

    @property
    def key(self) -> str:
        """How files and messages name the case; two cases with equal keys are equal."""
        return f"{self.cell} {self.sizes} {self.dtype} {self.direction} {self.backend}"

    @property
    def sizes(self) -> str:
        """Heads x head size, batch and steps: "12x64 B16 T1024"."""
        return f"{self.heads}x{self.head_dim} B{self.batch} T{self.steps}"

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What decides the inputs and the right results: all but backend and direction."""
        return (self.cell, self.dtype, self.batch, self.steps, self.heads, self.head_dim)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, as they stand in a results file."""
        return asdict(self)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Case:
        """Return the case of a row of a results file."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})
