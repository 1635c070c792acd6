"""Launches that were measured to be the best on this machine's GPU, kept on disk.

One JSON file a GPU in `disk.cache_folder()`, written atomically. An entry counts only for the
kernels it was measured with: the file's name has a digest of their templates and CUDA's version.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch

from rnnkernels.config import Configuration
from rnnkernels.disk import cache_folder, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from rnnkernels.gpus import Gpu
    from rnnkernels.plan import Call


def lookup(call: Call) -> Configuration | None:
    """Return the tuned configuration of a call, None if it was not tuned."""
    entries = _entries(call.gpu)
    entry = entries.get(_key(call)) if entries else None
    return None if entry is None else _configuration(entry)


def store(call: Call, config: Configuration, nanoseconds: float) -> Path:
    """Keep a configuration as the best for a call, with its measured time of a step; return where.

    Raises OSError if the folder cannot be written to.
    """
    path = file_of(call.gpu)
    entries = _read(path)  # another process may have added some
    entries[_key(call)] = {
        "call": str(call),
        "strategy": config.strategy,
        "knobs": dict(config.knobs),
        "ns_a_step": nanoseconds,
    }
    write_atomically(path, json.dumps(entries, indent=1).encode())
    forget()
    return path


def forget() -> None:
    """Read the files again on the next look."""
    _entries.cache_clear()


def file_of(gpu: Gpu) -> Path:
    """Return the file of a GPU, for the kernels and the CUDA version that are here."""
    return cache_folder() / f"{_stem(gpu)}-{versions()}.json"


def _stem(gpu: Gpu) -> str:
    return "tuned-" + re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-")


@lru_cache(maxsize=1)
def versions() -> str:
    """Return a digest of what a measured time depends on besides GPU and call."""
    digest = hashlib.sha256(str(torch.version.cuda).encode())
    folder = files("rnnkernels.cuda")
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name.endswith((".cu", ".cuh")):
            digest.update(entry.read_bytes())
    return digest.hexdigest()[:12]


def _key(call: Call) -> str:
    parts = (call.cell.kernel_key, call.batch, call.heads, call.head_dim, call.dtype)
    return "|".join(str(part) for part in (*parts, call.backward, call.dstates))


@lru_cache(maxsize=16)
def _entries(gpu: Gpu) -> dict[str, Any]:
    """Return what was tuned on a GPU; the kernels are not read where there is nothing."""
    if not any(cache_folder().glob(f"{_stem(gpu)}-*.json")):
        return {}
    return _read(file_of(gpu))


def _read(path: Path) -> dict[str, Any]:
    """Return a file's entries; none if there is no file or it is damaged."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def _configuration(entry: Any) -> Configuration | None:
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        knobs = tuple((str(name), int(value)) for name, value in entry["knobs"].items())
        return Configuration(str(entry["strategy"]), knobs)
    return None
