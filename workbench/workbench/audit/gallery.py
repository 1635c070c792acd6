"""The gallery: pages of thumbnails with their boxes, to filter, sort and open galaxies from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from workbench.audit.box import Source, Status
from workbench.audit.ranking import ORDERS, ranked
from workbench.audit.sheets import SUFFIX
from workbench.audit.sprites import COLUMNS, SIDE, Sprites
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from numpy.typing import NDArray

    from workbench.audit.session import Session

_HERE = Path(__file__).parent
PAGE = 1000
SHEET = 200  # thumbnails of one sheet: the first is on the screen while others are made
# What a box of a thumbnail is drawn as: its place in this list.
_CODES = (Status.PENDING, Status.ACCEPTED, Status.REJECTED, Source.TRUTH)
_NO_BOX = np.empty((0, 4))


class AuditGallery(anywidget.AnyWidget):
    """Thumbnails of the galaxies that fulfil a condition, in an order; one page at a time.

    What is shown is the audit's queue: the overlay's next and previous follow it.

    Attributes
    ----------
    condition, order
        See `ranking.ranked`.
    page
        Counted from 0.
    """

    _esm = _HERE / "gallery.js"
    _css = _HERE / "gallery.css"
    condition = traitlets.Unicode().tag(sync=True)
    order = traitlets.Unicode("order").tag(sync=True)
    orders: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    page = traitlets.Int(0).tag(sync=True)
    height = traitlets.Int(300).tag(sync=True)

    def __init__(self, audit: Session, on_open: Callable[[str], None]) -> None:
        super().__init__(orders=[[name, text] for name, (text, _) in ORDERS.items()])
        self._audit = audit
        self._on_open = on_open
        self._sprites = Sprites(audit.library, audit.journal.path.with_suffix(SUFFIX))
        self._serial = 0
        self.on_msg(self._handle)
        audit.listen(self._changed)

    def _handle(self, _: Any, content: Mapping[str, Any], __: list[bytes]) -> None:
        kind = content.get("kind")
        try:
            if kind == "show":
                condition, order = str(content["condition"]), str(content["order"])
                self.choose(condition, order, int(content["page"]), content["have"])
            elif kind == "open":
                self._on_open(str(content["name"]))
            elif kind == "ahead":
                self._send_ahead(content["have"])
            elif kind == "ready":
                self._send_page()
        except WorkbenchError as error:
            self.send({"kind": "error", "message": str(error)})

    def choose(
        self, condition: str = "", order: str = "order", page: int = 0, have: Container[str] = ()
    ) -> None:
        """Show the galaxies that fulfil a condition, in an order.

        `have` are the keys of sheets that the browser holds: they are not sent again.

        Raises
        ------
        WorkbenchError
            The condition or the order is wrong; the gallery stays as it was.
        """
        if (condition, order) != (self.condition, self.order) or page == 0:
            self._audit.queue = ranked(self._audit, condition, order)
        self.condition, self.order = condition, order
        last = max(0, (len(self._audit.queue) - 1) // PAGE)
        self.page = min(max(page, 0), last)
        self._send_page(have)

    def _send_page(self, have: Container[str] = ()) -> None:
        names = self._names(self.page)
        self._serial += 1
        content = {
            "kind": "page",
            "serial": self._serial,
            "count": len(names),
            "columns": COLUMNS,
            "side": SIDE,
            "sheet": SHEET,
            "first": self.page * PAGE,
            "total": len(self._audit.queue),
            "all": len(self._audit.library.names),
            "pages": max(1, -(-len(self._audit.queue) // PAGE)),
            "page": self.page,
            "condition": self.condition,
            "order": self.order,
            "progress": str(self._audit.progress()),
            "current": self._audit.current,
        }
        self.send(content)
        touched = set(self._audit.journal.galaxies(self._audit.auditor))
        for number, part in enumerate(_sheets(names)):
            key = _key(part)
            sheet = b"" if key in have else self._sprites.sprite(part)
            told = {"kind": "sheet", "serial": self._serial, "number": number, "key": key}
            items, boxes = self._items(part, touched)
            self.send({**told, **items}, [sheet, boxes])

    def _names(self, page: int) -> Sequence[str]:
        return self._audit.queue[page * PAGE : (page + 1) * PAGE]

    def _send_ahead(self, have: Container[str]) -> None:
        """Make the sheets of the next page in the background, and send them ahead of its wish."""
        missing = [part for part in _sheets(self._names(self.page + 1)) if _key(part) not in have]
        self._sprites.prepare(
            missing, lambda part, sheet: self.send({"kind": "ahead", "key": _key(part)}, [sheet])
        )

    def _items(
        self, names: Sequence[str], touched: Container[str]
    ) -> tuple[dict[str, list[Any]], bytes]:
        """Return names, whether done and numbers of boxes; and the boxes as float32 rows.

        A row is x1, y1, x2, y2 as parts of the picture, and the code (`_CODES`). A galaxy that is
        not among the `touched` is as it was found: no journal is read for it.
        """
        parts = [self._decided(name) if name in touched else self._found(name) for name in names]
        numbers = [len(codes) for _, codes in parts]
        sizes = np.array([self._sprites.size(name) for name in names]).reshape(-1, 2)
        table = np.empty((sum(numbers), 5), np.float32)
        corners = np.concatenate([corners for corners, _ in parts] or [_NO_BOX])
        table[:, :4] = (corners + 0.5) / np.repeat(np.tile(sizes, 2), numbers, axis=0)
        table[:, 4] = [code for _, codes in parts for code in codes]
        done = [self._audit.is_done(name) for name in names]
        return {"names": list(names), "done": done, "numbers": numbers}, table.tobytes()

    def _decided(self, name: str) -> tuple[NDArray[np.float64], list[int]]:
        boxes = list(self._audit.state(name).boxes.values())
        corners = np.array([box.corners for box in boxes]).reshape(-1, 4)
        return corners, [_CODES.index(_look(box.source, box.status)) for box in boxes]

    def _found(self, name: str) -> tuple[NDArray[np.float64], list[int]]:
        found = self._audit.detections.get(name)
        truth = self._audit.library.known(name) if self._audit.show_truth else None
        if truth is None or not len(truth):
            return (_NO_BOX, []) if found is None else (found.boxes, [0] * len(found))
        codes = [_CODES.index(Source.TRUTH)] * len(truth)
        if found is None:
            return truth.boxes, codes
        return np.concatenate([found.boxes, truth.boxes]), [0] * len(found) + codes

    def _changed(self, name: str) -> None:
        progress = str(self._audit.progress())
        item, boxes = self._items([name], {name})
        current = self._audit.current
        told = {"kind": "item", "progress": progress, "current": current}
        self.send({**told, **item}, [boxes])


def _key(names: Sequence[str]) -> str:
    """Return what tells a sheet of these galaxies from others."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:24]


def _sheets(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[first : first + SHEET] for first in range(0, len(names), SHEET)]


def _look(source: str, status: str) -> Status | Source:
    if source == Source.TRUTH and status == Status.PENDING:
        return Source.TRUTH
    return Status(status)
