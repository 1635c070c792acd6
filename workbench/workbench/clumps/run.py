"""A training run in a folder: begun, killed, gone on with, and its detector written."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from workbench.clumps import backbones
from workbench.clumps.detector import build, infer, to_tensor
from workbench.clumps.evaluate import (
    FLUX_CUTS,
    choose_threshold,
    match_all,
    summary,
    threshold_or_none_found,
)
from workbench.clumps.files import write_atomically
from workbench.clumps.samples import Split, sample
from workbench.clumps.sources import galaxies
from workbench.clumps.training import AtomicCheckpoints, ClumpTraining, TrainOptions, callbacks
from workbench.clumps.weights import load_detector, read_card, save_detector
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.galaxy import Annotation
    from workbench.clumps.matching import Detections
    from workbench.clumps.pictures import Report
    from workbench.clumps.request import Request

DETECTOR = "detector.safetensors"


@dataclass(frozen=True)
class Plan:
    """A training run: data, network, options, and a detector to start from, if any."""

    train: Request
    valid: Request
    config: DetectorConfig
    options: TrainOptions
    start_from: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "train": self.train.describe(),
            "valid": self.valid.describe(),
            "config": self.config.to_dict(),
            "options": self.options.to_dict(),
            "start_from": self.start_from,
        }


def read_split(plan: Plan, report: Report | None = None) -> Split:
    """Return the pictures of the plan at the network's scale.

    Raises
    ------
    WorkbenchError
        One of the two parts is empty, or a picture is in both.
    """
    scaled = partial(sample, pixels_per_fwhm=plan.config.pixels_per_fwhm)
    with ThreadPoolExecutor() as pool:  # Pillow and numpy let other threads run
        parts = {
            name: list(pool.map(scaled, galaxies(request, report)))
            for name, request in (("training", plan.train), ("validation", plan.valid))
        }
    for name, found in parts.items():
        if not any(len(one.truth) for one in found):
            raise WorkbenchError(f"{name}: {len(found)} pictures and no box; nothing to learn from")
    names = [{one.truth.name for one in found} for found in parts.values()]
    if both := names[0] & names[1]:
        raise WorkbenchError(f"{min(both)} is in training and validation; the parts must differ")
    return Split(parts["training"], parts["validation"])


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

    The folder holds ``run.json`` (settings), ``history.jsonl`` (a row an epoch), ``checkpoints/``
    and at the end the detector with its card. After `minutes` of training (those before a kill
    count) the run ends as if its epochs were over. `watching` are told of what happens; one that
    raises stops the run, which goes on from its last whole epoch the next time.

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
    model, config = _start(plan)
    module = ClumpTraining(model, config, plan.options, split)
    history, every = callbacks(folder, plan.options)
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=plan.options.devices,
        precision=plan.options.precision,  # type: ignore[arg-type]
        max_epochs=plan.options.epochs,
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
    model = module.model.cpu().eval()
    found = infer(model, plan.config, [to_tensor(one.image) for one in module.split.valid])
    matches = match_all(
        found,
        [one.truth for one in module.split.valid],
        min_flux_ratio=plan.options.min_flux_ratio,
    )
    threshold = threshold_or_none_found(matches)
    card = {
        "threshold": threshold,
        "thresholds": _by_cut(found, [one.truth for one in module.split.valid]),
        "validation": {
            "galaxies": len(module.split.valid),
            "min_flux_ratio": plan.options.min_flux_ratio,
            **summary(matches, threshold),
        },
        "training": {
            **plan.settings(),
            "galaxies": len(module.split.train),
            "epochs_run": len(rows),
            "best_epoch": int(best["epoch"]),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "torch": torch.__version__,
            "before": None if plan.start_from is None else read_card(plan.start_from)["training"],
        },
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": commit(),
        "licence": _licence(plan),
    }
    save_detector(folder / DETECTOR, model, plan.config, card)


def _by_cut(found: list[Detections], truths: list[Annotation]) -> dict[str, float]:
    """Return the threshold of the best F1 for each flux cut at which there is something."""
    chosen = {}
    for cut in FLUX_CUTS:
        matches = match_all(found, truths, min_flux_ratio=cut)
        if any(len(match.counted) and len(match.scores) for match in matches):
            chosen[str(cut)] = choose_threshold(matches)
    return chosen


def _licence(plan: Plan) -> str:
    if plan.start_from is None and plan.options.weights == backbones.RANDOM:
        return "Apache-2.0"
    return (
        f"Apache-2.0, started from weights under {backbones.backbone(plan.config.backbone).licence}"
    )


def commit() -> str | None:
    """Return the commit of this checkout, or what ``COMMIT`` says where there is no git."""
    if "COMMIT" in os.environ:
        return os.environ["COMMIT"]
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - git where the user has it
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
