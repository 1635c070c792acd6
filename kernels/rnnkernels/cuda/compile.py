"""CUDA C++ text to a cubin by NVRTC, through cuda.core, kept on disk.

What is kept is found by source, options, architecture and the version of CUDA's Python packages.
NVRTC and cuda.core are only loaded to compile: a kernel that is kept takes neither.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

from cuda.bindings import __version__ as bindings_version

from rnnkernels.disk import kept
from rnnkernels.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping

if find_spec("cuda.core") is None:
    raise ImportError("the package cuda-core is not installed: it compiles the kernels")

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
    parts = (source, arch, *options, bindings_version)
    return kept(parts, lambda: _compile(source, arch, options))


def _compile(source: str, arch: str, options: tuple[str, ...]) -> bytes:
    from cuda.core import Program, ProgramOptions  # noqa: PLC0415 - takes long, and is rarely needed

    settings = ProgramOptions(
        arch=arch, std="c++17", name="rnnkernels.cu", ptxas_options=list(options) or None
    )
    try:
        return bytes(Program(source, "c++", settings).compile("cubin").code)
    except Exception as error:  # cuda.core has no common base of its compile errors
        log = str(error).replace("\0", "").rstrip()
        raise CompileError(f"NVRTC cannot compile for {arch}: {log}") from error
