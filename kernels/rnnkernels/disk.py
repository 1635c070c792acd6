"""Where this package keeps files of its own, and how it writes them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGEST = 32  # bytes of a sha256


def cache_folder() -> Path:
    """Return where cubins and tuned launches are: $RNNKERNELS_CACHE, or the user's cache folder."""
    if own := os.environ.get("RNNKERNELS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rnnkernels"


def kept(parts: tuple[str, ...], build: Callable[[], bytes]) -> bytes:
    """Return what `parts` decide: machine code kept in the cache folder, else built and kept.

    An entry is named by the digest of its parts and holds `sha256(content) + content`. Entries
    appear by an atomic rename, so processes may share the folder; a damaged one is built again.
    """
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    entry = cache_folder() / f"{name}.cubin"
    content = _read(entry)
    if content is None:
        content = build()
        with suppress(OSError):  # a folder that cannot be written to costs the next process time
            write_atomically(entry, hashlib.sha256(content).digest() + content)
    return content


def _read(entry: Path) -> bytes | None:
    """Return an entry's content, or None if there is none or it is damaged."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST], content[_DIGEST:]
    return body if hashlib.sha256(body).digest() == digest else None


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
