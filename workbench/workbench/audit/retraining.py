"""From an audit to a better detector: fine-tune on its labels, compare on untouched galaxies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import evaluate
from workbench.clumps.extras import need
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.matching import Detections

# Every fourth audited galaxy is kept from learning: it chooses the thresholds.
CHOOSING = 4
SHIPPED, CHOSEN, TUNED = "as shipped", "threshold chosen", "fine-tuned"


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


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both detectors on the same untouched galaxies.

    Attributes
    ----------
    counts
        By method (`SHIPPED`, `CHOSEN`, `TUNED`): (galaxies, 3) hits, detections, true clumps.
    thresholds
        By method.
    """

    counts: dict[str, NDArray[np.int64]]
    thresholds: dict[str, float]

    def rows(self) -> list[dict[str, Any]]:
        """Return completeness, purity and F1 with central 95 % intervals, one row a method."""
        made = []
        for name, counted in self.counts.items():
            hits, found, true = map(int, counted.sum(axis=0))
            scored = evaluate.Rates(hits, found, true)
            made.append({
                "method": name, "threshold": self.thresholds[name], "galaxies": len(counted),
                "hits": hits, "found": found, "true": true,
                "completeness": scored.completeness, "purity": scored.purity, "f1": scored.f1,
                "interval_95": evaluate.intervals(counted),
            })  # fmt: skip
        return made

    def gains(self, method: str = TUNED, over: str = CHOSEN) -> dict[str, dict[str, Any]]:
        """Return what a method gains over another: differences with central 95 % intervals.

        The galaxies drawn are the same for both, so that the interval is that of the difference.
        """
        both = np.concatenate([self.counts[method], self.counts[over]], axis=1)
        number = len(both)
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(number, np.full(number, 1 / number), size=evaluate.BOOTSTRAP_DRAWS)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = _differences((drawn @ both).astype(np.float64))
            middle = _differences(both.sum(axis=0, keepdims=True).astype(np.float64))
        edges = ((1 - evaluate.COVERAGE) / 2, (1 + evaluate.COVERAGE) / 2)
        return {
            name: {
                "gain": float(middle[name][0]),
                "interval_95": tuple(map(float, np.nanquantile(spread[name], edges))),
            }
            for name in middle
        }

    def table(self) -> pd.DataFrame:
        """Return `rows` as a table to look at, each interval as text."""
        columns = ("completeness", "purity", "f1")
        shown = [
            {
                "method": row["method"],
                "threshold": round(row["threshold"], 2),
                **{name: _text(row[name], row["interval_95"][name]) for name in columns},
            }
            for row in self.rows()
        ]
        frame: pd.DataFrame = need("pandas").DataFrame(shown).set_index("method")
        return frame


def _differences(totals: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Differences of (draws, 6): hits, detections, true clumps of one method, then of another."""
    hits, found, true, hits_0, found_0, true_0 = totals.T
    return {
        "completeness": hits / true - hits_0 / true_0,
        "purity": hits / found - hits_0 / found_0,
        "f1": 2 * hits / (found + true) - 2 * hits_0 / (found_0 + true_0),
    }


def _text(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def fine_tune(
    start_from: Path | str,
    audited: Sequence[Galaxy],
    folder: Path | str,
    *,
    epochs: int = 40,
    batch: int = 4,
    learning_rate: float = 1e-4,
) -> Retrained:
    """Fine-tune a detector on audited galaxies (`Audit.dataset`), minutes on a CPU.

    Every fourth galaxy does not train: the threshold is that of the best F1 on these. A folder
    whose run was killed goes on from its last epoch.

    Parameters
    ----------
    start_from
        Weights (.safetensors) with their card.
    folder
        Of the run: settings, history, checkpoints, and at the end the detector.

    Raises
    ------
    WorkbenchError
        Too few galaxies, none with a box among those of either part, or a PSF is unknown.
    """
    run = need("workbench.clumps.run")
    card = need("workbench.clumps.weights").read_card(start_from)
    learning = [one for k, one in enumerate(audited) if k % CHOOSING]
    choosing = [one for k, one in enumerate(audited) if k % CHOOSING == 0]
    if not learning:
        raise WorkbenchError(
            f"{len(audited)} finished galaxies; expected at least 2, twenty are a good start"
        )
    folder = Path(folder)
    requests = [_written(part, folder / name) for part, name in (
        (learning, "learning"), (choosing, "choosing"))]  # fmt: skip
    config = need("workbench.clumps.detector_config").config_from_dict(
        card["config"], str(start_from)
    )
    options = need("workbench.clumps.training").TrainOptions(
        epochs=epochs, patience=epochs, batch=batch, learning_rate=learning_rate, ema=0.98,
        keep_last=True,
    )  # fmt: skip
    plan = run.Plan(*requests, config, options, str(start_from))
    need("workbench.clumps.panels.small").settle()
    after = run.train(plan, folder / "run", progress=False)
    truths = [one.truth for one in choosing]
    chosen, tuned = (_threshold(_found(one, choosing), truths) for one in (start_from, after))
    return Retrained(
        Path(start_from), after, float(card["threshold"]), chosen, tuned,
        len(learning), len(choosing),
    )  # fmt: skip


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
    return evaluate.choose_threshold(evaluate.match_all(found, truths))


def compare(made: Retrained, untouched: Sequence[Galaxy]) -> Comparison:
    """Return how both detectors do on galaxies that no part of the audit has seen."""
    truths = [one.truth for one in untouched]
    before, after = (
        evaluate.match_all(_found(weights, untouched), truths)
        for weights in (made.before, made.after)
    )
    methods = (
        (SHIPPED, before, made.shipped), (CHOSEN, before, made.chosen), (TUNED, after, made.tuned),
    )  # fmt: skip
    return Comparison(
        {name: evaluate.counts(matches, threshold) for name, matches, threshold in methods},
        {name: threshold for name, _, threshold in methods},
    )


def together(parts: Sequence[Comparison]) -> Comparison:
    """Return comparisons on different galaxies as one; its thresholds are their means."""
    names = parts[0].counts
    return Comparison(
        {name: np.concatenate([part.counts[name] for part in parts]) for name in names},
        {name: float(np.mean([part.thresholds[name] for part in parts])) for name in names},
    )
