"""Labels from files: all that `export` writes, and the published Clump Scout table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.export import suffix_of
from workbench.clumps import clump_scout
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, annotation
from workbench.clumps.tables import from_frame, load_frame, read_coco
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def read_labels(
    path: Path | str, known: Mapping[str, Annotation] | None = None
) -> list[Annotation]:
    """Return the labels of a file, by the ending of its name.

    Parameters
    ----------
    known
        Pictures by name; DS9 regions need their sizes and WCS, the rest say all themselves.

    Raises
    ------
    WorkbenchError
        The file is missing, broken, of an unknown kind, or of pictures that are not `known`.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if not path.is_file():
        raise WorkbenchError(f"{path}: no such file")
    if suffix == ".reg":
        return _regions(path, known or {})
    try:
        return _READERS[suffix](path)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WorkbenchError(f"{path}: not readable as labels ({error!r})") from error


def _table(path: Path) -> list[Annotation]:
    frame = load_frame(path)
    if "local_id" in frame.columns:
        return list(clump_scout.by_galaxy(clump_scout.read_labels(path)).values())
    return from_frame(frame, str(path))


def _astropy(path: Path, kind: str) -> list[Annotation]:
    table = need("astropy.table").Table.read(path, format=kind)
    frame = table.to_pandas()
    for name in ("file", "wcs"):
        if name in frame:
            # A masked cell is an empty string to VOTable's text columns.
            frame[name] = [_text(value) for value in frame[name]]
    return from_frame(frame, str(path))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _ecsv(path: Path) -> list[Annotation]:
    return _astropy(path, "ascii.ecsv")


def _votable(path: Path) -> list[Annotation]:
    return _astropy(path, "votable")


def _zooniverse(path: Path) -> list[Annotation]:
    with path.open(newline="", encoding="utf-8") as source:
        return [_classification(row) for row in csv.DictReader(source)]


def _classification(row: Mapping[str, str]) -> Annotation:
    subject = json.loads(row["subject_data"])[row["subject_ids"]]
    size = json.loads(row["metadata"])["subject_dimensions"][0]
    marks = [mark for task in json.loads(row["annotations"]) for mark in task["value"]]
    corners = [
        (x - 0.5, y - 0.5, x - 0.5 + mark["width"], y - 0.5 + mark["height"])
        for mark in marks
        for x, y in [(mark["x"], mark["y"])]
    ]
    labels = [mark["tool"] + 1 for mark in marks]
    width, height = size["naturalWidth"], size["naturalHeight"]
    return annotation(subject["Filename"], (width, height), corners, labels)


def _regions(path: Path, known: Mapping[str, Annotation]) -> list[Annotation]:
    regions = need("regions")
    try:
        found = regions.Regions.read(path, format="ds9")
    except Exception as error:  # the parser raises many kinds
        raise WorkbenchError(f"{path}: not readable as DS9 regions ({error})") from error
    by_name: dict[str, list[tuple[list[float], int]]] = {}
    for region in found:
        tags = dict(tag.split("=", 1) for tag in region.meta.get("tag", ()) if "=" in tag)
        name = tags.get("file") or (next(iter(known)) if len(known) == 1 else "")
        if name not in known:
            raise WorkbenchError(
                f"{path}: a region of picture {name!r}, which is not among the {len(known)} here; "
                "regions name their picture by the tag {file=NAME}"
            )
        corners = _corners(region, known[name], regions)
        by_name.setdefault(name, []).append((corners, int(tags.get("label", 1))))
    return [_of_regions(known[name], boxes) for name, boxes in by_name.items()]


def _corners(region: Any, picture: Annotation, regions: Any) -> list[float]:
    if isinstance(region, regions.SkyRegion):
        if picture.wcs is None:
            raise WorkbenchError(f"{picture.name}: regions on the sky need the picture's WCS")
        region = region.to_pixel(picture.wcs.celestial)
    if not isinstance(region, regions.RectanglePixelRegion):
        raise WorkbenchError(f"{picture.name}: expected box regions, got {type(region).__name__}")
    x, y, width, height = region.center.x, region.center.y, region.width, region.height
    return [float(v) for v in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)]


def _of_regions(picture: Annotation, boxes: list[tuple[list[float], int]]) -> Annotation:
    return annotation(
        picture.name,
        (picture.width, picture.height),
        [corners for corners, _ in boxes],
        [label for _, label in boxes],
        psf_fwhm=picture.psf_fwhm,
        wcs=picture.wcs,
        redshift=picture.redshift,
    )


_READERS: dict[str, Callable[[Path], list[Annotation]]] = {
    ".zooniverse.csv": _zooniverse,
    ".parquet": _table,
    ".csv": _table,
    ".json": read_coco,
    ".ecsv": _ecsv,
    ".vot": _votable,
    ".xml": _votable,
}
