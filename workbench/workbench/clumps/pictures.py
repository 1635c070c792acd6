"""Reading pictures: PNG, JPEG and FITS cutouts become (H, W, 3) float32 in [0, 1]."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from workbench.clumps.extras import need
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

T = TypeVar("T")

PICTURES = {".png", ".jpg", ".jpeg", ".fits", ".fit", ".fits.gz", ".fits.fz"}
# 64 million pixels are 770 MB as float32 RGB; what is larger is no cutout.
MAX_PIXELS = 64_000_000
SMALLEST_SIDE = 8


@dataclass
class Report:
    """What could not be read: files and reasons, collected while the rest goes on."""

    read: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.read} pictures read, {len(self.problems)} left out"]
        return "\n".join(lines + [f"  {file}: {reason}" for file, reason in self.problems])


@dataclass(frozen=True)
class Stretch:
    """Lupton stretch of three bands, or of five.

    Attributes
    ----------
    red, green, blue
        Which planes of the file make the colours; SDSS pictures use i, r, g.
    softening, stretch
        Q and stretch of Lupton et al. 2004 (PASP 116, 133); `stretch` None takes 30 times the
        noise, which shows the sky's grain at a few per cent grey, as survey pictures do.
    channels
        Of the picture: 3 colours, or 5, the file's first five planes (u, g, r, i, z).
    """

    red: int = 0
    green: int = 1
    blue: int = 2
    softening: float = 8.0
    stretch: float | None = None
    channels: int = 3

    def planes(self, number: int) -> tuple[int, ...]:
        """Return which of a file's `number` planes make the channels; one plane makes a grey."""
        if self.channels != 3:
            return tuple(range(self.channels))
        return (0, 0, 0) if number == 1 else (self.red, self.green, self.blue)


