"""`ClumpAudit`, the overlay: the session decides, the browser draws and takes keys and mouse."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from workbench.audit.found import score_range
from workbench.audit.library import Folder
from workbench.audit.scene import encode, make_scene
from workbench.clumps.pictures import Stretch
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.audit.replay import GalaxyState
    from workbench.audit.session import Session

_HERE = Path(__file__).parent
_KEPT_PICTURES = 12  # about 0.3 MB each


def script(*names: str) -> str:
    """Return JavaScript files as one module: anywidget knows no relative imports."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


class ClumpAudit(anywidget.AnyWidget):
    """A galaxy with its boxes on a canvas.

    The browser sends actions, each with a ticket; the answer carries the galaxy as it is after the
    action is on the disk, and the ticket, so that the browser knows what is saved. The pictures
    and boxes of the neighbours in the queue go ahead of being asked for.

    Attributes
    ----------
    threshold
        Least score shown; moved in the browser without asking Python.
    scores
        Least and greatest score of all detections.
    current
        Name of the galaxy shown.
    """

    _esm = script("geometry.js", "drawing.js", "panel.js", "input.js", "overlay.js")
    _css = _HERE / "overlay.css"
    threshold = traitlets.Float().tag(sync=True)
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    current = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(560).tag(sync=True)

    def __init__(self, audit: Session, *, threshold: float | None = None) -> None:
        low, high = score_range({**audit.detections, **_apart(audit.other)})
        super().__init__(
            threshold=low if threshold is None else threshold,
            scores=[low, high],
            current=audit.current,
        )
        self._audit = audit
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._sent: set[str] = set()
        self._answers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "ready": self._ready,
            "act": self._act,
            "go": self._go,
            "finish": self._finish,
            "stretch": self._stretch,
        }
        self.on_msg(self._handle)

    def show(self, name: str) -> None:
        """Open a galaxy of the audit.

        Raises
        ------
        WorkbenchError
            There is no such galaxy, or its picture cannot be read.
        """
        self._open(name, 0)

    def refresh(self) -> None:
        """Show the current galaxy as the journal has it now."""
        self._send_scene(self._audit.current, 0)

    def _handle(self, _: Any, content: Mapping[str, Any], __: list[bytes]) -> None:
        answer = self._answers.get(str(content.get("kind")))
        if answer is None:
            return
        try:
            answer(content)
        except WorkbenchError as error:
            self.send({"kind": "error", "ticket": content.get("ticket"), "message": str(error)})

    def _ready(self, _: Mapping[str, Any]) -> None:
        self._sent.clear()
        self._open(self._audit.current, 0)

    def _act(self, content: Mapping[str, Any]) -> None:
        name = str(content["galaxy"])
        state = self._audit.act(content["action"], name)
        self._send_scene(name, content.get("ticket"), state)

    def _go(self, content: Mapping[str, Any]) -> None:
        self._open(content["to"], content.get("ticket"))

    def _finish(self, content: Mapping[str, Any]) -> None:
        self._audit.act({"kind": "done"}, str(content["galaxy"]))
        self._open(1, content.get("ticket"))

    def _stretch(self, content: Mapping[str, Any]) -> None:
        library, name = self._audit.library, self._audit.current
        if not isinstance(library, Folder):
            return
        library.restretch(checked_stretch(content["stretch"]), name)
        self._pictures.clear()
        self._sent.clear()
        self._send_picture(name)
        self._send_scene(name, content.get("ticket"))
        self._send_neighbours()

    def _open(self, to: str | int, ticket: Any) -> None:
        audit = self._audit
        name = audit.neighbour(to) if isinstance(to, int) else to
        if name is None:  # past the end of the queue
            self._send_scene(audit.current, ticket)
            return
        self._send_picture(name)  # first: a picture that cannot be read opens nothing
        audit.go(name)
        self.current = name
        self._send_scene(name, ticket)
        self._send_neighbours()

    def _send_neighbours(self) -> None:
        for step in (1, -1, 2):
            neighbour = self._audit.neighbour(step)
            if neighbour is not None:
                self._send_ahead(neighbour)

    def _send_scene(self, name: str, ticket: Any, state: GalaxyState | None = None) -> None:
        scene = make_scene(self._audit, name, state)
        self.send({"kind": "scene", "ticket": ticket, "scene": scene})

    def _send_ahead(self, name: str) -> None:
        try:
            self._send_picture(name)
            self.send({"kind": "ahead", "scene": make_scene(self._audit, name)})
        except WorkbenchError:
            return  # said when the auditor gets there

    def _send_picture(self, name: str) -> None:
        if name in self._sent:
            return
        if name not in self._pictures:
            self._pictures[name] = encode(self._audit.library.open(name).image)
            if len(self._pictures) > _KEPT_PICTURES:
                self._pictures.popitem(last=False)
        if len(self._sent) >= _KEPT_PICTURES:
            self._sent.clear()  # the browser drops its pictures at the same number
            self.send({"kind": "forget"})
        self._sent.add(name)
        self.send({"kind": "picture", "name": name}, [self._pictures[name]])


def _apart(sets: Mapping[str, Any]) -> dict[str, Any]:
    return {f"other {name}": found for name, found in sets.items()}


def checked_stretch(content: Mapping[str, Any]) -> Stretch:
    """Return the Lupton stretch that the browser asks for.

    Raises
    ------
    WorkbenchError
        A value is no number, a band is negative, or Q or the stretch is not positive.
    """
    try:
        red, green, blue = (int(content[name]) for name in ("red", "green", "blue"))
        softening = float(content["softening"])
        width = None if content["stretch"] in (None, "") else float(content["stretch"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkbenchError(f"stretch {dict(content)}: expected numbers ({error})") from error
    if min(red, green, blue) < 0 or not softening > 0 or (width is not None and not width > 0):
        raise WorkbenchError(
            f"Q {softening:g}, stretch {width}, bands {red}, {green}, {blue}: "
            "expected positive numbers and bands counted from 0"
        )
    return Stretch(red, green, blue, softening, width)
