"""Source `deep`: simulated galaxies as a deep survey catalogues them, many faint clumps a galaxy.

The Clump Scout labels that calibrate `simulate` are what volunteers saw in single exposures. The
catalogue of Stripe 82 (Mehta et al. 2021) is deeper: 1-29 clumps a galaxy, half of them below
0.7 % of its u light, on bright blue disks and in pictures of strong colours. Measured there at
6 pixels per FWHM (contrast of clumps of 1 % and more with their surroundings, in i, r, g; 1/255):

    clumps 14, 16, 35   on disks of 109, 110, 136   noise 11, the same in every band
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.clumps.galaxy import Galaxy, Label
from workbench.clumps.render import NATIVE, render, resample
from workbench.clumps.scene import (
    MOST_CLUMP_LIGHT,
    Host,
    Point,
    R,
    Scene,
    U,
    arm_pattern,
    colours_to_flux,
    disk_coordinates,
    draw_scene,
    star_flux,
)
from workbench.clumps.simulate import annotate
from workbench.clumps.stretch import STRIPE82

# u flux ratios: median and scatter (ln) of the catalogue, within what can be seen at all.
RATIO_MEDIAN, RATIO_SCATTER = 0.008, 1.2
RATIO_RANGE = (0.002, 0.3)
# u flux in nanomaggies of the faintest clump: 5 % of the catalogue are fainter. Without it, labels
# lie on nothing that can be seen.
FAINTEST = 0.4
# Sizes over those of `simulate`: half-light radii there are 4 PSF FWHM.
SMALLER = 0.65
# Pixels a side: with more of the sky around than Clump Scout's 200, as those pictures have.
DEEP_SIDE = 260
# Clumps a galaxy: lognormal, median 4.5, 16-84 % 2 to 9.
NUMBER_MEDIAN, NUMBER_SCATTER, MOST = 4.5, 0.75, 28
BRIGHTER = (0.4, 1.4)  # than the galaxies of `simulate`: the sample is of nearby, large ones
SATURATION = (1.0, 1.6)  # colours of the pictures over those of the plain stretch
# Colours u-g, g-r, r-i. Hosts scatter less than the catalogue's whole range. The clumps' are bluer
# than catalogued: what gives the contrasts measured on the pictures.
HOST_COLOURS = np.array([(0.94, 0.10), (0.27, 0.07), (0.10, 0.04)])
CLUMP_COLOURS = np.array([(0.0, 0.25), (-0.30, 0.18), (-0.25, 0.12)])
BRIGHT_STAR_PART = 0.25  # of the pictures hold a star of 13.5 to 17 mag
GREY_NOISE = (4.0, 14.0)  # 1/255 of full scale


def deep(seed: int, index: int, side: int = DEEP_SIDE) -> Galaxy:
    """Return galaxy number `index` of the deep sample `seed`, the same in any order."""
    rng = np.random.default_rng([seed, index, 2])
    scene = _deepened(draw_scene(seed + 2**33, index, side), rng)
    picture = STRIPE82.picture(render(scene)).astype(np.float64)
    grey = picture.mean(axis=-1, keepdims=True)
    coloured = grey + rng.uniform(*SATURATION) * (picture - grey)
    cells = int(np.ceil(side * scene.arcsec_per_px / NATIVE)) + 8
    noise = resample(rng.standard_normal((cells, cells, 1)), scene)
    level = rng.uniform(*GREY_NOISE) / 255 * (1 - 0.6 * grey.clip(0, 1))
    shown = (coloured + level * noise).clip(0, 1)
    truth = annotate(scene, f"deep-{seed}-{index}")
    return Galaxy((shown * 255).round().astype(np.float32) / np.float32(255), truth)


def _deepened(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return `scene` with a brighter, smoother, bluer host and clumps of the deep catalogue."""
    old = scene.host
    gain = float(np.exp(rng.uniform(*np.log(BRIGHTER))))
    light = old.disk[R] + old.bulge[R]
    bulge = 0.3 * gain * old.bulge
    host = replace(
        old,
        disk=colours_to_flux(gain * light, rng.normal(*HOST_COLOURS.T)) - 0.5 * bulge,
        bulge=bulge,
        scale=SMALLER * old.scale,
        bulge_size=SMALLER * old.bulge_size,
        bar_length=SMALLER * old.bar_length,
        bar=0.5 * gain * old.bar,
        contrast=0.6 * old.contrast,
    )
    total = float((host.disk + host.bulge + host.bar)[U])
    number = int(np.clip(round(rng.lognormal(np.log(NUMBER_MEDIAN), NUMBER_SCATTER)), 1, MOST))
    ratios = rng.lognormal(np.log(RATIO_MEDIAN), RATIO_SCATTER, number).clip(*RATIO_RANGE)
    ratios = np.maximum(ratios, FAINTEST / total)
    ratios *= min(1.0, MOST_CLUMP_LIGHT / ratios.sum())
    odd = [point for point in scene.points if point.label is Label.ODD]
    clumps = _clumps(scene, host, ratios * total, rng)
    labelled = [*clumps, *odd]
    return replace(
        scene,
        host=host,
        depth=float(rng.uniform(0.2, 0.5)),
        points=(*labelled, *_field(scene, host, rng)),
        flux_ratio=np.array([point.flux[U] / total for point in labelled]),
    )


