"""Source `injected`: clumps added to real (or simulated) pictures, in linear flux, with their PSF.

A picture is taken back to linear bands, the clumps are drawn there with the picture's own PSF, and
the same stretch gives the picture again. Pixels that no clump reaches keep their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import statistics
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, Galaxy, Label, square_boxes
from workbench.clumps.host import FWHM_PER_SIGMA, host_mask
from workbench.clumps.render import BAND_PSF, BANDS, MOFFAT_BETA
from workbench.clumps.scene import (
    APART,
    CLUMP_COLOURS,
    FLUX_RATIO,
    GALAXY_COLOURS,
    MOST_CLUMP_LIGHT,
    G,
    U,
    colours_to_flux,
)
from workbench.clumps.simulate import simulate
from workbench.clumps.stretch import VIEWER, Style
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# A clump nearer to the centre than this is taken for the bulge by catalogues.
NUCLEUS_FWHM = 1.5
# PSF stamps reach this far: 99.5 % of the light of a Moffat profile of beta 3.5 is inside.
REACH_FWHM = 4.0
HOST_ATTEMPTS = 30


@dataclass(frozen=True)
class Clump:
    """A clump to add.

    Attributes
    ----------
    x, y
        Pixels.
    flux_ratio
        Its u flux over the galaxy's.
    size
        Gaussian sigma in PSF FWHM; 0 is a point source.
    colours
        u-g, g-r and r-i in magnitudes; by default those of the mean catalogued clump.
    """

    x: float
    y: float
    flux_ratio: float
    size: float = 0.0
    colours: tuple[float, float, float] = (0.39, 0.05, -0.04)


def inject(galaxy: Galaxy, clumps: Sequence[Clump], style: Style = VIEWER) -> Galaxy:
    """Return `galaxy` with `clumps` added to picture and truth.

    The galaxy's u flux, which no picture shows, follows from its g flux (inside its outline) and
    the mean u-g of clumpy galaxies, 0.94.

    Raises
    ------
    WorkbenchError
        The PSF is unknown, the picture has not three bands, a clump is outside or its ratio is not
        positive, or no galaxy is found at the centre.
    """
    truth = galaxy.truth
    psf = _check(galaxy, clumps)
    linear = style.linear(galaxy.image)
    unit = u_flux(galaxy, linear)
    added = np.zeros_like(linear)
    for clump in clumps:
        _add(added, clump, clump.flux_ratio * unit, psf)
    touched = (added > 0).any(axis=-1, keepdims=True)
    picture = np.where(touched, style.picture(linear + added), galaxy.image)
    boxes = square_boxes([(clump.x, clump.y) for clump in clumps], psf)
    more = replace(
        truth,
        boxes=np.concatenate([truth.boxes, boxes]),
        labels=np.append(truth.labels, np.full(len(clumps), int(Label.CLUMP), np.int64)),
        flux_ratio=np.append(truth.flux_ratio, [clump.flux_ratio for clump in clumps]),
    )
    return Galaxy(picture.astype(np.float32), more)


def _check(galaxy: Galaxy, clumps: Sequence[Clump]) -> float:
    truth = galaxy.truth
    if truth.psf_fwhm is None:
        raise WorkbenchError(f"{truth.name}: injection needs the PSF FWHM; give psf_fwhm_r_px")
    if galaxy.image.shape[2] != 3:
        raise WorkbenchError(f"{truth.name}: {galaxy.image.shape[2]} bands; injection needs 3")
    for clump in clumps:
        inside = -0.5 <= clump.x <= truth.width - 0.5 and -0.5 <= clump.y <= truth.height - 0.5
        if not (inside and clump.flux_ratio > 0):
            raise WorkbenchError(
                f"{truth.name}: {clump}; expected a positive flux ratio and a place inside "
                f"{truth.width} x {truth.height} pixels"
            )
    return truth.psf_fwhm


def outline(galaxy: Galaxy) -> NDArray[np.bool_]:
    """Return (H, W), where the galaxy at the picture's centre is.

    Raises
    ------
    WorkbenchError
        Nothing stands out at the centre.
    """
    sigma = (galaxy.truth.psf_fwhm or 0.0) / FWHM_PER_SIGMA
    mask = host_mask(galaxy.image.mean(axis=2).astype(np.float64) * 255, sigma)
    if not mask.any():
        raise WorkbenchError(f"{galaxy.truth.name}: no galaxy stands out at the picture's centre")
    return mask


def u_flux(galaxy: Galaxy, linear: NDArray[np.float64]) -> float:
    """Return the galaxy's u flux in the unit of the bands `linear` (H, W, 3) i, r, g."""
    mask = outline(galaxy)
    blue = linear[:, :, 2]
    g_flux = float((blue[mask] - np.median(blue[~mask]) if (~mask).any() else blue[mask]).sum())
    mean = colours_to_flux(1.0, GALAXY_COLOURS[:, 0])
    return max(g_flux, 0.0) * float(mean[U] / mean[G])


