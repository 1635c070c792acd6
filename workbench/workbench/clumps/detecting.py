"""Detections of many pictures as one table."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.clumps.averaging import average_each
from workbench.clumps.extras import need
from workbench.clumps.galaxy import Galaxy
from workbench.clumps.judge import judge_one
from workbench.clumps.matching import Detections
from workbench.clumps.pool import in_order
from workbench.clumps.postprocess import merge, on_galaxy
from workbench.clumps.tables import load_frame
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd
    from torchvision.models.detection import FasterRCNN

    from workbench.clumps.detector_config import DetectorConfig
    from workbench.clumps.galaxy import Annotation
    from workbench.clumps.judge import Judge
    from workbench.clumps.pictures import Report
    from workbench.clumps.postprocess import HostRule

COLUMNS = ("file", "x1", "y1", "x2", "y2", "score", "label", "ra", "dec")
BATCH = 16  # pictures: more gain nothing on a CPU and fit every GPU


def run_detector(
    weights: Path | str | Sequence[Path | str],
    galaxies: Iterable[Galaxy],
    *,
    psf_fwhm: float | None = None,
    host: HostRule | None = None,
    merged: bool = False,
    orientations: int = 1,
    min_flux_ratio: float = 0.0,
    judge: Judge | None = None,
    workers: int = 1,
    device: str | None = None,
    report: Report | None = None,
) -> Iterator[tuple[Galaxy, Detections]]:
    """Yield each picture with what is found in it, in its own pixels.

    Parameters
    ----------
    weights
        A detector's safetensors file, or several: their scores are averaged as over orientations.
    psf_fwhm
        Pixels, for pictures whose own is unknown.
    host, merged
        Keep what lies on the galaxy, by this rule; join detections within one PSF FWHM.
    orientations
        Look at each picture in so many, up to 8, and average: slower, surer.
    min_flux_ratio
        Give scores for clumps of at least this flux ratio, `Detections.scores_at`.
    judge
        Weighs the scores again, with what the published procedure finds, `judge.judged`.
    workers
        Processes that it works in beside the detector, where there are many pictures.
    device
        torch's; by default a GPU where there is one.
    report
        Receives pictures without PSF; without a report they are an error.

    Raises
    ------
    WorkbenchError
        The weights cannot be read, do not tell brightness where `min_flux_ratio` asks for it, or
        a picture's PSF is unknown; several take other pictures than each other.
    """
    torch = need("torch")
    from workbench.clumps.weights import load_detectors  # noqa: PLC0415 - torch takes seconds

    detectors = load_detectors([weights] if isinstance(weights, Path | str) else weights)
    for path, _, config in detectors:
        if min_flux_ratio > 0 and not config.brightness:
            raise WorkbenchError(
                f"{path}: an older detector that does not tell how bright a clump is; train it "
                "anew, or leave the flux ratio out"
            )
    for _, model, _ in detectors:
        model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    looked = _looked(detectors, _with_psf(galaxies, psf_fwhm, report), orientations)
    for galaxy, one in looked if judge is None else _judged(judge, looked, workers):
        found = one if host is None else on_galaxy(one, galaxy, host)
        if min_flux_ratio > 0:
            found = replace(found, scores=found.scores_at(min_flux_ratio), brighter=None)
        yield galaxy, merge(found, galaxy.truth.psf_fwhm or 0.0) if merged else found


def _looked(
    detectors: Sequence[tuple[Path | str, FasterRCNN, DetectorConfig]],
    galaxies: Iterator[Galaxy],
    orientations: int,
) -> Iterator[tuple[Galaxy, Detections]]:
    """Yield each picture with what the detectors together find in it."""
    from workbench.clumps.turned import detect_turned  # noqa: PLC0415 - torch takes seconds

    overlap = detectors[0][2].nms
    while batch := list(itertools.islice(galaxies, BATCH)):
        seen = [detect_turned(model, config, batch, orientations) for _, model, config in detectors]
        yield from zip(batch, average_each(seen, batch, overlap), strict=True)


def _judged(
    judge: Judge, looked: Iterator[tuple[Galaxy, Detections]], workers: int
) -> Iterator[tuple[Galaxy, Detections]]:
    """Yield each picture with what the judge makes of what was found, while the next are looked at.

    Processes are started for three batches and more.
    """
    mine, theirs = itertools.tee(looked)
    made = in_order(partial(judge_one, judge), theirs, workers, name="judge", least=3 * BATCH)
    return zip((galaxy for galaxy, _ in mine), made, strict=True)


def _with_psf(
    galaxies: Iterable[Galaxy], psf_fwhm: float | None, report: Report | None
) -> Iterator[Galaxy]:
    for galaxy in galaxies:
        if galaxy.truth.psf_fwhm is not None:
            yield galaxy
        elif psf_fwhm is not None:
            yield Galaxy(galaxy.image, replace(galaxy.truth, psf_fwhm=psf_fwhm))
        else:
            problem = (
                f"{galaxy.truth.name}: the PSF FWHM is unknown; give a catalogue with "
                "psf_fwhm_r_px, or one value for all with --psf-px"
            )
            if report is None:
                raise WorkbenchError(problem)
            report.read -= 1
            report.problems.append((galaxy.truth.name, problem))


def to_frame(found: Iterable[tuple[Annotation, Detections]]) -> pd.DataFrame:
    """Return the table of `COLUMNS`; ra and dec in degrees, NaN without geometry."""
    pandas = need("pandas")
    parts = []
    for truth, one in found:
        sky = np.full((len(one), 2), np.nan)
        if truth.wcs is not None and len(one):
            sky = np.stack(truth.wcs.wcs_pix2world(*one.centres.T, 0), axis=-1)
        parts.append(pandas.DataFrame({
            "file": np.full(len(one), truth.name, dtype=object),
            **{name: one.boxes[:, k] for k, name in enumerate(("x1", "y1", "x2", "y2"))},
            "score": one.scores, "label": one.labels, "ra": sky[:, 0], "dec": sky[:, 1],
        }))  # fmt: skip
    parts = [part for part in parts if len(part)]
    if not parts:
        return pandas.DataFrame({name: [] for name in COLUMNS})  # type: ignore[no-any-return]
    frame: pd.DataFrame = pandas.concat(parts, ignore_index=True)
    return frame


def write_detections(path: Path | str, frame: pd.DataFrame) -> None:
    """Write the table as ``.parquet`` or ``.csv``, whole or not at all.

    Raises
    ------
    WorkbenchError
        The name ends otherwise.
    """
    path = Path(path)
    if path.suffix not in {".parquet", ".csv"}:
        raise WorkbenchError(f"{path}: expected a name ending in .parquet or .csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    if path.suffix == ".parquet":
        frame.to_parquet(half, index=False)
    else:
        frame.to_csv(half, index=False)
    half.replace(path)


def read_detections(path: Path | str, truths: Sequence[Annotation]) -> list[Detections]:
    """Return the detections of `path` for each of `truths`, by file name; none where none is.

    Raises
    ------
    WorkbenchError
        The file is no such table.
    """
    frame = load_frame(path)
    missing = [name for name in COLUMNS[:7] if name not in frame]
    if missing:
        raise WorkbenchError(f"{path}: no column {', '.join(missing)}; expected {COLUMNS}")
    rows = {str(name): part for name, part in frame.groupby("file")}
    empty = frame.iloc[:0]
    made = []
    for truth in truths:
        part = rows.get(truth.name, empty)
        made.append(Detections(
            part[["x1", "y1", "x2", "y2"]].to_numpy(float), part["score"].to_numpy(float),
            part["label"].to_numpy(np.int64),
        ))  # fmt: skip
    return made
