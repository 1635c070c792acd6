"""Source `deep`: simulated galaxies as a deep survey catalogues them, many faint clumps a galaxy.

The Clump Scout labels that calibrate `simulate` are what volunteers saw in single exposures. The
catalogue of Stripe 82 (Mehta et al. 2021) is deeper: 1-29 clumps a galaxy, half of them below
0.7 % of its u light, on bright blue disks and in pictures of strong colours. Its distributions are
followed: light, size and number, and with them the pictures' scale. Measured on those pictures at
6 pixels per FWHM (contrast of clumps of 1 to 3 % with their surroundings, in i, r, g; 1/255):

    clumps 10, 11, 26   on disks of 102, 110, 132   noise 12, the same in every band
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

# r magnitude, mean and scatter; ln of the half-light radius in arcsec: at 16.2 mag, per magnitude,
# scatter.
MAGNITUDE, MAGNITUDES = (16.0, 0.9), (13.6, 17.6)
SIZE = (1.69, -0.22, 0.37)
HALF_LIGHT = 1.68  # of an exponential disk, in scale lengths
# ln of a clump's u flux in nanomaggies: in a galaxy of 96, per ln of that, scatter. Three clumps of
# a hundred are fainter than the faintest: labels would lie on nothing that can be seen.
CLUMP_FLUX, FAINTEST, BRIGHTEST = (0.03, 0.27, 0.86), 0.25, 0.3
# ln of the clumps of a galaxy: half-light radius of one PSF FWHM, per ln of that, scatter.
NUMBER, MOST = (0.52, 0.74, 0.61), 28
# Radius in the disk in half-light radii, median and scatter (ln), and its end in scale lengths.
RADIUS, DISK_END = (1.5, 0.5), 4.2
APART = 1.4  # PSF FWHM between clumps: nearer ones are catalogued as one
PIXEL = 0.039  # half-light radii, as in those pictures
DEEP_SIDE = 300  # pixels: the central half of the area of those pictures
SATURATION = (1.0, 1.6)  # colours of the pictures over those of the plain stretch
# Colours u-g, g-r, r-i. Hosts scatter less than the catalogue's whole range. The clumps' are bluer
# than catalogued: what gives the contrasts measured on the pictures.
HOST_COLOURS = np.array([(0.92, 0.12), (0.27, 0.09), (0.10, 0.04)])
CLUMP_COLOURS = np.array([(0.2, 0.25), (-0.50, 0.18), (-0.12, 0.12)])
CLUMP_SIZE = (0.1, 0.6)  # Gaussian sigma in PSF FWHM
# Of the catalogued light: an aperture holds some of the disk under the clump.
CLUMP_PART = 0.7
BRIGHT_STAR_PART = 0.25  # of the pictures hold a star of 13.5 to 17 mag
GREY_NOISE = (6.0, 20.0)  # 1/255 of full scale, in the sky
# The stretch is steepest in the dark: disks of those pictures show no noise.
SKY, NOISE_FADES = 22 / 255, 0.12


def deep(seed: int, index: int, side: int = DEEP_SIDE) -> Galaxy:
    """Return galaxy number `index` of the deep sample `seed`, the same in any order."""
    rng = np.random.default_rng([seed, index, 2])
    scene = _deepened(draw_scene(seed + 2**33, index, side), rng)
    picture = STRIPE82.picture(render(scene)).astype(np.float64)
    grey = picture.mean(axis=-1, keepdims=True)
    coloured = grey + rng.uniform(*SATURATION) * (picture - grey)
    cells = int(np.ceil(side * scene.arcsec_per_px / NATIVE)) + 8
    noise = resample(rng.standard_normal((cells, cells, 1)), scene)
    level = rng.uniform(*GREY_NOISE) / 255 * np.exp(-(grey - SKY).clip(0) / NOISE_FADES)
    shown = (coloured + level * noise).clip(0, 1)
    truth = annotate(scene, f"deep-{seed}-{index}")
    return Galaxy((shown * 255).round().astype(np.float32) / np.float32(255), truth)


def _deepened(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return `scene` with the host, the scale and the clumps of the deep catalogue."""
    host, half_light = _host(scene.host, rng)
    total = float((host.disk + host.bulge + host.bar)[U])
    psf = scene.psf_arcsec
    number = _lognormal(rng, NUMBER, np.log(half_light / psf))
    fluxes = [_lognormal(rng, CLUMP_FLUX, np.log(total / 96))
              for _ in range(int(np.clip(round(number), 1, MOST)))]  # fmt: skip
    ratios = np.clip(np.array(fluxes), FAINTEST, BRIGHTEST * total) / total
    ratios *= min(1.0, MOST_CLUMP_LIGHT / ratios.sum())
    changed = replace(
        scene, host=host, arcsec_per_px=PIXEL * half_light, depth=float(rng.uniform(0.12, 0.3))
    )
    clumps = _clumps(changed, ratios * total, rng)
    odd = [point for point in scene.points if point.label is Label.ODD]
    labelled = [*clumps, *odd]
    return replace(
        changed,
        points=(*labelled, *_field(changed, host, rng)),
        flux_ratio=np.array(
            [
                point.flux[U] / total / (CLUMP_PART if point.label is Label.CLUMP else 1)
                for point in labelled
            ]
        ),
    )


