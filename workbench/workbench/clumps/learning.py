"""Learning curves: completeness and purity against the number of labelled galaxies.

The question of Popp et al. 2024: does an encoder that knows galaxies need fewer labels? One run or
more a start and size, all scored on the same test galaxies with a threshold from validation.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from workbench import provenance
from workbench.clumps.detecting import run_detector
from workbench.clumps.evaluate import Aim, match_all, summary, threshold_or_none_found
from workbench.clumps.files import write_atomically
from workbench.clumps.request import MADE
from workbench.clumps.run import DETECTOR, Plan, begin, train
from workbench.clumps.sources import galaxies
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.request import Request
    from workbench.clumps.training import TrainOptions

VALIDATIONS = 6  # of a run, to choose its epoch
SCORE = "score.json"  # in a run's folder: its score on the test galaxies
GOAL = 0.8  # completeness and purity of the paper
RATES = ("completeness", "purity", "f1")


@dataclass(frozen=True)
class Draws:
    """How often a size is drawn: `most` times from the first `pool` galaxies, none twice.

    Attributes
    ----------
    most
        Runs of a start and size.
    pool
        Galaxies of all draws of a size together; one run where it holds fewer than two draws.
    only
        This draw alone, from 0; None for all.
    """

    most: int = 1
    pool: int = 0
    only: int | None = None

    def of(self, sizes: Sequence[int]) -> list[tuple[int, int]]:
        """Return the pairs of size and draw."""
        return [
            (size, draw) for size in sizes
            for draw in range(max(1, min(self.most, self.pool // size)))
            if self.only in {None, draw}
        ]  # fmt: skip


ONE = Draws()


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
    draws: Draws = ONE,
    least_steps: int = 0,
    aim: Aim = Aim.F1,
) -> list[dict[str, Any]]:
    """Train for each start, size and draw in a folder of its own and score all on `test`.

    Where galaxies are few an epoch goes over them several times, so that a run takes `least_steps`
    or more. Runs that are finished are not trained again, nor scored again on the same galaxies:
    several processes may share `folder`, each with other starts, sizes or draws, and one take all
    rows at the end. The rows are in ``learning_curve.json``. Thresholds are chosen for `aim` on the
    validation galaxies.

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
        for size, draw in draws.of(sizes):
            options = replace(
                plan.options, weights=start.weights, trainable_stages=start.stages,
                epochs=passes, validate_every=max(1, passes // VALIDATIONS),
                seed=plan.options.seed + draw,
            )  # fmt: skip
            part = replace(
                plan, train=replace(plan.train, number=size, start=draw * size), options=options,
                repeats=repeats(plan.options, size, least_steps),
            )  # fmt: skip
            place = folder / f"{start.name.replace(', ', '-')}-{size}-{draw}"
            begin(part, place)
            if not (place / DETECTOR).is_file():
                train(part, place, progress=False)
            asked = {"test": test.describe(), "aim": str(aim)}
            scored = _known_score(place, asked)
            if scored is None:
                truth = truth or list(galaxies(test))
                scored = _score(place / DETECTOR, part, truth, aim)
                _write(place / SCORE, {**asked, "score": scored})
            rows.append({"start": start.name, "galaxies": size, "draw": draw, **scored})
            about = {**asked, "settings": plan.settings(), "commit": provenance.commit()}
            _write(folder / "learning_curve.json", {"about": about, "rows": rows})
    return rows


def _known_score(place: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the score of the run in `place` if it was `asked` for, else None."""
    path = place / SCORE
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    same = all(known.get(name) == value for name, value in asked.items())
    return known["score"] if known and same else None


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


def _score(weights: Path, plan: Plan, truth: list[Galaxy], aim: Aim) -> dict[str, Any]:
    cut = plan.options.min_flux_ratio
    chosen, scored = (
        match_all(
            [one for _, one in run_detector(weights, those)],
            [galaxy.truth for galaxy in those],
            min_flux_ratio=cut,
        )
        for those in (list(galaxies(plan.valid)), truth)
    )
    threshold = threshold_or_none_found(chosen, aim)
    return {**summary(scored, threshold), "min_flux_ratio": cut, "threshold": threshold}


def mean_rates(rows: Sequence[dict[str, Any]], start: str) -> dict[int, dict[str, float]]:
    """Return by number of galaxies, rising, the means over draws of what `start` reached.

    ``completeness``, ``purity``, ``f1``, and ``lesser``, of the lesser of the two rates.
    """
    by_size: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["start"] == start:
            by_size.setdefault(int(row["galaxies"]), []).append(row)
    return {
        size: {
            **{name: mean(row[name] for row in mine) for name in RATES},
            "lesser": mean(lesser(row) for row in mine),
        }
        for size, mine in sorted(by_size.items())
    }


def lesser(row: dict[str, Any]) -> float:
    """Return the lesser of completeness and purity."""
    return float(min(row["completeness"], row["purity"]))


def reached(rows: Sequence[dict[str, Any]], start: str, goal: float = GOAL) -> int | None:
    """Return the fewest galaxies at which `start` has both rates at `goal`; None if at none.

    Where a size has several draws, the lesser of the two rates counts in the mean over them.
    """
    good = [size for size, rate in mean_rates(rows, start).items() if rate["lesser"] >= goal]
    return min(good, default=None)
