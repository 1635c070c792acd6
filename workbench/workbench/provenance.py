"""What a result was measured on: hardware, versions, date, command, commit and code."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

KERNELS = ("rnnkernels", "rnnkernels.cuda", "rnnkernels.triton")
_SOURCES = (".py", ".cu", ".cuh", ".tpl")
_CODE = (":/kernels", ":/solver", ":/workbench")
_PATH = re.compile(r"(?<![\w.+@-])(?:[A-Za-z]:)?(?:/[\w.+@-]+)+/([\w.+@-]+)")


def about(
    device: torch.device | str, command: Sequence[str], packages: Sequence[str] = KERNELS
) -> dict[str, Any]:
    """Return where and what is measured; `code` is a digest of the sources of `packages`."""
    device = torch.device(device)
    return {
        "accelerator": device.type,
        **(_of_cuda(device) if device.type == "cuda" else _of_cpu()),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "flashclump": _installed("flashclump"),
        "python": platform.python_version(),
        "date": now(),
        "command": " ".join(plain(word) for word in command),
        "commit": commit(),
        "code": code(packages),
    }


def _of_cuda(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    shown = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return {
        "device": properties.name,
        "sms": properties.multi_processor_count,
        "driver": _first_line(shown),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def _of_cpu() -> dict[str, Any]:
    model = f"a CPU ({platform.machine()}, {os.cpu_count()} cores)"
    return {"device": model, "threads": torch.get_num_threads()}


def commit() -> str:
    """Return the commit of this checkout, or what ``COMMIT`` says where there is no repository.

    It ends in ``+changes`` where sources differ from it: results are no sources.
    """
    if given := os.environ.get("COMMIT"):
        return given
    changed = _first_line(["git", "status", "--porcelain", "--untracked-files=no", *_CODE])
    mark = "" if changed == "unknown" else "+changes"
    return _first_line(["git", "rev-parse", "HEAD"]) + mark


def code(packages: Sequence[str] = KERNELS) -> str:
    """Return a digest of the sources in these packages, without those below them."""
    digest = hashlib.sha256()
    for package in packages:
        for entry in sorted(files(package).iterdir(), key=lambda each: each.name):
            if entry.name.endswith(_SOURCES):
                digest.update(entry.name.encode() + entry.read_bytes())
    return digest.hexdigest()[:12]


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def plain(text: str) -> str:
    """Return a text with paths cut to their last part: they are the machine's business."""
    return _PATH.sub(r"\1", text)


def source(where: dict[str, Any]) -> str:
    """Return where and when results come from, for a figure's title."""
    return f"recorded on {where['device']}, {where['date'][:10]}"


def _version(name: str) -> str | None:
    """Return the version of a module, None where there is none."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return getattr(module, "__version__", None) or _installed(name)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _first_line(command: list[str]) -> str:
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0]
