"""Source `deep`: simulated galaxies as a deep survey catalogues them, many faint clumps a galaxy.

The Clump Scout labels that calibrate `simulate` are what volunteers saw in single exposures. The
catalogue of Stripe 82 (Mehta et al. 2021) is deeper: 1-29 clumps a galaxy, half of them below
0.7 % of its u light, found by what stands out of a mean of its surroundings. Light, sizes, numbers
and radii follow its galaxies, pictures the co-added ones: their stretch, grey noise, and no colour
in the dark. Labelled is what that procedure finds in them (`Contrast.objects`) and is bluer than
what it lies on, whether it was drawn as a clump, as one of the redder knots or is a lump of the
disk. So found (10, 50, 90 % of the galaxies; brightest cell over the least: 5, 50, 95 %):

                              60 simulated galaxies      53 of Stripe 82
    objects                   3, 9, 19                   3, 6, 15
    bluer ones                1, 6, 13                   2, 4, 13
    brightest cell of these   2.4, 7.3, 36               2.5, 6.6, 37
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.brightness import G_OVER_U, flux_ratios
from workbench.clumps.contrast import Contrast
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Galaxy, Label, square_boxes
from workbench.clumps.render import render
from workbench.clumps.scene import (
    APART,
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
from workbench.clumps.stretch import COADD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


# r magnitude, mean and scatter; ln of the half-light radius in arcsec: at 16.2 mag, per magnitude,
# scatter.
MAGNITUDE, MAGNITUDES = (16.0, 0.9), (13.6, 17.6)
SIZE = (1.69, -0.22, 0.37)
# Of the disks: exponent of the profile, and half-light radius in scale lengths with it.
FLATNESS, HALF_LIGHT = 1.25, 1.214
ARMS, BULGE = 0.35, 0.15  # of the arms' contrast and the bulges' light in single exposures
# ln of a clump's u flux in nanomaggies: in a galaxy of 96, per ln of that, scatter; its ends, the
# second in galaxies.
CLUMP_FLUX, FAINTEST, BRIGHTEST = (0.03, 0.27, 0.86), 0.25, 0.3
# ln of the clumps of a galaxy: half-light radius of one PSF FWHM, per ln of that, scatter. A fifth
# more than catalogued: some stand on no light to be found, or too near to another.
NUMBER, MOST = (0.7, 0.74, 0.61), 28
# Radius in the disk in half-light radii, median and scatter (ln), and its end in scale lengths.
RADIUS, DISK_END = (1.5, 0.5), 3.0
PIXEL = 0.039  # half-light radii, as in those pictures
DEEP_SIDE = 300  # pixels: the central half of the area of those pictures
# u-g, g-r, r-i of the hosts, which scatter less than the catalogue's whole range.
HOST_COLOURS = np.array([(0.92, 0.12), (0.27, 0.09), (0.10, 0.04)])
BRIGHT_STAR_PART = 0.25  # of the pictures hold a star of 13.5 to 17 mag
DEPTH = (0.25, 0.45)  # noise over that of one exposure
# Pictures are grey where they, smoothed by 0.6 FWHM, are darker than the first (1/255), and have
# their colours from the second on; these are smoothed by 0.25 FWHM.
COLOURED, SMOOTHED, COLOUR_SMOOTHED = (24 / 255, 45 / 255), 0.6, 0.25
LEAST_RATIO = 1e-4  # what is measured fainter counts as that
# An object as near to an odd one, in PSF FWHM, is that one.
ODD_NEAR = 0.7


@dataclass(frozen=True, eq=False)
class Kind:
    """Points of a disk.

    Attributes
    ----------
    colours
        Mean and scatter of u-g, g-r, r-i.
    size
        Least and largest Gaussian sigma in PSF FWHM.
    part
        Of the catalogued light.
    label
        None where no catalogue has it.
    """

    colours: NDArray[np.float64]
    size: tuple[float, float]
    part: float
    label: Label | None


# Bluer than catalogued (0.4, 0.05), where an aperture holds disk under the clump, and brighter:
# then as many objects are found as in the pictures, as bright and as blue.
CLUMP = Kind(np.array([(0.3, 0.25), (-0.2, 0.18), (-0.1, 0.12)]), (0.0, 0.5), 1.4, Label.CLUMP)
# Knots, as many as clumps, are less blue.
KNOT = Kind(np.array([(0.4, 0.3), (0.0, 0.2), (0.0, 0.15)]), (0.0, 0.7), 1.0, None)
KNOTS = 1.0


def deep(seed: int, index: int, side: int = DEEP_SIDE) -> Galaxy:
    """Return galaxy number `index` of the deep sample `seed`, the same in any order."""
    rng = np.random.default_rng([seed, index, 2])
    scene = _deepened(draw_scene(seed + 2**33, index, side), rng)
    psf = scene.psf_arcsec / scene.arcsec_per_px
    shown = _grey_in_the_dark(COADD.picture(render(scene)).astype(np.float64), psf)
    picture = (shown * 255).round().astype(np.float32) / np.float32(255)
    return catalogued(Galaxy(picture, annotate(scene, f"deep-{seed}-{index}")))


def catalogued(galaxy: Galaxy) -> Galaxy:
    """Return `galaxy` with what a deep catalogue would hold of it for labels.

    Those are its odd objects, and as clumps what stands out and is bluer than what it lies on, with
    flux ratios measured on the picture: NaN where no galaxy stands out at its centre.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, or the picture has not three bands.
    """
    truth = galaxy.truth
    odd = truth.keep(truth.labels == Label.ODD)
    contrast = Contrast(galaxy)
    found = contrast.objects()
    psf = truth.psf_fwhm or 1.0
    apart = np.hypot(*(found.at[:, None] - odd.centres[None]).transpose(2, 0, 1)) / psf
    clumps = found.at[(contrast.bluer(found.at) > 0) & (apart > ODD_NEAR).all(axis=1)]
    boxes = square_boxes(clumps, psf)
    measured = flux_ratios(galaxy, boxes)
    known = np.where(np.isfinite(measured), measured.clip(LEAST_RATIO, 1), np.nan) / G_OVER_U
    labels = np.full(len(clumps), int(Label.CLUMP), np.int64)
    return Galaxy(
        galaxy.image,
        replace(
            truth,
            boxes=np.concatenate([boxes, odd.boxes]),
            labels=np.concatenate([labels, odd.labels]),
            flux_ratio=np.concatenate([known, odd.flux_ratio]),
        ),
    )


def _grey_in_the_dark(picture: NDArray[np.float64], psf: float) -> NDArray[np.float64]:
    """Return `picture` (H, W, 3) as the survey shows it: noise has no colour."""
    smooth = need("scipy.ndimage").gaussian_filter
    grey = picture.mean(axis=-1, keepdims=True)
    light = smooth(grey, (SMOOTHED * psf, SMOOTHED * psf, 0))
    part = ((light - COLOURED[0]) / (COLOURED[1] - COLOURED[0])).clip(0, 1)
    colour = smooth(picture - grey, (COLOUR_SMOOTHED * psf, COLOUR_SMOOTHED * psf, 0))
    shown: NDArray[np.float64] = (grey + part * colour).clip(0, 1)
    return shown


def _deepened(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return `scene` with the host, the scale and the clumps of the deep catalogue."""
    host, half_light = _host(scene.host, rng)
    total = float((host.disk + host.bulge + host.bar)[U])
    psf = scene.psf_arcsec
    number = _lognormal(rng, NUMBER, np.log(half_light / psf))
    fluxes = _fluxes(rng, int(np.clip(round(number), 1, MOST)), total)
    ratios = np.clip(fluxes, FAINTEST, BRIGHTEST * total) / total
    ratios *= min(1.0, MOST_CLUMP_LIGHT / ratios.sum())
    changed = replace(
        scene, host=host, arcsec_per_px=PIXEL * half_light, depth=float(rng.uniform(*DEPTH))
    )
    clumps = _on_disk(changed, CLUMP, ratios * total, rng)
    knots = _fluxes(rng, int(rng.poisson(KNOTS * len(clumps))), total)
    odd = [point for point in scene.points if point.label is Label.ODD]
    labelled = [*clumps, *odd]
    return replace(
        changed,
        points=(
            *labelled,
            *_on_disk(changed, KNOT, knots, rng, clumps),
            *_field(changed, host, rng),
        ),
        flux_ratio=np.array(
            [
                point.flux[U] / total / (CLUMP.part if point.label is Label.CLUMP else 1)
                for point in labelled
            ]
        ),
    )


