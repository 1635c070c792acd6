"""Thumbnails of many galaxies in one picture, so that a page of a thousand is one message."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workbench.audit.library import Folder
from workbench.clumps.pictures import MAX_PIXELS
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.audit.library import Library

SIDE = 72  # pixels of a thumbnail
COLUMNS = 40  # of the sprite
_KEPT = 20_000  # thumbnails in memory, 310 MB at most
_KEPT_SHEETS = 8  # about 1 MB each
_QUICK = {".jpg", ".jpeg", ".png"}
_GREY = 40  # where a picture cannot be read


class Sprites:
    """Makes sprites; thumbnails that were made before are kept."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._sheets: OrderedDict[tuple[str, ...], bytes] = OrderedDict()
        self._kept: OrderedDict[str, tuple[NDArray[np.uint8], tuple[int, int]]] = OrderedDict()

    def sprite(self, names: Sequence[str]) -> bytes:
        """Return a JPEG of the thumbnails, `COLUMNS` in a row, `SIDE` pixels each."""
        key = tuple(names)
        if key not in self._sheets:
            self._sheets[key] = self._draw(key)
            if len(self._sheets) > _KEPT_SHEETS:
                self._sheets.popitem(last=False)
        return self._sheets[key]

    def _draw(self, names: Sequence[str]) -> bytes:
        rows = max(1, -(-len(names) // COLUMNS))
        sheet = np.zeros((rows * SIDE, COLUMNS * SIDE, 3), np.uint8)
        for number, name in enumerate(names):
            row, column = divmod(number, COLUMNS)
            place = (slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE))
            sheet[place] = self.thumbnail(name)
        sink = io.BytesIO()
        Image.fromarray(sheet).save(sink, "JPEG", quality=88)
        return sink.getvalue()

    def thumbnail(self, name: str) -> NDArray[np.uint8]:
        """Return (SIDE, SIDE, 3): the whole picture, squeezed into a square; grey if unreadable."""
        return self._made(name)[0]

    def size(self, name: str) -> tuple[int, int]:
        """Return width and height of the picture in pixels."""
        return self._made(name)[1]

    def _made(self, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        made = self._kept.get(name)
        if made is None:
            try:
                made = _quick(self._library, name) or self._make(name)
            except WorkbenchError:
                made = np.full((SIDE, SIDE, 3), _GREY, np.uint8), (SIDE, SIDE)
            with self._lock:
                self._kept[name] = made
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return made

    def prepare(self, names: Sequence[str]) -> None:
        """Make thumbnails in the background, for the page that will be asked for next."""
        threading.Thread(target=self._prepare, args=(names,), daemon=True).start()

    def _prepare(self, names: Sequence[str]) -> None:
        for name in names:
            self._made(name)

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
