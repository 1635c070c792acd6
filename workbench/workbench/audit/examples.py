"""Galaxies and detections for the tutorials: real where there is data, else simulated."""

from __future__ import annotations

import itertools
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.actions import Kind
from workbench.audit.agreement import pairs
from workbench.audit.box import Source
from workbench.audit.found import true_boxes
from workbench.clumps import classical, s82
from workbench.clumps.extras import need
from workbench.clumps.request import MADE
from workbench.clumps.simulate import simulate
from workbench.clumps.stretch import COADD, VIEWER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from workbench.audit.session import Session
    from workbench.clumps.galaxy import Galaxy
    from workbench.clumps.matching import Detections
    from workbench.clumps.stretch import Style

SEED = 40
# Of the tutorials: a threshold at which DoG and SEP both find more than there is.
THRESHOLD = 1.5


def galaxies(number: int = 12) -> list[Galaxy]:
    """Return Stripe 82 galaxies with published clumps, or simulated ones.

    Real pictures are taken where ``FLASHCLUMP_DATA`` names a folder with ``s82/``.
    """
    root = os.environ.get("FLASHCLUMP_DATA")
    if root and (Path(root) / "s82" / "clumps.csv").is_file():
        return list(itertools.islice(s82.load(), number))
    return [simulate(SEED, index) for index in range(number)]


def style(galaxy: Galaxy) -> Style:
    """Return how one of `galaxies` was made into a picture.

    For Stripe 82 as fitted to its catalogue; four in five simulated ones are in the viewer's style,
    the others in SkyServer's, whose fluxes are then relative.
    """
    return VIEWER if _simulated(galaxy) else COADD


def _simulated(galaxy: Galaxy) -> bool:
    return galaxy.truth.name.startswith("sim-")


def new_survey(number: int = 53) -> list[Galaxy]:
    """Return galaxies of a survey that the detector does not know.

    Stripe 82 where ``FLASHCLUMP_DATA`` names a folder with ``s82/``; otherwise simulated galaxies
    whose red and blue bands are swapped: clumps are red there, and what is red otherwise is blue.
    """
    found = galaxies(number)
    if _simulated(found[0]):
        return [replace(one, image=one.image[:, :, ::-1]) for one in found]
    return found


def detections(among: Sequence[Galaxy], method: str = "dog") -> dict[str, Detections]:
    """Return what a classical method (`classical.METHODS`) finds, by the galaxy's name.

    Raises
    ------
    WorkbenchError
        The method is unknown, or a galaxy's PSF is.
    """
    settings = classical.Settings(method, THRESHOLD)
    found = classical.propose(method, among)
    return {
        galaxy.truth.name: classical.select(points, settings, galaxy.truth.psf_fwhm or 1.0)
        for galaxy, points in zip(among, found, strict=True)
    }


def detector() -> Path:
    """Return the weights that ``FLASHCLUMP_DETECTOR`` names, else those that come along."""
    named = os.environ.get("FLASHCLUMP_DETECTOR")
    return Path(named) if named else Path(need("workbench.clumps.weights").simulated())


def learnt_from(weights: Path | str) -> str:
    """Return what a detector's card says it learnt from, and which galaxies are new to it."""
    training = need("workbench.clumps.weights").read_card(weights)["training"]
    source, start = training["train"]["source"], training.get("start_from")
    text = f"{training['galaxies']:,} galaxies of source {source!r}"
    if start:
        return f"{text}, starting from {Path(start).name}: see its card as well"
    new = "real galaxies are" if source in MADE else "others of that source may not be"
    return f"{text}, from random weights: {new} new to it"


def detected(among: Sequence[Galaxy], weights: Path | str) -> dict[str, Detections]:
    """Return what a detector finds at the threshold of its card, by the galaxy's name.

    Raises
    ------
    WorkbenchError
        The weights cannot be read, or a galaxy's PSF is unknown.
    """
    threshold = float(need("workbench.clumps.weights").read_card(weights)["threshold"])
    found = need("workbench.clumps.detecting").run_detector(weights, among)
    return {galaxy.truth.name: _above(one, threshold) for galaxy, one in found}


def _above(found: Detections, threshold: float) -> Detections:
    return found.keep(found.scores >= threshold)


def decide_by_catalogue(audit: Session, names: Iterable[str]) -> None:
    """Do as an auditor who knows the catalogue would: accept, reject, add, done.

    A detection within one PSF FWHM of a catalogued clump is accepted, with its label; others are
    rejected; catalogued clumps that none has found are added. Each is an action of the journal.
    Galaxies that are finished already are left as they are.
    """
    for name in names:
        if not audit.is_done(name):
            _decide(audit, name)


def _decide(audit: Session, name: str) -> None:
    truth = audit.library.open(name).truth
    boxes = [box for box in audit.state(name).boxes.values() if box.source == Source.DETECTION]
    known = true_boxes(truth)
    same = dict(pairs(boxes, known, truth.psf_fwhm))
    for k, box in enumerate(boxes):
        if k not in same:
            audit.act({"kind": Kind.REJECT, "box": box.id}, name)
        elif known[same[k]].label == box.label:
            audit.act({"kind": Kind.ACCEPT, "box": box.id}, name)
        else:
            action = {"kind": Kind.LABEL, "box": box.id, "label": known[same[k]].label}
            audit.act(action, name)
    for k, box in enumerate(known):
        if k not in same.values():
            audit.act({"kind": Kind.ADD, "to": box.corners, "label": box.label}, name)
    audit.act({"kind": Kind.DONE}, name)


def linear_planes(among: Sequence[Galaxy]) -> dict[str, NDArray[Any]]:
    """Return the pictures undone to linear bands i, r, g, (H, W, 3) each, by name.

    Exact to 8 bits for most simulated pictures; see `style`.
    """
    return {galaxy.truth.name: style(galaxy).linear(galaxy.image) for galaxy in among}


def workspace() -> Path:
    """Return a new folder for a tutorial's files; what is to last belongs in one of your own."""
    return Path(tempfile.mkdtemp(prefix="flashclump-audit-"))
