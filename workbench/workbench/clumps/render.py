"""Pictures of simulated scenes with GalSim: drawn on a survey's own pixels, then resampled.

Surveys cut pictures out of frames with coarser pixels (SDSS: 0.396 arcsec), which correlates the
noise. The scene is therefore drawn and given its noise on native pixels and resampled like them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from workbench.clumps.extras import need
from workbench.clumps.scene import G, I, R, Scene, arm_pattern, disk_coordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray

NATIVE = 0.396  # arcsec per pixel of SDSS frames
WRAP = 48  # native pixels beyond the picture: what leaves them on one side comes in on the other
MARGIN = 4  # native pixels around the picture, for the resampling kernel
MOFFAT_BETA = 3.5  # wings of the SDSS PSF
# Noise of a native pixel in i, r, g in nanomaggies: gives the pictures' sky noise of 13/255.
SKY_NOISE = np.array([0.0156, 0.0142, 0.0104])
ELECTRONS = 900.0  # per nanomaggie and exposure: photon noise of the galaxy itself
# PSF FWHM and strength of the arms in i, r, g over those in r: young arms are blue.
BAND_PSF = (0.955, 1.0, 1.10)
BAND_ARMS = (0.8, 1.0, 1.25)
BANDS = (I, R, G)


def render(scene: Scene) -> NDArray[np.float64]:
    """Return linear bands (side, side, 3) i, r, g of `scene`, in nanomaggies per native pixel."""
    cells = int(np.ceil(scene.side * scene.arcsec_per_px / NATIVE)) + 2 * MARGIN
    planes = [_draw(scene, k, cells) for k in range(len(BANDS))]
    native = np.stack(planes, axis=-1)
    rng = np.random.default_rng(scene.noise_seed)
    sigma = scene.depth * np.sqrt(SKY_NOISE**2 + native.clip(0) / ELECTRONS)
    return resample(native + sigma * rng.standard_normal(native.shape), scene)


def resample(native: NDArray[np.float64], scene: Scene) -> NDArray[np.float64]:
    """Return the picture's pixels of native ones, both centred on the same point of the sky."""
    half = scene.side * scene.arcsec_per_px / NATIVE / 2
    middle = native.shape[0] / 2
    box = (middle - half, middle - half, middle + half, middle + half)
    bands = [
        Image.fromarray(native[:, :, k].astype(np.float32)).resize(
            (scene.side, scene.side), Image.Resampling.BICUBIC, box=box
        )
        for k in range(native.shape[2])
    ]
    return np.stack([np.asarray(band, dtype=np.float64) for band in bands], axis=-1)


def _draw(scene: Scene, band: int, cells: int) -> NDArray[np.float64]:
    """Return (cells, cells) nanomaggies of one band without noise."""
    galsim = need("galsim")
    profiles = [_disk(galsim, scene, band, cells), *_spheroids(galsim, scene, BANDS[band])]
    psf = galsim.Moffat(beta=MOFFAT_BETA, fwhm=scene.psf_arcsec * BAND_PSF[band])
    quick = galsim.GSParams(folding_threshold=2e-2, maxk_threshold=5e-3, maximum_fft_size=8192)
    whole = galsim.Convolve([galsim.Sum(profiles), psf], gsparams=quick)
    drawn = whole.drawImage(nx=cells, ny=cells, scale=NATIVE, method="no_pixel", dtype=float)
    plane: NDArray[np.float64] = drawn.array + _points(scene, band, psf, cells)
    return plane


def _points(scene: Scene, band: int, psf: Any, cells: int) -> NDArray[np.float64]:
    """Return (cells, cells) nanomaggies of the scene's points: Gaussians convolved with `psf`.

    All at once in Fourier space, where a shifted Gaussian is a product of a row and a column;
    GalSim, one after the other, takes ten times as long.
    """
    number = cells + 2 * WRAP
    at = np.array([(point.x, point.y) for point in scene.points]).reshape(-1, 2)
    flux = np.array([point.flux[BANDS[band]] for point in scene.points])
    sizes = np.array([point.size for point in scene.points])[:, None]
    rows = 2 * np.pi * np.fft.fftfreq(number, NATIVE)
    columns = 2 * np.pi * np.fft.rfftfreq(number, NATIVE)
    middle = (number - 1) / 2 * NATIVE
    x, y = (np.exp(-1j * k * (place[:, None] + middle) - (k * sizes) ** 2 / 2)
            for k, place in ((columns, at[:, 0]), (rows, at[:, 1])))  # fmt: skip
    step = 2 * np.pi / (number * NATIVE)
    drawn = psf.drawKImage(nx=number, ny=number, scale=step).real.array
    transfer = np.fft.ifftshift(drawn)[:, : len(columns)]
    image = np.fft.irfft2((y.T @ (flux[:, None] * x)) * transfer, (number, number))
    plane: NDArray[np.float64] = image[WRAP:-WRAP, WRAP:-WRAP]
    return plane


def _disk(galsim: Any, scene: Scene, band: int, cells: int) -> Any:
    """Return the disk with its arms and fine structure, painted at half a native pixel."""
    host = scene.host
    step = NATIVE / 2
    reach = (np.arange(2 * cells) - cells + 0.5) * step
    x, y = np.meshgrid(reach, reach)
    radius, azimuth = disk_coordinates(host, x, y)
    pattern = arm_pattern(host, radius, azimuth) * _fine_structure(scene, cells)
    lopsided = 0.45 * host.contrast * np.tanh(radius / host.scale)
    pattern *= 1 + lopsided * np.cos(azimuth - 2.4 * host.phase)
    light = np.exp(-((radius / host.scale) ** host.flatness)) * pattern ** BAND_ARMS[band]
    light *= np.exp(-((radius / (5 * host.scale)) ** 6))  # disks end
    light *= host.disk[BANDS[band]] / light.sum()
    return galsim.InterpolatedImage(
        galsim.Image(light, scale=step), x_interpolant="linear", normalization="flux",
        calculate_maxk=False,  # takes half of the time and changes no pixel
    )  # fmt: skip


def _fine_structure(scene: Scene, cells: int) -> NDArray[np.float64]:
    """Return the same lognormal lumps in every band, a quarter of a scale length across."""
    rng = np.random.default_rng(scene.host.lumps)
    blur = need("scipy.ndimage").gaussian_filter
    field = np.zeros((2 * cells, 2 * cells))
    for part in (0.12, 0.3):
        width = part * scene.host.scale / (NATIVE / 2)
        lumps = blur(rng.standard_normal(field.shape), width)
        field += lumps / lumps.std()
    amplitude = 0.12 + 0.25 * scene.host.contrast
    structure: NDArray[np.float64] = np.exp(amplitude * field)
    return structure


def _spheroids(galsim: Any, scene: Scene, column: int) -> list[Any]:
    host = scene.host
    made = []
    tilt = host.angle * galsim.radians
    if host.bulge[column] > 0:
        bulge = galsim.Sersic(n=1.5, half_light_radius=host.bulge_size, flux=host.bulge[column])
        made.append(bulge.shear(q=0.5 + 0.5 * host.axis_ratio, beta=tilt))
    if host.bar[column] > 0:
        bar = galsim.Sersic(n=0.7, half_light_radius=host.bar_length / 2, flux=host.bar[column])
        turn = (host.angle + host.phase) * galsim.radians
        made.append(bar.shear(q=0.3, beta=turn))
    return made
