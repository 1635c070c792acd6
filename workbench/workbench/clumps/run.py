"""A training run in a folder: begun, killed, gone on with, and its detector written."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from workbench import provenance
from workbench.clumps import backbones
from workbench.clumps.detector import build, infer, to_tensor
from workbench.clumps.evaluate import (
    match_all,
    summary,
    threshold_or_none_found,
    thresholds_by_cut,
)
from workbench.clumps.files import write_atomically
from workbench.clumps.samples import Split, sample
from workbench.clumps.sources import galaxies
from workbench.clumps.training import (
    HISTORY,
    AtomicCheckpoints,
    ClumpTraining,
    TrainOptions,
    callbacks,
)
from workbench.clumps.weights import load_detector, read_card, save_detector
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.pictures import Report
    from workbench.clumps.request import Request
    from workbench.clumps.samples import Sample

DETECTOR = "detector.safetensors"
STARTS = "starts.jsonl"  # in a run's folder: a row each time that it began or went on


@dataclass(frozen=True)
class Plan:
    """A training run: data, network, options, and a detector to start from, if any.

    Attributes
    ----------
    repeats, beside
        How often a pass shows each picture of `train`, and further pictures that it shows once.
    """

    train: Request
    valid: Request
    config: DetectorConfig
    options: TrainOptions
    start_from: str | None = None
    repeats: int = 1
    beside: Request | None = None

    def settings(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "train": self.train.describe(),
            "valid": self.valid.describe(),
            "config": self.config.to_dict(),
            "options": self.options.to_dict(),
            "start_from": self.start_from,
            "repeats": self.repeats,
            "beside": self.beside and self.beside.describe(),
        }


def read_split(plan: Plan, report: Report | None = None) -> Split:
    """Return the pictures of the plan at the network's scale.

    Raises
    ------
    WorkbenchError
        One of the two parts is empty, a picture is in both, or has other bands than the network.
    """
    scaled = partial(sample, pixels_per_fwhm=plan.config.pixels_per_fwhm)
    wanted = {"training": plan.train, "validation": plan.valid, "beside": plan.beside}
    with ThreadPoolExecutor() as pool:  # Pillow and numpy let other threads run
        parts = {
            name: list(pool.map(scaled, galaxies(request, report)))
            for name, request in wanted.items() if request is not None
        }  # fmt: skip
    for name, found in parts.items():
        if other := [one for one in found if one.image.shape[2] != plan.config.bands]:
            raise WorkbenchError(
                f"{name}: {other[0].truth.name} has {other[0].image.shape[2]} bands, the detector "
                f"takes {plan.config.bands}"
            )
        if not any(len(one.truth) for one in found):
            raise WorkbenchError(f"{name}: {len(found)} pictures and no box; nothing to learn from")
    learning = plan.repeats * parts["training"] + parts.get("beside", [])
    names = [{one.truth.name for one in found} for found in (learning, parts["validation"])]
    if both := names[0] & names[1]:
        raise WorkbenchError(f"{min(both)} is in training and validation; the parts must differ")
    return Split(learning, parts["validation"])


def train(
    plan: Plan,
    folder: Path | str,
    *,
    report: Report | None = None,
    progress: bool = True,
    minutes: float | None = None,
    watching: Sequence[pl.Callback] = (),
) -> Path:
    """Train in `folder`, or go on there after a kill; return the path of the detector.

    The folder holds ``run.json`` (settings), ``starts.jsonl`` (when it was begun and gone on with),
    ``history.jsonl`` (a row an epoch), ``checkpoints/`` and at the end the detector with its card.
    A run that was killed goes on after its last checkpoint. After `minutes` of training (those
    before a kill count) the run ends as if its epochs were over. `watching` are told of what
    happens; one that raises stops the run, which goes on from its last checkpoint the next time.

    Raises
    ------
    WorkbenchError
        The folder holds a run of other settings, or the data is not enough.
    """
    folder = Path(folder)
    last, target = begin(plan, folder), folder / DETECTOR
    if target.is_file():  # finished: Lightning would save the last step's weights, not their mean
        return target
    split = read_split(plan, report)
    torch.manual_seed(plan.options.seed)
    _note_start(folder)
    model, config = _start(plan)
    module = ClumpTraining(model, config, plan.options, split)
    history, every = callbacks(folder, plan.options)
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=plan.options.devices,
        # The pyramid's coarser maps lend context but have outputs of their own, unused here.
        strategy="ddp_find_unused_parameters_true" if plan.options.devices > 1 else "auto",
        precision=plan.options.precision,  # type: ignore[arg-type]
        max_epochs=plan.options.epochs,
        check_val_every_n_epoch=plan.options.validate_every,
        max_time=None if minutes is None else dt.timedelta(minutes=minutes),
        callbacks=[*every, *watching],
        plugins=[AtomicCheckpoints()],
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,  # batches are shared out by size
        gradient_clip_val=5.0,
        logger=False,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders, for larger data than ours
        trainer.fit(module, ckpt_path=last)
    if trainer.is_global_zero:
        _finish(plan, module, folder, history.rows)
    return target


def begin(plan: Plan, folder: Path) -> Path | None:
    """Write or compare the settings of a run; return the checkpoint to go on from, if any.

    Raises
    ------
    WorkbenchError
        The folder holds a run of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place, text = folder / "run.json", json.dumps(plan.settings(), indent=2, sort_keys=True) + "\n"
    if not place.exists():
        write_atomically(place, text.encode())
    elif place.read_text(encoding="utf-8") != text:
        before = json.loads(place.read_text(encoding="utf-8"))
        now = plan.settings()
        other = [key for key in now if before.get(key) != json.loads(json.dumps(now[key]))]
        raise WorkbenchError(
            f"{folder} holds a run of other settings ({', '.join(other)} differ); give another "
            "folder, or the settings of run.json to go on"
        )
    last = folder / "checkpoints" / "last.ckpt"
    return last if last.is_file() else None


