"""Galaxies by the name of their source: what every command takes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.clumps import clump_scout, folder, inject, s82
from workbench.clumps.deep import deep
from workbench.clumps.evaluate import folds
from workbench.clumps.pictures import Stretch
from workbench.clumps.request import FOLDS, MADE, SOURCES, Request
from workbench.clumps.simulate import VERSION, simulate
from workbench.clumps.stream import stream
from workbench.clumps.stretch import COADD, VIEWER
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.pictures import Report


def galaxies(request: Request, report: Report | None = None) -> Iterator[Galaxy]:
    """Yield the galaxies asked for; what cannot be read goes into `report`.

    Raises
    ------
    WorkbenchError
        The source is unknown, or lacks something.
    """
    if request.source not in SOURCES:
        raise WorkbenchError(f"unknown source {request.source!r}; known: {', '.join(SOURCES)}")
    if request.bands not in (None, 3) and request.source != "folder":
        raise WorkbenchError(
            f"source {request.source} has pictures of 3 bands; {request.bands} come from a folder "
            "of FITS files"
        )
    if request.source in MADE:
        yield from _made(request)
        return
    for index, galaxy in enumerate(_read(request, report)):
        if request.number is not None and index >= request.number:
            return
        yield galaxy


def _made(request: Request) -> Iterator[Galaxy]:
    number = 100 if request.number is None else request.number
    source = _maker(request)
    yield from stream(
        source,
        number,
        seed=request.seed,
        start=request.start,
        workers=request.workers,
        cache=request.cache,
        version=VERSION,
    )


def _maker(request: Request) -> Callable[[int, int], Galaxy]:
    if request.source in {"simulated", "deep"}:
        return simulate if request.source == "simulated" else deep
    injected = inject.Injected(_hosts(request), COADD if request.place == "s82" else VIEWER)
    return injected if request.source == "injected" else Mixed((simulate, injected, deep))


@dataclass(frozen=True)
class Mixed:
    """Source: the sources of `parts` in turn, by index."""

    parts: tuple[Callable[[int, int], Galaxy], ...]

    def __repr__(self) -> str:
        """Name the parts: they are part of the key of a cache."""
        return f"Mixed({[getattr(part, '__name__', repr(part)) for part in self.parts]})"

    def __call__(self, seed: int, index: int) -> Galaxy:
        """Return galaxy number `index`."""
        return self.parts[index % len(self.parts)](seed, index)


def _hosts(request: Request) -> Sequence[Galaxy]:
    """Return pictures to inject into: given ones, else simulated galaxies."""
    if request.place == "s82":
        return list(galaxies(replace(request, source="s82", place=None, number=None)))
    if request.place:
        return list(folder.load(request.place, request.labels, request.catalog))
    return inject.SimulatedHosts(2**31 + request.seed)  # no galaxy of a simulated sample


def _read(request: Request, report: Report | None) -> Iterator[Galaxy]:
    if request.source == "s82":
        if request.place and not (Path(request.place) / "clumps.csv").is_file():
            raise WorkbenchError(f"{request.place}: no clumps.csv; expected converted s82 data")
        yield from _folded(s82.load(request.place, report=report), request)
        return
    if not request.place:
        raise WorkbenchError(f"source {request.source} needs a folder of pictures")
    if request.source == "clump_scout":
        labels = request.labels or (None if "FLASHCLUMP_DATA" in os.environ else "")
        yield from clump_scout.load(request.place, labels, report)
        return
    stretch = Stretch(channels=request.bands or 3)
    yield from folder.load(
        request.place, request.labels, request.catalog, stretch=stretch, report=report
    )


def _folded(found: Iterator[Galaxy], request: Request) -> Iterator[Galaxy]:
    if request.fold is None:
        yield from found
        return
    if not 0 <= request.fold < FOLDS:
        raise WorkbenchError(f"fold {request.fold}; expected 0 to {FOLDS - 1}")
    every = list(found)
    place = folds([galaxy.truth.name for galaxy in every], FOLDS)
    for galaxy, fold in zip(every, place, strict=True):
        mine = (
            fold == request.fold if request.held_out else fold not in (request.fold, request.skip)
        )
        if mine:
            yield galaxy
