"""What a measurement is kept with: hardware, versions, date, command, commit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from workbench import provenance
from workbench.clumps.files import write_atomically
from workbench.clumps.run import STARTS
from workbench.clumps.training import HISTORY
from workbench.clumps.weights import read_card

PACKAGES = ("workbench.clumps",)


def training(detector: Path) -> dict[str, Any]:
    """Return the curves of the run that made `detector`, its starts, settings and scores."""
    card = read_card(detector)
    history, starts = (_rows(detector.parent / name) for name in (HISTORY, STARTS))
    return {"starts": starts, "history": history, "training": card["training"],
            "validation": card["validation"]}  # fmt: skip


def _rows(place: Path) -> list[dict[str, Any]]:
    lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    return [json.loads(line) for line in lines]


def write(path: Path | str, content: dict[str, Any]) -> None:
    """Write `content` with what it was measured on as JSON, whole or not at all."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    about = provenance.about(device, ("workbench", *sys.argv[1:]), PACKAGES)
    known = {"measured_on": about, **content}
    write_atomically(Path(path), (json.dumps(known, indent=1) + "\n").encode())
