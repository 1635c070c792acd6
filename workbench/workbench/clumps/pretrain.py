"""Pretraining on galaxy morphology with Zoobot's own training code, on simulated galaxies.

Asks offline what Zoobot's published encoders ask of Galaxy Zoo: whether an encoder that knows
galaxies needs fewer labelled clumps. The encoder is written as a folder that
``workbench clumps train --weights FOLDER`` takes.

As there the labels are votes on the questions of a decision tree, none of them a position. They
follow Galaxy Zoo: Hubble (Willett et al. 2017, MNRAS 464, 4176), which Zoobot's encoders have
learnt among others and which asks whether a galaxy is clumpy and how many clumps it has.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from safetensors.torch import save
from torch.utils.data import DataLoader

from workbench.clumps import backbones
from workbench.clumps.extras import need
from workbench.clumps.files import write_atomically
from workbench.clumps.galaxy import Label
from workbench.clumps.request import Request
from workbench.clumps.samples import sample
from workbench.clumps.scaling import PIXELS_PER_FWHM
from workbench.clumps.scene import R, draw_scene
from workbench.clumps.sources import galaxies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.scene import Scene

SIDE = 160  # network pixels: 27 PSF FWHM, most of a galaxy
VALID_PART = 0.2
VISIBLE = 0.03  # flux ratio of a clump that volunteers see (Popp et al. 2024)
# Questions with their answers, and the answer after which each is asked, None: always.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "disk-edge-on": ("_yes", "_no"),
    "bulge-size": ("_none", "_small", "_large"),
    "has-spiral-arms": ("_yes", "_no"),
    "spiral-arm-count": ("_2", "_3", "_4"),
    "bar": ("_yes", "_no"),
    "clumpy-appearance": ("_yes", "_no"),
    "clump-count": ("_1", "_2", "_3", "_4-plus"),
}
ASKED_AFTER: dict[str, str | None] = {
    **dict.fromkeys(QUESTIONS),
    "has-spiral-arms": "disk-edge-on_no",
    "spiral-arm-count": "has-spiral-arms_yes",
    "bar": "disk-edge-on_no",
    "clump-count": "clumpy-appearance_yes",
}
EDGE_ON, ARMS = 0.4, 0.25  # axis ratio below, contrast of arms from
BULGES = (0.05, 0.15)  # part of the r light: none, small, large


def answers(scene: Scene) -> dict[str, int]:
    """Return the right answer to each question of `QUESTIONS`, as its index; -1: not asked."""
    host = scene.host
    light = host.disk + host.bulge + host.bar
    edge_on, spiral = host.axis_ratio < EDGE_ON, host.contrast >= ARMS
    labelled = [point for point in scene.points if point.label is not None]
    clumps = np.array([point.label is Label.CLUMP for point in labelled], np.bool_)
    seen = int((clumps & (scene.flux_ratio >= VISIBLE)).sum())
    return {
        "disk-edge-on": 0 if edge_on else 1,
        "bulge-size": int(np.searchsorted(BULGES, (host.bulge / light)[R], side="right")),
        "has-spiral-arms": -1 if edge_on else 0 if spiral else 1,
        "spiral-arm-count": host.arms - 2 if spiral and not edge_on else -1,
        "bar": -1 if edge_on else 0 if host.bar[R] > 0 else 1,
        "clumpy-appearance": 0 if seen else 1,
        "clump-count": min(seen, len(QUESTIONS["clump-count"])) - 1,
    }


def votes(right: dict[str, int]) -> NDArray[np.int64]:
    """Return one vote for each right answer, in the order of `QUESTIONS` and their answers."""
    return np.array([
        int(right[question] == k) for question, options in QUESTIONS.items()
        for k in range(len(options))
    ])  # fmt: skip


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


class _Stamps:
    """Centred stamps (N, 3, 160, 160) bytes with their votes (N, answers)."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], voted: NDArray[np.int64]) -> None:
        self.images = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
        self.votes = torch.from_numpy(voted)

    def batch(self, indices: list[int], *, turned: bool) -> dict[str, torch.Tensor]:
        """Return images in [0, 1], turned anew at each look, and the votes by answer."""
        image = self.images[indices].float() / 255
        if turned:
            quarter = torch.randint(4, (len(indices),))
            for k in range(1, 4):
                image[quarter == k] = torch.rot90(image[quarter == k], k, (2, 3))
        voted = self.votes[indices]
        names = [question + one for question, options in QUESTIONS.items() for one in options]
        return {"image": image} | {name: voted[:, k] for k, name in enumerate(names)}


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
    """Train an encoder to answer `QUESTIONS` and write it into `folder`; return the folder.

    It holds timm's ``config.json`` and ``model.safetensors`` and a ``card.json`` with the accuracy
    of each question on the validation galaxies that it is asked of.
    """
    folder = Path(folder)
    request = Request(
        number=options.number, seed=options.seed, workers=options.workers, cache=options.cache
    )
    images = [stamp(sample(g, PIXELS_PER_FWHM).image) for g in galaxies(request)]
    voted = [votes(answers(draw_scene(options.seed, k))) for k in range(options.number)]
    held = max(1, round(VALID_PART * len(images)))
    torch.manual_seed(options.seed)
    encoder = need("timm").create_model(options.backbone, num_classes=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice of third parties on loaders and loggers
        scores = _fit(options, encoder, _Stamps(images, np.array(voted)), held, progress)
    content = save({name: value.contiguous() for name, value in encoder.state_dict().items()})
    config = {
        "architecture": options.backbone,
        "num_classes": 0,
        "num_features": encoder.num_features,
    }
    known = {k: v for k, v in asdict(options).items() if k not in {"cache", "workers"}}
    card = {**known, "questions": QUESTIONS,
            "validation_galaxies": held, "validation_accuracy": scores,
            "licence": "Apache-2.0"}  # fmt: skip
    write_atomically(folder / "model.safetensors", content)
    write_atomically(folder / "config.json", json.dumps(config).encode())
    write_atomically(folder / "card.json", (json.dumps(card, indent=2) + "\n").encode())
    return folder


def _fit(
    options: PretrainOptions, encoder: Any, stamps: _Stamps, held: int, progress: bool
) -> dict[str, float | None]:
    """Train `encoder` in place on all but the last `held`; return the accuracies on these."""
    finetune, schemas = need("zoobot.pytorch.training.finetune"), need("zoobot.shared.schemas")
    model = finetune.FinetuneableZoobotTree(
        schema=schemas.Schema({name: list(tags) for name, tags in QUESTIONS.items()}, ASKED_AFTER),
        encoder=encoder, learning_rate=options.learning_rate, layer_decay=1.0,
        head_dropout_prob=0.2, prog_bar=progress,
    )  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cuda" if torch.cuda.is_available() else "cpu", devices=1,
        max_epochs=options.epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=progress, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    learning = len(stamps.images) - held
    load: Any = partial(DataLoader, batch_size=options.batch)  # of numbers, put together by batch
    watched = load(range(learning, learning + held), collate_fn=partial(stamps.batch, turned=False))
    turned = partial(stamps.batch, turned=True)
    trainer.fit(model, load(range(learning), shuffle=True, collate_fn=turned), watched)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    with torch.inference_mode():
        told = torch.cat([model(batch["image"].to(model.device)).cpu() for batch in watched])
    return _accuracies(told, stamps.votes[learning:])


def _accuracies(told: torch.Tensor, voted: torch.Tensor) -> dict[str, float | None]:
    """Return for each question how often the surest answer has the vote; None: never asked."""
    found: dict[str, float | None] = {}
    first = 0
    for name, options in QUESTIONS.items():
        mine = slice(first, first + len(options))
        first += len(options)
        asked = voted[:, mine].sum(dim=1) > 0
        right = told[asked, mine].argmax(dim=1) == voted[asked, mine].argmax(dim=1)
        found[name] = float(right.float().mean()) if asked.any() else None
    return found
