"""Files that appear whole or not at all, and never over another without leave."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a scratch path beside `path`; what is written there becomes `path` at the end.

    The scratch name has the same suffix. After an error `path` is as it was.

    Raises
    ------
    WorkbenchError
        The folder is missing, `path` exists and `overwrite` is false, or the disk refuses.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise WorkbenchError(f"no folder {path.parent} to write {path.name} into")
    _refuse(path, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as scratch:
        part = Path(scratch) / path.name
        yield part
        try:
            with part.open("rb") as written:
                os.fsync(written.fileno())
            if overwrite:
                part.replace(path)
            else:
                os.link(part, path)  # unlike a rename, fails where the name was taken meanwhile
        except FileExistsError:
            _refuse(path, overwrite=False)
        except OSError as error:
            raise WorkbenchError(f"cannot write {path}: {error.strerror}") from error


def _refuse(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise WorkbenchError(
            f"{path} exists already and is left as it is; choose another name, or say "
            "overwrite=True"
        )
