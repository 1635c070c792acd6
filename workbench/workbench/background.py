"""Work in a thread behind a notebook's buttons: its phase and message, and who is told of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

READY, RUNNING, CANCELLED, DONE, FAILED = "ready", "running", "cancelled", "done", "failed"


class Background:
    """What can be started, gone on with and waited for; the work itself is the subclass's.

    Attributes
    ----------
    phase
        "ready", "running", "cancelled", "done" or "failed".
    message
        What is going on, for people.
    changed
        Called after each change of these, from the thread that made it, by one at a time.
    """

    def __init__(self, message: str, changed: Callable[[], None] | None = None) -> None:
        self.phase, self.message = READY, message
        self.changed = changed or _nothing
        self._telling = threading.RLock()  # the button's thread and the work's share a view
        self._thread: threading.Thread | None = None

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the work has ended, or so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _begin(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own, once the one before has ended."""
        self.wait()
        self.phase, self.message = RUNNING, "starting"
        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def _idle(self) -> None:
        """Raise WorkbenchError while running."""
        if self.phase == RUNNING:
            raise WorkbenchError("cannot start again while running; cancel first")

    def _say(self, phase: str, message: str) -> None:
        self.phase, self.message = phase, message
        self.tell()

    def tell(self) -> None:
        """Call `changed` once no other thread is in it."""
        with self._telling:
            self.changed()


class Resumable(Background):
    """Work that asks `cancelled` now and then, and goes on from what it kept when started again.

    The subclass has ``_work``; what that raises is said, and only a bug goes on to the log.
    """

    def __init__(self, message: str, changed: Callable[[], None] | None = None) -> None:
        super().__init__(message, changed)
        self._cancel = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the work was asked to stop."""
        return self._cancel.is_set()

    def start(self) -> None:
        """Begin, or go on from what is kept; nothing happens while running."""
        if self.phase == RUNNING:
            return
        self.wait()
        self._cancel.clear()
        self._begin(self._guarded)
        self.tell()

    def cancel(self) -> None:
        """Ask to stop soon; what is done is kept on disk."""
        self._cancel.set()

    def _guarded(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._say(FAILED, f"failed: {error}")
            if not isinstance(error, WorkbenchError):
                raise

    def _work(self) -> None:
        raise NotImplementedError


def _nothing() -> None:
    """Be told of a change that nobody watches."""
