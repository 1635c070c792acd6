"""What determines a run: the same settings give the same words, weights and curves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from workbench.errors import WorkbenchError
from workbench.statetracking.tasks import find_task

MODELS = ("lstm", "slstm", "transformer")
POSITIONS = ("rotary", "none")
BEYOND = 4  # evaluated on words up to so many times the training length


@dataclass(frozen=True)
class Settings:
    """One model trained on one task.

    Attributes
    ----------
    task, model
        See `tasks.TASKS` and `MODELS`.
    length
        Of training words, in letters; a power of two times `shortest`.
    steps, batch
        Updates of the weights, and words in each, all of them new.
    hidden, layers, heads
        Of the recurrent network. The Transformer gets as many parameters as the LSTM.
    depth
        Layers of the Transformer.
    positions
        How the Transformer knows order: "rotary", or "none" but the causal mask.
    learning_rate, weight_decay
        Of AdamW; the rate rises over the first `warmup` steps and falls as a cosine to zero.
    shortest, growth
        Words grow from `shortest` to `length` letters, doubling, over this part of the steps.
    precision
        "float32", or "bfloat16" for matrix products and the recurrence.
    """

    task: str = "parity"
    model: str = "lstm"
    length: int = 64
    steps: int = 1500
    batch: int = 256
    hidden: int = 64
    layers: int = 1
    heads: int = 1
    depth: int = 3
    positions: str = "rotary"
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup: int = 100
    shortest: int = 4
    growth: float = 0.4
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        find_task(self.task)
        for name, known in (("model", MODELS), ("positions", POSITIONS)):
            if getattr(self, name) not in known:
                raise WorkbenchError(
                    f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.precision not in {"float32", "bfloat16"}:
            raise WorkbenchError(f"precision: expected float32 or bfloat16, got {self.precision!r}")
        for name in ("length", "steps", "batch", "hidden", "layers", "heads", "depth", "shortest"):
            if getattr(self, name) < 1:
                raise WorkbenchError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.hidden % self.heads:
            raise WorkbenchError(
                f"heads: expected a divisor of hidden {self.hidden}, got {self.heads}"
            )

    @property
    def name(self) -> str:
        """What the run is called in files and legends."""
        order = f"-{self.positions}" if self.model == "transformer" else ""
        return f"{self.task}-{self.model}{order}-{self.learning_rate:g}"

    @property
    def longest(self) -> int:
        """Letters of the words of evaluation."""
        return BEYOND * self.length

    def length_at(self, step: int) -> int:
        """Return how many letters the words of this step have."""
        stages = [self.shortest]
        while stages[-1] < self.length:
            stages.append(min(self.length, 2 * stages[-1]))
        stages[0] = min(self.shortest, self.length)
        slices = self.growth * self.steps / max(1, len(stages) - 1)
        return stages[min(len(stages) - 1, int(step / slices))] if slices else self.length

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON keeps."""
        return asdict(self)
