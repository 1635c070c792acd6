"""What became of a picture's clumps and detections at a threshold, and pictures of it.

Each fate has a shape of its own, so that colours are not needed to tell them apart.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.clumps.galaxy import Annotation
    from workbench.clumps.matching import Detections, Match

Box = tuple[float, float, float, float]
GAP = 4  # pixels between pictures of a sheet
CAPTION = 16  # pixels below a picture
_SHEET = (24, 24, 24)
STAMP_SIDES = 3.2  # of a stamp in sides of its box


class Fate(StrEnum):
    """Of a detection, or of a clump that no detection found."""

    HIT = "hit"
    FALSE = "false"
    MISSED = "missed"


COLOURS = {Fate.HIT: "#17c495", Fate.FALSE: "#ff7a33", Fate.MISSED: "#ffffff"}
LEGEND = (
    f"<span style='color:{COLOURS[Fate.HIT]}'>■</span> square: found &nbsp; "
    f"<span style='color:{COLOURS[Fate.FALSE]}'>✖</span> cross: false &nbsp; ○ circle: missed"
)


@dataclass(frozen=True)
class Mark:
    """A detection or a missed clump.

    Attributes
    ----------
    fate
        What became of it.
    box
        x1, y1, x2, y2 in pixels: the detection's, or the missed clump's.
    score
        Of the detection; minus infinity for a missed clump that none found at any threshold.
    flux_ratio
        Of the missed clump; NaN for detections and where it is unknown.
    """

    fate: Fate
    box: Box
    score: float
    flux_ratio: float = float("nan")


def marks(found: Detections, truth: Annotation, match: Match, threshold: float) -> list[Mark]:
    """Return what became of each detection of at least `threshold` and of each missed clump.

    Detections and clumps that do not count (`matching.match`) are left out.
    """
    made = [
        Mark(Fate.HIT if hit else Fate.FALSE, _box(found.boxes[index]), float(score))
        for index, score, hit in zip(match.which, match.scores, match.hits, strict=True)
        if score >= threshold
    ]
    return made + [
        Mark(Fate.MISSED, _box(truth.boxes[k]), float(score), float(truth.flux_ratio[k]))
        for k, score in zip(match.counted, match.found_at, strict=True)
        if score < threshold
    ]


def _box(corners: NDArray[np.float64]) -> Box:
    x1, y1, x2, y2 = map(float, corners)
    return x1, y1, x2, y2


def drawn(image: NDArray[Any], marked: Sequence[Mark], side: int) -> Image.Image:
    """Return `image` (H, W, C), bytes or in [0, 1], with its marks, `side` pixels at most."""
    picture = as_picture(image)
    zoom = side / max(picture.size)
    size = (max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for mark in marked:
        draw_mark(pen, mark, zoom)
    return picture


def as_picture(image: NDArray[Any]) -> Image.Image:
    """Return the first three bands as 8-bit colours."""
    shown = image[:, :, :3]
    if shown.dtype != np.uint8:
        shown = (shown.clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(shown))


def draw_mark(pen: ImageDraw.ImageDraw, mark: Mark, zoom: float, shift: Box | None = None) -> None:
    """Draw a mark in its fate's shape, `zoom` times as large, `shift` (x, y) taken off before."""
    left, top = shift[:2] if shift else (0.0, 0.0)
    x1, y1, x2, y2 = ((value + 0.5) * zoom for value in mark.box)
    x1, x2, y1, y2 = x1 - left * zoom, x2 - left * zoom, y1 - top * zoom, y2 - top * zoom
    colour = COLOURS[mark.fate]
    if mark.fate is Fate.HIT:
        pen.rectangle((x1, y1, x2, y2), outline=colour, width=2)
    elif mark.fate is Fate.MISSED:
        pen.ellipse((x1, y1, x2, y2), outline=colour, width=2)
    else:
        for start, stop in (((x1, y1), (x2, y2)), ((x1, y2), (x2, y1))):
            _ends(pen, start, stop, colour)


def _ends(
    pen: ImageDraw.ImageDraw, start: tuple[float, float], stop: tuple[float, float], colour: str
) -> None:
    """Draw the first and last third of a line: what lies in the middle stays visible."""
    for a, b in ((0.0, 1 / 3), (2 / 3, 1.0)):
        at = [
            tuple(p + part * (q - p) for p, q in zip(start, stop, strict=True)) for part in (a, b)
        ]
        pen.line([*at[0], *at[1]], fill=colour, width=2)


def stamp(image: NDArray[Any], mark: Mark, side: int) -> Image.Image:
    """Return the surroundings of one mark, `side` pixels square, dark beyond the picture's edge."""
    x1, y1, x2, y2 = mark.box
    reach = STAMP_SIDES * max(x2 - x1, y2 - y1)
    left, top = ((low + high) / 2 + 0.5 - reach / 2 for low, high in ((x1, x2), (y1, y2)))
    extent = (left, top, left + reach, top + reach)
    picture = as_picture(image).transform(
        (side, side), Image.Transform.EXTENT, extent, Image.Resampling.BICUBIC
    )
    draw_mark(ImageDraw.Draw(picture), mark, side / reach, extent)
    return picture


def caption(marked: Sequence[Mark]) -> str:
    """Return how many of each fate there are, in words."""
    fates = [mark.fate for mark in marked]
    names = {Fate.HIT: "found", Fate.FALSE: "false", Fate.MISSED: "missed"}
    return ", ".join(f"{fates.count(fate)} {name}" for fate, name in names.items())


def sheet(
    pictures: Sequence[Image.Image], captions: Sequence[str], columns: int, side: int
) -> bytes:
    """Return a PNG of pictures in rows of `columns`, `side` pixels each, captions below."""
    rows = max(1, -(-len(pictures) // columns))
    width, height = side + GAP, side + CAPTION + GAP
    canvas = Image.new("RGB", (columns * width, rows * height), _SHEET)
    pen = ImageDraw.Draw(canvas)
    places = itertools.product(range(rows), range(columns))
    for picture, caption, (row, column) in zip(pictures, captions, places, strict=False):
        canvas.paste(picture, (column * width, row * height))
        pen.text((column * width + 3, row * height + side + 2), caption, fill="#dddddd")
    file = io.BytesIO()
    canvas.save(file, "png")
    return file.getvalue()
