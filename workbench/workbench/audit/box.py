"""A box as an auditor sees it: where it is, what it holds, where it came from, what was decided."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LABELS = {1: "clump", 2: "odd"}
# A box smaller than this shows nothing to decide about.
LEAST_SIDE = 2.0  # pixels


class Source(StrEnum):
    """Where a box came from."""

    DETECTION = "detection"
    TRUTH = "truth"
    HUMAN = "human"


class Status(StrEnum):
    """What the auditor decided."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Box:
    """One box of one galaxy.

    Attributes
    ----------
    id
        Unique in its galaxy, and the same whenever the same boxes are opened again.
    x1, y1, x2, y2
        Pixels, 0-based pixel centres, y down.
    label
        A key of `LABELS`.
    source, status
        Values of `Source` and `Status`.
    score
        The detector's, None for other boxes.
    flux_ratio
        Flux of clump over flux of galaxy in u, None where unknown.
    """

    id: str
    x1: float
    y1: float
    x2: float
    y2: float
    label: int = 1
    source: str = Source.HUMAN
    status: str = Status.PENDING
    score: float | None = None
    flux_ratio: float | None = None

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 in pixels."""
        return self.x1, self.y1, self.x2, self.y2

    @property
    def centre(self) -> tuple[float, float]:
        """x, y in pixels."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON keeps; floats read back exactly."""
        return asdict(self)

    def at(self, corners: Sequence[float]) -> Box:
        """Return the box at other corners x1, y1, x2, y2."""
        x1, y1, x2, y2 = corners
        return replace(self, x1=x1, y1=y1, x2=x2, y2=y2)


def from_dict(content: Mapping[str, Any]) -> Box:
    """Return the box of `Box.to_dict`; what later versions add is left out.

    Raises
    ------
    WorkbenchError
        A field is missing.
    """
    try:
        return Box(**{name: content[name] for name in Box.__slots__})
    except KeyError as error:
        raise WorkbenchError(f"box {dict(content)}: no {error}") from error


def checked_corners(corners: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return corners sorted and moved so that their centre is in a picture of `size` pixels.

    Raises
    ------
    WorkbenchError
        Not four finite numbers, or a side below `LEAST_SIDE`.
    """
    try:
        xa, ya, xb, yb = (float(value) for value in corners)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(f"box {corners!r}: expected four numbers x1, y1, x2, y2") from error
    if not all(map(math.isfinite, (xa, ya, xb, yb))):
        raise WorkbenchError(f"box {corners!r}: expected finite numbers")
    x1, x2, y1, y2 = min(xa, xb), max(xa, xb), min(ya, yb), max(ya, yb)
    if min(x2 - x1, y2 - y1) < LEAST_SIDE:
        raise WorkbenchError(
            f"a box of {x2 - x1:.1f} x {y2 - y1:.1f} pixels; "
            f"expected at least {LEAST_SIDE:g} a side"
        )
    dx, dy = (
        min(max((low + high) / 2, -0.5), side - 0.5) - (low + high) / 2
        for low, high, side in ((x1, x2, size[0]), (y1, y2, size[1]))
    )
    return x1 + dx, y1 + dy, x2 + dx, y2 + dy
