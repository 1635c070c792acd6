"""Arguments that several ``workbench clumps`` commands share."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.clumps.backbones import BACKBONES, DEFAULT
from workbench.clumps.request import FOLDS, MADE, SOURCES, Request
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.clumps.judge import Judge
    from workbench.clumps.postprocess import HostRule
    from workbench.clumps.run import Plan


def source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which galaxies are worked on."""
    add = parser.add_argument
    add("--source", choices=SOURCES, default="simulated", help="default: %(default)s")
    add("--number", type=count, help="galaxies; simulated and injected: 100 by default")
    add("--seed", type=count, default=0, help="of simulated and injected galaxies")
    add("--folder", help="pictures; for injected: hosts with known PSF, or s82")
    add("--labels", help="COCO .json, .csv or .parquet; clump_scout: also .pkl")
    add("--catalog", help="table with file and psf_fwhm_r_px, arcsec_per_px, ra, dec")
    add(
        "--fold",
        type=int,
        help="of s82: evaluate on this one (0 to 4), validate on the next, train on the others",
    )
    add("--workers", type=positive, help="processes; default one a core")
    add("--cache", help="folder for finished simulated galaxies")


def train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the data, network and options of a training run."""
    source_arguments(parser)
    add = parser.add_argument
    add("--out", required=True, help="folder of the run")
    add(
        "--valid-number",
        type=positive,
        help="validation galaxies, simulated or injected; default a fifth of --number",
    )
    add("--valid-folder", help="pictures for validation, for sources that are folders")
    add("--valid-labels", help="their labels")
    add("--backbone", choices=sorted(BACKBONES), default=DEFAULT)
    add("--bands", type=int, choices=(3, 5), default=3, help="of the pictures; 5: the first five "
        "planes of FITS files in a folder, u g r i z")  # fmt: skip
    add("--weights", default="random",
        help="start of the encoder: zoobot, imagenet, random or a folder")  # fmt: skip
    add("--from", dest="start_from", help="detector (.safetensors) to fine-tune; "
        "backbone and bands are its own")  # fmt: skip
    add("--stages", type=int, default=4, help="last stages of the encoder that learn, 0 to 4")
    add("--epochs", type=positive, default=40)
    add("--batch", type=positive, default=8)
    add("--learning-rate", type=float, default=4e-4)
    add("--patience", type=positive, default=10)
    add("--validate-every", type=positive, default=1, metavar="EPOCHS")
    add("--min-flux-ratio", type=float, default=0.0, help="ignore fainter truth on validation")
    add("--precision", choices=("32-true", "bf16-mixed", "16-mixed"), default="32-true")
    add("--devices", type=positive, default=1)


def look_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how a detector looks at a picture; `host_rule` reads the answer."""
    add = parser.add_argument
    add("--orientations", type=positive, default=1, help="look at each picture in so many, up to "
        "8, and average: surer, as many times slower")  # fmt: skip
    add("--host-only", action="store_true", help="keep what is on the galaxy")
    add(
        "--host",
        choices=("outline", "segment"),
        default="outline",
        help="what that is: 7 times the noise and joined to the centre (default), or the segment "
        "of Popp et al. 2024",
    )
    add("--no-judge", action="store_true", help="the network's own scores, where the detector's "
        "card has a judge that weighs them again: less sure, several times faster")  # fmt: skip


def judge_of(args: argparse.Namespace, weights: Sequence[Path | str]) -> Judge | None:
    """Return the judge on the card of the detector, None where there are several."""
    from workbench.clumps.weights import card_judge  # noqa: PLC0415

    return None if args.no_judge or len(weights) != 1 else card_judge(weights[0])


def host_rule(args: argparse.Namespace) -> HostRule | None:
    """Return what counts as the galaxy, None for the whole picture."""
    from workbench.clumps.postprocess import HostRule  # noqa: PLC0415 - it needs numpy

    return HostRule(args.host) if args.host_only else None


def count(text: str) -> int:
    """Return a number of 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return value


def positive(text: str) -> int:
    """Return a number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


def request(args: argparse.Namespace) -> Request:
    """Return the galaxies that the arguments name."""
    return Request(
        source=args.source, number=args.number, seed=args.seed, place=args.folder,
        labels=args.labels, catalog=args.catalog, fold=args.fold, workers=args.workers,
        cache=args.cache, bands=5 if getattr(args, "bands", 3) == 5 else None,
    )  # fmt: skip


def plan(args: argparse.Namespace) -> Plan:
    """Return the training run that the arguments describe."""
    from workbench.clumps.detector_config import DetectorConfig, config_from_dict  # noqa: PLC0415
    from workbench.clumps.run import Plan  # noqa: PLC0415
    from workbench.clumps.training import TrainOptions  # noqa: PLC0415
    from workbench.clumps.weights import read_card  # noqa: PLC0415

    config = DetectorConfig(backbone=args.backbone, bands=args.bands)
    if args.start_from:
        config = config_from_dict(read_card(args.start_from)["config"], args.start_from)
        args.bands = config.bands
    options = TrainOptions(
        epochs=args.epochs, batch=args.batch, learning_rate=args.learning_rate,
        patience=args.patience, validate_every=args.validate_every,
        min_flux_ratio=args.min_flux_ratio, weights=args.weights,
        trainable_stages=args.stages, precision=args.precision, devices=args.devices,
        seed=args.seed,
    )  # fmt: skip
    valid, learning = validation(args), request(args)
    if args.source == "s82":  # the fold that chooses epoch and threshold is not trained on
        learning = replace(learning, skip=valid.fold)
    return Plan(learning, valid, config, options, args.start_from)


def validation(args: argparse.Namespace) -> Request:
    """Return other galaxies than those trained on."""
    asked = request(args)
    if args.source in MADE:
        number = args.valid_number or max(1, (args.number or 100) // 5)
        # A sample of its own: no galaxy of another seed is the same.
        return replace(asked, seed=args.seed + 500_000, number=number)
    if args.source == "s82":
        if args.fold is None:
            raise WorkbenchError("s82: give --fold, so that a fold is left for evaluation")
        return replace(asked, fold=(args.fold + 1) % FOLDS, held_out=True)
    if not args.valid_folder:
        raise WorkbenchError(f"source {args.source} needs --valid-folder with other pictures")
    return replace(asked, place=args.valid_folder, labels=args.valid_labels or args.labels)


def say(text: str) -> None:
    """Print: this is the command line."""
    print(text)  # noqa: T201 - this is the command line
