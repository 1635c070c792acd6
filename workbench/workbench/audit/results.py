"""What comes out of an audit: labels, agreement, consensus, files, photometry, training data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit import actions
from workbench.audit.agreement import Agreement, Opinion, compare, consensus
from workbench.audit.box import Source, Status
from workbench.audit.export import write_labels
from workbench.audit.harvest import measure_labels, write_dataset
from workbench.audit.importing import read_labels
from workbench.audit.labels import Labelled, as_boxes
from workbench.audit.replay import replay
from workbench.audit.session import Session
from workbench.clumps.galaxy import Annotation, Galaxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray


class Audit(Session):
    """An audit: one auditor's session, and the results of all auditors in its journal.

    The parameters are those of `session.Session`: galaxies (or a folder of pictures), detections,
    journal, auditor, a second set of detections, whether the catalogue is shown.
    """

    def opinions(self, auditor: str) -> dict[str, Opinion]:
        """Return an auditor's boxes of the galaxies that he or she finished."""
        found = {}
        for name in self.finished(auditor):
            boxes = self.state(name, auditor).boxes.values()
            truth = self.library.known(name) or self.library.open(name).truth
            found[name] = Opinion(
                tuple(box for box in boxes if box.status == Status.ACCEPTED),
                tuple(
                    box
                    for box in boxes
                    if box.status == Status.REJECTED and box.source != Source.TRUTH
                ),
                truth.psf_fwhm,
            )
        return found

    def agreement(self, first: str, second: str) -> Agreement:
        """Return how far two auditors agree on the galaxies that both finished."""
        return compare(self.opinions(first), self.opinions(second))

    def labels(self, auditor: str | None = None) -> list[Labelled]:
        """Return the accepted boxes of the galaxies that an auditor (this one) has finished."""
        name = auditor or self.auditor
        found = []
        for galaxy in self.finished(name):
            state = self.state(galaxy, name)
            ended = [row.time for row in state.rows if row.entry.box == actions.GALAXY]
            known = self.library.known(galaxy) or self.library.open(galaxy).truth
            found.append(Labelled(known, tuple(state.labels), name, ended[-1]))
        return found

    def consensus(self) -> list[Labelled]:
        """Return what more than half of the auditors of each finished galaxy accepted."""
        everyone = {name: self.opinions(name) for name in self.journal.auditors()}
        found = []
        for galaxy in self.library.names:
            opinions = [theirs[galaxy] for theirs in everyone.values() if galaxy in theirs]
            if opinions:
                known = self.library.known(galaxy) or self.library.open(galaxy).truth
                boxes = tuple(box for box, _ in consensus(opinions))
                found.append(Labelled(known, boxes, f"consensus of {len(opinions)}"))
        return found

    def dataset(self) -> list[Galaxy]:
        """Return the finished galaxies with their labels as truth, as training takes them."""
        return [
            Galaxy(self.library.open(one.galaxy.name).image, one.annotation)
            for one in self.labels()
        ]

    def photometry(
        self, planes: Callable[[str], NDArray[Any]] | Mapping[str, Any], bands: Sequence[str]
    ) -> pd.DataFrame:
        """Return the photometry of this auditor's labels, with the name of the galaxy.

        `planes` gives the linear planes (H, W, B) of a galaxy by its name, such as
        `photometry.read_planes` of its FITS file; the rest is in `photometry.measure`.

        Raises
        ------
        WorkbenchError
            No galaxy is finished, or a PSF is unknown.
        """
        return measure_labels(self.labels(), planes, bands)

    def write_dataset(self, place: Path | str) -> Path:
        """Write the finished galaxies to a new folder, as pictures and ``labels.json``.

        This is what the training commands read as source ``folder``; a galaxy without labels is
        a negative among them.

        Raises
        ------
        WorkbenchError
            The folder is there already, or no galaxy is finished.
        """
        return write_dataset(place, self.labels(), self.library)

    def export(
        self,
        path: Path | str,
        labels: Sequence[Labelled] | None = None,
        *,
        overwrite: bool = False,
    ) -> Path:
        """Write labels (this auditor's) to a file; its ending says the format, see `export`.

        Raises
        ------
        WorkbenchError
            Unknown ending, or the file is there already and `overwrite` is false.
        """
        return write_labels(path, self.labels() if labels is None else labels, overwrite=overwrite)

    def import_labels(self, path: Path | str) -> int:
        """Add the boxes of a file as accepted ones; return how many were new.

        Galaxies that are not in this audit are left out; what is there already stays.
        """
        known = {name: self.library.known(name) for name in self.library.names}
        read = read_labels(path, {name: one for name, one in known.items() if one is not None})
        by_stem = {Path(name).stem: name for name in self.library.names}
        added = 0
        for one in read:
            name = one.name if one.name in known else by_stem.get(Path(one.name).stem)
            if name is not None and len(one):
                added += self._add(name, one)
        return added

    def _add(self, name: str, labels: Annotation) -> int:
        base, size = self.base(name), self.size(name)
        before = len(self.state(name).rows)
        rows = self.journal.act(
            self.auditor,
            name,
            lambda rows: actions.import_entries(replay(base, rows), as_boxes(labels), size),
        )
        return len(rows) - before
