"""One auditor at work: galaxies, detections and a journal, without anything on the screen.

`results.Audit` adds what comes out of the work.
"""

from __future__ import annotations

import getpass
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit import actions
from workbench.audit.actions import Kind
from workbench.audit.found import detected_boxes, read_detections, true_boxes
from workbench.audit.journal import Entry, Journal, Row
from workbench.audit.library import Folder, Library, as_library
from workbench.audit.progress import RECENT, Progress, measure
from workbench.audit.replay import GalaxyState, replay
from workbench.clumps.extras import need
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    import pandas as pd

    from workbench.audit.box import Box
    from workbench.audit.overlay import ClumpAudit
    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Detections

    Found = Mapping[str, Detections] | Path | str


class Session:
    """One auditor's work on a set of galaxies.

    Parameters
    ----------
    galaxies
        Galaxies, a folder of pictures, or a `Library`.
    detections
        By the galaxy's name, or a file that `read_detections` reads.
    journal
        File that keeps every action; made where there is none.
    auditor
        Who decides; the name of the account unless given.
    other
        A second set of detections, to compare with the first.
    show_truth
        Whether the catalogue's boxes are shown; an audit should be blind to them.

    Raises
    ------
    WorkbenchError
        There is no galaxy, a file cannot be read, or detections are of galaxies not here.
    """

    def __init__(
        self,
        galaxies: Library | Iterable[Galaxy] | Path | str,
        detections: Found | None = None,
        *,
        journal: Path | str = "audit.sqlite",
        auditor: str | None = None,
        other: Found | None = None,
        show_truth: bool = True,
    ) -> None:
        self.library = as_library(galaxies)
        if not self.library.names:
            raise WorkbenchError("an audit needs galaxies, got none")
        self.detections = _found(detections, self.library)
        self.other = _found(other, self.library)
        self.show_truth = show_truth
        self.auditor = auditor or getpass.getuser()
        self.journal = Journal(journal)
        self._listeners: list[Callable[[str], None]] = []
        self.queue = tuple(self.library.names)
        self._lock = threading.RLock()
        self._all = frozenset(self.library.names)
        self._done = set(finished(self.journal, self.auditor))
        last = self.journal.last_galaxy(self.auditor)
        self.current = last if last in self._places else self.queue[0]

    @classmethod
    def of_folder(
        cls,
        place: Path | str,
        detections: Found | None = None,
        *,
        labels: Path | str | None = None,
        catalog: Path | str | None = None,
        **settings: Any,
    ) -> Self:
        """Return an audit of the pictures under a folder.

        `labels` is a table with their known boxes, PSF, WCS and redshift (COCO JSON, CSV or
        Parquet); `catalog` a table with a row a picture: file and any of arcsec_per_px,
        psf_fwhm_r_arcsec, psf_fwhm_r_px, ra, dec, redshift. The rest is as in `Audit`.
        """
        return cls(Folder(place, labels, catalog), detections, **settings)

    def overlay(self, threshold: float | None = None) -> ClumpAudit:
        """Return the overlay on the current galaxy, to be shown in a notebook.

        `threshold` is the least score shown at first; any value, the least score, unless given.
        """
        from workbench.audit.overlay import ClumpAudit  # noqa: PLC0415 - needs a notebook's packages

        return ClumpAudit(self, threshold=threshold)

    @property
    def queue(self) -> tuple[str, ...]:
        """The galaxies to go through, in order."""
        return self._queue

    @queue.setter
    def queue(self, names: Sequence[str]) -> None:
        self._queue = tuple(names)
        self._places = {name: k for k, name in enumerate(self._queue)}

    def place(self, name: str) -> int:
        """Return where in the queue a galaxy is, -1 where it is not."""
        return self._places.get(name, -1)

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call back with a galaxy's name whenever it was acted on or opened."""
        self._listeners.append(callback)

    def _tell(self, name: str) -> None:
        for callback in self._listeners:
            callback(name)

    def show(self, threshold: float | None = None) -> Any:
        """Return the gallery above the overlay, to be shown in a notebook."""
        from workbench.audit.desk import AuditDesk  # noqa: PLC0415 - needs a notebook's packages

        return AuditDesk(self, threshold=threshold)

    def base(self, name: str) -> list[Box]:
        """Return the boxes that a galaxy opens with: detections and, if shown, the catalogue's."""
        truth = true_boxes(self.library.known(name)) if self.show_truth else []
        return [*detected_boxes(self.detections.get(name)), *truth]

    def state(self, name: str | None = None, auditor: str | None = None) -> GalaxyState:
        """Return a galaxy (the current one) as an auditor (this one) left it."""
        galaxy = self.current if name is None else name
        rows = self.journal.rows(auditor=auditor or self.auditor, galaxy=galaxy)
        return replay(self.base(galaxy), rows)

    def act(self, action: Mapping[str, Any], name: str | None = None) -> GalaxyState:
        """Do what `actions.decide` makes of `action` to a galaxy; return it as it is then.

        The action is on the disk when this returns.

        Raises
        ------
        WorkbenchError
            The action is wrong, or could not be saved.
        """
        galaxy = self.current if name is None else name
        base = self.base(galaxy)
        size = self.size(galaxy)
        with self._lock:
            rows = self.journal.act(
                self.auditor,
                galaxy,
                lambda rows: actions.decide(replay(base, rows), action, size),
            )
        state = replay(base, rows)
        (self._done.add if state.done else self._done.discard)(galaxy)
        self._tell(galaxy)
        return state

    def is_done(self, name: str) -> bool:
        """Return whether this auditor has finished a galaxy."""
        return name in self._done

    def size(self, name: str) -> tuple[int, int]:
        """Return width and height of a picture."""
        truth = self.library.known(name) or self.library.open(name).truth
        return truth.width, truth.height

    def go(self, to: str | int) -> str:
        """Open a galaxy: a name, or a number of steps along the queue; return its name.

        Where the auditor is goes into the journal, so that the next start is there.

        Raises
        ------
        WorkbenchError
            There is no such galaxy.
        """
        with self._lock:
            name = self.neighbour(to) if isinstance(to, int) else to
            if name is None:
                return self.current
            if name not in self._all:
                raise WorkbenchError(f"no galaxy {name!r} in this audit")
            visit = Entry(Kind.VISIT, actions.GALAXY, None, None)
            self.journal.act(self.auditor, name, lambda _: [visit])
            self.current = name
        self._tell(name)
        return name

    def neighbour(self, steps: int) -> str | None:
        """Return the galaxy `steps` along the queue from the current one, None past its ends."""
        # The current galaxy may have been filtered away: then the queue starts anew.
        here = self.place(self.current)
        index = here + steps if here >= 0 else 0
        return self.queue[index] if 0 <= index < len(self.queue) else None

    def history(self, name: str | None = None) -> list[Row]:
        """Return the rows of a galaxy, or of all by name "*", oldest first."""
        galaxy = None if name == "*" else (self.current if name is None else name)
        return self.journal.rows(auditor=self.auditor, galaxy=galaxy)

    def history_table(self, name: str | None = None) -> pd.DataFrame:
        """Return `history` as a table: number, time, galaxy, action, box, status and label."""
        rows = [
            (row.seq, row.time, row.galaxy, row.entry.kind, row.entry.box,
             (row.entry.after or {}).get("status", ""), (row.entry.after or {}).get("label"))
            for row in self.history(name)
        ]  # fmt: skip
        columns = ["seq", "time", "galaxy", "action", "box", "status", "label"]
        frame: pd.DataFrame = need("pandas").DataFrame(rows, columns=columns)
        return frame

    def revert(self, seq: int, name: str | None = None) -> GalaxyState:
        """Put the box of one action of the history back to what it was before."""
        return self.act({"kind": Kind.REVERT, "seq": seq}, name)

    def finished(self, auditor: str | None = None) -> list[str]:
        """Return the galaxies that an auditor has finished, in order of the audit."""
        done = set(finished(self.journal, auditor or self.auditor))
        return [name for name in self.library.names if name in done]

    def progress(self) -> Progress:
        """Return how far the auditor is along the queue, and how fast."""
        rows = self.journal.of_kind(Kind.DONE, self.auditor, latest=RECENT)
        return measure(self._done, self._places, [row.time for row in rows])

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def __repr__(self) -> str:
        boxes = sum(len(found) for found in self.detections.values())
        return (
            f"Audit of {len(self.library.names):,} galaxies with {boxes:,} detections by "
            f"{self.auditor}: {self.progress()} done, kept in {self.journal.path.name}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def finished(journal: Journal, auditor: str) -> list[str]:
    """Return the galaxies whose last word on being done is yes."""
    done: dict[str, bool] = {}
    for row in journal.of_galaxies(auditor, leave_out=Kind.VISIT):
        done[row.galaxy] = bool(row.entry.after and row.entry.after.get("done"))
    return [name for name, yes in done.items() if yes]


def _found(found: Found | None, library: Library) -> Mapping[str, Detections]:
    if found is None:
        return {}
    sets = read_detections(found) if isinstance(found, Path | str) else found
    names = set(library.names)
    strangers = [name for name in sets if name not in names]
    if len(strangers) == len(sets) and sets:
        raise WorkbenchError(
            f"none of the {len(sets)} galaxies with detections, such as {strangers[0]!r}, is among "
            f"the {len(names)} of the audit, such as {library.names[0]!r}"
        )
    return sets