def _note_start(folder: Path) -> None:
    """Add when, and after how many epochs, the run began or went on."""
    history, place = folder / HISTORY, folder / STARTS
    done = len(history.read_text(encoding="utf-8").splitlines()) if history.is_file() else 0
    begun = {"date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "epochs_before": done}
    before = place.read_text(encoding="utf-8") if place.is_file() else ""
    write_atomically(place, (before + json.dumps(begun) + "\n").encode())


def _start(plan: Plan) -> tuple[FasterRCNN, DetectorConfig]:
    if plan.start_from is None:
        return build(plan.config, plan.options.weights), plan.config
    model, config, _ = load_detector(plan.start_from)
    if config != plan.config:
        raise WorkbenchError(f"{plan.start_from}: its config is {config}, expected {plan.config}")
    model.train()  # Lightning keeps the mode that a module comes in
    for module in model.modules():  # a few galaxies do not change the statistics of thousands
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return model, config


def _finish(plan: Plan, module: ClumpTraining, folder: Path, rows: list[dict[str, float]]) -> None:
    """Write the detector of the best epoch with its threshold and scores on validation."""
    which = "last.ckpt" if plan.options.keep_last else "best.ckpt"
    best = torch.load(folder / "checkpoints" / which, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    model = module.model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    card = {
        **validated(model, plan.config, module.split.valid, plan.options.min_flux_ratio),
        "training": {
            **plan.settings(),
            "start_from": plan.start_from and Path(plan.start_from).name,
            "galaxies": len(module.split.train),
            "epochs_run": len(rows),
            "best_epoch": int(best["epoch"]),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "torch": torch.__version__,
            "before": None if plan.start_from is None else read_card(plan.start_from)["training"],
        },
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": provenance.commit(),
        "licence": _licence(plan),
    }
    save_detector(folder / DETECTOR, model.cpu(), plan.config, card)


def validated(
    model: FasterRCNN, config: DetectorConfig, valid: Sequence[Sample], min_flux_ratio: float
) -> dict[str, Any]:
    """Return what a card says of `valid`: the threshold, those by flux cut, and the scores."""
    found = infer(model, config, [to_tensor(one.image) for one in valid])
    truths = [one.truth for one in valid]
    matches = match_all(found, truths, min_flux_ratio=min_flux_ratio)
    threshold = threshold_or_none_found(matches)
    return {
        "threshold": threshold,
        "thresholds": thresholds_by_cut(found, truths),
        "validation": {
            "galaxies": len(valid),
            "min_flux_ratio": min_flux_ratio,
            **summary(matches, threshold),
        },
    }


def _licence(plan: Plan) -> str:
    if plan.start_from is not None:
        return str(read_card(plan.start_from).get("licence", "unknown"))
    if plan.options.weights == backbones.RANDOM:
        return "Apache-2.0"
    return (
        f"Apache-2.0, started from weights under {backbones.backbone(plan.config.backbone).licence}"
    )
