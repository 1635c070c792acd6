"""Many galaxies of a deterministic source: in parallel, in order, as a stream, cached on disk.

A source is a picklable function (seed, index) -> Galaxy. Blocks of galaxies are cached as
compressed ``.npz`` files, written whole or not at all; pictures have 8 bits, so nothing is lost.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.files import write_atomically
from workbench.clumps.galaxy import Annotation, Galaxy
from workbench.clumps.pool import in_order, processes
from workbench.clumps.tables import from_coco, to_coco
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Source = Callable[[int, int], Galaxy]

BLOCK = 32  # galaxies: small enough to stream, large enough to amortise a task


def stream(
    source: Source,
    number: int,
    *,
    seed: int = 0,
    start: int = 0,
    workers: int | None = None,
    cache: Path | str | None = None,
    version: str = "",
) -> Iterator[Galaxy]:
    """Yield galaxies `start` ... `start + number - 1` of the sample `seed`, in order.

    Parameters
    ----------
    workers
        Processes; by default one a core, at most 16. With one, all runs in this process.
    cache
        Folder for finished blocks; reused when seed, source and `version` agree.
    version
        Names the settings of the source; a change makes new cache files.

    Raises
    ------
    WorkbenchError
        Numbers are negative, or the processes died.
    """
    if number < 0 or start < 0 or seed < 0:
        raise WorkbenchError(f"expected numbers >= 0, got number={number} start={start} {seed=}")
    wanted = range(start, start + number)
    place = None if cache is None else _place(Path(cache), source, seed, version)
    for index, galaxy in _numbered(source, seed, wanted, place, processes(workers)):
        if index in wanted:
            yield galaxy


def _place(cache: Path, source: Source, seed: int, version: str) -> Path:
    name = f"{source!r}" if not hasattr(source, "__name__") else source.__name__
    key = hashlib.sha256(f"{name} {seed} {version} {BLOCK}".encode()).hexdigest()[:16]
    folder = cache / f"{name if name.isidentifier() else 'source'}-{seed}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _numbered(
    source: Source, seed: int, wanted: range, place: Path | None, workers: int
) -> Iterator[tuple[int, Galaxy]]:
    blocks = range(wanted.start // BLOCK, -(-wanted.stop // BLOCK)) if wanted else range(0)
    work = partial(_block, source, seed, wanted=wanted, place=place)
    for made in in_order(work, blocks, workers, name="make galaxies"):
        yield from made


def _block(
    source: Source, seed: int, block: int, wanted: range, place: Path | None
) -> list[tuple[int, Galaxy]]:
    """Return the galaxies of one block with their numbers: the whole block where it is cached."""
    whole = range(block * BLOCK, (block + 1) * BLOCK)
    if place is None:
        only = range(max(whole.start, wanted.start), min(whole.stop, wanted.stop))
        return [(index, source(seed, index)) for index in only]
    path = place / f"block-{block:06d}.npz"
    galaxies = _load(path)
    if galaxies is None:
        galaxies = [source(seed, index) for index in whole]
        _save(path, galaxies)
    return list(zip(whole, galaxies, strict=True))


def _save(path: Path, galaxies: list[Galaxy]) -> None:
    truths = to_coco([galaxy.truth for galaxy in galaxies])
    arrays = {
        f"image{k}": (galaxy.image * 255).round().astype(np.uint8)
        for k, galaxy in enumerate(galaxies)
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, truths=np.array(json.dumps(truths)), **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def _load(path: Path) -> list[Galaxy] | None:
    """Return the block at `path`; None where there is none or it is damaged (made again then)."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            truths: list[Annotation] = from_coco(json.loads(str(file["truths"])), str(path))
            images = [file[f"image{k}"].astype(np.float32) / np.float32(255)
                      for k in range(len(truths))]  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, WorkbenchError):
        return None
    return [Galaxy(image, truth) for image, truth in zip(images, truths, strict=True)]
