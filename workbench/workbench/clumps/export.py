"""Galaxies as files: PNG pictures, COCO JSON and a table that every command reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from workbench.clumps.pictures import write_picture
from workbench.clumps.tables import write_coco, write_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.clumps.galaxy import Annotation, Galaxy


def write_data(galaxies: Iterable[Galaxy], folder: Path) -> int:
    """Write ``images/``, ``annotations_coco.json`` and ``labels.parquet``; return how many.

    Names become ``.png``; pictures of three bands only.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    truths: list[Annotation] = []
    for galaxy in galaxies:
        name = PurePosixPath(galaxy.truth.name.replace("/", "_")).stem
        named = replace(galaxy.truth, name=f"{name}.png")
        write_picture(images / named.name, galaxy.image)
        truths.append(named)
    write_coco(folder / "annotations_coco.json", truths)
    write_table(folder / "labels.parquet", truths)
    return len(truths)
