"""A threshold slider over an `EvaluationState`. A view: it shows, the state decides."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import plotly.graph_objects as go

from workbench.clumps import evaluate
from workbench.clumps.panels import outcome
from workbench.clumps.panels.evaluation_state import STEPS, EvaluationState, Scored
from workbench.clumps.panels.outcome import Fate
from workbench.colours import BLUE, GREEN, PURPLE, VERMILION
from workbench.plotting import TEMPLATE
from workbench.widgets.live_figure import LiveFigure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.report import Method

# Pixels: figure and galaxies fit beside each other in a window of 1280.
_WIDTH = 380
_COLUMNS, _ROWS, _SIDE = 3, 2, 148
_STAMPS, _STAMP = 8, 100
_COLOURS = {"completeness": BLUE, "purity": VERMILION, "f1": PURPLE}


class EvaluationPanel(w.VBox):  # type: ignore[misc]  # ipywidgets publishes no types
    """Completeness and purity against a threshold on a slider, with the galaxies that change.

    Parameters
    ----------
    galaxies
        With truth.
    methods
        What was found in them, in their order, as `report.comparators` and `methods.detector` give.
    """

    def __init__(self, galaxies: Sequence[Galaxy], methods: Sequence[Method]) -> None:
        self.scored = lru_cache(maxsize=None)(
            lambda index, cut: Scored(galaxies, methods[index], cut)
        )
        self.method = w.Dropdown(
            options=[(one.name, k) for k, one in enumerate(methods)], description="method"
        )
        self.cut = w.Dropdown(
            options=[(f">= {cut:.0%}" if cut else "all", cut) for cut in evaluate.FLUX_CUTS],
            description="flux ratio",
        )
        # The slider counts positions: a browser rounds fractions to its own, and sends them back.
        self.position = w.IntSlider(
            description="threshold", max=STEPS, readout=False, layout=w.Layout(width="36em")
        )
        self.threshold = w.FloatText(step=None, layout=w.Layout(width="7em"))
        self.pin = w.Button(description="Compare with this one", layout=w.Layout(width="15em"))
        self.verdict, self.changed = w.HTML(), w.HTML()
        self.curve = LiveFigure(_empty())
        self.galaxies, self.missed, self.false = (w.Image(format="png") for _ in range(3))
        self.titles = {fate: w.HTML() for fate in (Fate.MISSED, Fate.FALSE)}
        self._choose()
        for control in (self.method, self.cut):
            control.observe(self._choose, "value")
        self.position.observe(self._slid, "value")
        self.threshold.observe(self._typed, "value")
        self.pin.on_click(self._pinned)
        super().__init__([
            w.HBox([self.method, self.cut]),
            w.HBox([self.position, self.threshold, self.pin]),
            self.verdict,
            w.HBox([self.curve, w.VBox([self.changed, self.galaxies, w.HTML(outcome.LEGEND)])]),
            self.titles[Fate.MISSED], self.missed, self.titles[Fate.FALSE], self.false,
        ])  # fmt: skip

    def _choose(self, change: Any = None) -> None:
        """Take the chosen method and cut, at the threshold that was chosen for them."""
        del change
        self.state = EvaluationState.of(self.scored(self.method.value, self.cut.value))
        points = self.state.scored.curve
        with self.curve.batch_update():
            for line, name in zip(self.curve.data, _COLOURS, strict=False):
                line.x, line.y = points.thresholds, getattr(points, name)
            self.curve.layout.xaxis.range = self.state.scored.thresholds[[0, -1]].tolist()
        self._show()

    def _slid(self, change: Any) -> None:
        if change.new != self.state.position:
            self._move(float(self.state.scored.thresholds[change.new]))

    def _typed(self, change: Any) -> None:
        if change.new != self._number:
            self._move(change.new)

    def _move(self, threshold: float) -> None:
        self.state = self.state.moved(threshold)
        self._show()

    @property
    def _number(self) -> float:
        """The threshold in as many digits as are read."""
        return round(self.state.threshold, 4)

    def _pinned(self, button: Any) -> None:
        del button
        self.state = self.state.pinned()
        self._show()

    def _show(self) -> None:
        state = self.state
        self.position.value, self.threshold.value = state.position, self._number
        self.verdict.value = state.verdict
        rates = state.rates
        with self.curve.batch_update():
            here, there, dots = self.curve.data[3:]
            here.x, there.x = [state.threshold] * 2, [state.reference] * 2
            dots.x, dots.y = [state.threshold] * 3, [getattr(rates, name) for name in _COLOURS]
        self._show_changes()
        self._show_wrong(Fate.MISSED, self.missed, "missed, brightest first")
        self._show_wrong(Fate.FALSE, self.false, "false, surest first")

    def _show_changes(self) -> None:
        state, room = self.state, _COLUMNS * _ROWS
        changes = state.changes
        first = changes[:room]
        text = f"<b>{len(changes)} of {len(state.scored.galaxies)} galaxies change</b> from "
        self.changed.value = f"{text}{state.reference:.4g} to {state.threshold:.4g}" + (
            "" if changes else ": move the slider"
        )
        indices = [one.index for one in first] or list(range(min(room, len(state.scored.galaxies))))
        captions = [one.text for one in first] or [
            outcome.caption(state.marks(index)) for index in indices
        ]
        pictures = [
            outcome.drawn(state.scored.galaxies[k].image, state.marks(k), _SIDE) for k in indices
        ]
        self.galaxies.value = outcome.sheet(pictures, captions, _COLUMNS, _SIDE)

    def _show_wrong(self, fate: Fate, picture: w.Image, title: str) -> None:
        wrong = self.state.wrong(fate)
        self.titles[fate].value = f"<b>{len(wrong)} {title}</b>"
        first = wrong[:_STAMPS]
        stamps = [outcome.stamp(self._galaxy(k).image, mark, _STAMP) for k, mark in first]
        captions = [
            f"score {mark.score:.2f}" if fate is Fate.FALSE else f"flux {mark.flux_ratio:.1%}"
            for _, mark in first
        ]
        picture.value = outcome.sheet(stamps, captions, _STAMPS, _STAMP)

    def _galaxy(self, index: int) -> Galaxy:
        return self.state.scored.galaxies[index]


def _empty() -> go.Figure:
    """Return the curves without points, lines at the two thresholds, and dots at the first."""
    figure = go.Figure()
    for name, colour in _COLOURS.items():
        figure.add_scatter(x=[], y=[], name={"f1": "F1"}.get(name, name), mode="lines",
            line={"color": colour, "width": 4 if name == "f1" else 2})  # fmt: skip
    for name, dash in (("threshold", "solid"), ("compared with", "dot")):
        figure.add_scatter(x=[], y=[0, 1], name=name, mode="lines",
            line={"color": GREEN, "dash": dash})  # fmt: skip
    figure.add_scatter(x=[], y=[], mode="markers", showlegend=False,
        marker={"color": list(_COLOURS.values()), "size": 10})  # fmt: skip
    figure.update_layout(
        width=_WIDTH, height=400, template=TEMPLATE, showlegend=True,
        margin={"l": 50, "r": 10, "t": 30, "b": 40},
        legend={"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0.5, "xanchor": "center"},
        xaxis={"title": "score threshold"}, yaxis={"range": [-0.02, 1.04]},
    )  # fmt: skip
    return figure
