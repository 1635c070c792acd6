"""The two views with JavaScript of their own: parallel coordinates, and a table with a pick.

A WebGL plot (plotly's parcoords) took 1.1 s to redraw 2,000 lines on two cores without a GPU;
this canvas takes about 20 ms for them, so a held arrow key stays fluent.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

_HERE = Path(__file__).parent


class ParallelCoordinates(anywidget.AnyWidget):
    """Lines between axes; dragging on an axis sets a brush, a click on a line picks it.

    `scene` holds axes (name and ticks), rows (float32 bytes, shape (N, axes), positions 0 to 1),
    shade (float32 bytes, shape (N,), 0 to 1), picked (positions) and a version number. `brushes`
    maps the name of an axis to the positions [low, high]; Escape clears them all.
    """

    _esm = _HERE / "parallel.js"
    _css = _HERE / "explorer.css"
    scene = traitlets.Dict().tag(sync=True)
    brushes = traitlets.Dict().tag(sync=True)
    clicked = traitlets.Dict().tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(300).tag(sync=True)


class PickTable(anywidget.AnyWidget):
    """Rows of text under column names; `picked` is the index of the marked row, or -1."""

    _esm = _HERE / "pick_table.js"
    _css = _HERE / "explorer.css"
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    picked = traitlets.Int(-1).tag(sync=True)


class CopyButton(anywidget.AnyWidget):
    """A button that puts `text` on the clipboard of the browser's machine."""

    _esm = _HERE / "copy_button.js"
    text = traitlets.Unicode().tag(sync=True)
