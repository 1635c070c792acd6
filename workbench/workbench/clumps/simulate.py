"""Source `simulated`: galaxies with clumps, the same for a seed and index everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps import sky
from workbench.clumps.galaxy import Annotation, Galaxy, annotation, square_boxes
from workbench.clumps.render import render
from workbench.clumps.scene import Scene, draw_scene
from workbench.clumps.stretch import SKYSERVER, VIEWER, Style

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 200  # pixels, as the labelled part of a Clump Scout cutout
# Part of every cache key: raise it when pictures of the same seed and index change.
VERSION = "13"
SKYSERVER_PART = 0.2  # of the pictures; the rest are in that of the Legacy viewer


def simulate(seed: int, index: int, side: int = SIDE) -> Galaxy:
    """Return galaxy number `index` of the sample `seed`: picture, boxes, flux ratios, WCS."""
    scene = draw_scene(seed, index, side)
    return Galaxy(style_of(scene).picture(render(scene)), annotate(scene, f"sim-{seed}-{index}"))


def style_of(scene: Scene) -> Style:
    """Return the picture style of a scene, fixed by its seed."""
    return SKYSERVER if scene.noise_seed / 2**32 < SKYSERVER_PART else VIEWER


def annotate(scene: Scene, name: str) -> Annotation:
    """Return the truth of a scene: its labelled points whose centre is in the picture."""
    labelled = [point for point in scene.points if point.label is not None]
    middle = (scene.side - 1) / 2
    centres = np.array([(point.x, point.y) for point in labelled]).reshape(-1, 2)
    centres = centres / scene.arcsec_per_px + middle
    inside = (np.abs(centres - middle) <= scene.side / 2).all(axis=1)
    psf = scene.psf_arcsec / scene.arcsec_per_px
    labels = np.array([int(point.label or 0) for point in labelled], dtype=np.int64)
    return annotation(
        name,
        (scene.side, scene.side),
        square_boxes(centres[inside], psf),
        labels[inside],
        scene.flux_ratio[inside],
        psf_fwhm=psf,
        redshift=scene.redshift,
        wcs=sky.north_up(180.0, 0.0, middle, middle, scene.arcsec_per_px),
    )


def truths(seed: int, indices: Sequence[int], side: int = SIDE) -> list[Annotation]:
    """Return the truth alone, without rendering: for statistics of many galaxies."""
    return [annotate(draw_scene(seed, k, side), f"sim-{seed}-{k}") for k in indices]
