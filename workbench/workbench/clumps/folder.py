"""Source `folder`: any pictures, with or without labels and a catalogue of their scales."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.clumps import sky
from workbench.clumps.galaxy import Annotation, Galaxy, annotation
from workbench.clumps.pictures import PICTURES, Report, Stretch, each_readable, read_picture, suffix
from workbench.clumps.tables import load_frame, read_table
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_pictures(place: Path | str) -> list[Path]:
    """Return the picture files of a folder (with its subfolders), or the one file given, sorted.

    Raises
    ------
    WorkbenchError
        There is no such place, or it holds no picture.
    """
    place = Path(place)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise WorkbenchError(f"{place}: no such file or folder")
    found = sorted(path for path in place.rglob("*") if path.is_file() and suffix(path) in PICTURES)
    if not found:
        raise WorkbenchError(f"{place}: no picture in it; expected {', '.join(sorted(PICTURES))}")
    return found


def load(
    place: Path | str,
    labels: Path | str | None = None,
    catalog: Path | str | None = None,
    *,
    stretch: Stretch | None = None,
    report: Report | None = None,
) -> Iterator[Galaxy]:
    """Yield the pictures under `place`.

    Parameters
    ----------
    labels
        COCO JSON, CSV or Parquet with their boxes.
    catalog
        CSV or Parquet with a row a `file` and any of arcsec_per_px, psf_fwhm_r_arcsec,
        psf_fwhm_r_px, ra and dec (degrees of the picture's centre), wcs (a header's text),
        redshift.
    stretch
        How FITS files become pictures.
    report
        Receives the files that cannot be read.
    """
    known = {truth.name: truth for truth in read_table(labels)} if labels else {}
    rows = read_catalog(catalog) if catalog else {}
    root = Path(place)
    readers = [
        (str(path), lambda path=path: _open(path, root, known, rows, stretch))
        for path in find_pictures(root)
    ]
    yield from each_readable(readers, report or Report())


def read_catalog(path: Path | str) -> dict[str, dict[str, Any]]:
    """Return the rows of a catalogue (see `load`) by file.

    Raises
    ------
    WorkbenchError
        It cannot be read, or has no column ``file``.
    """
    frame = load_frame(path)
    if "file" not in frame:
        raise WorkbenchError(f"{path}: no column file; got {', '.join(map(str, frame.columns))}")
    records = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    return {str(row["file"]): row for row in records}


def _open(
    path: Path,
    root: Path,
    known: dict[str, Annotation],
    rows: dict[str, dict[str, Any]],
    stretch: Stretch | None,
) -> Galaxy:
    image, wcs = read_picture(path, stretch)
    name = path.relative_to(root).as_posix() if root.is_dir() else path.name
    row = rows.get(name) or rows.get(path.name) or {}
    height, width = image.shape[:2]
    truth = known.get(name) or known.get(path.name) or annotation(name, (width, height))
    return Galaxy(image, catalogued(replace(truth, name=name), row, wcs))


def catalogued(truth: Annotation, row: dict[str, Any], wcs: Any = None) -> Annotation:
    """Return `truth` with the PSF, WCS and redshift of its row of a catalogue (see `load`).

    `wcs` is the picture's own, which goes before the position in the catalogue.

    Raises
    ------
    WorkbenchError
        A value is no number, or the PSF is not positive.
    """
    scale = _number(row, "arcsec_per_px")
    if wcs is None and isinstance(row.get("wcs"), str):
        wcs = sky.from_text(row["wcs"])
    if wcs is None and scale and _number(row, "ra") is not None and _number(row, "dec") is not None:
        middle = (truth.width - 1) / 2, (truth.height - 1) / 2
        wcs = sky.north_up(row["ra"], row["dec"], *middle, scale)
    if scale is None and wcs is not None:
        scale = sky.pixel_scale(wcs)
    psf = _number(row, "psf_fwhm_r_px")
    arcsec = _number(row, "psf_fwhm_r_arcsec")
    if psf is None and arcsec is not None and scale:
        psf = arcsec / scale
    if psf is not None and psf <= 0:
        raise WorkbenchError(f"{truth.name}: PSF FWHM of {psf} pixels in the catalogue")
    return replace(
        truth,
        psf_fwhm=psf if psf is not None else truth.psf_fwhm,
        wcs=truth.wcs if truth.wcs is not None else wcs,
        redshift=_number(row, "redshift") if "redshift" in row else truth.redshift,
    )


def _number(row: dict[str, Any], column: str) -> float | None:
    value = row.get(column)
    if value is None or value != value:  # noqa: PLR0124 - NaN is the empty cell of a table
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"catalogue: {column} is {value!r}, expected a number") from error
