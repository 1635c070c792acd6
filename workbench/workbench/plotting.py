"""How plots look: on the page's own background, in colours that light and dark themes both show."""

from __future__ import annotations

import plotly.graph_objects as go
import plotly.io as pio

from workbench.colours import SERIES

_INK, _GRID, _NOTHING = "#7a7a7a", "rgba(128, 128, 128, 0.25)", "rgba(0, 0, 0, 0)"
_AXIS = {"gridcolor": _GRID, "linecolor": _GRID, "zerolinecolor": _GRID}

TEMPLATE = go.layout.Template(pio.templates["plotly_white"])
TEMPLATE.layout.update(
    paper_bgcolor=_NOTHING, plot_bgcolor=_NOTHING, font={"color": _INK}, xaxis=_AXIS, yaxis=_AXIS,
    annotationdefaults={"arrowcolor": _INK}, shapedefaults={"line": {"color": _INK}},
    colorway=SERIES,
)  # fmt: skip
for _bars in TEMPLATE.data.bar:
    _bars.update(error_x={"color": _INK}, error_y={"color": _INK}, marker={"line": {"width": 0}})
