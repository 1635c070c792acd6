"""Galaxies as files: PNG pictures or FITS bands, COCO JSON and a table that every command reads."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps.extras import need
from workbench.clumps.files import write_atomically
from workbench.clumps.pictures import write_picture
from workbench.clumps.stretch import VIEWER
from workbench.clumps.tables import write_coco, write_table
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Annotation, Galaxy

FORMS = ("png", "fits")


def write_data(galaxies: Iterable[Galaxy], folder: Path, form: str = "png") -> int:
    """Write ``images/``, ``annotations_coco.json`` and ``labels.parquet``; return how many.

    Names take the suffix of `form`: ``"png"``, or ``"fits"`` for linear bands i, r, g as the
    Stripe 82 stretch undone gives them. Pictures of three bands only.

    Raises
    ------
    WorkbenchError
        The form is another.
    """
    if form not in FORMS:
        raise WorkbenchError(f"unknown form {form!r}; known: {', '.join(FORMS)}")
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    truths: list[Annotation] = []
    for galaxy in galaxies:
        name = PurePosixPath(galaxy.truth.name.replace("/", "_")).stem
        named = replace(galaxy.truth, name=f"{name}.{form}")
        if form == "png":
            write_picture(images / named.name, galaxy.image)
        else:
            write_fits(images / named.name, VIEWER.linear(galaxy.image), galaxy.truth.wcs)
        truths.append(named)
    write_coco(folder / "annotations_coco.json", truths)
    write_table(folder / "labels.parquet", truths)
    return len(truths)


def write_fits(path: Path, bands: NDArray[np.float64], wcs: Any = None) -> None:
    """Write linear `bands` (H, W, C) as one FITS cube (C, H, W) of float32 with its WCS, whole.

    Rows keep their order, as in `pictures.read_picture`, and so the WCS holds.
    """
    fits = need("astropy.io.fits")
    header = None if wcs is None else wcs.to_header(relax=True)
    buffer = io.BytesIO()
    planes = np.moveaxis(np.asarray(bands, np.float32), -1, 0)
    fits.PrimaryHDU(np.ascontiguousarray(planes), header).writeto(buffer)
    write_atomically(path, buffer.getvalue())
