"""The procedure of `contrast`, repeated: how often what it finds comes back.

A hair's breadth in level, noise or where a pixel begins splits an object in two or loses it, and
none of these can be read from a picture. Each repetition draws them anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.contrast import LEVEL, Draw, Objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.clumps.contrast import Contrast

# Drawn are ln of the level, mean and scatter; ends of the Gaussian sigma in cells that
# the picture is smoothed with, of u over g light and of the noise of u in nanomaggies a cell.
LEVELS, SMOOTHED, U_OVER_GS, U_NOISE = (0.05, 0.15), (0.0, 0.5), (0.2, 0.6), (0.0, 0.015)
TIMES = 32
# An object is the same as another of a repetition within the second, in PSF FWHM, and objects
# are densest where Gaussians of the first sigma about them add up to most.
DENSE, SAME = 0.2, 0.45


def repeated(contrast: Contrast, times: int = TIMES) -> Objects:
    """Return what `times` repetitions find in a picture, each as published but for what is unknown.

    Positions, peaks and cells are means.
    """
    rng = np.random.default_rng([times, 16])
    draws = [_draw(rng, seed) for seed in range(times)]
    light = contrast.cells
    return _same([contrast.objects(draw) for draw in draws], light.psf * light.size)


def _draw(rng: np.random.Generator, seed: int) -> Draw:
    return Draw(
        shift=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5))),
        level=LEVEL * float(np.exp(rng.normal(*LEVELS))),
        smoothed=float(rng.uniform(*SMOOTHED)),
        u_over_g=float(rng.uniform(*U_OVER_GS)),
        u_noise=float(rng.uniform(*U_NOISE)),
        seed=seed,
    )


def _same(found: Sequence[Objects], psf: float) -> Objects:
    """Return one set of objects of those of all repetitions: the densest first, each joined once.

    `psf` is in pixels.
    """
    at = np.concatenate([one.at for one in found])
    peak = np.concatenate([one.peak for one in found])
    cells = np.concatenate([one.cells for one in found])
    turn = np.repeat(np.arange(len(found)), [len(one) for one in found])
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) / psf
    near = np.exp(-0.5 * (apart / DENSE) ** 2)
    free = np.ones(len(at), np.bool_)
    rows = []
    while free.any():
        dense = np.where(free, near[:, free].sum(axis=1), -1)
        middle = int(dense.argmax())
        around = np.flatnonzero(free & (apart[middle] < SAME))
        nearest = around[np.argsort(apart[middle, around], kind="stable")]
        _, first = np.unique(turn[nearest], return_index=True)
        group = nearest[first]  # of each repetition the nearest
        free[group] = False
        rows.append((
            *at[group].mean(axis=0), peak[group].mean(), cells[group].mean(),
            len(group) / len(found),
        ))  # fmt: skip
    known = np.array(rows).reshape(-1, 5)
    return Objects(known[:, :2], known[:, 2], known[:, 3], known[:, 4])
