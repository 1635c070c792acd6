"""What comes out of an audit besides label files: a folder to train on, and photometry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.export import write_labels
from workbench.audit.photometry import measure
from workbench.clumps.extras import need
from workbench.clumps.pictures import write_picture
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.audit.labels import Labelled
    from workbench.audit.library import Library


def write_dataset(place: Path | str, labels: Sequence[Labelled], library: Library) -> Path:
    """Write labelled galaxies to a new folder ``place``: PNG pictures and ``labels.json``.

    Raises
    ------
    WorkbenchError
        The folder is there already, or there is nothing to write.
    """
    place = Path(place)
    if not labels:
        raise WorkbenchError("no galaxy is finished; mark some as done first")
    if place.exists():
        raise WorkbenchError(f"{place} exists already and is left as it is; choose another name")
    (place / "pictures").mkdir(parents=True)
    written = []
    for number, one in enumerate(labels):
        name = f"{number:06d}-{Path(one.galaxy.name).stem}.png"  # two may differ by folder alone
        write_picture(place / "pictures" / name, library.open(one.galaxy.name).image)
        written.append(replace(one, galaxy=replace(one.galaxy, name=name)))
    write_labels(place / "labels.json", written)
    return place


def measure_labels(
    labels: Sequence[Labelled],
    planes: Callable[[str], NDArray[Any]] | Mapping[str, Any],
    bands: Sequence[str],
) -> pd.DataFrame:
    """Return the photometry of labelled boxes, one row each, with ``file`` and ``label``.

    Raises
    ------
    WorkbenchError
        There are no labels, or a PSF is unknown.
    """
    pandas = need("pandas")
    tables = []
    for one in labels:
        if not one.boxes:
            continue
        known = one.galaxy
        if known.psf_fwhm is None:
            raise WorkbenchError(f"{known.name}: photometry needs the PSF FWHM")
        cube = planes(known.name) if callable(planes) else planes[known.name]
        table = measure(cube, [box.corners for box in one.boxes], known.psf_fwhm, bands)
        table.insert(0, "label", [box.label for box in one.boxes])
        table.insert(0, "file", known.name)
        tables.append(table)
    if not tables:
        raise WorkbenchError("no labels to measure; accept some boxes and mark galaxies as done")
    frame: pd.DataFrame = pandas.concat(tables, ignore_index=True)
    return frame
