"""From an audit to a better detector: fine-tune on its labels, detect in untouched galaxies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.comparison import CHOSEN, SHIPPED, TUNED
from workbench.clumps import evaluate
from workbench.clumps.extras import need
from workbench.clumps.report import Method
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.matching import Detections
    from workbench.clumps.run import Plan

# Every fourth audited galaxy is kept from learning: it chooses the thresholds.
CHOOSING = 4
EPOCHS = 40


@dataclass(frozen=True)
class Retrained:
    """A detector and what an audit made of it.

    Attributes
    ----------
    before, after
        Weights (.safetensors) that were started from, and the fine-tuned ones.
    shipped, chosen, tuned
        Thresholds: on the card of `before`; of the best F1 of `before` and of `after` on the
        audited galaxies that neither learnt from.
    learnt, chose
        Numbers of audited galaxies that were learnt from, and that chose the thresholds.
    """

    before: Path
    after: Path
    shipped: float
    chosen: float
    tuned: float
    learnt: int
    chose: int


def fine_tune(
    start_from: Path | str, audited: Sequence[Galaxy], folder: Path | str, *, epochs: int = EPOCHS
) -> Retrained:
    """Fine-tune a detector on audited galaxies (`Audit.dataset`), minutes on a CPU.

    A folder whose run was killed goes on from its last epoch. What is done: `plan`, training,
    `retrained`.

    Raises
    ------
    WorkbenchError
        As `plan`.
    """
    made = plan(start_from, audited, folder, epochs=epochs)
    need("workbench.clumps.panels.small").settle()
    after = need("workbench.clumps.run").train(made, Path(folder) / "run", progress=False)
    return retrained(made, after)


def plan(
    start_from: Path | str, audited: Sequence[Galaxy], folder: Path | str, *, epochs: int = EPOCHS
) -> Plan:
    """Return the run that fine-tunes a detector on audited galaxies.

    Every fourth galaxy does not train: the threshold is that of the best F1 on these.

    Parameters
    ----------
    start_from
        Weights (.safetensors) with their card.
    folder
        Where the two parts of the audited galaxies are written.

    Raises
    ------
    WorkbenchError
        Too few galaxies, none with a box among those of either part, or a PSF is unknown.
    """
    learning = [one for k, one in enumerate(audited) if k % CHOOSING]
    choosing = [one for k, one in enumerate(audited) if k % CHOOSING == 0]
    if not learning:
        raise WorkbenchError(
            f"{len(audited)} finished galaxies; expected at least 2, twenty are a good start"
        )
    card = need("workbench.clumps.weights").read_card(start_from)
    config = need("workbench.clumps.detector_config").config_from_dict(
        card["config"], str(start_from)
    )
    options = need("workbench.clumps.training").TrainOptions(
        epochs=epochs, patience=epochs, batch=4, learning_rate=1e-4, ema=0.98, keep_last=True
    )
    train, valid = (
        _written(part, Path(folder) / name)
        for part, name in ((learning, "learning"), (choosing, "choosing"))
    )
    made: Plan = need("workbench.clumps.run").Plan(train, valid, config, options, str(start_from))
    return made


def retrained(made: Plan, after: Path) -> Retrained:
    """Return what a finished run of `plan` made, with thresholds chosen on its validation part."""
    before, read = Path(str(made.start_from)), need("workbench.clumps.sources").galaxies
    choosing = list(read(made.valid))
    truths = [one.truth for one in choosing]
    chosen, tuned = (_threshold(_found(one, choosing), truths) for one in (before, after))
    card = need("workbench.clumps.weights").read_card(before)
    learnt = sum(1 for _ in read(made.train))
    return Retrained(before, after, float(card["threshold"]), chosen, tuned, learnt, len(choosing))


def _written(part: Sequence[Galaxy], folder: Path) -> Any:
    """Write one part of the audited galaxies, and return the request that reads it."""
    named = [
        replace(one, truth=replace(one.truth, name=f"{k:06d}-{Path(one.truth.name).stem}"))
        for k, one in enumerate(part)
    ]
    need("workbench.clumps.export").write_data(named, folder)
    return need("workbench.clumps.request").Request(
        source="folder", place=str(folder / "images"), labels=str(folder / "labels.parquet")
    )


def _found(weights: Path | str, galaxies: Sequence[Galaxy]) -> list[Detections]:
    run_detector = need("workbench.clumps.detecting").run_detector
    return [one for _, one in run_detector(weights, galaxies)]


def _threshold(found: Sequence[Detections], truths: Sequence[Annotation]) -> float:
    return evaluate.threshold_or_none_found(evaluate.match_all(found, truths))


def methods(made: Retrained, untouched: Sequence[Galaxy]) -> list[Method]:
    """Return both detectors' detections in galaxies that no part of the audit has seen."""
    before, after = (_found(weights, untouched) for weights in (made.before, made.after))
    return [
        Method(SHIPPED, before, made.shipped), Method(CHOSEN, before, made.chosen),
        Method(TUNED, after, made.tuned),
    ]  # fmt: skip
