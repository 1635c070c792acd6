"""``workbench clumps data|train|detect|evaluate|audit``: parses, calls the library, prints."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit import cli as audit
from workbench.clumps.backbones import BACKBONES, DEFAULT
from workbench.clumps.request import FOLDS, SOURCES, Request
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.clumps.pictures import Report
    from workbench.clumps.run import Plan

_EPILOG = """examples (all run without network):
  workbench clumps data --number 50 --out sample/
  workbench clumps train --number 400 --out run/
  workbench clumps detect sample/ --catalog sample/labels.parquet --weights run/detector.safetensors
  workbench clumps evaluate --number 100 --seed 9 --weights run/detector.safetensors --out report/
"""


def add_parser(commands: Any) -> None:
    """Add ``clumps`` and its commands to the subparsers `commands`."""
    parser = commands.add_parser(
        "clumps",
        help="find giant star-forming clumps in pictures of galaxies",
        description="Make or convert data, train a detector, detect, evaluate.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_data, _add_train, _add_detect, _add_evaluate, audit.add_parser):
        add(inner)


def _source_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--source", choices=SOURCES, default="simulated", help="default: %(default)s")
    add("--number", type=_count, help="galaxies; simulated and injected: 100 by default")
    add("--seed", type=_count, default=0, help="of simulated and injected galaxies")
    add("--folder", help="pictures; for injected: hosts with known PSF, or s82")
    add("--labels", help="COCO .json, .csv or .parquet; clump_scout: also .pkl")
    add("--catalog", help="table with file and psf_fwhm_r_px, arcsec_per_px, ra, dec")
    add(
        "--fold",
        type=int,
        help="of s82: evaluate on this one (0 to 4), validate on the next, train on the others",
    )
    add("--workers", type=_positive, help="processes; default one a core")
    add("--cache", help="folder for finished simulated galaxies")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


def _request(args: argparse.Namespace) -> Request:
    return Request(
        source=args.source, number=args.number, seed=args.seed, place=args.folder,
        labels=args.labels, catalog=args.catalog, fold=args.fold, workers=args.workers,
        cache=args.cache,
    )  # fmt: skip


def _add_data(commands: Any) -> None:
    parser = commands.add_parser(
        "data", help="make or convert pictures and labels", description="Write PNG and labels."
    )
    _source_arguments(parser)
    parser.add_argument("--out", required=True, help="folder to write")
    parser.set_defaults(run=_run_data)


def _run_data(args: argparse.Namespace) -> int:
    # Commands load what they need: `workbench --help` must not wait for torch, or ask for Pillow.
    from workbench.clumps.export import write_data  # noqa: PLC0415
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.sources import galaxies  # noqa: PLC0415

    report, began = Report(), time.monotonic()
    number = write_data(galaxies(_request(args), report), Path(args.out))
    _say(f"{number} pictures in {args.out} in {time.monotonic() - began:.0f} s")
    return _told(report, number)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a detector, or go on with a run",
        description="The folder of a run that was killed goes on from its last epoch.",
    )
    _train_arguments(parser)
    parser.add_argument("--no-progress", action="store_true")
    parser.set_defaults(run=_run_train)


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    _source_arguments(parser)
    add = parser.add_argument
    add("--out", required=True, help="folder of the run")
    add(
        "--valid-number",
        type=_positive,
        help="validation galaxies, simulated or injected; default a fifth of --number",
    )
    add("--valid-folder", help="pictures for validation, for sources that are folders")
    add("--valid-labels", help="their labels")
    add("--backbone", choices=sorted(BACKBONES), default=DEFAULT)
    add("--weights", default="random",
        help="start of the encoder: zoobot, imagenet, random or a folder")  # fmt: skip
    add("--from", dest="start_from", help="detector (.safetensors) to fine-tune")
    add("--stages", type=int, default=4, help="last stages of the encoder that learn, 0 to 4")
    add("--epochs", type=_positive, default=40)
    add("--batch", type=_positive, default=8)
    add("--learning-rate", type=float, default=4e-4)
    add("--patience", type=_positive, default=10)
    add("--min-flux-ratio", type=float, default=0.0, help="ignore fainter truth on validation")
    add("--precision", choices=("32-true", "bf16-mixed", "16-mixed"), default="32-true")
    add("--devices", type=_positive, default=1)
    add("--loaders", type=_count, default=0, help="processes that augment pictures")


def _plan(args: argparse.Namespace) -> Plan:
    from workbench.clumps.detector_config import DetectorConfig  # noqa: PLC0415
    from workbench.clumps.run import Plan  # noqa: PLC0415
    from workbench.clumps.training import TrainOptions  # noqa: PLC0415

    options = TrainOptions(
        epochs=args.epochs, batch=args.batch, learning_rate=args.learning_rate,
        patience=args.patience, min_flux_ratio=args.min_flux_ratio, weights=args.weights,
        trainable_stages=args.stages, precision=args.precision, devices=args.devices,
        seed=args.seed, workers=args.loaders,
    )  # fmt: skip
    config = DetectorConfig(backbone=args.backbone)
    valid, request = _validation(args), _request(args)
    if args.source == "s82":  # the fold that chooses epoch and threshold is not trained on
        request = replace(request, skip=valid.fold)
    return Plan(request, valid, config, options, args.start_from)


def _run_train(args: argparse.Namespace) -> int:
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.run import train  # noqa: PLC0415

    report = Report()
    path = train(_plan(args), args.out, report=report, progress=not args.no_progress)
    _say(f"{path}\n{path.with_suffix('.json').read_text(encoding='utf-8')}")
    return _told(report, report.read or 1)


def _validation(args: argparse.Namespace) -> Request:
    """Return other galaxies than those trained on."""
    request = _request(args)
    if args.source in {"simulated", "injected"}:
        number = args.valid_number or max(1, (args.number or 100) // 5)
        # A sample of its own: no galaxy of another seed is the same.
        return replace(request, seed=args.seed + 500_000, number=number)
    if args.source == "s82":
        if args.fold is None:
            raise WorkbenchError("s82: give --fold, so that a fold is left for evaluation")
        return replace(request, fold=(args.fold + 1) % FOLDS, held_out=True)
    if not args.valid_folder:
        raise WorkbenchError(f"source {args.source} needs --valid-folder with other pictures")
    return replace(request, place=args.valid_folder, labels=args.valid_labels or args.labels)


def _add_detect(commands: Any) -> None:
    parser = commands.add_parser(
        "detect",
        help="find clumps in pictures",
        description="Columns: file, x1, y1, x2, y2, score, label, ra, dec.",
    )
    add = parser.add_argument
    add("pictures", help="a picture or a folder of pictures (PNG, JPEG, FITS)")
    add("--weights", required=True, help="detector (.safetensors)")
    add("--catalog", help="table with file and psf_fwhm_r_px, or psf_fwhm_r_arcsec and "
        "arcsec_per_px; ra, dec")  # fmt: skip
    add("--psf-px", type=float, help="PSF FWHM in pixels of pictures not in the catalogue")
    add("--threshold", type=float, help="least score; default the card's")
    add("--host-only", action="store_true", help="keep what is on the galaxy's segment")
    add("--merge", action="store_true", help="join detections within one PSF FWHM")
    add("--out", default="detections.parquet", help="default: %(default)s")
    parser.set_defaults(run=_run_detect)


def _run_detect(args: argparse.Namespace) -> int:
    from workbench.clumps import detecting, folder  # noqa: PLC0415
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.weights import read_card  # noqa: PLC0415

    if args.psf_px is not None and not args.psf_px > 0:
        raise WorkbenchError(f"--psf-px {args.psf_px}; expected a positive number of pixels")
    report, began = Report(), time.monotonic()
    threshold = args.threshold
    if threshold is None:
        threshold = float(read_card(args.weights).get("threshold", 0.0))
    found = detecting.run_detector(
        args.weights, folder.load(args.pictures, catalog=args.catalog, report=report),
        psf_fwhm=args.psf_px, host_only=args.host_only, merged=args.merge, report=report,
    )  # fmt: skip
    frame = detecting.to_frame((galaxy.truth, one) for galaxy, one in found)
    frame = frame[frame["score"] >= threshold]
    detecting.write_detections(args.out, frame)
    took = time.monotonic() - began
    _say(
        f"{len(frame)} detections with score >= {threshold:.3f} in {report.read} pictures, "
        f"{took:.1f} s; {args.out}"
    )
    return _told(report, report.read)


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="completeness, purity, F1 and AP, with intervals",
        description="Writes report.json, report.md and report.html.",
    )
    _source_arguments(parser)
    add = parser.add_argument
    add("--weights", help="detector (.safetensors)")
    add("--detections", help="or its detections (.parquet, .csv) of these pictures")
    add("--threshold", type=float, help="default: the one on the detector's card")
    add("--classical", action="store_true", help="compare DoG, SEP and DAOStarFinder")
    add("--tune-number", type=_positive, default=100,
        help="galaxies of another seed to tune these on (simulated, injected)")  # fmt: skip
    add("--out", required=True, help="folder of the report")
    parser.set_defaults(run=_run_evaluate)


def _run_evaluate(args: argparse.Namespace) -> int:
    from workbench.clumps import report as reporting  # noqa: PLC0415
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.sources import galaxies  # noqa: PLC0415

    if not (args.weights or args.detections or args.classical):
        raise WorkbenchError("nothing to evaluate: give --weights, --detections or --classical")
    problems = Report()
    request = replace(_request(args), held_out=args.fold is not None)
    test = list(galaxies(request, problems))
    methods = _methods(args, test, reporting)
    if args.classical:
        methods += reporting.comparators(list(galaxies(_tuning(args))), test)
    about = {"data": request.describe(), "weights": args.weights, "command": sys.argv[1:]}
    result = reporting.report(methods, [galaxy.truth for galaxy in test], about)
    reporting.write_report(Path(args.out), result)
    _say(reporting.as_text(result) + f"\n{args.out}/report.html")
    return _told(problems, len(test))


def _methods(args: argparse.Namespace, test: list[Any], reporting: Any) -> list[Any]:
    from workbench.clumps import detecting  # noqa: PLC0415
    from workbench.clumps.weights import read_card  # noqa: PLC0415

    made = []
    threshold = args.threshold
    if args.weights:
        if threshold is None:
            threshold = float(read_card(args.weights)["threshold"])
        found = [one for _, one in detecting.run_detector(args.weights, test)]
        made.append(reporting.Method("detector", found, threshold))
    if args.detections:
        if threshold is None:
            raise WorkbenchError("--detections needs --threshold, chosen on other galaxies")
        found = detecting.read_detections(args.detections, [galaxy.truth for galaxy in test])
        made.append(reporting.Method(Path(args.detections).name, found, threshold))
    return made


def _tuning(args: argparse.Namespace) -> Request:
    """Return galaxies to tune the classical methods on, none of them scored."""
    request = _request(args)
    if args.source in {"simulated", "injected"}:
        return replace(request, seed=args.seed + 700_000, number=args.tune_number)
    if args.source == "s82" and args.fold is not None:
        return request
    raise WorkbenchError("--classical needs galaxies to tune on: s82 with --fold, or made ones")


def _add_pretrain(commands: Any) -> None:
    parser = commands.add_parser(
        "pretrain",
        help="an encoder that knows simulated galaxies, by Zoobot's training code",
        description="Writes a folder for `workbench clumps train --weights`.",
    )
    add = parser.add_argument
    add("--backbone", choices=sorted(BACKBONES), default=DEFAULT)
    add("--number", type=_positive, default=5000, help="galaxies, a fifth for validation")
    add("--epochs", type=_positive, default=20)
    add("--batch", type=_positive, default=64)
    add("--workers", type=_positive, help="processes; default one a core")
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
    _say((folder / "card.json").read_text(encoding="utf-8"))
    return 0


def _add_curve(commands: Any) -> None:
    parser = commands.add_parser(
        "learning-curve",
        help="F1 against the number of training galaxies, by start of the encoder",
        description="Trains one detector a start and size; goes on where it was stopped.",
    )
    _train_arguments(parser)
    add = parser.add_argument
    add("--sizes", type=_positive, nargs="+", default=[100, 200, 400, 800, 1600, 3200, 5000])
    add("--pretrained", help="zoobot, imagenet or a folder, beside the random start")
    add("--test-number", type=_positive, default=500, help="test galaxies of a third seed")
    parser.set_defaults(run=_run_curve)


def _run_curve(args: argparse.Namespace) -> int:
    from workbench.clumps import learning  # noqa: PLC0415

    test = replace(_request(args), number=args.test_number, seed=args.seed + 900_000)
    compared = learning.starts(args.pretrained)
    rows = learning.learning_curve(_plan(args), test, args.sizes, compared, args.out)
    for row in rows:
        rates = " ".join(f"{name} {row[name]:.3f}" for name in ("completeness", "purity", "f1"))
        _say(f"{row['start']:20} {row['galaxies']:6} {rates}")
    page = learning.learning_figure(rows).to_html(include_plotlyjs=True)
    (Path(args.out) / "learning_curve.html").write_text(page, encoding="utf-8")
    return 0


def _told(report: Report, done: int) -> int:
    """Print what could not be read; the answer is no where nothing could."""
    if report.problems:
        print(report, file=sys.stderr)  # noqa: T201 - this is the command line
    return 0 if done else 1


def _say(text: str) -> None:
    print(text)  # noqa: T201 - this is the command line
