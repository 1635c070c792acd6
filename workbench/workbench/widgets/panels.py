"""Parts of the configuration explorer: sliders, opening a space file, exporting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as w

from workbench import datafiles
from workbench.widgets import html
from workbench.widgets.controls import Choice, Range
from workbench.widgets.views import CopyButton

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STYLE = {"description_width": "128px"}
_CODE_ROWS = 4


class ControlPanel(w.GridBox):  # type: ignore[misc]  # ipywidgets publishes no types
    """Sliders and lists for controls; `moved` is called with a name and its new value."""

    def __init__(self, moved: Callable[[str, int | str], None]) -> None:
        super().__init__()
        self.add_class("wb-controls")
        self._moved = moved
        self._controls: tuple[Choice | Range, ...] = ()
        self._widgets: dict[str, Any] = {}
        self._quiet = False

    def show(self, controls: Sequence[Choice | Range], values: Mapping[str, int | str]) -> None:
        """Show controls at values; a control that stays as it is keeps its focus."""
        self._quiet = True
        try:
            if tuple(controls) != self._controls:
                self._arrange(controls, values)
            for name, widget in self._widgets.items():
                if widget.value != values[name]:
                    widget.value = values[name]
        finally:
            self._quiet = False

    def _arrange(self, controls: Sequence[Choice | Range], values: Mapping[str, int | str]) -> None:
        """Keep the widgets of controls that are as they were; others are made anew.

        Other ends are another slider: one that is told its ends and its value in two steps rounds
        the value to its old steps in between, and reports that as the user's.
        """
        before = {control.name: control for control in self._controls}
        gone = dict(self._widgets)
        self._widgets = {}
        for control in controls:
            if before.get(control.name) == control:
                self._widgets[control.name] = gone.pop(control.name)
            else:
                widget = self._widgets[control.name] = _make(control, values[control.name])
                widget.observe(self._changed, "value")
        self._controls = tuple(controls)
        self.children = tuple(self._widgets.values())
        for widget in gone.values():
            widget.unobserve_all()
            widget.close()

    def _changed(self, change: Any) -> None:
        if not self._quiet:
            name = next(key for key, widget in self._widgets.items() if widget is change.owner)
            self._moved(name, change.new)


class OpenPanel(w.Accordion):  # type: ignore[misc]
    """Opens a space file: a shipped one, a path, or an upload; calls `opened` with a name or text.

    `opened(name, text)`: `text` is None where `name` is a shipped space or a path.
    """

    def __init__(self, opened: Callable[[str, bytes | None], None]) -> None:
        self._opened = opened
        self._shipped = w.Dropdown(
            options=[("choose ...", ""), *((name, name) for name in datafiles.spaces())],
            description="shipped",
            style=_STYLE,
        )
        self._path = w.Text(
            description="path",
            placeholder="my_space.json, then Enter",
            continuous_update=False,
            style=_STYLE,
        )
        self._upload = w.FileUpload(accept=".json", description="Upload a file")
        self._shipped.observe(self._choose, "value")
        self._path.observe(self._type, "value")
        self._upload.observe(self._receive, "value")
        about = w.HTML(
            html.quiet("Formats: intcsp-1, Kernel Tuner (T1). The text is parsed, never executed.")
        )
        body = w.VBox([self._shipped, self._path, w.HBox([self._upload, about])])
        super().__init__([body], titles=("Open a space file",))

    def _choose(self, change: Any) -> None:
        if change.new:
            self._opened(change.new, None)
            self._shipped.value = ""  # so that the same one can be chosen again

    def _type(self, change: Any) -> None:
        if change.new.strip():
            self._opened(change.new.strip(), None)

    def _receive(self, change: Any) -> None:
        for upload in change.new:
            self._opened(upload.name, bytes(upload.content))
        with self._upload.hold_trait_notifications():
            self._upload.value = ()


class TakeAwayPanel(w.VBox):  # type: ignore[misc]
    """The picked configuration as Python, and the export; calls `save` with path and overwrite."""

    def __init__(self, save: Callable[[str, bool], None]) -> None:
        self._save = save
        self._code = w.Textarea(rows=_CODE_ROWS, layout=w.Layout(width="100%"), disabled=False)
        self._code.add_class("wb-code")
        self._copy = CopyButton()
        self._path = w.Text(
            value="configurations.csv",
            description="file",
            tooltip="a name ending in .json or .csv",
            style={"description_width": "28px"},
            layout=w.Layout(width="auto", flex="1 1 120px"),
        )
        self._overwrite = w.Checkbox(
            description="overwrite", indent=False, layout=w.Layout(width="auto")
        )
        button = w.Button(description="Export", icon="download", layout=w.Layout(width="auto"))
        button.on_click(self._clicked)
        self._said = w.HTML()
        line = w.HBox([self._path, self._overwrite, button])
        top = w.HTML(html.heading("Take away"))
        super().__init__([top, self._code, self._copy, line, self._said])

    def show(self, code: str) -> None:
        """Show a configuration as Python."""
        self._code.value = code
        self._copy.text = code

    def say(self, markup: str) -> None:
        """Show what became of an export."""
        self._said.value = markup

    def _clicked(self, _button: Any) -> None:
        self._save(self._path.value, self._overwrite.value)


def _make(control: Choice | Range, value: int | str) -> Any:
    common = {
        "description": control.title,
        "style": _STYLE,
        "layout": w.Layout(width="auto"),
        "tooltip": control.title,
    }
    if isinstance(control, Range):
        ends = {"min": control.low, "max": control.high, "step": control.step}
        return w.IntSlider(value=value, **ends, **common)
    if isinstance(control.options[0], str):
        return w.Dropdown(options=control.options, value=value, **common)
    return w.SelectionSlider(options=control.options, value=value, **common)