def _lognormal(rng: np.random.Generator, law: tuple[float, float, float], at: float) -> float:
    """Draw from the `law` of ln y: constant, slope over `at`, scatter."""
    constant, slope, scatter = law
    return float(np.exp(constant + slope * at + scatter * rng.standard_normal()))


def _host(old: Host, rng: np.random.Generator) -> tuple[Host, float]:
    """Return a brighter, smoother, bluer host and its half-light radius in arcsec."""
    magnitude = float(np.clip(rng.normal(*MAGNITUDE), *MAGNITUDES))
    half_light = _lognormal(rng, SIZE, magnitude - MAGNITUDE[0])
    old_light = float((old.disk + old.bulge)[R])
    gain = float(10 ** (0.4 * (22.5 - magnitude))) / old_light
    larger = half_light / HALF_LIGHT / old.scale
    bulge = 0.25 * gain * old.bulge
    host = replace(
        old,
        disk=colours_to_flux(gain * old_light, rng.normal(*HOST_COLOURS.T)) - 0.5 * bulge,
        bulge=bulge,
        scale=larger * old.scale,
        bulge_size=larger * old.bulge_size,
        bar_length=larger * old.bar_length,
        bar=0.5 * gain * old.bar,
        contrast=0.45 * old.contrast,
    )
    return host, half_light


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
    scene: Scene, fluxes: np.ndarray[tuple[int], np.dtype[np.float64]], rng: np.random.Generator
) -> list[Point]:
    """Draw clumps of u `fluxes` in the disk, on its arms more often than between them."""
    host, placed = scene.host, list[Point]()
    for flux in fluxes:
        for _ in range(20):
            radius = HALF_LIGHT * host.scale * rng.lognormal(np.log(RADIUS[0]), RADIUS[1])
            angle = rng.uniform(0, 2 * np.pi)
            along, across = radius * np.cos(angle), radius * np.sin(angle) * host.axis_ratio
            x = along * np.cos(host.angle) - across * np.sin(host.angle)
            y = along * np.sin(host.angle) + across * np.cos(host.angle)
            inner, azimuth = disk_coordinates(host, np.array([x]), np.array([y]))
            arms = float(arm_pattern(host, inner, azimuth)[0])
            apart = all(np.hypot(x - p.x, y - p.y) > APART * scene.psf_arcsec for p in placed)
            if apart and radius < DISK_END * host.scale and rng.random() < min(arms, 1.5) / 1.5:
                shape = colours_to_flux(1.0, rng.normal(*CLUMP_COLOURS.T))
                size = float(rng.uniform(*CLUMP_SIZE)) * scene.psf_arcsec
                light = CLUMP_PART * flux * shape / shape[U]
                placed.append(Point(float(x), float(y), light, size, Label.CLUMP))
                break
    return placed