def read_picture(
    path: Path | str, stretch: Stretch | None = None
) -> tuple[NDArray[np.float32], Any]:
    """Return the picture (H, W, channels) in [0, 1] and its WCS (None for PNG and JPEG).

    Raises
    ------
    WorkbenchError
        The file is missing, empty, truncated, corrupt, too small, too large or holds no finite
        pixel; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise WorkbenchError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise WorkbenchError(f"{path}: the file is empty")
    stretch = stretch or Stretch()
    if suffix(path).startswith(".fit"):
        return _read_fits(path, stretch)
    if stretch.channels != 3:
        raise WorkbenchError(f"{path}: 3 bands; expected FITS with {stretch.channels}")
    return _read_raster(path), None


def suffix(path: Path) -> str:
    """Return the picture suffix in lower case, ``.fits.gz`` and ``.fits.fz`` whole."""
    name = path.name.lower()
    for double in (".fits.gz", ".fits.fz"):
        if name.endswith(double):
            return double
    return path.suffix.lower()


def _read_raster(path: Path) -> NDArray[np.float32]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                _check_size(path, opened.height, opened.width)
                sixteen_bit = opened.mode.startswith(("I", "F"))
                opened.load()
                if sixteen_bit:
                    grey = np.asarray(opened, dtype=np.float32) / 65535
                    return np.repeat(grey.clip(0, 1)[:, :, None], 3, axis=2)
                picture = np.asarray(opened.convert("RGB"), dtype=np.float32)
    except UnidentifiedImageError as error:
        raise WorkbenchError(f"{path}: not a PNG or JPEG picture") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise WorkbenchError(f"{path}: more than {MAX_PIXELS:,} pixels, no cutout") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise WorkbenchError(f"{path}: corrupt or truncated ({error})") from error
    return picture / np.float32(255)


def _check_size(path: Path, height: int, width: int) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise WorkbenchError(
            f"{path}: {width} x {height} pixels; expected at least {SMALLEST_SIDE} a side"
        )
    if height * width > MAX_PIXELS:
        raise WorkbenchError(
            f"{path}: {width} x {height} pixels; expected at most {MAX_PIXELS:,}: cut out the "
            "galaxies first"
        )


def _read_fits(path: Path, stretch: Stretch) -> tuple[NDArray[np.float32], Any]:
    fits = need("astropy.io.fits")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd but readable headers are common
            with fits.open(path, memmap=False) as units:
                shapes = [(unit.shape, unit) for unit in units if len(unit.shape or ()) in (2, 3)]
                for shape, _ in shapes:  # before .data: a compressed plane expands 265 times
                    _check_size(path, shape[-2], shape[-1])
                planes = [plane for shape, unit in shapes for plane in _planes(shape, unit.data)]
                wcs = need("astropy.wcs").WCS(shapes[0][1].header).celestial if shapes else None
    except WorkbenchError:
        raise
    except Exception as error:  # astropy raises many kinds on broken files
        raise WorkbenchError(f"{path}: corrupt or truncated FITS ({error})") from error
    image = stretched(planes, stretch, str(path))
    # FITS counts rows upwards from the bottom; the picture keeps their order, and so the WCS.
    return image, wcs if wcs is not None and wcs.has_celestial else None


def _planes(shape: tuple[int, ...], data: NDArray[Any]) -> list[NDArray[Any]]:
    return [data] if len(shape) == 2 else list(data)


def stretched(planes: list[NDArray[Any]], stretch: Stretch, name: str) -> NDArray[np.float32]:
    """Return (H, W, channels) in [0, 1] of linear `planes`, each (H, W), by the Lupton stretch.

    The background (median) of each plane is taken off and NaN pixels become background. A single
    plane gives a grey picture.

    Raises
    ------
    WorkbenchError
        There is no plane, the planes differ in shape, no pixel is finite, or a band is not there.
    """
    if not planes:
        raise WorkbenchError(f"{name}: no two- or three-dimensional image in the file")
    if len({plane.shape for plane in planes}) > 1:
        shapes = ", ".join(str(plane.shape) for plane in planes)
        raise WorkbenchError(f"{name}: planes of different shapes: {shapes}")
    wanted = stretch.planes(len(planes))
    if max(wanted) >= len(planes):
        raise WorkbenchError(
            f"{name}: {len(planes)} planes; band {max(wanted)} (counted from 0) is not there"
        )
    chosen = [np.asarray(planes[k], dtype=np.float64) for k in wanted]
    finite = [np.isfinite(plane) for plane in chosen]
    if not all(good.any() for good in finite):
        raise WorkbenchError(f"{name}: a band has no finite pixel")
    clean, noise = [], []
    for plane, good in zip(chosen, finite, strict=True):
        sky = np.median(plane[good])
        clean.append(np.where(good, plane - sky, 0.0))
        noise.append(1.4826 * np.median(np.abs(plane[good] - sky)))
    width = stretch.stretch or 30 * float(np.mean(noise)) or float(max(c.max() for c in clean)) or 1
    return _lupton(np.stack(clean, axis=-1), width, stretch.softening)


def _lupton(bands: NDArray[np.float64], width: float, softening: float) -> NDArray[np.float32]:
    """Return linear `bands` (H, W, C) as a picture in steps of 1/255; astropy's takes three."""
    if bands.shape[-1] == 3:
        lupton = need("astropy.visualization").make_lupton_rgb
        with np.errstate(invalid="ignore"):  # 0 / 0 where all bands are exactly sky: black
            bytes_ = lupton(*np.moveaxis(bands, -1, 0), stretch=width, Q=softening)
    else:
        intensity = bands.mean(axis=-1, keepdims=True)
        slope = 0.1 / np.arcsinh(0.1 * softening)
        bright = slope * np.arcsinh(softening * intensity.clip(0) / width)
        part = np.divide(bright, intensity, out=np.zeros_like(bright), where=intensity > 0)
        shown = (bands * part).clip(0)
        bytes_ = np.floor(255 * shown / shown.max(axis=-1, keepdims=True).clip(1))
    image: NDArray[np.float32] = bytes_.astype(np.float32) / np.float32(255)
    return image


def write_picture(path: Path | str, image: NDArray[np.float32]) -> None:
    """Write `image` (H, W, 3) in [0, 1] as 8-bit PNG or JPEG, by the suffix of `path`."""
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(path)


def each_readable(items: Iterable[tuple[str, Callable[[], T]]], report: Report) -> Iterator[T]:
    """Yield what the readers return; a `WorkbenchError` goes into `report` and the rest go on."""
    for name, read in items:
        try:
            value = read()
        except WorkbenchError as error:
            report.problems.append((name, str(error)))
            continue
        report.read += 1
        yield value