def _add(bands: NDArray[np.float64], clump: Clump, flux_u: float, psf: float) -> None:
    """Draw one clump of u flux `flux_u` onto `bands` (H, W, 3)."""
    galsim = need("galsim")
    colour = colours_to_flux(1.0, np.array(clump.colours))
    flux = flux_u * colour / colour[U]
    reach = int(np.ceil(REACH_FWHM * psf * (1 + clump.size)))
    column, row = round(clump.x), round(clump.y)
    for band, source in enumerate(BANDS):
        profile: Any = galsim.Moffat(beta=MOFFAT_BETA, fwhm=psf * BAND_PSF[band])
        if clump.size > 0:
            profile = galsim.Convolve([profile, galsim.Gaussian(sigma=clump.size * psf)])
        stamp = (profile.withFlux(float(flux[source]))).drawImage(
            nx=2 * reach + 1, ny=2 * reach + 1, scale=1.0, method="no_pixel",
            offset=(clump.x - column, clump.y - row),
        ).array  # fmt: skip
        _paste(bands[:, :, band], np.maximum(stamp, 0), row - reach, column - reach)


def _paste(plane: NDArray[np.float64], stamp: NDArray[Any], top: int, left: int) -> None:
    """Add `stamp` with its first pixel at (top, left), what sticks out cut off."""
    bottom, right = top + stamp.shape[0], left + stamp.shape[1]
    rows = slice(max(top, 0), max(min(bottom, plane.shape[0]), 0))
    columns = slice(max(left, 0), max(min(right, plane.shape[1]), 0))
    part = stamp[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    plane[rows, columns] += part


def places(
    galaxy: Galaxy, number: int, rng: np.random.Generator, taken: ArrayLike = ()
) -> NDArray[np.float64]:
    """Draw up to `number` pixels (N, 2) x, y by the galaxy's light, outside the nucleus.

    No two are closer than `scene.APART`, to each other and to `taken` (M, 2); fewer come back where
    the galaxy is too small for so many.
    """
    psf = galaxy.truth.psf_fwhm or 0.0
    light = galaxy.image.mean(axis=2).astype(np.float64) * outline(galaxy)
    height, width = light.shape
    y, x = np.indices(light.shape)
    light[np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) < NUCLEUS_FWHM * psf] = 0
    busy = [(float(at[0]), float(at[1])) for at in np.asarray(taken, float).reshape(-1, 2)]
    found: list[tuple[float, float]] = []
    while len(found) < number:
        for at in busy[-1:] if found else busy:
            light[np.hypot(x - at[0], y - at[1]) < APART * psf] = 0
        if light.sum() <= 0:
            break
        row, column = divmod(int(rng.choice(light.size, p=light.ravel() / light.sum())), width)
        jitter = rng.uniform(-0.5, 0.5, 2)
        busy.append((column + float(jitter[0]), row + float(jitter[1])))
        found.append(busy[-1])
    return np.array(found).reshape(-1, 2)


@dataclass(frozen=True)
class SimulatedHosts(Sequence[Galaxy]):
    """Simulated galaxies as hosts, made when asked for. Attributes: `seed` and `number`."""

    seed: int
    number: int = 100_000

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: Any) -> Any:
        """Return host number `index`."""
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self.number))]
        return simulate(self.seed, index)


