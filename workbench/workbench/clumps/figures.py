"""Pictures and figures of galaxies with their boxes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from workbench.clumps import statistics
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Galaxy, Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from workbench.clumps.galaxy import Annotation

COLOURS = {Label.CLUMP: "#63e06b", Label.ODD: "#ffb347"}


def drawn(galaxy: Galaxy, zoom: int = 1, boxes: ArrayLike | None = None) -> Image.Image:
    """Return the picture `zoom` times as large, with `boxes` (N, 4), by default all of its truth.

    Clumps are green, odd objects orange.
    """
    pixels = (galaxy.image[:, :, :3].clip(0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(pixels)
    size = (picture.width * zoom, picture.height * zoom)
    picture = picture.resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    if boxes is None:
        shown = zip(galaxy.truth.boxes, galaxy.truth.labels, strict=True)
    else:
        corners = np.asarray(boxes, float).reshape(-1, 4)
        shown = zip(corners, np.ones(len(corners), np.int64), strict=True)
    for box, label in shown:
        # Pixel centres to corners of the enlarged picture.
        x1, y1, x2, y2 = ((box + 0.5) * zoom).tolist()
        pen.rectangle((x1, y1, x2, y2), outline=COLOURS[Label(label)], width=zoom)
    return picture


def png(galaxy: Galaxy, zoom: int = 1, boxes: ArrayLike = ()) -> bytes:
    """Return `drawn` as a PNG file, by default without boxes."""
    file = io.BytesIO()
    drawn(galaxy, zoom, boxes).save(file, "png")
    return file.getvalue()


def grid(galaxies: Sequence[Galaxy], columns: int = 4, side: int = 240) -> Image.Image:
    """Return the galaxies with their boxes in one picture, `side` pixels each."""
    rows = -(-len(galaxies) // columns)
    sheet = Image.new("RGB", (columns * side, max(1, rows) * side))
    for index, galaxy in enumerate(galaxies):
        one = drawn(galaxy, 2).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(one, (index % columns * side, index // columns * side))
    return sheet


def calibration_figure(truths: Sequence[Annotation]) -> Any:
    """Return plotly's figure of `truths` against the published labels, quantile by quantile.

    Points on the diagonal mean the same distribution; the published ones are those of
    `statistics`, measured on 19,956 galaxies of Galaxy Zoo: Clump Scout.
    """
    go = need("plotly.graph_objects")
    samples = statistics.summary(truths)
    published = {
        "PSF FWHM": ("psf_fwhm_px", statistics.PSF_FWHM),
        "radius of clumps": ("clump_radius_px", statistics.RADIUS[Label.CLUMP]),
        "radius of odd objects": ("odd_radius_px", statistics.RADIUS[Label.ODD]),
    }
    figure = go.Figure()
    for name, (key, expected) in published.items():
        # The outermost quantiles of a small sample are noise.
        measured = np.quantile(samples[key], statistics.LEVELS[1:-1])
        figure.add_scatter(x=expected[1:-1], y=measured, name=name, mode="markers")
    figure.add_scatter(x=[0, 120], y=[0, 120], name="equal", mode="lines", line={"dash": "dot"})
    figure.update_layout(
        title="5 to 95 % quantiles: published labels and this sample",
        xaxis_title="Clump Scout (pixels)", yaxis_title="this sample (pixels)",
        template=need("workbench.plotting").TEMPLATE,
    )  # fmt: skip
    return figure
