"""The galaxies of an audit, opened one at a time: a list in memory, or a folder of any size."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench.clumps import folder
from workbench.clumps.galaxy import Annotation, Galaxy, annotation
from workbench.clumps.pictures import Stretch, read_picture, suffix
from workbench.clumps.tables import read_table
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Library(Protocol):
    """Galaxies by name; the names are in the order of the audit."""

    @property
    def names(self) -> Sequence[str]:
        """Every name once."""

    def open(self, name: str) -> Galaxy:
        """Return the picture and what is known about it.

        Raises
        ------
        WorkbenchError
            The name is unknown, or the picture cannot be read.
        """

    def known(self, name: str) -> Annotation | None:
        """Return what is known without opening the picture, None where nothing is."""


class Memory:
    """Galaxies that are in memory already."""

    def __init__(self, galaxies: Iterable[Galaxy]) -> None:
        self._galaxies: dict[str, Galaxy] = {}
        for galaxy in galaxies:
            if galaxy.truth.name in self._galaxies:
                raise WorkbenchError(f"two galaxies are named {galaxy.truth.name!r}")
            self._galaxies[galaxy.truth.name] = galaxy
        self.names: Sequence[str] = tuple(self._galaxies)

    def open(self, name: str) -> Galaxy:
        """Return the galaxy."""
        if name not in self._galaxies:
            raise WorkbenchError(f"no galaxy {name!r} among the {len(self.names)} of this audit")
        return self._galaxies[name]

    def known(self, name: str) -> Annotation | None:
        """Return its annotation."""
        return self.open(name).truth


class Folder:
    """Pictures under a folder; a table may give their boxes, PSF, WCS and redshift.

    Parameters
    ----------
    place
        Folder with PNG, JPEG or FITS pictures, or one such file.
    labels
        COCO JSON, CSV or Parquet; its names are paths below `place`, or file names.
    catalog
        CSV or Parquet with a row a ``file``: the columns of `clumps.folder.load`.
    stretch
        How FITS files become pictures.

    Raises
    ------
    WorkbenchError
        There is no picture, a table cannot be read, or the catalogue is of other files.
    """

    def __init__(
        self,
        place: Path | str,
        labels: Path | str | None = None,
        catalog: Path | str | None = None,
        stretch: Stretch | None = None,
    ) -> None:
        root = Path(place)
        paths = folder.find_pictures(root)
        below = root if root.is_dir() else root.parent
        self._paths = {path.relative_to(below).as_posix(): path for path in paths}
        self._known = {truth.name: truth for truth in read_table(labels)} if labels else {}
        self.names: Sequence[str] = tuple(self._paths)
        self._rows = folder.read_catalog(catalog) if catalog else {}
        if self._rows and not any(map(self._row, self.names)):
            raise WorkbenchError(
                f"{catalog}: none of its {len(self._rows)} files, such as "
                f"{next(iter(self._rows))!r}, is among the {len(self.names)} pictures, such as "
                f"{self.names[0]!r}"
            )
        self.stretch = stretch or Stretch()
        self.open = lru_cache(maxsize=16)(self._open)

    def path(self, name: str) -> Path:
        """Return the file of a galaxy."""
        if name not in self._paths:
            raise WorkbenchError(f"no picture {name!r} among the {len(self.names)} of this folder")
        return self._paths[name]

    def is_fits(self, name: str) -> bool:
        """Return whether a galaxy's picture is made from linear planes, by `stretch`."""
        return suffix(self.path(name)).startswith(".fit")

    def restretch(self, stretch: Stretch, name: str) -> None:
        """Take another stretch from here on, if `name` can be opened with it.

        Raises
        ------
        WorkbenchError
            It cannot: a band is not there. The stretch stays as it was.
        """
        before = self.stretch
        self.stretch = stretch
        self.open.cache_clear()
        try:
            self.open(name)
        except WorkbenchError:
            self.stretch = before
            self.open.cache_clear()
            raise

    def _open(self, name: str) -> Galaxy:
        image, wcs = read_picture(self.path(name), self.stretch)
        height, width = image.shape[:2]
        truth = self._labelled(name) or annotation(name, (width, height))
        if (truth.width, truth.height) != (width, height):
            raise WorkbenchError(
                f"{name}: {width} x {height} pixels, the table says {truth.width} x {truth.height}"
            )
        return Galaxy(image, folder.catalogued(truth, self._row(name), wcs))

    def known(self, name: str) -> Annotation | None:
        """Return its row of the labels, with what the catalogue says; None without labels."""
        truth = self._labelled(name)
        return None if truth is None else folder.catalogued(truth, self._row(name))

    def _row(self, name: str) -> dict[str, Any]:
        return self._rows.get(name) or self._rows.get(self.path(name).name) or {}

    def _labelled(self, name: str) -> Annotation | None:
        truth = self._known.get(name) or self._known.get(self.path(name).name)
        return None if truth is None else replace(truth, name=name)


def as_library(galaxies: Library | Iterable[Galaxy] | Path | str) -> Library:
    """Return a library of what a user may give: galaxies, a folder, or a library."""
    if isinstance(galaxies, Path | str):
        return Folder(galaxies)
    if hasattr(galaxies, "names"):
        library: Library = galaxies  # type: ignore[assignment]
        return library
    return Memory(galaxies)
