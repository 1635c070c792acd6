"""What an auditor may do, and what each action does to a galaxy: decided here, drawn elsewhere.

An action comes as a dictionary, as the browser sends it: its kind, the box it is about, and what
it needs beyond that. `decide` turns it into journal entries, none where nothing would change.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from workbench.audit.box import LABELS, Box, Source, Status, checked_corners
from workbench.audit.journal import Entry
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.audit.replay import GalaxyState

GALAXY = ""  # the identifier of the galaxy itself among its boxes


class Kind(StrEnum):
    """The kinds of action."""

    ACCEPT = "accept"
    REJECT = "reject"
    CLEAR = "clear"  # back to pending
    LABEL = "label"
    MOVE = "move"
    RESIZE = "resize"
    ADD = "add"
    DELETE = "delete"
    ACCEPT_ALL = "accept_all"  # every pending detection at or above a score
    REJECT_ALL = "reject_all"  # every detection that is still pending
    DONE = "done"
    REOPEN = "reopen"
    UNDO = "undo"
    REDO = "redo"
    REVERT = "revert"  # one box to what it was before an action
    IMPORT = "import"
    VISIT = "visit"  # the galaxy was opened; changes nothing


def decide(state: GalaxyState, action: Mapping[str, Any], size: tuple[int, int]) -> list[Entry]:
    """Return the entries of `action` on a galaxy whose picture has `size` (width, height).

    Raises
    ------
    WorkbenchError
        The kind, the box or the batch is unknown, a box is wrong, or there is nothing to undo.
    """
    kind = action.get("kind")
    if kind not in _DECISIONS:
        raise WorkbenchError(f"unknown action {kind!r}; known: {', '.join(_DECISIONS)}")
    return _DECISIONS[kind](state, action, size)


def _the_box(state: GalaxyState, action: Mapping[str, Any]) -> Box:
    box = state.boxes.get(str(action.get("box")))
    if box is None:
        raise WorkbenchError(f"{action.get('kind')}: the galaxy has no box {action.get('box')!r}")
    return box


def _change(kind: str, box: Box, after: Box) -> list[Entry]:
    return [] if after == box else [Entry(kind, box.id, box.to_dict(), after.to_dict())]


def _status(state: GalaxyState, action: Mapping[str, Any], _: tuple[int, int]) -> list[Entry]:
    status = {
        Kind.ACCEPT: Status.ACCEPTED,
        Kind.REJECT: Status.REJECTED,
        Kind.CLEAR: Status.PENDING,
    }[Kind(action["kind"])]
    box = _the_box(state, action)
    return _change(action["kind"], box, replace(box, status=status))


def _label(state: GalaxyState, action: Mapping[str, Any], _: tuple[int, int]) -> list[Entry]:
    label = action.get("label")
    if label not in LABELS:
        raise WorkbenchError(f"label {label!r}; expected 1 (clump) or 2 (odd)")
    box = _the_box(state, action)
    return _change(Kind.LABEL, box, replace(box, label=int(label), status=Status.ACCEPTED))


def _place(state: GalaxyState, action: Mapping[str, Any], size: tuple[int, int]) -> list[Entry]:
    box = _the_box(state, action)
    if box.source == Source.TRUTH:
        raise WorkbenchError("a box of the catalogue stays where it is; accept it, or add your own")
    moved = box.at(checked_corners(action.get("to"), size))
    # Who puts a box right means that it is one.
    return _change(action["kind"], box, replace(moved, status=Status.ACCEPTED))


def _add(_: GalaxyState, action: Mapping[str, Any], size: tuple[int, int]) -> list[Entry]:
    label = action.get("label", 1)
    if label not in LABELS:
        raise WorkbenchError(f"label {label!r}; expected 1 (clump) or 2 (odd)")
    corners = checked_corners(action.get("to"), size)
    identifier = str(action.get("box") or f"h{uuid.uuid4().hex[:12]}")
    box = Box(identifier, *corners, int(label), Source.HUMAN, Status.ACCEPTED)
    return [Entry(Kind.ADD, box.id, None, box.to_dict())]


def _delete(state: GalaxyState, action: Mapping[str, Any], _: tuple[int, int]) -> list[Entry]:
    box = _the_box(state, action)
    if box.source == Source.TRUTH:
        raise WorkbenchError("a box of the catalogue cannot be deleted; reject it instead")
    return [Entry(Kind.DELETE, box.id, box.to_dict(), None)]


def _accept_all(state: GalaxyState, action: Mapping[str, Any], _: tuple[int, int]) -> list[Entry]:
    threshold = float(action.get("threshold", 0.0))
    wanted = [
        box
        for box in state.boxes.values()
        if box.status == Status.PENDING and box.score is not None and box.score >= threshold
    ]
    return _change_all(Kind.ACCEPT, wanted, Status.ACCEPTED)


def _reject_all(state: GalaxyState, _: Mapping[str, Any], __: tuple[int, int]) -> list[Entry]:
    wanted = [
        box
        for box in state.boxes.values()
        if box.status == Status.PENDING and box.source == Source.DETECTION
    ]
    return _change_all(Kind.REJECT, wanted, Status.REJECTED)


def _change_all(kind: Kind, boxes: list[Box], status: Status) -> list[Entry]:
    entries = (_change(kind, box, replace(box, status=status)) for box in boxes)
    return [entry for several in entries for entry in several]


def _done(state: GalaxyState, action: Mapping[str, Any], _: tuple[int, int]) -> list[Entry]:
    done = action["kind"] == Kind.DONE
    if state.done == done:
        return []
    return [Entry(action["kind"], GALAXY, {"done": state.done}, {"done": done})]


def _undo(state: GalaxyState, _: Mapping[str, Any], __: tuple[int, int]) -> list[Entry]:
    if not state.undoable:
        raise WorkbenchError("nothing to undo in this galaxy")
    batch = state.undoable[-1]
    undone = [row.entry for row in state.rows if row.batch == batch]
    return [
        Entry(Kind.UNDO, entry.box, entry.after, entry.before, batch) for entry in reversed(undone)
    ]


def _redo(state: GalaxyState, _: Mapping[str, Any], __: tuple[int, int]) -> list[Entry]:
    if not state.redoable:
        raise WorkbenchError("nothing to redo in this galaxy")
    batch = state.redoable[-1]
    again = [row.entry for row in state.rows if row.batch == batch]
    return [Entry(Kind.REDO, entry.box, entry.before, entry.after, batch) for entry in again]


def _revert(state: GalaxyState, action: Mapping[str, Any], _: tuple[int, int]) -> list[Entry]:
    row = next((row for row in state.rows if row.seq == action.get("seq")), None)
    if row is None or row.entry.kind == Kind.VISIT:
        raise WorkbenchError(f"revert: no action {action.get('seq')!r} in this galaxy's history")
    identifier, after = row.entry.box, row.entry.before
    if identifier == GALAXY:
        now: dict[str, Any] | None = {"done": state.done}
    else:
        box = state.boxes.get(identifier)
        now = box.to_dict() if box else None
    return [] if now == after else [Entry(Kind.REVERT, identifier, now, after, row.batch)]


def import_entries(state: GalaxyState, boxes: list[Box], size: tuple[int, int]) -> list[Entry]:
    """Return the entries that add `boxes` to a galaxy, those that are there already left out."""
    there = {(box.corners, box.label) for box in state.labels}
    entries = []
    for box in boxes:
        kept = box.at(checked_corners(box.corners, size))
        if (kept.corners, kept.label) not in there:
            entries.append(Entry(Kind.IMPORT, kept.id, None, kept.to_dict()))
    return entries


_DECISIONS: dict[str, Callable[[GalaxyState, Mapping[str, Any], tuple[int, int]], list[Entry]]] = {
    Kind.ACCEPT: _status,
    Kind.REJECT: _status,
    Kind.CLEAR: _status,
    Kind.LABEL: _label,
    Kind.MOVE: _place,
    Kind.RESIZE: _place,
    Kind.ADD: _add,
    Kind.DELETE: _delete,
    Kind.ACCEPT_ALL: _accept_all,
    Kind.REJECT_ALL: _reject_all,
    Kind.DONE: _done,
    Kind.REOPEN: _done,
    Kind.UNDO: _undo,
    Kind.REDO: _redo,
    Kind.REVERT: _revert,
}
