"""Small pieces of HTML for the explorer; every text from outside is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.widgets.explorer_outcome import Bound, Outcome
    from workbench.widgets.explorer_state import ExplorerState

_SHOWN_BOUNDS = 8
_SHORT = 20  # characters of an objective that fit above a column


def count_line(outcome: Outcome) -> str:
    """Return how many configurations there are, how many are drawn, and how long it took."""
    if outcome.kept == outcome.total:
        count = f"<b>{outcome.total:,}</b> feasible {_configurations(outcome.total)}"
    else:
        count = f"<b>{outcome.kept:,}</b> of {outcome.total:,} feasible in the brush"
    notes = [f"solved in {outcome.seconds * 1e3:.1f} ms"]
    drawn = len(outcome.shade)
    if 0 < drawn < outcome.total:
        notes.insert(0, f"drawn: {drawn:,} of {outcome.total:,}")
    quiet = " · ".join(notes)
    return f'<div class="wb-count">{count}<span class="wb-quiet">{quiet}</span></div>'


def bounds_table(outcome: Outcome) -> str:
    """Return the constraints with their slack at the picked configuration, the tightest first."""
    listed = outcome.bounds
    rows = "".join(
        f'<tr class="{"wb-tight" if bound.tight else ""}"><td>{_constraint(bound)}</td>'
        f"<td>{escape(bound.slack)}</td></tr>"
        for bound in listed[:_SHOWN_BOUNDS]
    )
    more = len(listed) - _SHOWN_BOUNDS
    rest = quiet(f"and {more} more") if more > 0 else ""
    top = heading("What binds here")
    return f'{top}<div class="wb-binding"><table>{rows}</table>{rest}</div>'


def conflict_text(conflict: Iterable[str]) -> str:
    """Return the smallest conflict as a list."""
    items = "".join(f"<li>{escape(name)}</li>" for name in conflict)
    return f'<div class="wb-heading">No configuration satisfies all of</div><ul>{items}</ul>'


def heading(text: str) -> str:
    """Return a heading within the explorer."""
    return f'<div class="wb-heading">{escape(text)}</div>'


def title(text: str) -> str:
    """Return the name of what is explored."""
    return f'<div class="wb-title">{escape(text)}</div>'


def quiet(text: str) -> str:
    """Return a remark in small grey letters."""
    return f'<span class="wb-remark">{escape(text)}</span>'


def caption(outcome: Outcome) -> str:
    """Return what the plot shows, in words, for a screen reader."""
    return (
        f"Parallel coordinates over {len(outcome.names)} variables: "
        f"{len(outcome.shade):,} of {outcome.total:,} feasible configurations drawn, "
        f"{outcome.kept:,} under the brushes."
    )


def score_heading(state: ExplorerState) -> str:
    """Return the heading of the column of scores."""
    short = len(state.objective) <= _SHORT
    return f"{state.sense} {state.objective}" if short else f"{state.sense} of it"


def error_line(message: str) -> str:
    """Return an error in one line, or nothing for no message."""
    line = " ".join(message.split())
    return f'<div class="wb-error" role="alert">{escape(line)}</div>' if line else ""


def _constraint(bound: Bound) -> str:
    name, text = escape(bound.constraint), escape(bound.text)
    shown = f'<span class="wb-text">{text}</span>'
    return shown if name == text else f"{name} {shown}"


def _configurations(count: int) -> str:
    return "configuration" if count == 1 else "configurations"