def _lognormal(rng: np.random.Generator, law: tuple[float, float, float], at: float) -> float:
    """Draw from the `law` of ln y: constant, slope over `at`, scatter."""
    constant, slope, scatter = law
    return float(np.exp(constant + slope * at + scatter * rng.standard_normal()))


def _fluxes(rng: np.random.Generator, number: int, total: float) -> NDArray[np.float64]:
    """Draw (number,) u fluxes of clumps of a galaxy of u flux `total`."""
    drawn = [_lognormal(rng, CLUMP_FLUX, np.log(total / 96)) for _ in range(number)]
    return np.array(drawn)


def _host(old: Host, rng: np.random.Generator) -> tuple[Host, float]:
    """Return a brighter, smoother, bluer host and its half-light radius in arcsec."""
    magnitude = float(np.clip(rng.normal(*MAGNITUDE), *MAGNITUDES))
    half_light = _lognormal(rng, SIZE, magnitude - MAGNITUDE[0])
    old_light = float((old.disk + old.bulge)[R])
    gain = float(10 ** (0.4 * (22.5 - magnitude))) / old_light
    larger = half_light / HALF_LIGHT / old.scale
    bulge = BULGE * gain * old.bulge
    host = replace(
        old,
        disk=colours_to_flux(gain * old_light, rng.normal(*HOST_COLOURS.T)) - 0.5 * bulge,
        bulge=bulge,
        scale=larger * old.scale,
        bulge_size=larger * old.bulge_size,
        bar_length=larger * old.bar_length,
        bar=0.5 * gain * old.bar,
        contrast=ARMS * old.contrast,
        flatness=FLATNESS,
    )
    return host, half_light


