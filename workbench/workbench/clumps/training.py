"""Training with Lightning: deterministic by seed, resumed exactly, checkpoints written whole.

What is drawn at random depends on seed, epoch, picture and step alone, never on the state of a
generator: a run that was killed goes on from its last epoch with the same losses.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils.data import DataLoader, Dataset

from workbench.clumps import backbones
from workbench.clumps.augment import Changes, Pictures, cut_size
from workbench.clumps.batched_losses import losses
from workbench.clumps.detector import infer, normalised, padded_size
from workbench.clumps.evaluate import choose_threshold, match_all, rates
from workbench.clumps.files import write_atomically
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
    from torch import Tensor
    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.matching import Detections
    from workbench.clumps.samples import Sample, Split

HISTORY = "history.jsonl"  # in a run's folder: a row an epoch


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes
    ----------
    epochs, batch
        At most so many passes; pictures in a step.
    learning_rate, weight_decay
        Of AdamW; the rate rises over the first `warmup` part of the steps and falls as a cosine.
    ema
        Decay of the weights' running mean a step; validation and result use the mean.
    patience
        Validations without a better F1 before the end.
    validate_every
        Epochs between validations and checkpoints; `epochs` is a multiple of it.
    min_flux_ratio
        Truth fainter than this is ignored on the validation galaxies.
    weights, trainable_stages
        Start of the encoder (see `backbones.encoder`), and how many of its last stages learn.
    keep_last
        Give the last epoch's weights, not those of the best: validation is too small to choose.
    free_turns
        Turn pictures by any angle, not by quarters: for few galaxies.
    precision, devices
        Lightning's.
    """

    epochs: int = 40
    batch: int = 8
    learning_rate: float = 4e-4
    weight_decay: float = 1e-4
    warmup: float = 0.05
    ema: float = 0.995
    patience: int = 10
    validate_every: int = 1
    min_flux_ratio: float = 0.0
    weights: str = backbones.RANDOM
    trainable_stages: int = 4
    keep_last: bool = False
    free_turns: bool = False
    precision: str = "32-true"
    devices: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.validate_every < 1 or self.epochs % self.validate_every:
            raise WorkbenchError(
                f"{self.epochs} epochs, validation every {self.validate_every}; expected a multiple"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON keeps."""
        return asdict(self)


class _Indices(Dataset[int]):
    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> int:
        return index


def _bytes(one: Sample) -> Tensor:
    """Return the picture (C, H, W) uint8."""
    return torch.from_numpy(np.ascontiguousarray(one.image.transpose(2, 0, 1)))


def batches(samples: Sequence[Sample], options: TrainOptions, epoch: int) -> list[list[int]]:
    """Return the batches of an epoch: in random order, of pictures padded to the same size.

    Detection pads a picture to a multiple of 32 and no further; so must training.
    """
    rng = np.random.default_rng([options.seed, epoch])
    groups: dict[tuple[int, int], list[int]] = {}
    for index in rng.permutation(len(samples)):
        shape = np.array(samples[index].image.shape[:2])
        size = sorted(padded_size(*cut_size(shape)))  # a quarter turn swaps the sides
        groups.setdefault((size[0], size[1]), []).append(int(index))
    made = [
        group[first : first + options.batch]
        for group in groups.values()
        for first in range(0, len(group), options.batch)
    ]
    return [made[k] for k in rng.permutation(len(made))]


def _share(rows: list[list[int]], trainer: pl.Trainer) -> list[list[int]]:
    """Return this process's part of the batches; all have equally many."""
    world = trainer.world_size
    even = rows if world == 1 else rows[: max(1, len(rows) // world) * world]
    return even[trainer.global_rank :: world]


class ClumpTraining(pl.LightningModule):
    """Faster R-CNN under training on `split.train`, watched on `split.valid`."""

    def __init__(
        self,
        model: FasterRCNN,
        config: DetectorConfig,
        options: TrainOptions,
        split: Split,
    ) -> None:
        super().__init__()
        self.model = model
        self.config, self.options = config, options
        self.split = split
        self.trainable = backbones.freeze(model.backbone.body, options.trainable_stages)
        # Of each validation picture in this epoch, cleared at its end.
        self.found: dict[int, Detections] = {}
        self._pictures: Pictures | None = None
        self._changes: tuple[int, Changes] | None = None  # of an epoch

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the indices of this epoch's pictures, a batch at a time."""
        epoch, options = self.trainer.current_epoch, self.options
        return DataLoader(
            _Indices(len(self.split.train)),
            batch_sampler=_share(batches(self.split.train, options, epoch), self.trainer),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the indices of the validation pictures of this process."""
        mine = range(self.trainer.global_rank, len(self.split.valid), self.trainer.world_size)
        return DataLoader(_Indices(len(self.split.valid)), batch_sampler=[list(mine)])

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the sum of the losses of region proposals and heads."""
        del batch_idx
        seed = self.options.seed * 1_000_003 + self.global_step
        torch.manual_seed(seed)  # fixes which regions are scored
        indices = batch.tolist()
        pictures, changes = self._drawn()
        images, sizes, known = pictures.augment(indices, changes, seed)
        found = losses(self.model, normalised(self.model, images), sizes, known)
        total = torch.stack(list(found.values())).sum()
        self.log("train_loss", total, on_step=False, on_epoch=True, batch_size=len(indices),
                 prog_bar=True, sync_dist=True)  # fmt: skip
        return total

    def _drawn(self) -> tuple[Pictures, Changes]:
        """Return the training pictures and what happens to them in this epoch."""
        if self._pictures is None:
            self._pictures = Pictures(self.split.train, self.device)
        if self._changes is None or self._changes[0] != self.current_epoch:
            options, epoch = self.options, self.current_epoch
            drawn = self._pictures.draw(options.seed, epoch, free_turns=options.free_turns)
            self._changes = epoch, drawn
        return self._pictures, self._changes[1]

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Keep what is found in these pictures."""
        del batch_idx
        indices = [int(index) for index in batch]
        images = [_bytes(self.split.valid[k]) for k in indices]
        found = infer(self.model, self.config, images)
        self.found.update(zip(indices, found, strict=True))

    def on_validation_epoch_end(self) -> None:
        """Log F1, completeness and purity at the best threshold."""
        indices = sorted(self.found)
        matches = match_all(
            [self.found[k] for k in indices],
            [self.split.valid[k].truth for k in indices],
            min_flux_ratio=self.options.min_flux_ratio,
        )
        self.found.clear()
        scores = {"val_f1": 0.0, "val_completeness": 0.0, "val_purity": 0.0, "val_threshold": 1.0}
        if any(len(match.scores) for match in matches):
            threshold = choose_threshold(matches)
            best = rates(matches, threshold)
            values = (best.f1, best.completeness, best.purity, threshold)
            scores = {k: v if math.isfinite(v) else 0.0
                      for k, v in zip(scores, values, strict=True)}  # fmt: skip
        for name, value in scores.items():
            self.log(name, value, prog_bar=name == "val_f1", sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with warm-up and cosine over all steps."""
        learning = [p for p in self.parameters() if p.requires_grad]
        options = self.options
        optimizer = torch.optim.AdamW(
            learning, lr=options.learning_rate, weight_decay=options.weight_decay
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        rise = max(1, round(options.warmup * steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all; reads tensors and plain values only."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write to a temporary file beside `path`, then rename."""
        del storage_options
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read without unpickling objects."""
        del weights_only
        content: dict[str, Any] = torch.load(
            path, map_location=map_location or "cpu", weights_only=True
        )
        return content


class History(Callback):
    """One row an epoch, part of every checkpoint, written to a JSON-lines file for live curves."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch that ended."""
        del pl_module
        names = ["train_loss"]
        if (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0:
            names += ["val_f1", "val_completeness", "val_purity", "val_threshold"]
        known = trainer.callback_metrics
        row = {name: float(known[name]) for name in names if name in known}
        self.rows.append({"epoch": trainer.current_epoch, **row})
        if trainer.is_global_zero:
            write_history(self.path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of the run that is resumed."""
        self.rows = [dict(row) for row in state_dict["rows"]]


def write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write one JSON object a line, the whole file at once."""
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def running_mean(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """Return what makes weights their exponential mean, over the steps there were at the start."""

    def mean(average: list[Tensor], current: list[Tensor], step: Tensor | int) -> None:
        done = torch.as_tensor(step)  # never read back from the device: a step would wait for it
        weight = 1 - torch.clamp((1 + done) / (10 + done), max=decay)
        for mine, new in zip(average, current, strict=True):
            if mine.is_floating_point():
                mine.lerp_(new, weight.to(mine))
            else:  # numbers of batches
                mine.copy_(new)

    return mean


def callbacks(folder: Path, options: TrainOptions) -> tuple[History, list[Callback]]:
    """Return the history and all callbacks of a run in `folder`."""
    history = History(folder / HISTORY)
    keep = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename="best",
        monitor="val_f1",
        mode="max",
        save_last=True,
        every_n_epochs=options.validate_every,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    stop = EarlyStopping("val_f1", mode="max", patience=options.patience,
                         check_on_train_epoch_end=False)  # fmt: skip
    return history, [WeightAveraging(multi_avg_fn=running_mean(options.ema)), history, stop, keep]
