"""Where the explorer's problems come from: a function of shape values, or a space file."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsolver import FormatError, Problem

from workbench import datafiles
from workbench.errors import WorkbenchError
from workbench.widgets.bounds import lifted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.widgets.controls import Choice, Range

_MOST_BYTES = 20_000_000  # the largest published space file is about 1 MB


@dataclass(frozen=True, slots=True)
class Source:
    """A name, a function that builds a fresh problem from the values of `shape`, and ranges.

    `limits` are ranges for parameters of the problem; `objective` is a text and "max" or "min".
    """

    name: str
    build: Callable[..., Problem]
    shape: tuple[Choice, ...] = ()
    limits: tuple[Range, ...] = ()
    objective: tuple[str, str] | None = None

    @classmethod
    def of(
        cls,
        problem: Problem | Source | Callable[..., Problem] | str | Path,
        shape: Sequence[Choice] = (),
        *,
        limits: Sequence[Range] = (),
        objective: str | None = None,
        sense: str = "max",
    ) -> Source:
        """Return the source of whatever a problem can be given as.

        Raises
        ------
        WorkbenchError
            A file that is not there or is no space.
        """
        if isinstance(problem, Source):
            return problem
        if isinstance(problem, str | Path):
            opened = with_sliders(open_space(problem))
            chosen = (objective, sense) if objective else opened.objective
            return cls(opened.name, opened.build, (), (*limits, *opened.limits), chosen)
        wanted = (objective, sense) if objective else None
        if isinstance(problem, Problem):
            kept = copy.deepcopy(problem)  # what is added to the original later is not meant
            wanted = wanted or problem.objective
            return cls(problem.name, lambda: copy.deepcopy(kept), (), tuple(limits), wanted)
        name = getattr(problem, "__name__", "problem").replace("_", " ")
        return cls(name, problem, tuple(shape), tuple(limits), wanted)


def open_space(name: str | Path, text: bytes | None = None) -> Source:
    """Return the source of a space file: intcsp-1, or Kernel Tuner's T1.

    `name` is a shipped space or a path; with `text` it only names what was uploaded.

    Raises
    ------
    WorkbenchError
        No such file, too large, not JSON, or no space in it.
    """
    if text is None:
        path = _find(str(name))
        if path.stat().st_size > _MOST_BYTES:
            raise WorkbenchError(f"{path.name}: {path.stat().st_size:,} bytes, at most 20 MB")
        text = path.read_bytes()
    if len(text) > _MOST_BYTES:
        raise WorkbenchError(f"{name}: {len(text):,} bytes, at most 20 MB")
    label = Path(str(name)).name
    try:
        space = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"{label} is not JSON: {error}") from None
    return _source(label, space)


def with_sliders(source: Source) -> Source:
    """Return the source with a parameter and a range for each bound that its file states."""
    _, ranges = lifted(source.build())
    if not ranges:
        return source
    return replace(source, build=lambda: lifted(source.build())[0], limits=ranges)


def _find(name: str) -> Path:
    if name in datafiles.spaces():
        return datafiles.space(name)
    path = Path(name).expanduser()
    if not path.is_file():
        raise WorkbenchError(
            f"no file {name!r} and no shipped space of that name; "
            f"shipped are {', '.join(datafiles.spaces()[:4])} and more"
        )
    return path


def _source(label: str, space: Any) -> Source:
    """Return the source of parsed JSON; it is read once here, so that mistakes show at once."""
    if not isinstance(space, dict):
        raise WorkbenchError(f"{label}: expected a JSON object, got {type(space).__name__}")
    build = _builder(space)
    try:
        problem = build()
    except FormatError as error:
        raise WorkbenchError(f"{label}: {error}") from None
    if not problem.variables:
        raise WorkbenchError(f"{label}: no variables; expected intcsp-1 or Kernel Tuner's T1")
    return Source(problem.name or label, build, objective=problem.objective)


def _builder(space: dict[str, Any]) -> Callable[[], Problem]:
    """Return a function that builds the problem of a space anew: intcsp-1, else Kernel Tuner's."""
    if "variables" in space:
        return lambda: Problem.from_space(space)
    return lambda: Problem.from_kernel_tuner(space)
