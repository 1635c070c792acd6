"""The labels of an audit as a table: one row a box, with units and UCDs.

A galaxy without boxes has a row of its own with empty box: it is a negative, not an absence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.audit.box import LABELS, Box, Source, Status
from workbench.clumps import sky
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, annotation

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd


@dataclass(frozen=True)
class Column:
    """A column of the exported tables: its unit (VO syntax), UCD (1+) and meaning."""

    name: str
    unit: str
    ucd: str
    meaning: str


COLUMNS = (
    Column("file", "", "meta.id;meta.main", "name of the picture"),
    Column("width", "pix", "pos.cartesian.x;instr.pixel", "width of the picture"),
    Column("height", "pix", "pos.cartesian.y;instr.pixel", "height of the picture"),
    Column("x1", "pix", "pos.cartesian.x;stat.min", "left edge, 0-based pixel centres"),
    Column("y1", "pix", "pos.cartesian.y;stat.min", "upper edge, y down"),
    Column("x2", "pix", "pos.cartesian.x;stat.max", "right edge"),
    Column("y2", "pix", "pos.cartesian.y;stat.max", "lower edge"),
    Column("label", "", "meta.code.class", "1 clump, 2 odd clump, 0 no box in this galaxy"),
    Column("flux_ratio", "", "phot.flux;arith.ratio;em.opt.U", "clump over galaxy, u band"),
    Column("psf_fwhm_r_px", "pix", "instr.det.psf;em.opt.R", "full width at half maximum"),
    Column("redshift", "", "src.redshift", "redshift of the galaxy"),
    Column("ra", "deg", "pos.eq.ra;meta.main", "right ascension of the box's centre"),
    Column("dec", "deg", "pos.eq.dec;meta.main", "declination of the box's centre"),
    Column("side_arcsec", "arcsec", "phys.angSize", "mean side of the box"),
    Column("score", "", "stat.likelihood", "the detector's, or the auditors' agreement"),
    Column("source", "", "meta.note", "detection, truth or human"),
    Column("auditor", "", "obs.observer", "who decided"),
    Column("time", "", "time.epoch", "of the decision, UTC, ISO 8601"),
    Column("wcs", "", "meta.note", "FITS header of the picture's WCS"),
)


@dataclass(frozen=True)
class Labelled:
    """A finished galaxy and its labels.

    Attributes
    ----------
    galaxy
        What is known of the picture; its boxes are the catalogue's, not these.
    boxes
        The accepted boxes.
    auditor, time
        Who finished it and when (UTC, ISO 8601).
    """

    galaxy: Annotation
    boxes: tuple[Box, ...]
    auditor: str
    time: str = ""

    @property
    def annotation(self) -> Annotation:
        """The labels as an annotation, as training takes it."""
        known = self.galaxy
        ratios = [math.nan if box.flux_ratio is None else box.flux_ratio for box in self.boxes]
        return annotation(
            known.name,
            (known.width, known.height),
            [box.corners for box in self.boxes],
            [box.label for box in self.boxes],
            ratios,
            psf_fwhm=known.psf_fwhm,
            wcs=known.wcs,
            redshift=known.redshift,
        )


def label_frame(labelled: Iterable[Labelled]) -> pd.DataFrame:
    """Return the table of `COLUMNS`."""
    rows = [row for one in labelled for row in _rows(one)]
    frame: pd.DataFrame = need("pandas").DataFrame(rows, columns=[c.name for c in COLUMNS])
    return frame


def _rows(one: Labelled) -> list[dict[str, Any]]:
    known = one.galaxy
    head = {
        "file": known.name,
        "width": known.width,
        "height": known.height,
        "psf_fwhm_r_px": _or_nan(known.psf_fwhm),
        "redshift": _or_nan(known.redshift),
        "auditor": one.auditor,
        "time": one.time,
        "wcs": sky.to_text(known.wcs) or "",
    }
    empty = dict.fromkeys(("x1", "y1", "x2", "y2", "flux_ratio", "ra", "dec", "side_arcsec",
                           "score"), math.nan)  # fmt: skip
    if not one.boxes:
        return [{**head, **empty, "label": 0, "source": ""}]
    positions = one.annotation.sky()
    scale = None if known.wcs is None else sky.pixel_scale(known.wcs)
    rows = []
    for k, box in enumerate(one.boxes):
        ra, dec = (math.nan, math.nan) if positions is None else positions[k].tolist()
        side = (box.x2 - box.x1 + box.y2 - box.y1) / 2
        rows.append({
            **head, "x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2, "label": box.label,
            "flux_ratio": _or_nan(box.flux_ratio), "ra": ra, "dec": dec,
            "side_arcsec": math.nan if scale is None else side * scale,
            "score": _or_nan(box.score), "source": str(box.source),
        })  # fmt: skip
    return rows


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def as_boxes(truth: Annotation, prefix: str = "i") -> list[Box]:
    """Return the boxes of an imported annotation, accepted; named by their place."""
    boxes = []
    for corners, label, ratio in zip(truth.boxes, truth.labels, truth.flux_ratio, strict=True):
        x1, y1, x2, y2 = (float(value) for value in corners)
        name = prefix + ",".join(f"{value:.2f}" for value in (x1, y1, x2, y2))
        known = float(ratio) if np.isfinite(ratio) else None
        boxes.append(
            Box(name, x1, y1, x2, y2, int(label), Source.HUMAN, Status.ACCEPTED, None, known)
        )
    return boxes


def label_name(label: int) -> str:
    """Return "clump" or "odd"."""
    return LABELS[label]
