"""Learning curves: completeness and purity against the number of labelled galaxies.

The question of Popp et al. 2024: does an encoder that knows galaxies need fewer labels? One run a
start and size, all scored on the same test galaxies with a threshold from validation.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.clumps.detecting import run_detector
from workbench.clumps.evaluate import match_all, summary
from workbench.clumps.files import write_atomically
from workbench.clumps.request import MADE
from workbench.clumps.run import DETECTOR, Plan, begin, train
from workbench.clumps.sources import galaxies
from workbench.clumps.weights import read_card
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.request import Request
    from workbench.clumps.training import TrainOptions

SIZES = (100, 200, 400, 800, 1600, 3200, 5000)
VALIDATIONS = 6  # of a run, to choose its epoch
SCORE = "score.json"  # in a run's folder: its score on the test galaxies
GOAL = 0.8  # completeness and purity of the paper


@dataclass(frozen=True)
class Start:
    """A start of the encoder: name, weights (see `backbones.encoder`), stages that learn."""

    name: str
    weights: str
    stages: int


def starts(pretrained: str | None) -> list[Start]:
    """Return the starts that are compared: random, and `pretrained` frozen and not."""
    made = [Start("random", "random", 4)]
    if pretrained is not None:
        made += [Start("pretrained, frozen", pretrained, 0), Start("pretrained", pretrained, 4)]
    return made


def learning_curve(
    plan: Plan,
    test: Request,
    sizes: Sequence[int],
    compared: Sequence[Start],
    folder: Path | str,
    *,
    least_steps: int = 0,
) -> list[dict[str, Any]]:
    """Train for each start and size in a folder of its own and score all on `test`.

    Where galaxies are few an epoch goes over them several times, so that a run takes `least_steps`
    or more. Runs that are finished are not trained again, nor scored again on the same galaxies:
    several processes may share `folder`, each with other starts or sizes, and one take all rows at
    the end. The rows are in ``learning_curve.json``.

    Raises
    ------
    WorkbenchError
        The training galaxies are not of a source that has so many.
    """
    folder = Path(folder)
    if plan.train.source not in MADE:
        raise WorkbenchError(f"learning curves need made galaxies, got {plan.train.source}")
    truth: list[Galaxy] = []
    rows: list[dict[str, Any]] = []
    passes = epochs(plan.options)
    for start in compared:
        for size in sizes:
            options = replace(
                plan.options, weights=start.weights, trainable_stages=start.stages,
                epochs=passes, validate_every=max(1, passes // VALIDATIONS),
            )  # fmt: skip
            part = replace(
                plan, train=replace(plan.train, number=size), options=options,
                repeats=repeats(plan.options, size, least_steps),
            )  # fmt: skip
            place = folder / f"{start.name.replace(', ', '-')}-{size}"
            begin(part, place)
            if not (place / DETECTOR).is_file():
                train(part, place, progress=False)
            scored = _known_score(place, test)
            if scored is None:
                truth = truth or list(galaxies(test))
                scored = _score(place / DETECTOR, truth, plan.options.min_flux_ratio)
                _write(place / SCORE, {"test": test.describe(), "score": scored})
            rows.append({"start": start.name, "galaxies": size, **scored})
            about = {"test": test.describe(), "settings": plan.settings(),
                     "commit": provenance.commit()}  # fmt: skip
            _write(folder / "learning_curve.json", {"about": about, "rows": rows})
    return rows


def _known_score(place: Path, test: Request) -> dict[str, Any] | None:
    """Return the score of the run in `place` on the galaxies `test`, None where there is none."""
    path = place / SCORE
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return known["score"] if known.get("test") == test.describe() else None


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def epochs(options: TrainOptions) -> int:
    """Return the epochs of a run: those asked for, more than `VALIDATIONS` a multiple of it."""
    asked = options.epochs
    return asked if asked < VALIDATIONS else math.ceil(asked / VALIDATIONS) * VALIDATIONS


def repeats(options: TrainOptions, size: int, least_steps: int) -> int:
    """Return how often an epoch goes over `size` galaxies, so that a run takes `least_steps`."""
    steps = math.ceil(least_steps / epochs(options))  # of an epoch
    return max(1, math.ceil(steps * options.batch / size))


def _score(weights: Path, truth: list[Galaxy], min_flux_ratio: float) -> dict[str, Any]:
    card = read_card(weights)
    threshold = float(card.get("thresholds", {}).get(str(min_flux_ratio), card["threshold"]))
    found = [one for _, one in run_detector(weights, truth)]
    matches = match_all(found, [g.truth for g in truth], min_flux_ratio=min_flux_ratio)
    scored = summary(matches, threshold)
    return {**scored, "min_flux_ratio": min_flux_ratio, "threshold": threshold}


def reached(rows: Sequence[dict[str, Any]], start: str, goal: float = GOAL) -> int | None:
    """Return the fewest galaxies at which `start` has both rates at `goal`; None if at none."""
    good = [
        int(row["galaxies"]) for row in rows
        if row["start"] == start and min(row["completeness"], row["purity"]) >= goal
    ]  # fmt: skip
    return min(good, default=None)
