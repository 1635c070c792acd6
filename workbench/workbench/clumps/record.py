"""What a measurement is kept with: hardware, versions, date, command, commit."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from workbench.clumps.files import write_atomically
from workbench.clumps.run import STARTS, commit
from workbench.clumps.training import HISTORY
from workbench.clumps.weights import read_card


def about() -> dict[str, Any]:
    """Return hardware, versions, date (UTC), command and commit of this process."""
    gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if gpu else f"a CPU ({platform.machine()})",
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if gpu else None,
        "python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["workbench", *map(plain, sys.argv[1:])]),
        "commit": commit(),
    }


def plain(word: str) -> str:
    """Return an argument without the folders of the machine it ran on."""
    return Path(word).name if word.startswith("/") else word


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
    """Write `content` with `about` as JSON, whole or not at all."""
    known = {"measured_on": about(), **content}
    write_atomically(Path(path), (json.dumps(known, indent=1) + "\n").encode())
