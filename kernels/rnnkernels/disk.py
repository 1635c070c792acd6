"""Where this package keeps files of its own, and how it writes them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return where cubins and tuned launches are: $RNNKERNELS_CACHE, or the user's cache folder."""
    if own := os.environ.get("RNNKERNELS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rnnkernels"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new one; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as part:
            part.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
