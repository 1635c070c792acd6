"""The evaluation of one or more methods on the same galaxies: JSON, tables, interactive plots."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import classical, evaluate
from workbench.clumps.detecting import run_detector
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Label
from workbench.clumps.matching import Criterion, Detections
from workbench.colours import SERIES
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from workbench.clumps.galaxy import Annotation, Galaxy
    from workbench.clumps.judge import Judge
    from workbench.clumps.postprocess import HostRule

FLUX_BINS = (0.003, 0.01, 0.03, 0.08, 1.0)


@dataclass(frozen=True, eq=False)
class Method:
    """Detections of one method and the score threshold that was chosen elsewhere.

    Attributes
    ----------
    name
        Shown in tables.
    found
        For each galaxy.
    threshold
        Chosen on galaxies that are not scored here.
    by_cut
        Thresholds chosen likewise for some flux cuts; `threshold` holds for the others.
    """

    name: str
    found: Sequence[Detections]
    threshold: float
    by_cut: Mapping[float, float] = field(default_factory=dict)


def report(
    methods: Sequence[Method], truths: Sequence[Annotation], about: dict[str, Any]
) -> dict[str, Any]:
    """Return all figures of `methods` on `truths`; `about` says what was scored, and how.

    Raises
    ------
    WorkbenchError
        There is nothing to score.
    """
    clumps = sum(int((truth.labels == Label.CLUMP).sum()) for truth in truths)
    if not clumps:
        raise WorkbenchError(f"{len(truths)} galaxies without a labelled clump: nothing to score")
    return {
        "about": about,
        "galaxies": len(truths),
        "clumps": clumps,
        "methods": [_method(method, truths) for method in methods],
    }


def _method(method: Method, truths: Sequence[Annotation]) -> dict[str, Any]:
    matches = evaluate.match_all(method.found, truths)
    points = evaluate.curve(matches)
    return {
        "name": method.name,
        "threshold": method.threshold,
        "rates": [
            _rates(method, truths, criterion, cut)
            for criterion, cut in itertools.product(Criterion, evaluate.FLUX_CUTS)
        ],
        "coco": evaluate.average_precision(method.found, truths),
        "by_property": evaluate.by_property(matches, truths, method.threshold)
        + by_flux_ratio(method, truths),
        "curve": {
            name: getattr(points, name).tolist()
            for name in ("thresholds", "completeness", "purity", "f1")
        },
    }


def _rates(
    method: Method, truths: Sequence[Annotation], criterion: Criterion, cut: float
) -> dict[str, Any]:
    matches = evaluate.match_all(method.found, truths, criterion, cut)
    threshold = method.by_cut.get(cut, method.threshold)
    scored = evaluate.rates(matches, threshold)
    counted = evaluate.counts(matches, threshold)
    return {
        "threshold": threshold,
        "criterion": str(criterion), "min_flux_ratio": cut,
        "hits": scored.hits, "found": scored.found, "true": scored.true,
        "completeness": scored.completeness, "purity": scored.purity, "f1": scored.f1,
        "interval_95": evaluate.intervals(counted),
    }  # fmt: skip


def by_flux_ratio(method: Method, truths: Sequence[Annotation]) -> list[dict[str, Any]]:
    """Return completeness in bins of flux ratio; clumps of unknown ratio are in none."""
    matches = evaluate.match_all(method.found, truths)
    ratios = np.concatenate(
        [truth.flux_ratio[one.counted] for one, truth in zip(matches, truths, strict=True)]
    )
    hit = np.concatenate([one.found_at >= method.threshold for one in matches])
    rows: list[dict[str, Any]] = []
    for low, high in itertools.pairwise(FLUX_BINS):
        inside = (ratios >= low) & (ratios < high)
        rows.append({
            "property": "flux_ratio", "from": low, "to": high, "true": int(inside.sum()),
            "completeness": float(hit[inside].mean()) if inside.any() else math.nan,
        })  # fmt: skip
    return rows


def of_detector(
    weights: Path | str,
    test: Sequence[Galaxy],
    threshold: float | None = None,
    *,
    valid: Sequence[Galaxy] | None = None,
    aim: evaluate.Aim = evaluate.Aim.F1,
    orientations: int = 1,
    host: HostRule | None = None,
    judge: Judge | None = None,
    workers: int = 1,
) -> Method:
    """Return what a detector finds in `test`, by default with the thresholds of its card.

    Parameters
    ----------
    valid
        Galaxies like those of `test` to choose the thresholds on, instead of the card's.
    aim
        What they are chosen for.
    orientations, host
        In which each picture is seen; what counts as the galaxy, None for the whole picture.
    judge
        That of its card, whose thresholds then count; None for the network's own scores.
    workers
        Processes for the judge.

    Raises
    ------
    WorkbenchError
        The weights cannot be read, a galaxy's PSF is unknown, or one is in `test` and `valid`.
    """
    card = need("workbench.clumps.weights").read_card(weights)
    card = card if judge is None else card["judge"]
    look = partial(run_detector, weights, orientations=orientations, host=host, judge=judge,
                   workers=workers)  # fmt: skip
    found = [one for _, one in look(test)]
    if threshold is not None:
        return Method("detector", found, threshold)
    if valid is None:
        by_cut = {float(cut): float(chosen) for cut, chosen in card.get("thresholds", {}).items()}
        return Method("detector", found, float(card["threshold"]), by_cut)
    if both := {g.truth.name for g in valid} & {g.truth.name for g in test}:
        raise WorkbenchError(f"{min(both)} would be chosen on and scored; give other galaxies")
    known = [one for _, one in look(valid)]
    by_cut = evaluate.thresholds_by_cut(known, [galaxy.truth for galaxy in valid], aim)
    return Method("detector", found, by_cut.get(0.0, evaluate.NOTHING_FOUND), by_cut)


def comparators(
    train: Sequence[Galaxy], test: Sequence[Galaxy], names: Sequence[str] = tuple(classical.METHODS)
) -> list[Method]:
    """Return the classical methods' detections on `test`, each tuned on `train` only.

    Detections below the tuned threshold are there as well, for curves; rates leave them out.

    Raises
    ------
    WorkbenchError
        A galaxy is in both.
    """
    if both := {g.truth.name for g in train} & {g.truth.name for g in test}:
        raise WorkbenchError(f"{min(both)} would be tuned on and scored; give other galaxies")
    made = []
    for name in names:
        settings = classical.tune(name, classical.propose(name, train), train)
        every = replace(settings, threshold=min(classical.THRESHOLDS))
        found = [
            classical.select(one, every, galaxy.truth.psf_fwhm or 0.0)
            for one, galaxy in zip(classical.propose(name, test), test, strict=True)
        ]
        made.append(Method(name, found, settings.threshold))
    return made


def as_text(result: dict[str, Any]) -> str:
    """Return the tables as Markdown: rates with 95 % intervals, and COCO's AP."""
    lines = [
        f"{result['galaxies']} galaxies, {result['clumps']} clumps; intervals: 95 %, by bootstrap",
        "",
        "| method | match | flux ratio | true | completeness | purity | F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in result["methods"]:
        for row in method["rates"]:
            cut = f">= {row['min_flux_ratio']:.0%}" if row["min_flux_ratio"] else "all"
            cells = [_cell(row, name) for name in ("completeness", "purity", "f1")]
            lines.append(
                f"| {method['name']} | {row['criterion']} | {cut} | {row['true']} | "
                + " | ".join(cells) + " |"
            )  # fmt: skip
    lines += ["", "| method | AP | AP50 | AP75 |", "|---|---|---|---|"]
    for method in result["methods"]:
        values = [f"{method['coco'][name]:.3f}" for name in ("ap", "ap50", "ap75")]
        lines.append(f"| {method['name']} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any], name: str) -> str:
    if math.isnan(row[name]):
        return "-"
    low, high = row["interval_95"][name]
    return f"{row[name]:.3f} ({low:.2f}-{high:.2f})"


def curve_figure(result: dict[str, Any]) -> Any:
    """Return plotly's figure of completeness, purity and F1 against the score threshold."""
    go = need("plotly.graph_objects")
    figure = go.Figure()
    for method, colour in zip(result["methods"], itertools.cycle(SERIES), strict=False):
        points = method["curve"]
        for name, dash in (("completeness", "solid"), ("purity", "dash"), ("f1", "dot")):
            figure.add_scatter(
                x=points["thresholds"], y=points[name], name=f"{method['name']} {name}",
                mode="lines", line={"color": colour, "dash": dash},
            )  # fmt: skip
    figure.update_layout(
        title="Completeness, purity and F1 against score threshold",
        xaxis_title="score threshold", yaxis_title="rate", yaxis_range=[0, 1],
        template=need("workbench.plotting").TEMPLATE,
    )  # fmt: skip
    return figure


def flux_figure(result: dict[str, Any]) -> Any:
    """Return plotly's figure of completeness by flux ratio."""
    go = need("plotly.graph_objects")
    figure = go.Figure()
    for method in result["methods"]:
        rows = [row for row in method["by_property"] if row["property"] == "flux_ratio"]
        figure.add_bar(
            name=method["name"],
            x=[f"{row['from']:.1%} - {row['to']:.0%} ({row['true']})" for row in rows],
            y=[row["completeness"] for row in rows],
        )
    figure.update_layout(
        title="Completeness by flux ratio", yaxis_range=[0, 1], yaxis_title="completeness",
        xaxis_title="u flux of clump over galaxy (clumps)",
        template=need("workbench.plotting").TEMPLATE,
    )  # fmt: skip
    return figure


def write_report(folder: Path, result: dict[str, Any]) -> None:
    """Write ``report.json``, ``report.md`` and ``report.html`` (plots, no network needed)."""
    folder.mkdir(parents=True, exist_ok=True)
    clean = without_nan(result)
    (folder / "report.json").write_text(json.dumps(clean, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(as_text(result), encoding="utf-8")
    figures = [curve_figure(result), flux_figure(result)]
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=not index)
        for index, figure in enumerate(figures)
    ]
    page = f'<!doctype html><meta charset="utf-8"><title>Clumps</title>{"".join(parts)}'
    (folder / "report.html").write_text(page, encoding="utf-8")


def without_nan(value: Any) -> Any:
    """Return `value` with NaN and infinity as null, which JSON lacks."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
