"""What a simulated survey picture holds: drawn from a seed and an index, nothing rendered yet.

Fluxes are in nanomaggies, sizes and positions in arcsec from the picture's centre (x right,
y down). Bands are u, g, r, i; colours of clumps and galaxies are those of Mehta et al. 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps import statistics
from workbench.clumps.galaxy import Label

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    # Draws a position of such a label in arcsec, apart from the points given.
    Place = Callable[[Label, Sequence["Point"]], tuple[float, float]]

U, G, R, I = range(4)  # noqa: E741 - the bands' names
# Clump over galaxy in u: log-uniform, from invisible to dominant.
FLUX_RATIO = (0.003, 0.3)
# The clumps of a galaxy never make more than this part of its u light.
MOST_CLUMP_LIGHT = 0.6
# Scale lengths: clumps are nearer, which puts them at the half-light radii where those of Stripe 82
# are (0.55, 1.26, 2.1 at 5, 50, 95 %; 0.46, 1.26, 2.7 there); the field begins farther out.
DISK_END, FIELD = 3.0, 4.0
REACH = (0.6, 1.0)  # of the first, where the farthest clump of a galaxy is that would lie beyond
APART = 1.4  # PSF FWHM between clumps or odd objects: nearer ones are catalogued as one
PSF_ARCSEC = (1.28, 0.09)  # r band, mean and scatter: SDSS (median 1.27 on Stripe 82)
# r magnitude at this ln of the half-light radius in arcsec, its slope over that, and scatter, as
# the clumpy galaxies of Stripe 82 have it; their mean r surface brightness within that radius is
# 19.7, 21.8, 22.9 mag per square arcsec (5, 50, 95 %). None is fainter than what SDSS takes without
# question (Strauss et al. 2002, AJ 124, 1810).
MAGNITUDE, BRIGHTEST, FAINTEST_SURFACE = (16.0, 1.73, -1.0, 0.8), 13.0, 23.0
HALF_LIGHT = 1.678  # scale lengths of an exponential disk
# Mean and scatter of colours. Galaxies and clumps: medians and half the 16-84 % range of the
# Stripe 82 catalogue (clumps' u-g 0.39, g-r 0.06), r-i after their spectral types.
GALAXY_COLOURS = np.array([(0.94, 0.16), (0.30, 0.12), (0.14, 0.07)])
CLUMP_COLOURS = np.array([(0.39, 0.30), (0.05, 0.18), (-0.04, 0.15)])


@dataclass(frozen=True, eq=False)
class Point:
    """A clump, star or small neighbour.

    Attributes
    ----------
    x, y
        arcsec from the centre.
    flux
        (4,) nanomaggies in u, g, r, i.
    size
        Gaussian sigma in arcsec, 0 for a star.
    label
        None where it is no object of the table: stars and galaxies of the field.
    """

    x: float
    y: float
    flux: NDArray[np.float64]
    size: float
    label: Label | None


@dataclass(frozen=True, eq=False)
class Host:
    """The galaxy without its clumps.

    Attributes
    ----------
    disk, bulge, bar
        (4,) nanomaggies.
    scale, bulge_size, bar_length
        Disk scale length, bulge and bar half-light sizes in arcsec.
    axis_ratio, angle
        Of the disk on the sky; radians from x towards y.
    flatness
        Exponent of the radius in the disk's profile: 1 exponential, more for a flat middle.
    arms, pitch, contrast, phase
        Logarithmic spiral: number of arms, tangent of the pitch angle, amplitude, radians.
    lumps
        Seed of the fine structure (flocculence) of the disk.
    """

    disk: NDArray[np.float64]
    bulge: NDArray[np.float64]
    bar: NDArray[np.float64]
    scale: float
    bulge_size: float
    bar_length: float
    axis_ratio: float
    angle: float
    arms: int
    pitch: float
    contrast: float
    phase: float
    lumps: int
    flatness: float = 1.0


@dataclass(frozen=True, eq=False)
class Scene:
    """A whole picture: host, points, PSF and scale.

    Attributes
    ----------
    side
        Pixels a side.
    arcsec_per_px
        Scale of the picture.
    psf_arcsec
        r-band PSF FWHM.
    depth
        Noise over that of one SDSS exposure; below 1 for deeper surveys.
    flux_ratio
        For each point of a label, its u flux over the galaxy's.
    """

    side: int
    arcsec_per_px: float
    psf_arcsec: float
    depth: float
    redshift: float
    host: Host
    points: tuple[Point, ...]
    flux_ratio: NDArray[np.float64]
    noise_seed: int


def draw_scene(seed: int, index: int, side: int = 200) -> Scene:
    """Return scene number `index` of the sample `seed`, the same on every machine and in any order.

    Raises nothing: every seed and index (not negative) gives a scene.
    """
    rng = np.random.default_rng([seed, index])
    first, *free = rng.standard_normal(3)
    rho = np.array([statistics.NUMBER_PSF_CORRELATION, statistics.ODD_PSF_CORRELATION])
    levels = _normal_cdf(np.array([first, *(rho * first + np.sqrt(1 - rho**2) * free)]))
    fwhm = statistics.quantile(statistics.PSF_FWHM, float(levels[0]))
    clumps, odd = statistics.draw_numbers(rng, float(levels[1]), float(levels[2]))
    psf_arcsec = float(np.clip(rng.normal(*PSF_ARCSEC), 1.0, 1.7))
    scale = psf_arcsec / fwhm
    total = colours_to_flux(1.0, rng.normal(*GALAXY_COLOURS.T))  # of r, until the size is known
    ratios = _flux_ratios(rng, clumps)
    host = _draw_host(rng, total, ratios, scale)
    frame = Frame(side, scale, psf_arcsec)
    place = partial(_place_apart, rng, host, frame)
    found = _clumps(rng, place, ratios * total[U], psf_arcsec)
    points = [*found, *_odd_objects(rng, place, odd, total, found)]
    labelled = np.array([p.flux[U] / total[U] for p in points])
    host = _reaching(host, found, DISK_END * float(rng.uniform(*REACH)))
    light = _light(rng, host)
    host = replace(host, disk=light * host.disk, bulge=light * host.bulge, bar=light * host.bar)
    points = [replace(point, flux=light * point.flux) for point in points]
    field = _field(rng, side * scale, host)
    return Scene(
        side, scale, psf_arcsec, float(rng.choice([1.0, 0.45], p=[0.7, 0.3])),
        float(rng.uniform(0.01, 0.08)), host, (*points, *field), labelled,
        int(rng.integers(2**32)),
    )  # fmt: skip


def _normal_cdf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from math import erf, sqrt  # noqa: PLC0415 - scalar maths, used here alone

    return np.array([(1 + erf(value / sqrt(2))) / 2 for value in values])


def colours_to_flux(r_flux: float, colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) nanomaggies from the r flux and u-g, g-r, r-i."""
    u_g, g_r, r_i = colours
    magnitudes = np.array([u_g + g_r, g_r, 0.0, -r_i])
    flux: NDArray[np.float64] = r_flux * 10 ** (-0.4 * magnitudes)
    return flux


