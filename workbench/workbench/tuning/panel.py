"""The launch tuner: the explorer on the live model, the launch drawn, predicted against measured.

A view: what it shows is decided by `records`, `picture` and the explorer's state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import plotly.graph_objects as go
from rnnkernels.config import Configuration
from rnnkernels.errors import RnnError
from rnnkernels.plan import broken_limits, describe, predicted

from workbench.colours import BLUE, VERMILION
from workbench.errors import WorkbenchError
from workbench.plotting import TEMPLATE
from workbench.tuning.launches import LIMITS, SHAPE, launches
from workbench.tuning.picture import picture
from workbench.tuning.records import HERE, Point, agreement, recorded
from workbench.tuning.run import Device
from workbench.widgets import html
from workbench.widgets.config_explorer import ConfigExplorer
from workbench.widgets.live_figure import LiveFigure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnnkernels.plan import Call

_COLOURS = {"forward": BLUE, "backward": VERMILION}


class LaunchTuner(w.VBox):  # type: ignore[misc]  # ipywidgets publishes no types
    """All launches of a kernel by the live model, one of them drawn, and measured ones beside.

    `points`: measured launches; by default the recorded ones that come along. A click on a point
    names its configuration and draws it. On a machine with a GPU the click also measures that
    launch there, as a button does what is picked in the explorer, and adds the point.
    """

    def __init__(self, points: Sequence[Point] | None = None, device: Device | None = None) -> None:
        self.device = device or Device.here()
        self.explorer = ConfigExplorer(
            launches, SHAPE, limits=LIMITS, objective="picoseconds", sense="min"
        )
        self._message = w.HTML()
        self._drawing = w.HTML()
        self._heading = w.HTML()
        self._measure = w.Button(description="Measure the picked one", icon="clock-o")
        self._measure.layout.width = "210px"
        self._measure.disabled = self.device is None
        self._measure.tooltip = (
            "No GPU here: recorded points" if self.device is None else "Run it on this GPU"
        )
        self._measure.on_click(lambda _button: self.measure())
        self._named = w.HTML()
        self._summary = w.HTML()
        self.figure = LiveFigure()
        try:
            self.points = list(recorded() if points is None else points)
        except WorkbenchError as error:
            self.points = []
            self._message.value = html.error_line(str(error))
        self._draw_points()
        self.explorer.observe_state(lambda _state: self._draw_launch())
        self._draw_launch()
        launch = w.VBox([self._heading, self._drawing, self._measure])
        scatter = w.VBox([self._summary, self.figure, self._named])
        below = w.HBox([launch, scatter], layout=w.Layout(flex_flow="row wrap"))
        super().__init__([self.explorer, self._message, below])
        self.add_class("wb-tuner")

    @property
    def call(self) -> Call:
        """What the sliders describe."""
        shape = self.explorer.state.shape
        sizes = (int(shape["batch"]), 1, int(shape["heads"]), int(shape["head_dim"]))
        return describe(
            str(shape["cell"]),
            sizes,
            str(shape["dtype"]),
            str(shape["gpu"]),
            str(shape["direction"]),
        )

    @property
    def configuration(self) -> Configuration | None:
        """The picked launch, the cheapest one where none is picked; None if none is left."""
        selection = self.explorer.selection
        if not selection:
            return None
        return Configuration(str(self.explorer.state.shape["strategy"]), tuple(selection.items()))

    def name(self, index: int) -> str:
        """Show the launch of a point of `points`, in words and drawn; return the words."""
        point = self.points[index]
        times = f"predicted {point.predicted:,.0f} ns a step, measured {point.measured:,.0f} ns"
        words = f"{point.label}: {times} ({point.source})"
        self._named.value = f"<div>{html.quiet(words)}</div>"
        self._heading.value = html.heading("The launch of the point")
        self._drawing.value = picture(point.call, point.config)
        return words

    def measure(self, index: int | None = None) -> Point | None:
        """Measure a launch on this machine's GPU, add the point, name it and return it.

        `index`: that of a point, None: the launch picked in the explorer. A launch that was
        measured here is named alone. None where there is no GPU, or the launch fails there, which
        a message then says.
        """
        if index is None:
            call, config = self.call, self.configuration
        else:
            call, config = self.points[index].call, self.points[index].config
        if config is None or self.device is None:
            return None
        call = replace(call, gpu=self.device.gpu)
        place = self._measured_here(call, config)
        if place is None and (broken := broken_limits(call, config)):
            self._message.value = html.error_line(f"{config} does not run {call}: {broken}")
            return None
        if place is None:
            self._message.value = html.quiet(f"Compiling and measuring {call}: {config} ...")
            row = self.device.measure(call, config)
            if row.measured is None or not row.right:
                why = row.failure or f"its results are off by {row.error:.1f} times PyTorch's error"
                self._message.value = html.error_line(f"{config}: {why}")
                return None
            self._message.value = ""
            guess = predicted(call, config) / 1e3
            self.points.append(Point(call, config, guess, row.measured, HERE))
            self._draw_points()
            place = len(self.points) - 1
        self.name(place)
        return self.points[place]

    def _measured_here(self, call: Call, config: Configuration) -> int | None:
        """Return the index of the point of a launch that was measured here."""
        for place, point in enumerate(self.points):
            if (point.source, point.call, point.config) == (HERE, call, config):
                return place
        return None

    def _draw_launch(self) -> None:
        config = self.configuration
        self._heading.value = html.heading("The picked launch")
        try:
            self._drawing.value = "" if config is None else picture(self.call, config)
        except RnnError as error:
            self._drawing.value = html.error_line(str(error))

    def _draw_points(self) -> None:
        here = [point.source == HERE for point in self.points]
        trace = go.Scatter(
            x=[point.predicted for point in self.points],
            y=[point.measured for point in self.points],
            text=[point.label for point in self.points],
            mode="markers",
            marker={
                "color": [_COLOURS[_direction(point)] for point in self.points],
                "symbol": ["star" if own else "circle" for own in here],
                "size": [16 if own else 6 for own in here],
                "opacity": [1.0 if own else 0.7 for own in here],
                "line": {"color": "#7a7a7a", "width": [1 if own else 0 for own in here]},
            },
            hovertemplate="%{text}<br>%{x:,.0f} ns predicted, %{y:,.0f} ns measured<extra></extra>",
        )
        self.figure.data = []
        self.figure.add_trace(trace)
        if self.points:
            ends = [min(p.measured for p in self.points), max(p.measured for p in self.points)]
            line = {"color": "grey", "dash": "dot"}
            self.figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=line))
        self.figure.update_layout(
            template=TEMPLATE,
            width=560,
            height=420,
            showlegend=False,
            margin={"l": 60, "r": 10, "t": 10, "b": 50},
            xaxis={"type": "log", "title": "predicted, ns a step"},
            yaxis={"type": "log", "title": "measured, ns a step"},
        )
        self.figure.data[0].on_click(self._clicked)
        self._summary.value = summary(self.points, clicks=self._clicks())

    def _clicks(self) -> str:
        if self.device is None:
            return "No GPU here: a click names a recorded launch."
        return f"A click measures a launch on this {self.device.gpu.name} and adds a star."

    def _clicked(self, _trace: Any, chosen: Any, _state: Any) -> None:
        if chosen.point_inds:
            self.name(chosen.point_inds[0])
            self.measure(chosen.point_inds[0])


def summary(points: Sequence[Point], clicks: str = "") -> str:
    """Return what the points say about the model, and what `clicks` do, as HTML."""
    if not points:
        return html.quiet("No measured launches.")
    found = agreement(points)
    sources = ", ".join(dict.fromkeys(point.source for point in points))
    words = (
        f"{found.points} launches of {found.calls} calls, {sources}. Rank correlation "
        f"{found.rank_correlation:.2f}; the planned launch is within 10 % of the fastest for "
        f"{found.within_10_percent} of {found.calls} calls. Blue forward, orange backward. {clicks}"
    )
    return html.heading("Predicted and measured") + html.quiet(words)


def _direction(point: Point) -> str:
    return "backward" if point.call.backward else "forward"
