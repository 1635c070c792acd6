"""Source `clump_scout`: Galaxy Zoo: Clump Scout consensus labels over a user's own cutouts.

The labels are those published with Popp et al. 2024 (RASTI 3, 174). Boxes refer to the central
200 x 200 pixels of a 400 x 400 cutout; they are 2.5 PSF FWHM a side, which gives the PSF.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.extras import need
from workbench.clumps.galaxy import BOX_SIDE_FWHM, Annotation, Galaxy, annotation
from workbench.clumps.pictures import PICTURES, Report, each_readable, read_picture, suffix
from workbench.clumps.safe_pickle import read_pickle
from workbench.clumps.tables import load_frame
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

TABLE = "clump_scout_labels.parquet"
FRAME = 200  # pixels of the labelled, central part
CUTOUT = 400  # pixels of the cutout that it was taken from
_COLUMNS = ["local_id", "label", "x1", "y1", "x2", "y2"]


def read_labels(path: Path | str | None = None) -> pd.DataFrame:
    """Return the label table: Parquet, CSV or a pickled data frame (read without running code).

    Without `path`, the table of ``FLASHCLUMP_DATA``.

    Raises
    ------
    WorkbenchError
        There is no such table, or it lacks local_id, label, x1, y1, x2 or y2.
    """
    if path is None:
        root = os.environ.get("FLASHCLUMP_DATA")
        if not root:
            raise WorkbenchError("clump_scout: give the label table, or set FLASHCLUMP_DATA")
        path = Path(root) / "clump_scout" / TABLE
    path = Path(path)
    pickled = path.suffix in {".pkl", ".pickle"}
    frame: Any = read_pickle(path) if pickled else load_frame(path)
    if not isinstance(frame, need("pandas").DataFrame):
        raise WorkbenchError(f"{path}: expected a data frame, got {type(frame).__name__}")
    missing = [column for column in _COLUMNS if column not in frame.columns]
    if missing:
        raise WorkbenchError(f"{path}: no column {', '.join(missing)}")
    table: pd.DataFrame = frame
    return table


def by_galaxy(labels: pd.DataFrame) -> dict[str, Annotation]:
    """Return the annotation of each galaxy by its local_id, in pixels of the central 200 x 200.

    The table's boxes count from the picture's edge; pixel centres are half a pixel less.
    """
    every = labels[["x1", "y1", "x2", "y2"]].to_numpy(float) - 0.5
    label = labels["label"].to_numpy()
    # Grouped by numpy: pandas' groups of 20,000 galaxies took ten times longer.
    codes, names = need("pandas").factorize(labels["local_id"])
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]  # rows without a local_id belong to no picture
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    made = {}
    for name, rows in zip(names, parts, strict=True):
        boxes = every[rows]
        psf = float(np.median(boxes[:, 2] - boxes[:, 0])) / BOX_SIDE_FWHM
        made[str(name)] = annotation(str(name), (FRAME, FRAME), boxes, label[rows], psf_fwhm=psf)
    return made


def load(
    folder: Path | str, labels: Path | str | None = None, report: Report | None = None
) -> Iterator[Galaxy]:
    """Yield the pictures of `folder` that are named by a labelled local_id.

    Pictures are 400 x 400 (the central 200 x 200 is taken) or 200 x 200.
    """
    known = by_galaxy(read_labels(labels))
    paths = sorted(p for p in Path(folder).iterdir() if suffix(p) in PICTURES)
    readers = [(str(path), lambda path=path: _open(path, known)) for path in paths]
    yield from each_readable(readers, report or Report())


def _open(path: Path, known: dict[str, Annotation]) -> Galaxy:
    name = path.name.partition(".")[0]
    if name not in known:
        raise WorkbenchError(f"{path}: {name} is not a local_id of the label table")
    image, _ = read_picture(path)
    if image.shape[:2] == (CUTOUT, CUTOUT):
        edge = (CUTOUT - FRAME) // 2
        image = image[edge : edge + FRAME, edge : edge + FRAME]
    if image.shape[:2] != (FRAME, FRAME):
        raise WorkbenchError(
            f"{path}: {image.shape[1]} x {image.shape[0]} pixels; expected {CUTOUT} or {FRAME}"
        )
    return Galaxy(image, known[name])
