"""Sky geometry of a picture, as an `astropy.wcs.WCS` for 0-based pixel centres, y down."""

from __future__ import annotations

from typing import Any

from workbench.clumps.extras import need


def north_up(ra: float, dec: float, x: float, y: float, arcsec_per_px: float) -> Any:
    """Return the tangential WCS of a picture with north up and east left.

    Parameters
    ----------
    ra, dec
        Degrees of the reference point.
    x, y
        Its pixel, 0-based.
    arcsec_per_px
        Scale.
    """
    wcs = need("astropy.wcs").WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [x + 1, y + 1]
    # A picture's y runs down: both axes fall with pixel number.
    wcs.wcs.cd = [[-arcsec_per_px / 3600, 0], [0, -arcsec_per_px / 3600]]
    wcs.wcs.set()
    return wcs


def to_text(wcs: Any) -> str | None:
    """Return the FITS header of `wcs` as one string, for tables and JSON."""
    return None if wcs is None else str(wcs.to_header_string(relax=True))


def from_text(text: str | None) -> Any:
    """Return the WCS of such a string."""
    if not text:
        return None
    header = need("astropy.io.fits").Header.fromstring(text)
    return need("astropy.wcs").WCS(header)


def pixel_scale(wcs: Any) -> float:
    """Return the mean pixel scale in arcsec/pixel."""
    scales = need("astropy.wcs.utils").proj_plane_pixel_scales(wcs.celestial)
    return float(scales.mean() * 3600)
