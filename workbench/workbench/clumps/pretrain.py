"""Pretraining on galaxy morphology with Zoobot's own training code, on simulated galaxies.

Asks offline what Zoobot's published encoders ask of Galaxy Zoo: whether an encoder that knows
galaxies needs fewer labelled clumps. The encoder is written as a folder that
``workbench clumps train --weights FOLDER`` takes.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from safetensors.torch import save
from torch.utils.data import DataLoader, Dataset

from workbench.clumps import backbones
from workbench.clumps.detector import to_tensor
from workbench.clumps.extras import need
from workbench.clumps.files import write_atomically
from workbench.clumps.request import Request
from workbench.clumps.samples import sample
from workbench.clumps.scaling import PIXELS_PER_FWHM
from workbench.clumps.scene import draw_scene
from workbench.clumps.sources import galaxies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.clumps.scene import Scene

SIDE = 160  # network pixels: 27 PSF FWHM, most of a galaxy
VALID_PART = 0.2


class Morphology(IntEnum):
    """What a simulated galaxy is; clumps are no part of it."""

    EDGE_ON = 0
    SMOOTH = 1
    TWO_ARMS = 2
    MANY_ARMS = 3


def morphology(scene: Scene) -> Morphology:
    """Return the class of a scene's host by its axis ratio, contrast of arms and their number."""
    host = scene.host
    if host.axis_ratio < 0.4:
        return Morphology.EDGE_ON
    if host.contrast < 0.25:
        return Morphology.SMOOTH
    return Morphology.TWO_ARMS if host.arms == 2 else Morphology.MANY_ARMS


@dataclass(frozen=True)
class PretrainOptions:
    """How to pretrain.

    Attributes
    ----------
    backbone
        A row of `backbones.BACKBONES`.
    number, seed
        Of simulated galaxies; a fifth is for validation.
    epochs, batch, learning_rate
        Of Zoobot's AdamW; its decay over layers is off, the start being random.
    cache, workers
        Of the simulated galaxies.
    """

    backbone: str = backbones.DEFAULT
    number: int = 5000
    seed: int = 1_000_000
    epochs: int = 20
    batch: int = 64
    learning_rate: float = 5e-4
    cache: str | None = None
    workers: int | None = None


class _Stamps(Dataset[dict[str, Any]]):
    """Centred stamps (3, 160, 160) in [0, 1] with their class, turned anew at each look."""

    def __init__(
        self, stamps: list[NDArray[np.uint8]], classes: list[int], *, turned: bool
    ) -> None:
        self.stamps, self.classes, self.turned = stamps, classes, turned

    def __len__(self) -> int:
        return len(self.stamps)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = to_tensor(self.stamps[index])
        if self.turned:
            image = torch.rot90(image, int(torch.randint(4, ()).item()), (1, 2))
        return {"image": image, "label": self.classes[index]}


def stamp(image: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """Return the central (side, side, C) of `image`, black where it is smaller."""
    out = np.zeros((side, side, image.shape[2]), np.uint8)
    height, width = (min(side, n) for n in image.shape[:2])
    top, left = ((n - m) // 2 for n, m in zip(image.shape, (height, width), strict=False))
    row, column = (side - height) // 2, (side - width) // 2
    part = image[top : top + height, left : left + width]
    out[row : row + height, column : column + width] = part
    return out


def pretrain(options: PretrainOptions, folder: Path | str, *, progress: bool = True) -> Path:
    """Train an encoder to tell `Morphology` and write it into `folder`; return the folder.

    It holds timm's ``config.json`` and ``model.safetensors`` and a ``card.json`` with the accuracy
    on validation galaxies.
    """
    folder = Path(folder)
    request = Request(
        number=options.number, seed=options.seed, workers=options.workers, cache=options.cache
    )
    stamps = [stamp(sample(g, PIXELS_PER_FWHM).image) for g in galaxies(request)]
    classes = [int(morphology(draw_scene(options.seed, k))) for k in range(options.number)]
    held = max(1, round(VALID_PART * len(stamps)))
    torch.manual_seed(options.seed)
    encoder = need("timm").create_model(options.backbone, num_classes=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of third parties on loaders and loggers
        score = _fit(options, encoder, (stamps, classes), held, progress)
    content = save({name: value.contiguous() for name, value in encoder.state_dict().items()})
    config = {
        "architecture": options.backbone,
        "num_classes": 0,
        "num_features": encoder.num_features,
    }
    known = {k: v for k, v in asdict(options).items() if k not in {"cache", "workers"}}
    card = {**known, "classes": [c.name.lower() for c in Morphology],
            "validation_galaxies": held, "validation_accuracy": score,
            "licence": "Apache-2.0"}  # fmt: skip
    write_atomically(folder / "model.safetensors", content)
    write_atomically(folder / "config.json", json.dumps(config).encode())
    write_atomically(folder / "card.json", (json.dumps(card, indent=2) + "\n").encode())
    return folder


def _fit(
    options: PretrainOptions,
    encoder: Any,
    data: tuple[list[NDArray[np.uint8]], list[int]],
    held: int,
    progress: bool,
) -> float:
    """Train `encoder` in place on all but the last `held`; return the accuracy on these."""
    finetune = need("zoobot.pytorch.training.finetune")
    model = finetune.FinetuneableZoobotClassifier(
        num_classes=len(Morphology), encoder=encoder, learning_rate=options.learning_rate,
        layer_decay=1.0, head_dropout_prob=0.2, prog_bar=progress,
    )  # fmt: skip
    stamps, classes = data
    learning = _Stamps(stamps[:-held], classes[:-held], turned=True)
    watching = _Stamps(stamps[-held:], classes[-held:], turned=False)
    trainer = pl.Trainer(
        accelerator="cuda" if torch.cuda.is_available() else "cpu", devices=1,
        max_epochs=options.epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=progress, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    loader = DataLoader(learning, batch_size=options.batch, shuffle=True)
    trainer.fit(model, loader, DataLoader(watching, batch_size=options.batch))
    model.eval()
    right = 0
    with torch.inference_mode():
        for batch in DataLoader(watching, batch_size=options.batch):
            right += int((model(batch["image"]).argmax(1) == batch["label"]).sum())
    return right / held
