"""Source `s82`: clumps of 92 Stripe 82 galaxies, Mehta et al. 2021 (ApJ 912, 49), with pictures.

The published files carry no licence: they are downloaded to the user's own cache and converted
there, never redistributed. ``FLASHCLUMP_DATA`` may name a folder that holds ``s82/`` converted.

Geometry of the pictures: 0.02 * petroR90_r arcsec per pixel, north up, east left, the sample's
position at pixel (210.7, 210.8); proved by maximising brightness and blueness at the catalogue's
positions, 39 standard deviations above random rotations.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.clumps import sky
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, Galaxy, annotation, square_boxes
from workbench.clumps.pictures import Report, each_readable, read_picture
from workbench.clumps.tables import load_frame
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

BASE_URL = (
    "https://raw.githubusercontent.com/vihangmehta/GZH_S82_Clumps/"
    "04f3126d10e10c7579ebcb1b44471e2aeb008306/"
)
_SHA256 = (
    "dc37a6022b796ada0b393d15ef69005988ea292d8a0fd8817d7c33a51e4748b0",
    "9ca2f083a950e2a8a6296722d50c9444f5b136d1a13ce2753144bcec5b10c20c",
    "425f26e56576766ba584e2cb140165f389013dbdd4d7b2f9d981d30c4280c769",
)
_FILES = (
    "plots/clumpy_gals_S82.tar.gz",
    "samples/final_clumpy_sample.fits",
    "samples/final_clump_catalog.fits",
)
REGISTRY = dict(zip(_FILES, _SHA256, strict=True))
SIDE = 424  # pixels of every picture
SCALE_PER_PETRO = 0.02  # arcsec per pixel over petroR90_r in arcsec
CENTRE = (210.7, 210.8)  # pixel of the sample's position


def registry() -> dict[str, str]:
    """Return the published files and their SHA-256, in pooch's form."""
    return {name: f"sha256:{digest}" for name, digest in REGISTRY.items()}


def download(folder: Path | str | None = None) -> Path:
    """Download and verify the published files; return the folder that holds them.

    Raises
    ------
    WorkbenchError
        There is no network, or a file's hash is not the published one.
    """
    pooch = need("pooch")
    place = Path(folder) if folder else Path(pooch.os_cache("flashclump")) / "s82"
    fetcher = pooch.create(path=place, base_url=BASE_URL, registry=registry())
    try:
        for name in REGISTRY:
            unpack = pooch.Untar(extract_dir="pictures") if name.endswith(".tar.gz") else None
            fetcher.fetch(name, processor=unpack)
    except (OSError, ValueError) as error:  # requests' errors are OSError, a wrong hash ValueError
        raise WorkbenchError(
            f"s82: cannot download from {BASE_URL} ({error}); on a machine with network put the "
            f"files {', '.join(REGISTRY)} under {place}, or set FLASHCLUMP_DATA to converted data"
        ) from error
    return place


def convert(sample: pd.DataFrame, clumps: pd.DataFrame) -> list[Annotation]:
    """Return annotations by the geometry above, one for each galaxy of the sample.

    Parameters
    ----------
    sample
        Columns survey_id, ra, dec (degrees), petror90_r, psf_fwhm_r_arcsec (arcsec), redshift.
    clumps
        Columns survey_id, clump_ra, clump_dec (degrees), flux_ratio_u.

    Raises
    ------
    WorkbenchError
        A clump belongs to no galaxy of the sample.
    """
    strangers = set(clumps["survey_id"]) - set(sample["survey_id"])
    if strangers:
        raise WorkbenchError(f"s82: clumps of unknown galaxies, such as {min(strangers)}")
    by_galaxy = {str(name): rows for name, rows in clumps.groupby("survey_id")}
    return [
        _convert_one(row, by_galaxy.get(str(row.survey_id), clumps.iloc[:0]))
        for row in sample.itertuples()
    ]


def _convert_one(row: Any, clumps: pd.DataFrame) -> Annotation:
    scale = SCALE_PER_PETRO * row.petror90_r
    wcs = sky.north_up(row.ra, row.dec, *CENTRE, scale)
    x, y = wcs.wcs_world2pix(clumps["clump_ra"].to_numpy(), clumps["clump_dec"].to_numpy(), 0)
    psf = row.psf_fwhm_r_arcsec / scale
    return annotation(
        f"objID{int(row.survey_id):020d}.jpg",
        (SIDE, SIDE),
        square_boxes(np.stack([x, y], axis=-1), psf),
        flux_ratio=clumps["flux_ratio_u"].to_numpy(float),
        psf_fwhm=psf,
        redshift=float(row.redshift),
        wcs=wcs,
    )


def read_published(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the published FITS tables with the columns that `convert` takes."""
    table = need("astropy.table").Table
    galaxies = table.read(folder / "samples/final_clumpy_sample.fits")
    clumps = table.read(folder / "samples/final_clump_catalog.fits")
    frame = need("pandas").DataFrame
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(clumps["clump_flux_u"], float) / np.asarray(clumps["gal_flux_u"], float)
    sample = frame({
        "survey_id": [str(int(name)) for name in galaxies["survey_id"]],
        "ra": np.asarray(galaxies["RA"], float),
        "dec": np.asarray(galaxies["DEC"], float),
        "petror90_r": np.asarray(galaxies["PETROR90_R"], float),
        "psf_fwhm_r_arcsec": np.asarray(galaxies["PSF_WIDTH_r"], float),
        "redshift": np.asarray(galaxies["REDSHIFT_DR14"], float),
    })  # fmt: skip
    found = frame({
        "survey_id": [str(int(name)) for name in clumps["gzh_id"]],
        "clump_ra": np.asarray(clumps["clump_ra"], float),
        "clump_dec": np.asarray(clumps["clump_dec"], float),
        "flux_ratio_u": ratio,
    })  # fmt: skip
    return sample, found


def load(
    folder: Path | str | None = None, *, report: Report | None = None, registered_only: bool = True
) -> Iterator[Galaxy]:
    """Yield the galaxies: converted data where there is some, else downloaded and converted.

    Converted data is ``galaxies.csv``, ``clumps.csv`` and ``images/`` in `folder` or in ``s82/``
    of ``FLASHCLUMP_DATA``; there `registered_only` leaves out galaxies whose picture and catalogue
    disagree (`registration` is not ok).
    """
    report = report or Report()
    place = Path(folder) if folder else _from_environment()
    if place is not None:
        sample, clumps = (load_frame(place / f"{name}.csv") for name in ("galaxies", "clumps"))
        pictures = place / "images"
    else:
        place = download()
        sample, clumps = read_published(place)
        pictures = place / "plots" / "pictures"
    if registered_only and "registration" in sample:
        sample = sample[sample["registration"] == "ok"]
        clumps = clumps[clumps["survey_id"].isin(sample["survey_id"])]
    found = {path.name: path for path in pictures.rglob("*.jpg")}
    readers = [
        (truth.name, lambda truth=truth: _open(found.get(truth.name, pictures / truth.name), truth))
        for truth in convert(sample, clumps)
    ]
    yield from each_readable(readers, report)


def _from_environment() -> Path | None:
    root = os.environ.get("FLASHCLUMP_DATA")
    place = Path(root) / "s82" if root else None
    return place if place is not None and (place / "clumps.csv").is_file() else None


def _open(path: Path, truth: Annotation) -> Galaxy:
    image, _ = read_picture(path)
    return Galaxy(image, truth)
