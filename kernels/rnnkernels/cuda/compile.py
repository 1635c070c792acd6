"""CUDA C++ text to a cubin by NVRTC, through cuda.core, with a cache on disk.

A cache entry is named by the digest of everything that decides its content (source, options,
architecture, versions) and holds `sha256(cubin) + cubin`. Entries appear by an atomic rename, so
processes may share the folder; an entry whose digest is wrong is compiled again.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING

from cuda.bindings import nvrtc
from cuda.core import Program, ProgramOptions

from rnnkernels.disk import cache_folder, write_atomically
from rnnkernels.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DIGEST = 32  # bytes of a sha256
# Families whose own instructions are wanted; the suffix ties a cubin to that one family.
_FAMILIES = {(9, 0): "sm_90a", (10, 0): "sm_100a"}


def architecture(capability: tuple[int, int]) -> str:
    """Return NVRTC's name of a GPU's architecture, (9, 0) -> sm_90a."""
    return _FAMILIES.get(capability, f"sm_{capability[0]}{capability[1]}")


@lru_cache(maxsize=64)
def template(name: str) -> str:
    """Return the text of a file of this package, for instance `common.cuh`."""
    return files("rnnkernels.cuda").joinpath(name).read_text(encoding="utf-8")


def program(cell: str, constants: Mapping[str, int | bool | str], *names: str) -> str:
    """Return one translation unit: constants, the cell's device code, then these templates.

    A constant of type str names a type (`using NAME = value;`), others are `constexpr`.
    """
    lines = [
        f"using {name} = {value};"
        if isinstance(value, str)
        else f"constexpr {'bool' if isinstance(value, bool) else 'int'} {name} = {int(value)};"
        for name, value in constants.items()
    ]
    prelude = [template("common.cuh"), cell, *lines]
    return "\n".join([*prelude, *(template(name) for name in names)])


def cubin(source: str, arch: str, *options: str) -> bytes:
    """Return the machine code of `source` for an architecture such as "sm_90a".

    `options` go to ptxas, for instance "--maxrregcount=128". Raises CompileError with NVRTC's log.
    """
    entry = cache_folder() / f"{_digest(source, arch, options)}.cubin"
    found = _read(entry)
    if found is None:
        found = _compile(source, arch, options)
        _write(entry, found)
    return found


def _digest(source: str, arch: str, options: tuple[str, ...]) -> str:
    parts = (source, arch, *options, *_versions())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    """Return the versions of what turns text into machine code."""
    return version("cuda-core"), *(str(number) for number in nvrtc.nvrtcVersion()[1:])


def _read(entry: Path) -> bytes | None:
    """Return an entry's cubin, or None if there is none or it is damaged."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST], content[_DIGEST:]
    return body if hashlib.sha256(body).digest() == digest else None


def _write(entry: Path, body: bytes) -> None:
    """Keep a cubin; a folder that cannot be written to only costs the next process its time."""
    with suppress(OSError):
        write_atomically(entry, hashlib.sha256(body).digest() + body)


def _compile(source: str, arch: str, options: tuple[str, ...]) -> bytes:
    settings = ProgramOptions(
        arch=arch, std="c++17", name="rnnkernels.cu", ptxas_options=list(options) or None
    )
    try:
        return bytes(Program(source, "c++", settings).compile("cubin").code)
    except Exception as error:  # cuda.core has no common base of its compile errors
        log = str(error).replace("\0", "").rstrip()
        raise CompileError(f"NVRTC cannot compile for {arch}: {log}") from error
