"""What the overlay shows of a galaxy, as plain numbers and text for the browser."""

from __future__ import annotations

import io
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from workbench.audit.actions import Kind
from workbench.audit.agreement import pairs
from workbench.audit.box import Source, Status
from workbench.audit.found import detected_boxes
from workbench.audit.library import Folder
from workbench.clumps.extras import need
from workbench.clumps.galaxy import BOX_SIDE_FWHM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.audit.box import Box
    from workbench.audit.library import Library
    from workbench.audit.replay import GalaxyState
    from workbench.audit.session import Session
    from workbench.clumps.galaxy import Annotation

# Where the PSF is unknown: the median box of the Clump Scout labels.
DEFAULT_SIDE = 16.6  # pixels
HISTORY = 50  # actions that the overlay lists


def make_scene(audit: Session, name: str, state: GalaxyState | None = None) -> dict[str, Any]:
    """Return all that the overlay draws of a galaxy but its pixels."""
    truth = audit.library.open(name).truth
    now = state or audit.state(name)
    found = list(now.boxes.values())
    other = detected_boxes(audit.other.get(name)) if audit.other else []
    return {
        "name": name,
        "index": audit.place(name),
        "total": len(audit.queue),
        "width": truth.width,
        "height": truth.height,
        "boxes": [box.to_dict() for box in found],
        "other": [box.to_dict() for box in other],
        "compares": bool(audit.other),
        **differences(found, other, truth.psf_fwhm, compares=bool(audit.other)),
        "done": now.done,
        "history": recent(now),
        "undo": len(now.undoable),
        "redo": len(now.redoable),
        "side": BOX_SIDE_FWHM * truth.psf_fwhm if truth.psf_fwhm else DEFAULT_SIDE,
        "psf": truth.psf_fwhm,
        "redshift": truth.redshift,
        "sky": sky_frame(truth),
        "kpc": kpc_per_arcsec(truth.redshift),
        "stretch": stretch_of(audit.library, name),
        "auditor": audit.auditor,
        "progress": str(audit.progress()),
    }


def recent(state: GalaxyState) -> list[dict[str, Any]]:
    """Return the galaxy's last actions, the latest first."""
    rows = [row for row in state.rows if row.entry.kind != Kind.VISIT][-HISTORY:]
    return [
        {"seq": row.seq, "time": row.time, "kind": str(row.entry.kind), "box": row.entry.box}
        for row in reversed(rows)
    ]


def stretch_of(library: Library, name: str) -> dict[str, Any] | None:
    """Return how a FITS picture is made, None for pictures that are made already."""
    if not isinstance(library, Folder) or not library.is_fits(name):
        return None
    chosen = asdict(library.stretch)
    del chosen["channels"]  # what is looked at has three
    return chosen


def differences(
    found: Sequence[Box], other: Sequence[Box], psf_fwhm: float | None, *, compares: bool
) -> dict[str, list[str]]:
    """Return the identifiers of boxes that one set has and its counterpart has not.

    Detections are compared with the other set where there is one, else with the catalogue's boxes
    where they are shown.
    """
    first = [box for box in found if box.source == Source.DETECTION]
    second = other if compares else [box for box in found if box.source == Source.TRUTH]
    if not compares and not second:
        return {"only_first": [], "only_second": []}
    same = pairs(first, list(second), psf_fwhm)
    rows, columns = {i for i, _ in same}, {j for _, j in same}
    return {
        "only_first": [box.id for i, box in enumerate(first) if i not in rows],
        "only_second": [box.id for j, box in enumerate(second) if j not in columns],
    }


def sky_frame(truth: Annotation) -> dict[str, Any] | None:
    """Return a tangential frame at the picture's centre; None without a WCS.

    `ra`, `dec` in degrees are at pixel `x`, `y`; `cd` maps pixels from there to degrees of xi
    (east) and eta (north) on the tangent plane. Over a cutout this is any celestial WCS to a small
    part of a pixel.
    """
    if truth.wcs is None:
        return None
    x, y = (truth.width - 1) / 2, (truth.height - 1) / 2
    step = max(truth.width, truth.height) / 4
    around = np.array([(x, y), (x - step, y), (x + step, y), (x, y - step), (x, y + step)])
    ra, dec = truth.wcs.celestial.wcs_pix2world(*around.T, 0)
    xi, eta = to_plane(ra, dec, float(ra[0]), float(dec[0]))
    across, down = (
        ((plane[2] - plane[1]) / (2 * step) for plane in (xi, eta)),
        ((plane[4] - plane[3]) / (2 * step) for plane in (xi, eta)),
    )
    cd = [[float(a), float(b)] for a, b in zip(across, down, strict=True)]
    scale = 3600 * math.sqrt(abs(cd[0][0] * cd[1][1] - cd[0][1] * cd[1][0]))
    return {"x": x, "y": y, "ra": float(ra[0]), "dec": float(dec[0]), "cd": cd, "scale": scale}


def to_plane(
    ra: NDArray[np.float64], dec: NDArray[np.float64], ra0: float, dec0: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return xi and eta in degrees of the gnomonic projection about (ra0, dec0) in degrees."""
    a, d, d0 = np.radians(ra - ra0), np.radians(dec), math.radians(dec0)
    below = np.sin(d) * math.sin(d0) + np.cos(d) * math.cos(d0) * np.cos(a)
    xi = np.cos(d) * np.sin(a) / below
    eta = (np.sin(d) * math.cos(d0) - np.cos(d) * math.sin(d0) * np.cos(a)) / below
    return np.degrees(xi), np.degrees(eta)


def kpc_per_arcsec(redshift: float | None) -> float | None:
    """Return the physical scale at a redshift (Planck 2018), None where it is unknown or <= 0."""
    if redshift is None or redshift <= 0:
        return None
    cosmology = need("astropy.cosmology").Planck18
    return float(1 / cosmology.arcsec_per_kpc_proper(redshift).value)


def encode(image: NDArray[np.float32]) -> bytes:
    """Return the picture (H, W, 3) in [0, 1] as a PNG of 8 bits, quickly written."""
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels[:, :, :3]).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def counts(state: GalaxyState) -> dict[str, int]:
    """Return how many boxes of each status there are, those of the catalogue only if accepted."""
    own = [
        box
        for box in state.boxes.values()
        if box.source != Source.TRUTH or box.status == Status.ACCEPTED
    ]
    return {str(status): sum(box.status == status for box in own) for status in Status}