@dataclass(frozen=True, eq=False)
class Injected:
    """Source: galaxy `index` of sample `seed`, a host of `hosts` with clumps of its own drawn in.

    What hosts have of catalogued clumps stays in the truth; what is not catalogued is noise of the
    labels, as in any survey. Attributes: `hosts`, pictures with known PSF, and their `style`.
    """

    hosts: Sequence[Galaxy]
    style: Style = VIEWER

    def __repr__(self) -> str:
        """Name the hosts: they are part of the key of a cache."""
        lazy = isinstance(self.hosts, SimulatedHosts)
        names = repr(self.hosts) if lazy else [host.truth.name for host in self.hosts]
        return f"Injected({names}, {self.style})"

    def __call__(self, seed: int, index: int) -> Galaxy:
        """Return galaxy number `index`.

        Raises
        ------
        WorkbenchError
            There is no host, or none of those drawn can be used.
        """
        if not self.hosts:
            raise WorkbenchError("injected: no host picture; expected at least one with known PSF")
        rng = np.random.default_rng([seed, index, 1])
        turned = self._host(rng)
        number, _ = statistics.draw_numbers(rng, float(rng.uniform(0.16, 1.0)), 0.0)
        at = places(turned, number, rng, turned.truth.centres)
        clumps = [
            Clump(float(x), float(y), ratio, float(rng.uniform(0, 0.35)),
                  tuple(rng.normal(*CLUMP_COLOURS.T)))
            for (x, y), ratio in zip(at, draw_ratios(rng, len(at)), strict=True)
        ]  # fmt: skip
        made = inject(turned, clumps, self.style)
        return Galaxy(made.image, replace(made.truth, name=f"inj-{seed}-{index}"))

    def _host(self, rng: np.random.Generator) -> Galaxy:
        """Draw turned hosts until a galaxy stands out in one: some are too faint for clumps."""
        for attempt in range(HOST_ATTEMPTS):
            host = self.hosts[int(rng.integers(len(self.hosts)))]
            turned = turn(host, int(rng.integers(8)))
            try:
                outline(turned)  # of the turned one: the middle of an even side moves by a pixel
            except WorkbenchError:
                if attempt == HOST_ATTEMPTS - 1:
                    raise
            else:
                break
        return turned


def draw_ratios(rng: np.random.Generator, number: int) -> list[float]:
    """Draw flux ratios log-uniform in 0.3-30 % that sum to at most 60 %."""
    low, high = np.log(FLUX_RATIO)
    while True:
        ratios = np.exp(rng.uniform(low, high, number))
        if ratios.sum() <= MOST_CLUMP_LIGHT:
            return [float(ratio) for ratio in ratios]


def turn(galaxy: Galaxy, which: int) -> Galaxy:
    """Return the galaxy rotated by `which % 4` quarter turns, mirrored for 4 and more; no WCS."""
    image = np.rot90(galaxy.image, which % 4)
    image = image[:, ::-1] if which >= 4 else image
    truth = galaxy.truth
    at = turn_points(truth.centres, (truth.width, truth.height), which)
    half = (truth.boxes[:, 2:] - truth.boxes[:, :2]) / 2
    half = half[:, ::-1] if which % 2 else half
    boxes = np.concatenate([at - half, at + half], axis=1)
    size = {"width": image.shape[1], "height": image.shape[0]}
    turned: Annotation = replace(truth, boxes=boxes, wcs=None, **size)
    return Galaxy(np.ascontiguousarray(image), turned)


def turn_points(at: NDArray[np.float64], size: tuple[int, int], which: int) -> NDArray[np.float64]:
    """Return pixels (N, 2) of a picture of `size` (width, height) after `turn`."""
    width, height = size
    x, y = at.T
    for _ in range(which % 4):
        x, y = y, width - 1 - x
        width, height = height, width
    return np.stack([width - 1 - x if which >= 4 else x, y], axis=-1)
