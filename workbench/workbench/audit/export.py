"""Labels to files: COCO JSON, CSV, Parquet, VOTable, ECSV, DS9 regions, Zooniverse-style CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.atomic import whole_file
from workbench.audit.labels import COLUMNS, Labelled, label_frame, label_name
from workbench.clumps.extras import need
from workbench.clumps.tables import to_coco
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Longest first: `.zooniverse.csv` is no plain `.csv`.
SUFFIXES = (".zooniverse.csv", ".parquet", ".ecsv", ".json", ".vot", ".xml", ".csv", ".reg")


def suffix_of(path: Path | str) -> str:
    """Return the suffix that names the format.

    Raises
    ------
    WorkbenchError
        It is none of `SUFFIXES`.
    """
    name = Path(path).name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise WorkbenchError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")


def write_labels(
    path: Path | str, labelled: Sequence[Labelled], *, overwrite: bool = False
) -> Path:
    """Write labels in the format that the name's ending says; return the path.

    Raises
    ------
    WorkbenchError
        Unknown ending, missing folder, or a file that is there already without `overwrite`.
    """
    path = Path(path)
    writer = _WRITERS[suffix_of(path)]
    with whole_file(path, overwrite=overwrite) as part:
        writer(part, labelled)
    return path


def _coco(path: Path, labelled: Sequence[Labelled]) -> None:
    content = to_coco(one.annotation for one in labelled)
    boxes = [(one, box) for one in labelled for box in one.boxes]
    for entry, (one, box) in zip(content["annotations"], boxes, strict=True):
        entry.update(source=str(box.source), auditor=one.auditor, time=one.time)
        if box.score is not None:
            entry["score"] = box.score
    path.write_text(json.dumps(content), encoding="utf-8")


def _csv(path: Path, labelled: Sequence[Labelled]) -> None:
    label_frame(labelled).to_csv(path, index=False)


def _parquet(path: Path, labelled: Sequence[Labelled]) -> None:
    label_frame(labelled).to_parquet(path, index=False)


def astropy_table(labelled: Sequence[Labelled]) -> Any:
    """Return an `astropy.table.Table` with units, UCDs and descriptions."""
    table = need("astropy.table").Table.from_pandas(label_frame(labelled))
    for column in COLUMNS:
        table[column.name].unit = column.unit or None
        table[column.name].description = column.meaning
        table[column.name].meta["ucd"] = column.ucd
    return table


def _ecsv(path: Path, labelled: Sequence[Labelled]) -> None:
    astropy_table(labelled).write(path, format="ascii.ecsv")


def _votable(path: Path, labelled: Sequence[Labelled]) -> None:
    table = astropy_table(labelled)
    document = need("astropy.io.votable").from_table(table)
    fields = document.get_first_table().fields
    for field, column in zip(fields, COLUMNS, strict=True):
        field.ucd = column.ucd
    document.to_xml(str(path))


def _regions(path: Path, labelled: Sequence[Labelled]) -> None:
    """Boxes on the sky where every picture has a WCS, else in pixels; tags name the picture."""
    regions = need("regions")
    on_sky = all(one.galaxy.wcs is not None for one in labelled)
    made = []
    for one in labelled:
        for box in one.boxes:
            x, y = box.centre
            rectangle = regions.RectanglePixelRegion(
                regions.PixCoord(x, y), box.x2 - box.x1, box.y2 - box.y1
            )
            region = rectangle.to_sky(one.galaxy.wcs.celestial) if on_sky else rectangle
            region.meta["text"] = label_name(box.label)
            region.meta["tag"] = [f"file={one.galaxy.name}", f"label={box.label}"]
            region.visual["edgecolor"] = "cyan" if box.label == 1 else "orange"
            made.append(region)
    # 1e-9 degrees and pixels: nothing is lost that a box has.
    text = regions.Regions(made).serialize(format="ds9", precision=9)
    path.write_text(text, encoding="utf-8")


_ZOONIVERSE = (
    "classification_id", "user_name", "workflow_name", "created_at", "metadata", "annotations",
    "subject_data", "subject_ids",
)  # fmt: skip


def _zooniverse(path: Path, labelled: Sequence[Labelled]) -> None:
    """One classification a galaxy, as the Zooniverse's data exports have them.

    Its pixel coordinates count from the picture's corner: half a pixel more than pixel centres.
    """
    with path.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(_ZOONIVERSE)
        for number, one in enumerate(labelled, start=1):
            marks = [
                {
                    "x": box.x1 + 0.5, "y": box.y1 + 0.5, "width": box.x2 - box.x1,
                    "height": box.y2 - box.y1, "tool": box.label - 1,
                    "tool_label": label_name(box.label), "frame": 0, "details": [],
                }
                for box in one.boxes
            ]  # fmt: skip
            size = {"naturalWidth": one.galaxy.width, "naturalHeight": one.galaxy.height}
            metadata = json.dumps({"subject_dimensions": [size]})
            task = json.dumps([{"task": "T0", "task_label": "Mark the clumps", "value": marks}])
            subject = json.dumps({str(number): {"Filename": one.galaxy.name}})
            row = (number, one.auditor, "clumps", one.time, metadata, task, subject, number)
            writer.writerow(row)


_WRITERS: dict[str, Callable[[Path, Sequence[Labelled]], None]] = {
    ".zooniverse.csv": _zooniverse,
    ".parquet": _parquet,
    ".ecsv": _ecsv,
    ".json": _coco,
    ".vot": _votable,
    ".xml": _votable,
    ".csv": _csv,
    ".reg": _regions,
}
