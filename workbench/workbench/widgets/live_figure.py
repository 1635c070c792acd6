"""A plotly figure that Python changes while it is shown, also on slow machines.

Each `plotly.graph_objects.FigureWidget` carries all of plotly, 5 MB, whose import takes 1.8 s in a
browser on two cores. anywidget gives a model 2 s to start and never shows one that took longer;
where a page with three of them was loaded again, none came back.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import ipywidgets as w
import plotly.graph_objects as go
import traitlets


class _Library(w.Widget):  # type: ignore[misc]
    """Holds plotly's script for all figures of a kernel; it has no view."""

    script = traitlets.Unicode().tag(sync=True)


class LiveFigure(go.FigureWidget):  # type: ignore[misc]
    """`plotly.graph_objects.FigureWidget`, with plotly sent and imported once a page.

    A page that is loaded again shows the figure as it is by then.
    """

    _esm = Path(__file__).with_suffix(".js")
    _library = traitlets.Unicode().tag(sync=True)
    _messages = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _shared: _Library | None = None

    @traitlets.default("_library")
    def _find_library(self) -> str:
        """Return the model id of plotly's script, sent now where it was not or is closed."""
        shared = LiveFigure._shared
        if shared is None or shared.comm is None:
            script = resources.files("plotly") / "package_data" / "widgetbundle.js"
            shared = LiveFigure._shared = _Library(script=script.read_text(encoding="utf-8"))
        return str(shared.model_id)

    @traitlets.default("_messages")
    def _find_messages(self) -> list[str]:
        return sorted(name for name in self.trait_names() if name.startswith("_py2js_"))

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        """Return the state of the figure as it is now, which a page that is loaded again shows."""
        if key is None and "_layout_obj" in self.__dict__:  # not while it is made
            self._widget_layout = self.layout.to_plotly_json()
            self._widget_data = [line.to_plotly_json() for line in self.data]
        return super().get_state(key, drop_defaults)
