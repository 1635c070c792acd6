"""``workbench clumps audit|fine-tune``: parses; nothing is imported before a command runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    """Add ``audit`` and ``fine-tune`` to `commands`, the subcommands of ``workbench clumps``."""
    _add_audit(commands)
    _add_fine_tune(commands)


def _add_audit(commands: Any) -> None:
    parser = commands.add_parser(
        "audit",
        help="look at detections over a folder of pictures and correct them",
        description="Open JupyterLab at a ready notebook; every decision is saved at once.",
    )
    add = parser.add_argument
    add("folder", help="folder with PNG, JPEG or FITS pictures")
    add("--detections", metavar="FILE", help="CSV, Parquet or COCO JSON, as `detect` writes them")
    add("--labels", metavar="FILE", help="table with known boxes, PSF and WCS of the pictures")
    add("--catalog", metavar="FILE", help="table with file and psf_fwhm_r_px, or "
        "psf_fwhm_r_arcsec and arcsec_per_px; ra, dec, redshift")  # fmt: skip
    add("--blind", action="store_true", help="do not show the known boxes")
    add("--auditor", metavar="NAME", help="who decides; default: the name of the account")
    add("--place", default="audit", help="folder for notebook and labels; default: %(default)s")
    add("--no-browser", action="store_true", help="print the address only")
    add("--port", type=int, metavar="N", help="port to listen on")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command until Ctrl+C."""
    from workbench.audit.launch import launch  # noqa: PLC0415 - help must not wait for it

    return launch(
        args.folder,
        args.detections,
        labels=args.labels,
        catalog=args.catalog,
        auditor=args.auditor,
        show_truth=not args.blind,
        place=args.place,
        port=args.port,
        browser=not args.no_browser,
    )


def _add_fine_tune(commands: Any) -> None:
    parser = commands.add_parser(
        "fine-tune",
        help="a detector made better by audited labels, minutes on a CPU",
        description="Fine-tune on the labels of an audit. Without them, measure on Stripe 82 what "
        "auditing a few galaxies is worth: each half is scored by weights tuned on the other.",
    )
    add = parser.add_argument
    add("dataset", nargs="?", help="folder that `audit.write_dataset` wrote")
    add("--from", dest="start_from", required=True, metavar="FILE",
        help="detector (.safetensors) to start from")  # fmt: skip
    add("--out", required=True, help="folder of the run; one that was stopped goes on there")
    add("--epochs", type=int, default=40, help="default: %(default)s")
    add("--galaxies", type=int, default=20, help="audited, of each half; default: %(default)s")
    add("--record", metavar="FILE", help="also write what was measured to this .json")
    parser.set_defaults(run=run_fine_tune)


def run_fine_tune(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.dataset is None:
        return _run_study(args)
    from workbench.audit.retraining import fine_tune  # noqa: PLC0415 - torch takes seconds
    from workbench.clumps.folder import load  # noqa: PLC0415

    place = Path(args.dataset)
    audited = list(load(place / "pictures", place / "labels.json"))
    made = fine_tune(args.start_from, audited, args.out, epochs=args.epochs)
    sys.stdout.write(
        f"{made.after}\nlearnt from {made.learnt} galaxies; threshold {made.tuned:.3f}, chosen on "
        f"{made.chose} others\n"
    )
    return 0


def _run_study(args: argparse.Namespace) -> int:
    from workbench.audit.study import as_text, study  # noqa: PLC0415 - torch takes seconds
    from workbench.clumps import record  # noqa: PLC0415

    result = study(args.start_from, args.out, galaxies=args.galaxies, epochs=args.epochs)
    if args.record:
        record.write(args.record, result)
    sys.stdout.write(as_text(result) + "\n")
    return 0