def _field(scene: Scene, host: Host, rng: np.random.Generator) -> list[Point]:
    """Draw stars and galaxies off the disk, about one in 250 square arcsec, some as blue as clumps.

    A detector that never saw these takes every faint blue galaxy of a deep picture for a clump.
    """
    half = 0.55 * scene.side * scene.arcsec_per_px
    points = []
    number = int(rng.poisson((2 * half) ** 2 / 250))
    bright = int(rng.random() < BRIGHT_STAR_PART)
    for k in range(number + bright):
        x, y = (float(at) for at in rng.uniform(-half, half, 2))
        inner, _ = disk_coordinates(host, np.array([x]), np.array([y]))
        if inner[0] < 2.6 * host.scale:  # where clumps are
            continue
        magnitude = rng.uniform(13.5, 17.0) if k < bright else 23.2 - rng.exponential(1.1)
        flux = float(10 ** (0.4 * (22.5 - magnitude)))
        if k < bright or rng.random() < 0.3:
            points.append(Point(x, y, star_flux(rng, flux), 0.0, None))
        else:
            colours = rng.normal([0.9, 0.55, 0.25], [0.35, 0.3, 0.15])
            size = float(rng.uniform(0.15, 0.9))
            points.append(Point(x, y, colours_to_flux(flux, colours), size, None))
    return points


def _on_disk(
    scene: Scene,
    kind: Kind,
    fluxes: NDArray[np.float64],
    rng: np.random.Generator,
    taken: Sequence[Point] = (),
) -> list[Point]:
    """Draw points of u `fluxes` in the disk, apart from each other and from those `taken`.

    They are on its arms more often than between them.
    """
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
            apart = all(np.hypot(x - p.x, y - p.y) > APART * scene.psf_arcsec
                        for p in (*taken, *placed))  # fmt: skip
            if apart and radius < DISK_END * host.scale and rng.random() < min(arms, 1.5) / 1.5:
                shape = colours_to_flux(1.0, rng.normal(kind.colours[:, 0], kind.colours[:, 1]))
                size = float(rng.uniform(*kind.size)) * scene.psf_arcsec
                light = kind.part * flux * shape / shape[U]
                placed.append(Point(float(x), float(y), light, size, kind.label))
                break
    return placed
