"""Results in JSON with what they were measured on, written by the command that measured them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench import datafiles
from workbench.audit.atomic import whole_file
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PREFIX = "state_tracking"
Run = dict[str, Any]


def write(path: Path, where: dict[str, Any], runs: Sequence[Run]) -> None:
    """Write a results file, a line a run, whole or not at all."""
    rows = ",\n".join(json.dumps(run) for run in runs)
    text = f'{{"about": {json.dumps(where, indent=1)},\n"runs": [\n{rows}\n]}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, overwrite=True) as part:
        part.write_text(text, encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Return a results file: about and runs.

    Raises
    ------
    WorkbenchError
        It is missing or no results file.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkbenchError(f"{path}: no results of state tracking ({error})") from error
    if not isinstance(content, dict) or not {"about", "runs"} <= set(content):
        raise WorkbenchError(f"{path}: expected about and runs, as `workbench states train` writes")
    return content


def recorded() -> dict[str, Any]:
    """Return the results that come with the project: those of a GPU before others, newest first.

    Raises
    ------
    WorkbenchError
        None came with this installation.
    """
    paths = sorted(datafiles.folder("results").glob(f"{PREFIX}*.json"))
    found = [read(path) for path in paths]
    if not found:
        raise WorkbenchError(
            f"no {PREFIX}*.json among the recorded results; `workbench states train --out "
            f"{PREFIX}.json` measures here"
        )
    return max(found, key=lambda one: (one["about"]["accelerator"] == "cuda", one["about"]["date"]))


def tried(runs: Sequence[Run], task: str, model: str) -> int:
    """Return how many runs of a model on a task there are, of which `shown` takes the best."""
    of = [(run["settings"]["task"], run["settings"]["model"]) for run in runs]
    return of.count((task, model))


def shown(runs: Sequence[Run], task: str) -> list[Run]:
    """Return one run a model: of several the one that is right most often, long words included."""
    best: dict[str, Run] = {}
    for run in runs:
        model = run["settings"]["model"]
        if run["settings"]["task"] != task:
            continue
        if model not in best or run["summary"]["all"] > best[model]["summary"]["all"]:
            best[model] = run
    return list(best.values())


def table(runs: Sequence[Run]) -> str:
    """Return the runs as text, a line each: accuracy within, beyond and at the end of 4 times."""
    head = f"{'run':38}{'parameters':>11}{'length':>7}{'within':>8}{'beyond':>8}{'last':>8}{'s':>7}"
    lines = [head]
    for run in runs:
        settings, found = run["settings"], run["summary"]
        lines.append(
            f"{run['name']:38}{run['parameters']:11,}{settings['length']:7}"
            f"{found['within']:8.4f}{found['beyond']:8.4f}{found['last']:8.4f}{run['seconds']:7.1f}"
        )
    return "\n".join(lines)
