"""``workbench clumps pretrain|learning-curve|speed|cross-validate``: a study of detectors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.clumps.backbones import BACKBONES, DEFAULT
from workbench.clumps.cli_options import count, plan, positive, request, say, train_arguments

if TYPE_CHECKING:
    import argparse


def add_parsers(commands: Any) -> None:
    """Add the commands."""
    for add in (_add_pretrain, _add_curve, _add_speed, _add_folds):
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
    add("--least-steps", type=count, default=0,
        help="see few galaxies more often than --epochs, until so many steps")  # fmt: skip
    add("--draws", type=positive, default=1,
        help="runs of a start and size, no galaxy in two of them")  # fmt: skip
    add("--draws-from", type=positive, metavar="NUMBER", help="draw from the first so many "
        "galaxies: larger sizes have fewer runs; default --number")  # fmt: skip
    add("--aim", choices=("f1", "balance"), default="f1",
        help="of the threshold: the best F1, or completeness and purity alike")  # fmt: skip
    add("--only", help="train this start alone: 'random', 'pretrained, frozen', 'pretrained'")
    add("--only-draw", type=count, help="train this draw alone, from 0")
    add("--record", help="also write the rows with hardware and versions to this .json")
    parser.set_defaults(run=_run_curve)


def _run_curve(args: argparse.Namespace) -> int:
    from workbench.clumps import learning  # noqa: PLC0415
    from workbench.clumps.evaluate import Aim  # noqa: PLC0415
    from workbench.clumps.learning_figure import learning_figure  # noqa: PLC0415

    test = replace(request(args), number=args.test_number, seed=args.seed + 900_000)
    compared = [one for one in learning.starts(args.pretrained) if args.only in {None, one.name}]
    pool = args.draws_from or args.number or 0
    rows = learning.learning_curve(
        plan(args), test, args.sizes, compared, args.out, least_steps=args.least_steps,
        draws=learning.Draws(args.draws, pool, args.only_draw), aim=Aim(args.aim),
    )  # fmt: skip
    for one in compared:
        for size, mean in learning.mean_rates(rows, one.name).items():
            rates = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
            say(f"{one.name:20} {size:6} {rates}")
    if args.record:
        from workbench.clumps import record  # noqa: PLC0415

        goal = {one.name: learning.reached(rows, one.name) for one in compared}
        settings = plan(args).settings()
        content = {"settings": settings, "aim": args.aim, "reached_0.8": goal, "rows": rows}
        record.write(args.record, content)
    page = learning_figure(rows).to_html(include_plotlyjs=True)
    (Path(args.out) / "learning_curve.html").write_text(page, encoding="utf-8")
    return 0


def _add_speed(commands: Any) -> None:
    parser = commands.add_parser(
        "speed",
        help="pictures a second, beside torchvision's default at 800 pixels",
        description="On simulated galaxies of 200 x 200 pixels, in memory as bytes; prints JSON.",
    )
    add = parser.add_argument
    add("--backbone", choices=sorted(BACKBONES), default=DEFAULT)
    add("--weights", help="detector (.safetensors); default random weights of --backbone")
    add("--number", type=positive, default=64, help="pictures for the detector")
    add("--reference", type=positive, default=4, help="pictures for torchvision's")
    add("--repeats", type=positive, default=3, help="the fastest counts")
    add("--bf16", action="store_true")
    add("--record", help="also write the result with hardware and versions to this .json")
    parser.set_defaults(run=_run_speed)


def _run_speed(args: argparse.Namespace) -> int:
    from workbench.clumps.detector_config import DetectorConfig  # noqa: PLC0415
    from workbench.clumps.speed import measure  # noqa: PLC0415

    config = DetectorConfig(backbone=args.backbone)
    result = measure(
        config, args.number, args.reference, repeats=args.repeats, bf16=args.bf16,
        weights=args.weights,
    )  # fmt: skip
    say(json.dumps(result, indent=1))
    if args.record:
        from workbench.clumps import record  # noqa: PLC0415

        record.write(args.record, result)
    return 0


def _add_folds(commands: Any) -> None:
    parser = commands.add_parser(
        "cross-validate",
        help="Stripe 82 in five folds: zero-shot and fine-tuned",
        description="Fine-tunes five times, each on four folds; scores every galaxy once.",
    )
    add = parser.add_argument
    add("--from", dest="start_from", required=True, help="detector (.safetensors) to start from")
    add("--folder", help="converted s82 data; default that of FLASHCLUMP_DATA, or a download")
    add("--only", type=count, help="train this fold alone (0 to 4), score nothing")
    add("--runs", type=positive, default=1,
        help="fine-tunings of a fold: their mean weights are scored, and all together")  # fmt: skip
    add("--jobs", type=positive, default=1, help="runs to train at once, each in its own process")
    add("--everything", action="store_true",
        help="fine-tune on all galaxies; its thresholds are those of the folds")  # fmt: skip
    add("--orientations", type=positive, default=1, help="in which a picture is seen when scored")
    add("--epochs", type=positive, default=14)
    add("--validate-every", type=positive, default=1, metavar="EPOCHS")
    add("--batch", type=positive, default=32)
    add("--learning-rate", type=float, default=3e-4)
    add("--stages", type=count, default=4, help="last stages of the encoder that learn, 0 to 4")
    add("--precision", choices=("32-true", "bf16-mixed", "16-mixed"), default="32-true")
    add("--cache", help="folder for finished simulated galaxies")
    add("--workers", type=positive, help="processes that make these; default one a core")
    add("--out", required=True, help="folder of the five runs and the report")
    add("--record", help="also write the report with hardware and versions to this .json")
    parser.set_defaults(run=_run_folds)


def _run_folds(args: argparse.Namespace) -> int:
    from workbench.clumps import record, report  # noqa: PLC0415
    from workbench.clumps.crossval import Study, cross_validate, fine_tune_on_all  # noqa: PLC0415
    from workbench.clumps.training import TrainOptions  # noqa: PLC0415

    options = TrainOptions(
        epochs=args.epochs, batch=args.batch, learning_rate=args.learning_rate, ema=0.99,
        patience=args.epochs, validate_every=args.validate_every, trainable_stages=args.stages,
        precision=args.precision,
    )  # fmt: skip
    study = Study(args.start_from, options, Path(args.out), args.folder, args.cache,
                  args.orientations, args.workers, args.runs, args.jobs)  # fmt: skip
    if args.only is not None:
        study.train_all([args.only])
        say(str(study.weights(args.only)))
        return 0
    if args.everything:
        say(str(fine_tune_on_all(study)))
        return 0
    result = cross_validate(study)
    report.write_report(Path(args.out), result)
    if args.record:
        record.write(args.record, report.without_nan(result))
    say(report.as_text(result))
    return 0
