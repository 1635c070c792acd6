"""The problem files, recorded results and trained detector that come with the project.

A checkout reads them from ``data/``; an installed wheel carries a copy inside the package.
"""

from __future__ import annotations

from pathlib import Path

from workbench.errors import WorkbenchError

_PACKAGE = Path(__file__).resolve().parent


def folder(kind: str) -> Path:
    """Return the folder of a kind of file: "spaces", "results", "reference" or "detector".

    Raises
    ------
    WorkbenchError
        No such folder came with this installation.
    """
    places = [_PACKAGE.parents[1] / "data" / kind, _PACKAGE / "_data" / kind]
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(str(place) for place in places)
    raise WorkbenchError(f"no folder of {kind}: looked in {looked}; reinstall flashclump")


def spaces() -> list[str]:
    """Return the names of the problem files (`intcsp-1`) that come along, sorted."""
    return sorted(path.stem for path in folder("spaces").glob("*.json"))


def space(name: str) -> Path:
    """Return the path of the problem file called `name`, for instance ``"hotspot"``.

    Raises
    ------
    WorkbenchError
        There is no problem of that name.
    """
    path = folder("spaces") / f"{name}.json"
    if path.stem != name or not path.is_file():
        raise WorkbenchError(f"unknown space {name!r}; known: {', '.join(spaces())}")
    return path


def result(name: str) -> Path:
    """Return the path of the recorded result file called `name`, suffix included.

    Raises
    ------
    WorkbenchError
        There is no result of that name.
    """
    path = folder("results") / name
    if path.name != name or not path.is_file():
        known = ", ".join(sorted(p.name for p in folder("results").iterdir() if p.suffix))
        raise WorkbenchError(f"unknown result {name!r}; known: {known or 'none yet'}")
    return path
