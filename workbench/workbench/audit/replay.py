"""From journal rows to the state of a galaxy: pure functions, no files, no widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.audit.actions import GALAXY, Kind
from workbench.audit.box import Box, Status, from_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.audit.journal import Row


@dataclass(frozen=True)
class GalaxyState:
    """A galaxy as one auditor left it.

    Attributes
    ----------
    boxes
        By identifier: those it was opened with, then those added.
    done
        The auditor has finished it.
    undoable, redoable
        Batches of the journal, the next to undo or redo last.
    rows
        The rows behind it, oldest first.
    """

    boxes: dict[str, Box]
    done: bool = False
    undoable: tuple[int, ...] = ()
    redoable: tuple[int, ...] = ()
    rows: tuple[Row, ...] = field(default=(), repr=False)

    @property
    def labels(self) -> list[Box]:
        """The accepted boxes: those that are labels."""
        return [box for box in self.boxes.values() if box.status == Status.ACCEPTED]


def replay(base: Iterable[Box], rows: Sequence[Row]) -> GalaxyState:
    """Return the state that `rows` make of the boxes that the galaxy was opened with."""
    boxes = {box.id: box for box in base}
    done = False
    for row in rows:
        entry = row.entry
        if entry.kind == Kind.VISIT:
            continue
        if entry.box == GALAXY:
            done = bool(entry.after and entry.after.get("done"))
        elif entry.after is None:
            boxes.pop(entry.box, None)
        else:
            boxes[entry.box] = from_dict(entry.after)
    return GalaxyState(boxes, done, *_stacks(rows), tuple(rows))


def _stacks(rows: Sequence[Row]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    undoable: list[int] = []
    redoable: list[int] = []
    last = None
    for row in rows:
        if row.batch == last or row.entry.kind == Kind.VISIT:
            continue
        last = row.batch
        if row.entry.kind == Kind.UNDO and undoable:
            redoable.append(undoable.pop())
        elif row.entry.kind == Kind.REDO and redoable:
            undoable.append(redoable.pop())
        else:
            undoable.append(row.batch)
            redoable.clear()
    return tuple(undoable), tuple(redoable)
