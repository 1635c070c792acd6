"""Thumbnails of many galaxies in one picture: a sheet, of which a page has a few."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workbench.audit.library import Folder
from workbench.audit.sheets import SheetStore, key
from workbench.clumps.pictures import MAX_PIXELS
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from workbench.audit.library import Library

SIDE = 72  # pixels of a thumbnail
COLUMNS = 40  # of a sheet
QUALITY = 88
_KEPT = 20_000  # thumbnails in memory, 310 MB at most
_KEPT_SHEETS = 60  # about 0.3 MB each
_THREADS = min(4, os.cpu_count() or 1)
_QUICK = {".jpg", ".jpeg", ".png"}
_GREY = 40  # where a picture cannot be read


class Sprites:
    """Makes sheets of thumbnails; those made before are kept in memory, and in `store`.

    Parameters
    ----------
    library
        Galaxies.
    store
        File for sheets of picture files; None keeps none on the disk.
    """

    def __init__(self, library: Library, store: Path | None = None) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._store = SheetStore(store) if store and isinstance(library, Folder) else None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails")
        self._sheets: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._kept: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._sizes: dict[str, tuple[int, int]] = {}

    def sprite(self, names: Sequence[str]) -> bytes:
        """Return a JPEG of the thumbnails, `COLUMNS` in a row, `SIDE` pixels each."""
        wanted = tuple(names)
        made = self._sheets.get(wanted)
        if made is None:
            made = self._stored(wanted)
            with self._lock:
                self._sheets[wanted] = made
                if len(self._sheets) > _KEPT_SHEETS:
                    self._sheets.popitem(last=False)
        return made

    def _stored(self, names: tuple[str, ...]) -> bytes:
        known = self._key(names)
        if self._store is None or known is None:
            return self._draw(names)
        found = self._store.get(known)
        if found is not None:
            self._sizes.update(zip(names, found[1], strict=True))
            return found[0]
        drawn = self._draw(names)
        sizes = [self._sizes[name] for name in names]
        self._store.put(known, (drawn, sizes))
        return drawn

    def _key(self, names: tuple[str, ...]) -> str | None:
        if not isinstance(self._library, Folder):
            return None
        look = f"{SIDE} {COLUMNS} {QUALITY} {self._library.stretch}"
        return key([self._library.path(name) for name in names], look)

    def _draw(self, names: tuple[str, ...]) -> bytes:
        rows = max(1, -(-len(names) // COLUMNS))
        sheet = np.zeros((rows * SIDE, COLUMNS * SIDE, 3), np.uint8)
        # Pillow lets other threads run while it decodes.
        for number, small in enumerate(self._pool.map(self.thumbnail, names)):
            row, column = divmod(number, COLUMNS)
            place = (slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE))
            sheet[place] = small
        sink = io.BytesIO()
        Image.fromarray(sheet).save(sink, "JPEG", quality=QUALITY)
        return sink.getvalue()

    def thumbnail(self, name: str) -> NDArray[np.uint8]:
        """Return (SIDE, SIDE, 3): the whole picture, squeezed into a square; grey if unreadable."""
        made = self._kept.get(name)
        if made is None:
            try:
                made, size = _quick(self._library, name) or self._make(name)
            except WorkbenchError:
                made, size = np.full((SIDE, SIDE, 3), _GREY, np.uint8), (SIDE, SIDE)
            with self._lock:
                self._sizes[name] = size
                self._kept[name] = made
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return made

    def size(self, name: str) -> tuple[int, int]:
        """Return width and height of the picture in pixels."""
        if name not in self._sizes:
            self.thumbnail(name)
        return self._sizes[name]

    def prepare(
        self, sheets: Sequence[Sequence[str]], made: Callable[[Sequence[str], bytes], None]
    ) -> None:
        """Make sheets in a thread of their own, and tell of each with its names."""
        threading.Thread(target=self._prepare, args=(sheets, made), daemon=True).start()

    def _prepare(
        self, sheets: Sequence[Sequence[str]], made: Callable[[Sequence[str], bytes], None]
    ) -> None:
        for names in sheets:
            made(names, self.sprite(names))

    def _make(self, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        image = self._library.open(name).image
        pixels = (image[:, :, :3].clip(0, 1) * 255).astype(np.uint8)
        small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small), (image.shape[1], image.shape[0])


def _quick(library: Library, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """Decode a PNG, or a JPEG at an eighth to a half of its size: several times as fast."""
    if not isinstance(library, Folder) or library.path(name).suffix.lower() not in _QUICK:
        return None
    try:
        with Image.open(library.path(name)) as opened:
            size = opened.size
            if size[0] * size[1] > MAX_PIXELS or opened.mode.startswith(("I", "F")):
                return None
            opened.draft("RGB", (SIDE, SIDE))
            small = opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError):
        return None
    return np.asarray(small), size
