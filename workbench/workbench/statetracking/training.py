"""Training of one model on one task: new words at every step, watched, cancelled, resumed exactly.

The words of a step depend on seed and step alone, so a run that was killed goes on as if it had
not been: same words, same weights (on a CPU to the last bit).
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from workbench.errors import WorkbenchError
from workbench.statetracking import checkpoint
from workbench.statetracking.models import build, parameters
from workbench.statetracking.tasks import find_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from workbench.statetracking.settings import Settings

    # Is given the newest row of the curve; says whether to go on.
    Watch = Callable[[dict[str, float]], bool]

_TRAIN, _TEST = 0, 1  # words of training and of evaluation come from different keys
REPORT = 25  # steps from row to row of a curve, and between two chances to cancel
SAVE_SECONDS = 5.0
TEST_WORDS = 2048


class Training:
    """A run: made new or from its checkpoint, advanced by `advance`.

    Attributes
    ----------
    step
        Steps that are done.
    curve
        A row each `REPORT` steps: step, length, loss, accuracy on the words just trained on (all
        letters), seconds of training so far.
    """

    def __init__(self, settings: Settings, device: str | torch.device = "cpu") -> None:
        self.settings, self.device = settings, torch.device(device)
        self.task = find_task(settings.task)
        self.model = build(settings).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=self.device.type == "cuda",
        )
        self.step = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []

    @classmethod
    def resumed(
        cls, path: Path, settings: Settings, device: str | torch.device = "cpu"
    ) -> Training:
        """Return the run that was saved at `path`, or a new one if there is none.

        Raises
        ------
        WorkbenchError
            The file is damaged, or of other settings.
        """
        run = cls(settings, device)
        if not path.exists():
            return run
        tensors, about = checkpoint.load(path)
        if about["settings"] != settings.to_dict():
            now = settings.to_dict()
            other = [key for key in now if about["settings"].get(key) != now[key]]
            raise WorkbenchError(
                f"{path} is a run of other settings ({', '.join(other)} differ); give another "
                "folder, or the same settings to go on"
            )
        checkpoint.restore(tensors, run.model, run.optimizer)
        run.step, run.seconds, run.curve = about["step"], about["seconds"], about["curve"]
        return run

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.settings.steps

    def save(self, path: Path) -> None:
        """Write a checkpoint that `resumed` takes."""
        about = {
            "settings": self.settings.to_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
        }
        checkpoint.save(path, self.model, self.optimizer, about)

    def advance(self, watch: Watch | None = None, path: Path | None = None) -> bool:
        """Train to the end, or until `watch` says no; return whether the end was reached.

        With a `path` the run is saved there every few seconds and at the end; after an error or
        Ctrl+C it goes on from there.
        """
        with _one_thread(self.device):
            return self._advance(watch, path)

    def _advance(self, watch: Watch | None, path: Path | None) -> bool:
        self.model.train()
        saved, going = time.monotonic(), True
        while going and not self.done:
            row = self._advance_to_next_row()
            going = watch is None or watch(row)
            if path is not None and going and time.monotonic() - saved > SAVE_SECONDS:
                self.save(path)
                saved = time.monotonic()
        if path is not None:  # not after an error: it may have come in the midst of an update
            self.save(path)
        return self.done

    def _advance_to_next_row(self) -> dict[str, float]:
        began = time.monotonic()
        last = min(self.settings.steps, self.step + REPORT)
        while self.step < last:
            loss, accuracy = self._update()
            self.step += 1
        row = {
            "step": self.step,
            "length": self.settings.length_at(self.step - 1),
            "loss": round(float(loss), 6),
            "accuracy": round(float(accuracy), 5),  # which waits for the GPU
        }
        self.seconds += time.monotonic() - began
        self.curve.append({**row, "seconds": round(self.seconds, 3)})
        return self.curve[-1]

    def _update(self) -> tuple[Tensor, Tensor]:
        settings = self.settings
        length = settings.length_at(self.step)
        letters, states = self._words(settings.batch, length, settings.seed, _TRAIN, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * self._rate()
        scores = self._scores(letters)
        loss = functional.cross_entropy(scores.flatten(0, 1), states.flatten())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch has no types for it
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.detach(), (scores.detach().argmax(-1) == states).float().mean()

    def _rate(self) -> float:
        """Return the learning rate of this step as a part of its highest."""
        rise = min(1.0, (self.step + 1) / max(1, self.settings.warmup))
        return rise * 0.5 * (1 + math.cos(math.pi * self.step / self.settings.steps))

    def _scores(self, letters: Tensor) -> Tensor:
        half = self.settings.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            scores: Tensor = self.model(letters)
        return scores.float()

    def _words(self, number: int, length: int, *key: int) -> tuple[Tensor, Tensor]:
        letters, states = self.task.words(number, length, *key)
        return torch.from_numpy(letters).to(self.device), torch.from_numpy(states).to(self.device)

    @torch.no_grad()
    def accuracy(self, number: int = TEST_WORDS, length: int | None = None) -> list[float]:
        """Return the accuracy at letter 1, 2, ... of new words, by default 4 times as long.

        No model sees the future, so the value at letter t is that on words of t letters.
        """
        length = self.settings.longest if length is None else length
        with _one_thread(self.device):
            return self._accuracy(number, length)

    def _accuracy(self, number: int, length: int) -> list[float]:
        self.model.eval()
        right = torch.zeros(length, device=self.device)
        for part in range(0, number, self.settings.batch):
            size = min(self.settings.batch, number - part)
            letters, states = self._words(size, length, self.settings.seed, _TEST, part)
            right += (self._scores(letters).argmax(-1) == states).sum(0)
        self.model.train()
        return [round(value, 5) for value in (right / number).tolist()]


@contextlib.contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Compute on one core, if on a CPU: steps are so small that threads wait for each other.

    On two cores that others used as well, two threads took ten times as long as one.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def summary(accuracy: list[float], length: int) -> dict[str, float]:
    """Return mean accuracy within and beyond the training length, and at the last letter of all."""
    within, beyond = accuracy[:length], accuracy[length:]
    return {
        "within": sum(within) / len(within),
        "beyond": sum(beyond) / max(1, len(beyond)),
        "all": sum(accuracy) / len(accuracy),
        "last": accuracy[-1],
    }


def describe(run: Training) -> dict[str, Any]:
    """Return what is recorded of a finished run."""
    accuracy = run.accuracy()
    return {
        "name": run.settings.name,
        "settings": run.settings.to_dict(),
        "parameters": parameters(run.model),
        "seconds": round(run.seconds, 2),
        "curve": run.curve,
        "accuracy": accuracy,
        "summary": {k: round(v, 5) for k, v in summary(accuracy, run.settings.length).items()},
    }
