"""Statistics of the Clump Scout labels that calibrate the simulator, and two-sample tests of them.

Measured on the published table of Popp et al. 2024 (RASTI 3, 174): 46,164 boxes on 19,956 SDSS
galaxies, of which those 97 % count whose centre is in the labelled frame of 200 x 200 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.extras import need
from workbench.clumps.galaxy import Annotation, Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Quantiles at 0.2, 5, 10, ... 95, 99.8 %: PSF FWHM and radius from the centre, in pixels.
LEVELS = np.array([0.002, *np.arange(0.05, 0.96, 0.05), 0.998])
PSF_FWHM = np.array([
    2.38, 3.82, 4.38, 4.81, 5.18, 5.53, 5.84, 6.13, 6.43, 6.72, 7.01,
    7.31, 7.63, 7.97, 8.33, 8.73, 9.18, 9.71, 10.36, 11.31, 14.56,
])  # fmt: skip
RADIUS = {
    Label.CLUMP: np.array([
        12.73, 25.06, 29.39, 32.68, 35.64, 38.41, 40.84, 43.35, 45.69, 48.08, 50.47,
        52.91, 55.56, 58.18, 61.17, 64.23, 67.82, 72.31, 78.10, 86.65, 113.16,
    ]),
    Label.ODD: np.array([
        10.63, 22.73, 27.55, 31.41, 34.66, 37.90, 40.88, 43.73, 46.73, 49.61, 52.50,
        55.45, 58.38, 61.74, 65.31, 69.20, 73.76, 78.78, 85.53, 94.30, 122.99,
    ]),
}  # fmt: skip
# Galaxies with so many clumps (row) and odd objects (column); the last row is six and more.
JOINT = np.array([
    [0, 2008, 983, 99, 17],
    [3737, 3373, 413, 54, 8],
    [3521, 1308, 203, 30, 7],
    [1626, 566, 88, 18, 1],
    [689, 256, 55, 5, 1],
    [297, 121, 24, 2, 0],
    [246, 56, 5, 0, 0],
])  # fmt: skip
# How the last row of JOINT splits: galaxies with 6, 7, 8, 9 clumps.
SIX_OR_MORE = np.array([204, 74, 26, 3])
# Sharper pictures show more clumps: correlation of the Gaussian levels behind number and PSF FWHM
# that gives the table's rank correlations: -0.255 for clumps, 0.02 for odd objects.
NUMBER_PSF_CORRELATION = -0.275
ODD_PSF_CORRELATION = -0.16


def quantile(values: NDArray[np.float64], level: float) -> float:
    """Return the value at `level` of a table of quantiles at `LEVELS`, held at its ends."""
    return float(np.interp(level, LEVELS, values))


def draw_numbers(rng: np.random.Generator, level: float, odd_level: float) -> tuple[int, int]:
    """Return the number of clumps at `level`, and that of odd ones among such at `odd_level`."""
    cumulative = np.cumsum(JOINT.sum(axis=1)) / JOINT.sum()
    clumps = min(int(np.searchsorted(cumulative, level)), len(JOINT) - 1)
    others = np.cumsum(JOINT[clumps]) / JOINT[clumps].sum()
    odd = min(int(np.searchsorted(others, odd_level)), len(others) - 1)
    if clumps == JOINT.shape[0] - 1:
        clumps += int(rng.choice(len(SIX_OR_MORE), p=SIX_OR_MORE / SIX_OR_MORE.sum()))
    return clumps, odd


def summary(annotations: Sequence[Annotation]) -> dict[str, NDArray[np.float64]]:
    """Return the samples that are compared: numbers per galaxy, radii and PSF in pixels.

    Only what is centred in the picture counts; published boxes may lie outside.
    """
    annotations = [seen for seen in map(_inside, annotations) if len(seen)]
    middle = [np.array([t.width - 1, t.height - 1]) / 2 for t in annotations]
    radii = [np.hypot(*(t.centres - m).T) for t, m in zip(annotations, middle, strict=True)]
    fwhm = np.array([t.psf_fwhm or np.nan for t in annotations])
    samples = {"psf_fwhm_px": fwhm}
    for label in Label:
        mine = [t.labels == label for t in annotations]
        name = label.name.lower()
        samples[f"{name}_number"] = np.array([m.sum() for m in mine], dtype=np.float64)
        kept = [r[m] for r, m in zip(radii, mine, strict=True)]
        samples[f"{name}_radius_px"] = np.concatenate(kept or [np.empty(0)])
        scaled = [r / f for r, f in zip(kept, fwhm, strict=True)]
        samples[f"{name}_radius_fwhm"] = np.concatenate(scaled or [np.empty(0)])
    return samples


def _inside(truth: Annotation) -> Annotation:
    x, y = truth.centres.T
    return truth.keep((x > -0.5) & (x < truth.width - 0.5) & (y > -0.5) & (y < truth.height - 0.5))


def two_sample_tests(
    first: Sequence[Annotation], second: Sequence[Annotation]
) -> list[dict[str, float | str]]:
    """Compare two sets of galaxies property by property.

    Each row holds the Kolmogorov-Smirnov distance and p (ties make it conservative for the
    numbers), and both medians.
    """
    kolmogorov = need("scipy.stats").ks_2samp
    rows: list[dict[str, float | str]] = []
    ours, theirs = summary(first), summary(second)
    for name, values in ours.items():
        others = theirs[name]
        test = kolmogorov(values, others)
        rows.append({
            "property": name, "distance": float(test.statistic), "p": float(test.pvalue),
            "median": float(np.median(values)), "median_other": float(np.median(others)),
        })  # fmt: skip
    return rows