def _field(scene: Scene, host: Host, rng: np.random.Generator) -> list[Point]:
    """Draw stars and galaxies off the disk, about one in 110 square arcsec, some as blue as clumps.

    A detector that never saw these takes every faint blue galaxy of a deep picture for a clump.
    """
    half = 0.55 * scene.side * scene.arcsec_per_px
    points = []
    number = int(rng.poisson((2 * half) ** 2 / 110))
    bright = int(rng.random() < BRIGHT_STAR_PART)
    for k in range(number + bright):
        x, y = (float(at) for at in rng.uniform(-half, half, 2))
        inner, _ = disk_coordinates(host, np.array([x]), np.array([y]))
        if inner[0] < 3.6 * host.scale:  # where clumps are
            continue
        magnitude = rng.uniform(13.5, 17.0) if k < bright else 23.2 - rng.exponential(1.1)
        flux = float(10 ** (0.4 * (22.5 - magnitude)))
        if k < bright or rng.random() < 0.3:
            points.append(Point(x, y, star_flux(rng, flux), 0.0, None))
        else:
            colours = rng.normal([0.8, 0.4, 0.2], [0.4, 0.4, 0.2])
            size = float(rng.uniform(0.15, 0.9))
            points.append(Point(x, y, colours_to_flux(flux, colours), size, None))
    return points


def _clumps(
    scene: Scene,
    host: Host,
    fluxes: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> list[Point]:
    """Draw clumps of u `fluxes` where the disk has its light, a little outwards."""
    placed: list[Point] = []
    for flux in fluxes:
        for _ in range(20):
            radius = host.scale * np.sqrt(rng.uniform(0.02, 1)) * 3.6
            angle = rng.uniform(0, 2 * np.pi)
            along, across = radius * np.cos(angle), radius * np.sin(angle) * host.axis_ratio
            x = along * np.cos(host.angle) - across * np.sin(host.angle)
            y = along * np.sin(host.angle) + across * np.cos(host.angle)
            inner, azimuth = disk_coordinates(host, np.array([x]), np.array([y]))
            arms = float(arm_pattern(host, inner, azimuth)[0])
            liked = np.exp(-radius / (2.2 * host.scale)) * min(arms, 1.5) / 1.5
            apart = all(np.hypot(x - p.x, y - p.y) > 0.8 * scene.psf_arcsec for p in placed)
            if apart and rng.random() < liked:
                break
        shape = colours_to_flux(1.0, rng.normal(*CLUMP_COLOURS.T))
        size = float(rng.uniform(0.0, 0.4)) * scene.psf_arcsec
        placed.append(Point(float(x), float(y), flux * shape / shape[U], size, Label.CLUMP))
    return placed
