"""Detections of many galaxies: from a detector's output, or from a table in a file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.audit.box import Box, Source
from workbench.clumps.extras import need
from workbench.clumps.matching import Detections, detections
from workbench.clumps.tables import load_frame
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Annotation

_BOX = ["x1", "y1", "x2", "y2"]


def read_detections(path: Path | str) -> dict[str, Detections]:
    """Return detections by galaxy from CSV or Parquet, or COCO JSON.

    A table has a row a box: file, x1, y1, x2, y2 in pixels, and score and label where known (1
    unless given). COCO JSON is a data set whose annotations carry a ``score``.

    Raises
    ------
    WorkbenchError
        The file is missing, of another kind, or lacks a column.
    """
    path = Path(path)
    frame = _coco_frame(path) if path.suffix == ".json" else load_frame(path)
    missing = [name for name in ("file", *_BOX) if name not in frame.columns]
    if missing:
        raise WorkbenchError(f"{path}: no column {', '.join(missing)}; got {list(frame.columns)}")
    boxed = frame[frame[_BOX].notna().all(axis=1)]
    return {str(name): _of_rows(rows) for name, rows in boxed.groupby("file", sort=False)}


def _of_rows(rows: pd.DataFrame) -> Detections:
    scores = rows["score"].to_numpy(float) if "score" in rows else np.ones(len(rows))
    labels = rows["label"].to_numpy() if "label" in rows else None
    return detections(rows[_BOX].to_numpy(float), scores, labels)


def _coco_frame(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        rows = [
            {
                "file": names[box["image_id"]], "x1": x, "y1": y, "x2": x + w, "y2": y + h,
                "label": box["category_id"], "score": box.get("score", 1.0),
            }
            for box in content["annotations"]
            for x, y, w, h in [box["bbox"]]
        ]  # fmt: skip
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(f"{path}: not COCO annotations ({error!r})") from error
    return need("pandas").DataFrame(rows, columns=["file", *_BOX, "label", "score"])


def detected_boxes(found: Detections | None) -> list[Box]:
    """Return detections as boxes to decide about, the surest first.

    A box's identifier is its place, so that it is the same whenever it is detected there again.
    """
    if found is None:
        return []
    taken: Counter[str] = Counter()
    order = np.argsort(-found.scores, kind="stable")
    return [
        Box(
            _identifier("d", corners(found.boxes[k]), taken),
            *corners(found.boxes[k]),
            label=int(found.labels[k]),
            source=Source.DETECTION,
            score=float(found.scores[k]),
        )
        for k in order
    ]


def true_boxes(truth: Annotation | None) -> list[Box]:
    """Return the catalogue's boxes."""
    if truth is None:
        return []
    taken: Counter[str] = Counter()
    columns = zip(truth.boxes, truth.labels, truth.flux_ratio, strict=True)
    return [
        Box(
            _identifier("t", corners(box), taken),
            *corners(box),
            label=int(label),
            source=Source.TRUTH,
            flux_ratio=float(ratio) if np.isfinite(ratio) else None,
        )
        for box, label, ratio in columns
    ]


def corners(box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return one row of boxes (4,) as Python numbers."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2


def _identifier(kind: str, at: tuple[float, ...], taken: Counter[str]) -> str:
    place = kind + ",".join(f"{value:.1f}" for value in at)
    taken[place] += 1
    return place if taken[place] == 1 else f"{place}#{taken[place]}"


def score_range(sets: Mapping[str, Detections]) -> tuple[float, float]:
    """Return the least and the greatest score, (0, 1) without detections."""
    scores = [found.scores for found in sets.values() if len(found)]
    if not scores:
        return 0.0, 1.0
    low = min(float(some.min()) for some in scores)
    high = max(float(some.max()) for some in scores)
    return (min(low, 0.0) if high <= 1 else low), max(high, 1.0)
