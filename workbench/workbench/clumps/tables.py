"""Annotations in files: COCO JSON, and CSV or Parquet with one row for each box."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.clumps import sky
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, Label, annotation
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

# A row with NaN box is a picture without boxes: it is a negative, not an absence.
COLUMNS = (
    "file", "width", "height", "x1", "y1", "x2", "y2", "label",
    "flux_ratio", "psf_fwhm_r_px", "redshift", "wcs",
)  # fmt: skip
_BOX = ["x1", "y1", "x2", "y2"]


def to_frame(annotations: Iterable[Annotation]) -> pd.DataFrame:
    """Return the table of `COLUMNS`: one row a box, one with empty box for a picture without."""
    rows: list[tuple[Any, ...]] = []
    for truth in annotations:
        psf = math.nan if truth.psf_fwhm is None else truth.psf_fwhm
        redshift = math.nan if truth.redshift is None else truth.redshift
        head = (truth.name, truth.width, truth.height)
        tail = (psf, redshift, sky.to_text(truth.wcs) or "")
        for box, label, ratio in zip(truth.boxes, truth.labels, truth.flux_ratio, strict=True):
            rows.append((*head, *box.tolist(), int(label), float(ratio), *tail))
        if not len(truth):
            rows.append((*head, *[math.nan] * 4, 0, math.nan, *tail))
    frame: pd.DataFrame = need("pandas").DataFrame(rows, columns=list(COLUMNS))
    return frame


def from_frame(frame: pd.DataFrame, source: str = "table") -> list[Annotation]:
    """Return the annotations of such a table, in order of first appearance.

    `label`, `flux_ratio`, `psf_fwhm_r_px`, `redshift` and `wcs` may be missing.

    Raises
    ------
    WorkbenchError
        A column is missing, or a box is wrong.
    """
    needed = ["file", "width", "height", *_BOX]
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise WorkbenchError(
            f"{source}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}"
        )
    try:
        groups = frame.groupby("file", sort=False)
        return [_from_rows(str(name), rows) for name, rows in groups]
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"{source}: a value is of the wrong kind ({error})") from error


def _from_rows(name: str, rows: pd.DataFrame) -> Annotation:
    first = rows.iloc[0]
    boxed = rows[rows[_BOX].notna().any(axis=1)]
    return annotation(
        name,
        (int(first["width"]), int(first["height"])),
        boxed[_BOX].to_numpy(float),
        boxed["label"].to_numpy() if "label" in rows else None,
        boxed["flux_ratio"].to_numpy(float) if "flux_ratio" in rows else None,
        psf_fwhm=_known(first.get("psf_fwhm_r_px")),
        redshift=_known(first.get("redshift")),
        wcs=sky.from_text(first.get("wcs") if isinstance(first.get("wcs"), str) else None),
    )


def _known(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def write_table(path: Path | str, annotations: Iterable[Annotation]) -> None:
    """Write the table as ``.csv`` or ``.parquet``."""
    path, frame = Path(path), to_frame(annotations)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)  # pandas writes floats that read back exactly
    else:
        raise WorkbenchError(f"{path}: expected a name ending in .csv or .parquet")


def read_table(path: Path | str) -> list[Annotation]:
    """Return the annotations of a ``.csv``, ``.parquet`` or COCO ``.json`` file.

    Raises
    ------
    WorkbenchError
        The file is missing, of another kind, or does not hold such a table.
    """
    path = Path(path)
    if path.suffix == ".json":
        return read_coco(path)
    return from_frame(load_frame(path), str(path))


def load_frame(path: Path | str) -> pd.DataFrame:
    """Return a ``.csv`` or ``.parquet`` file as a data frame, identifiers as strings."""
    path, pandas = Path(path), need("pandas")
    if not path.is_file():
        raise WorkbenchError(f"{path}: no such file")
    text = {"file": str, "survey_id": str, "name": str}
    try:
        if path.suffix == ".parquet":
            frame: pd.DataFrame = pandas.read_parquet(path)
        elif path.suffix == ".csv":
            frame = pandas.read_csv(path, dtype=text)
        else:
            raise WorkbenchError(f"{path}: expected .csv, .parquet or .json")
    except (ValueError, OSError) as error:
        raise WorkbenchError(f"{path}: not a readable table ({error})") from error
    return frame


def to_coco(annotations: Iterable[Annotation]) -> dict[str, Any]:
    """Return COCO's dictionary: `bbox` is x, y, width, height, x and y in 0-based pixel centres."""
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, truth in enumerate(annotations, start=1):
        images.append(_coco_image(number, truth))
        for box, label, ratio in zip(truth.boxes, truth.labels, truth.flux_ratio, strict=True):
            x1, y1, x2, y2 = box.tolist()
            boxes.append({
                "id": len(boxes) + 1, "image_id": number, "category_id": int(label),
                "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0,
                "flux_ratio_u": None if math.isnan(ratio) else float(ratio),
            })  # fmt: skip
    categories = [{"id": int(label), "name": label.name.lower()} for label in Label]
    return {"images": images, "annotations": boxes, "categories": categories}


def write_coco(path: Path | str, annotations: Iterable[Annotation]) -> None:
    """Write `to_coco` as JSON."""
    Path(path).write_text(json.dumps(to_coco(annotations)), encoding="utf-8")


def _coco_image(number: int, truth: Annotation) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": truth.name,
        "width": truth.width,
        "height": truth.height,
        "psf_fwhm_r_px": truth.psf_fwhm,
        "redshift": truth.redshift,
        "wcs": sky.to_text(truth.wcs),
    }


def read_coco(path: Path | str) -> list[Annotation]:
    """Return the annotations of a COCO JSON file.

    Raises
    ------
    WorkbenchError
        The file is missing, no JSON, or lacks what COCO asks for.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise WorkbenchError(f"{path}: not JSON ({error})") from error
    return from_coco(content, str(path))


def from_coco(content: Any, source: str = "COCO") -> list[Annotation]:
    """Return the annotations of COCO's dictionary.

    Raises
    ------
    WorkbenchError
        It lacks what COCO asks for, or a box is wrong.
    """
    try:
        by_image: dict[Any, list[dict[str, Any]]] = {im["id"]: [] for im in content["images"]}
        for box in content["annotations"]:
            by_image[box["image_id"]].append(box)
        return [_from_coco(image, by_image[image["id"]]) for image in content["images"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkbenchError(f"{source}: not COCO annotations ({error!r})") from error


def _from_coco(image: dict[str, Any], found: list[dict[str, Any]]) -> Annotation:
    corners = [
        (x, y, x + width, y + height) for x, y, width, height in (box["bbox"] for box in found)
    ]
    ratios = [math.nan if box.get("flux_ratio_u") is None else box["flux_ratio_u"] for box in found]
    return annotation(
        str(image["file_name"]),
        (int(image["width"]), int(image["height"])),
        corners,
        [box["category_id"] for box in found],
        ratios,
        psf_fwhm=image.get("psf_fwhm_r_px"),
        redshift=image.get("redshift"),
        wcs=sky.from_text(image.get("wcs")),
    )
