"""The configuration explorer as a widget: sliders, counts, lines, the best, what binds.

No arithmetic here: `explorer_state` decides, `explorer_outcome` evaluates, this module binds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as w

from workbench.widgets import html, sources
from workbench.widgets.explorer_outcome import MISTAKES, Outcome, evaluate
from workbench.widgets.explorer_state import ExplorerState
from workbench.widgets.export import as_python, export
from workbench.widgets.panels import ControlPanel, OpenPanel, TakeAwayPanel
from workbench.widgets.scene import brush_intervals, brush_positions, scene
from workbench.widgets.views import ParallelCoordinates, PickTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from intsolver import Problem, Solutions

    from workbench.widgets.controls import Choice, Range
    from workbench.widgets.explorer_outcome import Remedy
    from workbench.widgets.explorer_state import Sense


class ConfigExplorer(w.VBox):  # type: ignore[misc]  # ipywidgets publishes no types
    """Sliders over a problem, solved again exactly at every move.

    `problem` is a Problem, a function that builds one from the values of `shape`, a Source, or a
    space file: the name of a shipped one or a path. `limits` are ranges for parameters of the
    problem; a range is derived for each parameter without one. At most `max_drawn` lines are
    drawn; counts, the best and brushes are exact whatever is drawn.

    Raises
    ------
    WorkbenchError
        A space file that is not there or not readable.
    """

    def __init__(
        self,
        problem: Problem | sources.Source | Callable[..., Problem] | str | Path,
        shape: Sequence[Choice] = (),
        *,
        limits: Sequence[Range] = (),
        objective: str | None = None,
        sense: Sense = "max",
        max_drawn: int = 1_000,
    ) -> None:
        self._max_drawn = max_drawn
        self._version = 0
        self._quiet = False
        self._followers: list[Callable[[ExplorerState], None]] = []
        self._make_parts()
        super().__init__(self._arranged())
        self.add_class("wb-explorer")
        source = sources.Source.of(problem, shape, limits=limits, objective=objective, sense=sense)
        self._first = ExplorerState.start(source)
        self._show(self._first)

    @property
    def state(self) -> ExplorerState:
        """The state that is shown."""
        return self._state

    @property
    def count(self) -> int:
        """How many configurations are feasible, brushes left aside."""
        return self._outcome.total

    @property
    def brushed(self) -> Solutions:
        """The feasible configurations under the brushes, all of them, drawn or not."""
        return self._outcome.brushed

    @property
    def selection(self) -> dict[str, int]:
        """The picked configuration, the best one where none is picked; empty if none is left."""
        return dict(self._outcome.picked or {})

    @property
    def best(self) -> list[dict[str, int]]:
        """The rows of the table: the best configurations by the objective, best first."""
        return [dict(configuration) for configuration in self._outcome.best]

    def observe_state(self, follower: Callable[[ExplorerState], None]) -> None:
        """Call `follower` with the state after every change of it."""
        self._followers.append(follower)

    def reset(self) -> None:
        """Show the problem as it was shown first."""
        self._show(self._first)

    def set(self, **values: int | str) -> None:
        """Move sliders from Python: names of shape controls or parameters, and their values."""
        state = self._state
        for name, value in values.items():
            state = state.with_control(name, value)
        self._show(state)

    def open_space(self, name: str | Path) -> None:
        """Open a space file, a shipped one by name or any other by path.

        Raises
        ------
        WorkbenchError
            No such file, or no space in it.
        """
        self._show(_opened(name))

    def export(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the brushed configurations to a JSON or CSV file and return its path.

        Raises
        ------
        WorkbenchError
            Another suffix, no such folder, or a file in the way without `overwrite`.
        """
        names, rows = self._outcome.names, self._outcome.rows()
        return export(path, names, rows, self._state.about(), overwrite=overwrite)

    # -- building ---------------------------------------------------------------------------

    def _make_parts(self) -> None:
        self._title = w.HTML()
        self._reset = w.Button(
            description="Reset", icon="undo", tooltip="Show the problem as it was shown first"
        )
        self._reset.on_click(lambda _button: self.reset())
        self._error = w.HTML()
        self._count = w.HTML()
        self._opener = OpenPanel(self._open)
        self._controls = ControlPanel(self._move)
        self._objective = w.Combobox(
            description="Best by", continuous_update=False, ensure_option=False
        )
        self._objective.add_class("wb-objective")
        self._sense = w.ToggleButtons(
            options=[("largest", "max"), ("smallest", "min")],
            style={"button_width": "84px"},
        )
        self._plot = ParallelCoordinates()
        self._table = PickTable()
        self._bounds = w.HTML()
        self._conflict = w.HTML()
        self._remedies = w.VBox()
        self._take_away = TakeAwayPanel(self._save)
        self._objective.observe(self._order, "value")
        self._sense.observe(self._order, "value")
        self._plot.observe(self._brush, "brushes")
        self._plot.observe(self._click, "clicked")
        self._table.observe(self._pick, "picked")

    def _arranged(self) -> list[Any]:
        self._blocked = w.VBox([self._conflict, self._remedies])
        self._blocked.add_class("wb-conflict")
        order = w.HBox([self._objective, self._sense])
        lower = w.GridBox([self._bounds, self._take_away])
        lower.add_class("wb-lower")
        self._results = w.VBox([order, self._table, lower])
        top = w.HBox([self._title, self._reset])
        top.add_class("wb-top")
        return [
            top,
            self._controls,
            self._error,
            self._count,
            self._blocked,
            self._plot,
            self._results,
            self._opener,
        ]

    # -- what the user does -----------------------------------------------------------------

    def _move(self, name: str, value: int | str) -> None:
        self._attempt(lambda: self._state.with_control(name, value))

    def _order(self, _change: Any) -> None:
        if not self._quiet:
            objective, sense = self._objective.value, self._sense.value
            self._attempt(lambda: self._state.with_objective(objective, sense))

    def _brush(self, change: Any) -> None:
        if not self._quiet:
            intervals = brush_intervals(self._state.axes, change.new)
            self._attempt(lambda: self._state.with_brushes(intervals))

    def _click(self, change: Any) -> None:
        if change.new.get("version") == self._version:
            values = self._outcome.drawn[change.new["row"]].tolist()
            configuration = dict(zip(self._outcome.names, values, strict=True))
            self._attempt(lambda: self._state.with_pick(configuration))

    def _pick(self, change: Any) -> None:
        if not self._quiet and 0 <= change.new < len(self._outcome.best):
            configuration = self._outcome.best[change.new]
            self._attempt(lambda: self._state.with_pick(configuration))

    def _open(self, name: str, text: bytes | None) -> None:
        self._attempt(lambda: _opened(name, text))

    def _save(self, path: str, overwrite: bool) -> None:
        try:
            written = self.export(path, overwrite=overwrite)
        except MISTAKES as error:
            self._take_away.say(html.error_line(str(error)))
        else:
            self._take_away.say(html.quiet(f"{self._outcome.kept:,} written to {written}"))

    def _relax(self, remedy: Remedy) -> None:
        self._attempt(lambda: self._state.with_remedy(remedy))

    # -- what the user sees -----------------------------------------------------------------

    def _attempt(self, change: Callable[[], ExplorerState]) -> None:
        """Show the changed state; after a mistake say so and show the state that was."""
        try:
            self._show(change())
        except MISTAKES as error:
            self._error.value = html.error_line(str(error))
            self._bind()

    def _show(self, state: ExplorerState) -> None:
        self._outcome = evaluate(state, self._max_drawn)
        self._state = state
        self._version += 1
        self._error.value = ""
        self._bind()
        for follower in self._followers:
            follower(state)

    def _bind(self) -> None:
        state, outcome = self._state, self._outcome
        self._quiet = True
        try:
            self._controls.show(state.controls, state.values)
            self._plot.brushes = brush_positions(state.axes, state.brushes)
            self._plot.caption = html.caption(outcome)
            self._plot.scene = scene(state.axes, outcome, self._version)
            self._count.value = html.count_line(outcome)
            self._title.value = html.title(state.source.name)
            self._bind_best(state, outcome)
            self._bind_verdict(outcome)
        finally:
            self._quiet = False

    def _bind_best(self, state: ExplorerState, outcome: Outcome) -> None:
        self._objective.options = state.objective_suggestions
        self._objective.value = state.objective
        self._sense.value = state.sense
        self._table.columns = [html.score_heading(state), *outcome.names]
        self._table.rows = outcome.table
        self._table.picked = outcome.picked_row
        name = "configuration"
        self._take_away.show(as_python(name, outcome.picked) if outcome.picked else "")

    def _bind_verdict(self, outcome: Outcome) -> None:
        self._bounds.value = html.bounds_table(outcome)
        self._conflict.value = html.conflict_text(outcome.conflict)
        buttons = []
        for remedy in outcome.remedies:
            button = w.Button(
                description=remedy.text, icon="wrench", tooltip=remedy.text, button_style="primary"
            )
            button.on_click(lambda _button, remedy=remedy: self._relax(remedy))
            buttons.append(button)
        self._remedies.children = buttons
        stuck = outcome.kept == 0
        self._blocked.layout.display = "" if stuck else "none"
        self._results.layout.display = "none" if stuck else ""


def _opened(name: str | Path, text: bytes | None = None) -> ExplorerState:
    return ExplorerState.start(sources.with_sliders(sources.open_space(name, text)))