def _light(rng: np.random.Generator, host: Host) -> float:
    """Draw the r flux of a galaxy of the size of `host`."""
    at, radius, slope, scatter = MAGNITUDE
    half_light = HALF_LIGHT * host.scale
    drawn = rng.normal(at + slope * (np.log(half_light) - radius), scatter)
    faintest = FAINTEST_SURFACE - 2.5 * np.log10(2 * np.pi * half_light**2 * host.axis_ratio)
    return float(10 ** (0.4 * (22.5 - np.clip(drawn, BRIGHTEST, faintest))))


def _flux_ratios(rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Log-uniform ratios, drawn again as a whole while they ask for too much light."""
    low, high = np.log(FLUX_RATIO)
    while True:
        ratios: NDArray[np.float64] = np.exp(rng.uniform(low, high, number))
        if ratios.sum() <= MOST_CLUMP_LIGHT:
            return ratios


def _draw_host(
    rng: np.random.Generator, total: NDArray[np.float64], ratios: NDArray[np.float64], scale: float
) -> Host:
    """Draw a disk galaxy whose smooth light and clumps together give `total` in u."""
    # At first; it grows where its clumps are farther out.
    length = scale * float(np.clip(rng.lognormal(np.log(20.0), 0.22), 11, 34))
    smooth = total * (1 - ratios.sum() * np.array([1.0, 0.6, 0.45, 0.4]))
    bulge_part = float(np.clip(rng.beta(1.3, 9.0), 0, 0.45)) * np.array([0.35, 0.7, 1.0, 1.15])
    bar_part = (0.07 if rng.random() < 0.3 else 0.0) * np.array([0.6, 0.9, 1.0, 1.05])
    return Host(
        disk=smooth * (1 - bulge_part - bar_part),
        bulge=smooth * bulge_part,
        bar=smooth * bar_part,
        scale=length,
        bulge_size=length * float(rng.uniform(0.15, 0.4)),
        bar_length=length * float(rng.uniform(0.6, 1.1)),
        axis_ratio=float(np.sqrt(rng.uniform(0.2**2, 1.0))),
        angle=float(rng.uniform(0, np.pi)),
        arms=int(rng.choice([2, 3, 4], p=[0.65, 0.2, 0.15])),
        pitch=float(np.tan(np.radians(rng.uniform(12, 35))) * rng.choice([-1, 1])),
        contrast=float(rng.uniform(0.05, 0.75)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        lumps=int(rng.integers(2**32)),
    )


def disk_coordinates(
    host: Host, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return radius (arcsec) and azimuth in the plane of the disk of points on the sky."""
    along = x * np.cos(host.angle) + y * np.sin(host.angle)
    across = (-x * np.sin(host.angle) + y * np.cos(host.angle)) / host.axis_ratio
    return np.hypot(along, across), np.arctan2(across, along)


def arm_pattern(
    host: Host, radius: NDArray[np.float64], azimuth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the spiral's modulation around 1: sharp crests on a logarithmic spiral."""
    winding = np.log(radius / host.scale + 0.15) / host.pitch
    wave = 0.5 + 0.5 * np.cos(host.arms * (azimuth - winding) + host.phase)
    onset = 1 - np.exp(-((radius / host.scale) ** 2))  # arms start outside the bulge
    pattern: NDArray[np.float64] = 1 + host.contrast * onset * (3.2 * wave**3 - 1)
    return pattern.clip(0.05, None)


@dataclass(frozen=True)
class Frame:
    """The picture: pixels a side, arcsec per pixel, and the PSF FWHM in arcsec."""

    side: int
    scale: float
    psf: float


def _place(rng: np.random.Generator, host: Host, frame: Frame, label: Label) -> tuple[float, float]:
    """Draw a position: the radius from the table, the direction by the disk's light there."""
    radius = frame.scale * statistics.quantile(statistics.RADIUS[label], float(rng.random()))
    # Evenly spread, so that the largest radius still has a direction into a corner of the picture.
    angles = (np.arange(24) + rng.random()) * (2 * np.pi / 24)
    x, y = radius * np.cos(angles), radius * np.sin(angles)
    inner, azimuth = disk_coordinates(host, x, y)
    weight = np.exp(-inner / host.scale) * arm_pattern(host, inner, azimuth)
    if label is Label.ODD:  # stars know nothing of the disk
        weight = np.ones(24)
    seen = np.maximum(np.abs(x), np.abs(y)) < frame.scale * frame.side / 2
    if seen.any():  # a picture smaller than 200 pixels may miss this radius whole
        weight = weight * seen
    chosen = rng.choice(24, p=weight / weight.sum())
    return float(x[chosen]), float(y[chosen])


def _place_apart(
    rng: np.random.Generator, host: Host, frame: Frame, label: Label, placed: Sequence[Point]
) -> tuple[float, float]:
    """Draw positions until one is apart from all that is `placed`; the last one of twenty."""
    for _ in range(20):
        x, y = _place(rng, host, frame, label)
        if all(np.hypot(x - p.x, y - p.y) > APART * frame.psf for p in placed):
            break
    return x, y


def _clumps(
    rng: np.random.Generator, place: Place, fluxes: NDArray[np.float64], psf: float
) -> list[Point]:
    """Draw clumps of u `fluxes`."""
    placed: list[Point] = []
    for flux in fluxes:
        x, y = place(Label.CLUMP, placed)
        colours = rng.normal(*CLUMP_COLOURS.T)
        shape = colours_to_flux(1.0, colours)
        size = float(rng.uniform(0.0, 0.35)) * psf
        placed.append(Point(x, y, flux * shape / shape[U], size, Label.CLUMP))
    return placed


def _reaching(host: Host, clumps: Sequence[Point], end: float) -> Host:
    """Return `host`, enlarged where a clump would lie beyond its disk, to have it at `end`."""
    x, y = (np.array([getattr(clump, name) for clump in clumps]) for name in ("x", "y"))
    farthest = float(disk_coordinates(host, x, y)[0].max(initial=0.0)) / host.scale
    larger = farthest / end if farthest > DISK_END else 1.0
    return replace(
        host,
        scale=larger * host.scale,
        bulge_size=larger * host.bulge_size,
        bar_length=larger * host.bar_length,
    )


def star_flux(rng: np.random.Generator, r_flux: float) -> NDArray[np.float64]:
    """Return the flux of a star of the main sequence's colours, from blue to red."""
    g_r = float(rng.uniform(0.25, 1.4))
    r_i = 0.35 * g_r if g_r < 1.2 else float(rng.uniform(0.4, 1.4))
    return colours_to_flux(r_flux, np.array([0.7 + 1.3 * g_r, g_r, r_i]))


def _odd_objects(
    rng: np.random.Generator,
    place: Place,
    number: int,
    total: NDArray[np.float64],
    clumps: Sequence[Point],
) -> list[Point]:
    """Draw what volunteers call odd: stars, small background galaxies, red knots of the bulge."""
    drawn = list[Point]()
    for _ in range(number):
        x, y = place(Label.ODD, [*clumps, *drawn])
        bright = float(np.exp(rng.uniform(np.log(0.004), np.log(0.25)))) * total[R]
        if rng.random() < 0.75:
            drawn.append(Point(x, y, star_flux(rng, bright), 0.0, Label.ODD))
        else:
            colours = rng.normal([1.6, 0.85, 0.4], [0.3, 0.2, 0.1])
            size = float(rng.uniform(0.3, 0.8))
            drawn.append(Point(x, y, colours_to_flux(bright, colours), size, Label.ODD))
    return drawn


def _field(rng: np.random.Generator, width: float, host: Host) -> list[Point]:
    """Draw faint stars and galaxies off the host, about one in 250 square arcsec."""
    points = []
    for _ in range(rng.poisson(width**2 / 250)):
        x, y = rng.uniform(-0.55 * width, 0.55 * width, 2)
        inner, _ = disk_coordinates(host, np.array([x]), np.array([y]))
        if inner[0] < FIELD * host.scale:
            continue
        flux = float(10 ** (0.4 * (22.5 - (22.8 - rng.exponential(1.3)))))
        if rng.random() < 0.35:
            points.append(Point(x, y, star_flux(rng, flux), 0.0, None))
        else:
            colours = rng.normal([1.1, 0.7, 0.35], [0.3, 0.35, 0.15])
            points.append(Point(x, y, colours_to_flux(flux, colours), rng.uniform(0.3, 0.9), None))
    return points
