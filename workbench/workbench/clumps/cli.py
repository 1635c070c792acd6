"""``workbench clumps data|train|detect|evaluate|audit``: parses, calls the library, prints."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from workbench.audit import cli as audit
from workbench.clumps import cli_study
from workbench.clumps.cli_options import (
    host_rule,
    judge_of,
    look_arguments,
    plan,
    positive,
    request,
    say,
    source_arguments,
    train_arguments,
)
from workbench.clumps.request import MADE
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.clumps.pictures import Report
    from workbench.clumps.request import Request

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
    cli_study.add_parsers(inner)


def _add_data(commands: Any) -> None:
    parser = commands.add_parser(
        "data",
        help="make or convert pictures and labels",
        description="Write PNG (or FITS) and labels.",
    )
    source_arguments(parser)
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--form", default="png", help="of the pictures: png, or fits for linear "
                        "bands i, r, g with their WCS")  # fmt: skip
    parser.set_defaults(run=_run_data)


def _run_data(args: argparse.Namespace) -> int:
    # Commands load what they need: `workbench --help` must not wait for torch, or ask for Pillow.
    from workbench.clumps.export import write_data  # noqa: PLC0415
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.sources import galaxies  # noqa: PLC0415

    report, began = Report(), time.monotonic()
    number = write_data(galaxies(request(args), report), Path(args.out), args.form)
    say(f"{number} pictures in {args.out} in {time.monotonic() - began:.0f} s")
    return _told(report, number)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a detector, or go on with a run",
        description="The folder of a run that was killed goes on from its last epoch.",
    )
    train_arguments(parser)
    parser.add_argument("--no-progress", action="store_true")
    parser.add_argument("--minutes", type=float, help="of training at most, then the run ends")
    parser.add_argument("--record", help="also write curves and scores with hardware to this .json")
    parser.set_defaults(run=_run_train)


def _run_train(args: argparse.Namespace) -> int:
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.run import train  # noqa: PLC0415

    report = Report()
    path = train(plan(args), args.out, report=report, progress=not args.no_progress,
        minutes=args.minutes)  # fmt: skip
    say(f"{path}\n{path.with_suffix('.json').read_text(encoding='utf-8')}")
    if args.record:
        from workbench.clumps import record  # noqa: PLC0415

        record.write(args.record, record.training(path))
    return _told(report, report.read or 1)


def _add_detect(commands: Any) -> None:
    parser = commands.add_parser(
        "detect",
        help="find clumps in pictures",
        description="Columns: file, x1, y1, x2, y2, score, label, ra, dec.",
    )
    add = parser.add_argument
    add("pictures", help="a picture or a folder of pictures (PNG, JPEG, FITS)")
    add("--weights", action="append", help="detector (.safetensors); default the one that comes "
        "along; given again: several look together")  # fmt: skip
    add("--catalog", help="table with file and psf_fwhm_r_px, or psf_fwhm_r_arcsec and "
        "arcsec_per_px; ra, dec")  # fmt: skip
    add("--psf-px", type=float, help="PSF FWHM in pixels of pictures not in the catalogue")
    add("--threshold", type=float, help="least score; default the card's, of several the mean")
    add("--min-flux-ratio", type=float, default=0.0, metavar="RATIO", help="for a catalogue of "
        "clumps of at least this part of their galaxy's u light: scores say how sure such a one "
        "is")  # fmt: skip
    look_arguments(parser)
    add("--merge", action="store_true", help="join detections within one PSF FWHM")
    add("--workers", type=positive, help="processes for the judge; default one a core")
    add("--out", default="detections.parquet", help="default: %(default)s")
    parser.set_defaults(run=_run_detect)


def _run_detect(args: argparse.Namespace) -> int:
    from workbench.clumps import detecting, folder  # noqa: PLC0415
    from workbench.clumps.pictures import Report, Stretch  # noqa: PLC0415
    from workbench.clumps.pool import processes  # noqa: PLC0415
    from workbench.clumps.weights import bands, card_threshold, shipped  # noqa: PLC0415

    weights = args.weights or [shipped()]
    if args.psf_px is not None and not args.psf_px > 0:
        raise WorkbenchError(f"--psf-px {args.psf_px}; expected a positive number of pixels")
    if not 0 <= args.min_flux_ratio < 1:
        raise WorkbenchError(f"--min-flux-ratio {args.min_flux_ratio}; expected 0 to 1")
    report, began = Report(), time.monotonic()
    threshold, judge = args.threshold, judge_of(args, weights)
    if threshold is None:
        threshold = fmean(
            card_threshold(one, args.min_flux_ratio, judged=judge is not None) for one in weights
        )
    found = detecting.run_detector(
        weights, folder.load(args.pictures, catalog=args.catalog, report=report,
                             stretch=Stretch(channels=bands(weights[0]))),
        psf_fwhm=args.psf_px, host=host_rule(args), merged=args.merge, report=report,
        orientations=args.orientations, min_flux_ratio=args.min_flux_ratio, judge=judge,
        workers=processes(args.workers),
    )  # fmt: skip
    frame = detecting.to_frame((galaxy.truth, one) for galaxy, one in found)
    frame = frame[frame["score"] >= threshold]
    detecting.write_detections(args.out, frame)
    took = time.monotonic() - began
    say(
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
    source_arguments(parser)
    add = parser.add_argument
    add("--weights", help="detector (.safetensors)")
    add("--detections", help="or its detections (.parquet, .csv) of these pictures")
    add("--threshold", type=float, help="default: the one on the detector's card")
    add("--choose", type=positive, metavar="NUMBER", help="choose the detector's thresholds on so "
        "many galaxies of another seed, not those of its card (made sources)")  # fmt: skip
    add("--aim", choices=("f1", "balance"), default="f1", help="of these thresholds: the best F1, "
        "or completeness and purity alike; default: %(default)s")  # fmt: skip
    look_arguments(parser)
    add("--classical", action="store_true", help="compare DoG, SEP and DAOStarFinder")
    add("--tune-number", type=positive, default=100,
        help="galaxies of another seed to tune these on (simulated, injected)")  # fmt: skip
    add("--out", required=True, help="folder of the report")
    add("--record", help="also write the report with hardware and versions to this .json")
    parser.set_defaults(run=_run_evaluate)


def _run_evaluate(args: argparse.Namespace) -> int:
    from workbench.clumps import report as reporting  # noqa: PLC0415
    from workbench.clumps.pictures import Report  # noqa: PLC0415
    from workbench.clumps.sources import galaxies  # noqa: PLC0415

    if not (args.weights or args.detections or args.classical):
        raise WorkbenchError("nothing to evaluate: give --weights, --detections or --classical")
    if args.aim != "f1" and not (args.weights and args.choose):
        raise WorkbenchError(f"--aim {args.aim} is for thresholds chosen: give --weights, --choose")
    problems = Report()
    asked = replace(request(args), held_out=args.fold is not None, bands=_bands(args))
    test = list(galaxies(asked, problems))
    methods = _methods(args, test, reporting)
    if args.classical:
        methods += reporting.comparators(list(galaxies(_tuning(args))), test)
    about = {"data": asked.describe(), "weights": args.weights and Path(args.weights).name}
    result = reporting.report(methods, [galaxy.truth for galaxy in test], about)
    reporting.write_report(Path(args.out), result)
    if args.record:
        from workbench.clumps import record  # noqa: PLC0415

        record.write(args.record, reporting.without_nan(result))
    say(reporting.as_text(result) + f"\n{args.out}/report.html")
    return _told(problems, len(test))


def _bands(args: argparse.Namespace) -> int | None:
    """Return how many bands the detector takes, None for 3 or where there is none."""
    from workbench.clumps.weights import bands  # noqa: PLC0415

    number = bands(args.weights) if args.weights else 3
    return None if number == 3 else number


def _methods(args: argparse.Namespace, test: list[Any], reporting: Any) -> list[Any]:
    from workbench.clumps.detecting import read_detections  # noqa: PLC0415
    from workbench.clumps.evaluate import Aim  # noqa: PLC0415
    from workbench.clumps.pool import processes  # noqa: PLC0415
    from workbench.clumps.sources import galaxies  # noqa: PLC0415
    from workbench.clumps.weights import refuse_known  # noqa: PLC0415

    made = []
    if args.weights:
        refuse_known(args.weights, replace(request(args), held_out=args.fold is not None))
        valid = list(galaxies(_choosing(args))) if args.choose else None
        made.append(reporting.of_detector(
            args.weights, test, args.threshold, valid=valid, aim=Aim(args.aim),
            orientations=args.orientations, host=host_rule(args),
            judge=judge_of(args, [args.weights]), workers=processes(args.workers),
        ))  # fmt: skip
    if args.detections:
        threshold = made[0].threshold if made else args.threshold
        if threshold is None:
            raise WorkbenchError("--detections needs --threshold, chosen on other galaxies")
        found = read_detections(args.detections, [galaxy.truth for galaxy in test])
        made.append(reporting.Method(Path(args.detections).name, found, threshold))
    return made


def _choosing(args: argparse.Namespace) -> Request:
    """Return galaxies to choose thresholds on, none of them scored."""
    if args.source not in MADE:
        raise WorkbenchError("--choose needs a source of made galaxies")
    return replace(request(args), seed=args.seed + 600_000, number=args.choose)


def _tuning(args: argparse.Namespace) -> Request:
    """Return galaxies to tune the classical methods on, none of them scored."""
    asked = request(args)
    if args.source in MADE:
        return replace(asked, seed=args.seed + 700_000, number=args.tune_number)
    if args.source == "s82" and args.fold is not None:
        return asked
    raise WorkbenchError("--classical needs galaxies to tune on: s82 with --fold, or made ones")


def _told(report: Report, done: int) -> int:
    """Print what could not be read; the answer is no where nothing could."""
    if report.problems:
        print(report, file=sys.stderr)  # noqa: T201 - this is the command line
    return 0 if done else 1
