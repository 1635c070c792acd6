"""Figures share plotly's script, and keep every message that plotly listens to."""

from __future__ import annotations

import re

from workbench.widgets.live_figure import LiveFigure


def test_figures_share_one_script() -> None:
    first, second = LiveFigure(), LiveFigure()
    assert first._library == second._library == LiveFigure._shared.model_id
    assert len(first._esm) < 10_000
    assert len(LiveFigure._shared.script) > 1_000_000


def test_the_script_is_sent_anew_once_it_was_closed() -> None:
    before = LiveFigure()._library
    LiveFigure._shared.close()  # as Widget.close_all() does
    assert LiveFigure()._library != before


def test_every_message_of_plotly_is_kept_until_it_listens() -> None:
    kept = LiveFigure()._messages
    assert set(re.findall("change:(_py2js_[A-Za-z]+)", LiveFigure._shared.script)) == set(kept)
    assert "_py2js_addTraces" in kept


def test_the_state_is_the_figure_as_it_is() -> None:
    figure = LiveFigure()
    figure.add_scatter(x=[1], y=[2], name="added")
    figure.update_layout(title_text="later")
    state = figure.get_state()
    assert [line["name"] for line in state["_widget_data"]] == ["added"]
    assert state["_widget_layout"]["title"]["text"] == "later"
