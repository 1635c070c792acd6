"""A set of results with where it comes from: measured here, recorded, or published by others."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import datafiles, provenance
from workbench.bench import record, tables
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.bench.record import Row

_SUFFIXES = {".csv": "CSV", ".tex": "LaTeX"}
_PUBLISHED = {
    "cuda_fused": "FlashRNN fused CUDA",
    "triton_fused": "FlashRNN Triton",
    "cuda": "FlashRNN alternating CUDA",
}
_DIRECTIONS = {"fw_api": "forward", "fwbw_api": "both"}


@dataclass(frozen=True)
class Sweep:
    """Results, and where and when they come from, in words for a title."""

    rows: list[Row]
    source: str
    here: bool = False

    @classmethod
    def recorded(cls) -> Sweep:
        """Return the sweep that comes with the project, of a GPU.

        Raises
        ------
        WorkbenchError
            None came with this installation.
        """
        return cls.open(record.recorded())

    @classmethod
    def open(cls, path: Path | str, *, here: bool = False) -> Sweep:
        """Return the sweep of a file; `here`: it was measured on this machine just now."""
        path = Path(path)
        rows = record.read(path)
        where = record.first_about(rows, path)
        how = f"measured here, on {where['device']}" if here else provenance.source(where)
        return cls(list(record.results(rows).values()), how, here)

    @classmethod
    def published(cls) -> Sweep:
        """Return the published reference's figures: recorded on one H200 from a copy built there.

        Facts to compare with; nothing of it runs here.
        """
        path = datafiles.folder("reference") / "measured_h200.csv"
        with path.open(encoding="utf-8", newline="") as file:
            found = [_published(row) for row in csv.DictReader(file)]
        rows = [row for row in found if row is not None]
        return cls(rows, "published reference, recorded on NVIDIA H200, November 2026")

    def where(self, **wanted: object) -> list[Row]:
        """Return the results without failures whose fields have these values."""
        return [
            row
            for row in self.rows
            if "failure" not in row and all(row.get(k) == v for k, v in wanted.items())
        ]

    def write(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the results as a table, CSV or LaTeX by the suffix, and return the path.

        Raises
        ------
        WorkbenchError
            Unknown suffix, no such folder, or a file that is there already without `overwrite`.
        """
        path = Path(path)
        if path.suffix not in _SUFFIXES:
            raise WorkbenchError(f"{path.name!r}: expected a name ending in .csv or .tex")
        found = tables.rows(self.rows)
        is_csv = path.suffix == ".csv"
        tables.write(
            path,
            tables.csv_text(found) if is_csv else tables.latex(found, self.source),
            overwrite=overwrite,
        )
        return path


def _published(row: dict[str, str]) -> Row | None:
    """Return a row of the reference's table as a result, None for what is no public call of it."""
    if row["backend"] not in _PUBLISHED or row["what"] not in _DIRECTIONS:
        return None
    sizes = {name: int(float(row[name])) for name in ("batch", "heads", "head_dim")}
    times = {name: float(row[name]) for name in ("ms", "ms_p25", "ms_p75")}
    return {
        "backend": _PUBLISHED[row["backend"]],
        **{name: row[name] for name in ("cell", "dtype")},
        **sizes,
        "steps": int(float(row["time_steps"])),
        "direction": _DIRECTIONS[row["what"]],
        **times,
    }
