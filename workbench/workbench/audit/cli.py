"""``workbench clumps audit``: parses, and opens the audit; nothing is imported before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    """Add ``audit`` to `commands`, the group of subcommands of ``workbench clumps``."""
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
