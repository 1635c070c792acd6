"""Results that were measured elsewhere, drawn so that nobody takes them for measured here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench import datafiles
from workbench.clumps.extras import need
from workbench.clumps.learning_figure import learning_figure
from workbench.clumps.matching import Criterion
from workbench.clumps.panels import curves
from workbench.clumps.record import training
from workbench.clumps.training import HISTORY
from workbench.clumps.weights import read_card, simulated

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import plotly.graph_objects as go

LEARNING = "clumps_learning"
RATES = ("completeness", "purity", "f1")
PAPER = "#f6f1e3"  # background of what was recorded


def latest(prefix: str, folder: Path | None = None) -> dict[str, Any] | None:
    """Return the newest recorded result whose file name starts so, those of a GPU first.

    None where there is none.
    """
    paths = sorted((folder or datafiles.folder("results")).glob(f"{prefix}*.json"))
    found: list[dict[str, Any]] = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    where = [one["measured_on"] for one in found]
    order = [(bool(one.get("cuda")), one["date"]) for one in where]
    return found[order.index(max(order))] if found else None


def source(content: dict[str, Any]) -> str:
    """Return where and when a result was recorded."""
    return f"on {_where(content)}; not measured here"


def training_run() -> dict[str, Any] | None:
    """Return the run of the weights from simulated galaxies; None where its curves are missing."""
    weights = simulated()
    if not (weights.parent / HISTORY).is_file():
        return None
    card = read_card(weights)
    where = {"device": card["training"]["device"], "date": card["date"]}
    return {"measured_on": where, **training(weights)}


def training_figure(content: dict[str, Any] | None) -> go.Figure:
    """Return the curves of a recorded training run, dashed on tinted ground."""
    if content is None:
        return _nothing("training run", "workbench clumps train --record FILE")
    rows = content["history"]
    figure = curves.empty(len(rows))
    curves.fill(figure, rows)
    number = content["training"]["galaxies"]
    return _marked(figure, f"{number:,} training galaxies", source(content))


def learning_curves(content: dict[str, Any] | None) -> go.Figure:
    """Return F1 against the number of training galaxies as recorded."""
    if content is None:
        return _nothing("learning curve", "workbench clumps learning-curve --record FILE")
    return _marked(
        learning_figure(content["rows"]), "F1 against labelled galaxies", source(content)
    )


def evaluations(folder: Path | None = None) -> pd.DataFrame:
    """Return every recorded evaluation within one PSF FWHM: file, method, flux cut, rates.

    Each rate is text with its 95 % interval; ``recorded`` says where and when.
    """
    rows = []
    for path in sorted((folder or datafiles.folder("results")).glob("clumps_*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for method in content.get("methods", []):
            rows += [
                {"recorded": path.stem, "on": _where(content), "galaxies": content["galaxies"],
                 "method": method["name"], "flux ratio": f">= {row['min_flux_ratio']:.0%}",
                 **{name: _rate(row, name) for name in RATES}}
                for row in method["rates"]
                if row["criterion"] == Criterion.DISTANCE
            ]  # fmt: skip
    columns = ["recorded", "on", "galaxies", "method", "flux ratio", *RATES]
    frame: pd.DataFrame = need("pandas").DataFrame(rows, columns=columns)
    return frame


def _rate(row: dict[str, Any], name: str) -> str:
    low, high = row["interval_95"][name]
    if None in {row[name], low, high}:
        return "-"
    return f"{row[name]:.2f} ({low:.2f} to {high:.2f})"


def _where(content: dict[str, Any]) -> str:
    return f"{content['measured_on']['device']}, {content['measured_on']['date'][:10]}"


def _marked(figure: go.Figure, title: str, text: str) -> go.Figure:
    figure.update_traces(line_dash="dash")
    figure.update_layout(
        title={"text": f"<b>RECORDED</b>: {title}<br><sup>{text}</sup>"}, plot_bgcolor=PAPER,
        paper_bgcolor=PAPER,
    )  # fmt: skip
    return figure


def _nothing(what: str, command: str) -> go.Figure:
    text = f"No {what} was recorded yet:<br><i>{command}</i> does"
    figure = curves.empty(1)
    figure.update_layout(xaxis_visible=False, yaxis_visible=False)
    figure.add_annotation(
        text=text, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font={"size": 14}
    )
    return _marked(figure, what, "nothing yet")
