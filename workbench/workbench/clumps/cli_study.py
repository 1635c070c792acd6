"""``workbench clumps pretrain|learning-curve|speed``: the commands of a study of detectors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.clumps.backbones import BACKBONES, DEFAULT
from workbench.clumps.cli_options import plan, positive, request, say, train_arguments

if TYPE_CHECKING:
    import argparse


def add_parsers(commands: Any) -> None:
    """Add the three commands."""
    for add in (_add_pretrain, _add_curve, _add_speed):
        add(commands)


def _add_pretrain(commands: Any) -> None:
    parser = commands.add_parser(
        "pretrain",
        help="an encoder that knows simulated galaxies, by Zoobot's training code",
        description="Writes a folder for `workbench clumps train --weights`.",
    )
    add = parser.add_argument
    add("--backbone", choices=sorted(BACKBONES), default=DEFAULT)
    add("--number", type=positive, default=5000, help="galaxies, a fifth for validation")
    add("--epochs", type=positive, default=20)
    add("--batch", type=positive, default=64)
    add("--workers", type=positive, help="processes; default one a core")
    add("--cache", help="folder for finished simulated galaxies")
    add("--out", required=True, help="folder to write")
    parser.set_defaults(run=_run_pretrain)


def _run_pretrain(args: argparse.Namespace) -> int:
    from workbench.clumps.pretrain import PretrainOptions, pretrain  # noqa: PLC0415

    options = PretrainOptions(
        backbone=args.backbone, number=args.number, epochs=args.epochs, batch=args.batch,
        cache=args.cache, workers=args.workers,
    )  # fmt: skip
    folder = pretrain(options, args.out)
    say((folder / "card.json").read_text(encoding="utf-8"))
    return 0


def _add_curve(commands: Any) -> None:
    parser = commands.add_parser(
        "learning-curve",
        help="F1 against the number of training galaxies, by start of the encoder",
        description="Trains one detector a start and size; goes on where it was stopped.",
    )
    train_arguments(parser)
    add = parser.add_argument
    add("--sizes", type=positive, nargs="+", default=[100, 200, 400, 800, 1600, 3200, 5000])
    add("--pretrained", help="zoobot, imagenet or a folder, beside the random start")
    add("--test-number", type=positive, default=500, help="test galaxies of a third seed")
    parser.set_defaults(run=_run_curve)


def _run_curve(args: argparse.Namespace) -> int:
    from workbench.clumps import learning  # noqa: PLC0415

    test = replace(request(args), number=args.test_number, seed=args.seed + 900_000)
    compared = learning.starts(args.pretrained)
    rows = learning.learning_curve(plan(args), test, args.sizes, compared, args.out)
    for row in rows:
        rates = " ".join(f"{name} {row[name]:.3f}" for name in ("completeness", "purity", "f1"))
        say(f"{row['start']:20} {row['galaxies']:6} {rates}")
    page = learning.learning_figure(rows).to_html(include_plotlyjs=True)
    (Path(args.out) / "learning_curve.html").write_text(page, encoding="utf-8")
    return 0


def _add_speed(commands: Any) -> None:
    parser = commands.add_parser(
        "speed",
        help="pictures a second, beside torchvision's default at 800 pixels",
        description="Random weights on 200 x 200 pictures; prints JSON.",
    )
    add = parser.add_argument
    add("--backbone", choices=sorted(BACKBONES), default=DEFAULT)
    add("--number", type=positive, default=64, help="pictures for the detector")
    add("--reference", type=positive, default=4, help="pictures for torchvision's")
    add("--repeats", type=positive, default=3, help="the fastest counts")
    add("--bf16", action="store_true")
    parser.set_defaults(run=_run_speed)


def _run_speed(args: argparse.Namespace) -> int:
    from workbench.clumps.detector_config import DetectorConfig  # noqa: PLC0415
    from workbench.clumps.speed import measure  # noqa: PLC0415

    config = DetectorConfig(backbone=args.backbone)
    result = measure(config, args.number, args.reference, repeats=args.repeats, bf16=args.bf16)
    say(json.dumps(result, indent=1))
    return 0
