"""From a Triton function to a loaded kernel, and its launch, without a compiler on the machine.

Triton builds cubins with the assembler it brings along, but its own launcher wants a C compiler.
So kernels are launched here through the CUDA driver, and kept on disk beside those of CUDA C++:
Triton itself, whose import and cache take half a second, is only loaded to compile.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rnnkernels.disk import kept
from rnnkernels.driver import Packed, bind_context, checked, current_stream, load_kernel
from rnnkernels.errors import CompileError, UnsupportedError
from rnnkernels.triton.template import kernel, kernel_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from rnnkernels.definition import Cell

_TYPES = {
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.int32: "*i32",
    torch.int64: "*i64",
}


@dataclass(frozen=True)
class Build:
    """One kernel to compile: a cell's template, or one for all, its arguments and constants.

    `pointers` maps pointer arguments to their element types, `scalars` are the int32 arguments.
    """

    cell: Cell | None
    template: str
    pointers: tuple[tuple[str, torch.dtype], ...]
    scalars: tuple[str, ...]
    constants: tuple[tuple[str, Any], ...]
    warps: int
    # Elements at a multiple of which pointers are known to start, so how many a thread moves at
    # once; 0: one.
    alignment: int = 0
    fast: bool = False  # approximate instructions, right for bfloat16 storage

    @property
    def signature(self) -> dict[str, str]:
        """Triton's type of each argument, in the order of the template."""
        found = {name: _TYPES[dtype] for name, dtype in self.pointers}
        found |= dict.fromkeys(self.scalars, "i32")
        return found | {name: "constexpr" for name, _ in self.constants}

    @property
    def parts(self) -> tuple[str, ...]:
        """Texts that decide the machine code, whatever the process."""
        source = kernel_source(self.cell, self.template, fast=self.fast)
        return source, repr((self.signature, self.constants, self.warps, self.alignment))


@dataclass(frozen=True)
class Code:
    """Machine code, the name of the kernel in it, and the bytes of shared memory it is given."""

    cubin: bytes
    name: str
    shared: int


@lru_cache(maxsize=1024)
def code(build: Build, capability: tuple[int, int]) -> Code:
    """Return a kernel's machine code, kept on disk; no GPU is needed. Raises CompileError."""

    def made() -> bytes:
        found = compiled(build, capability)
        about = {"name": found.metadata.name, "shared": found.metadata.shared}
        return json.dumps(about).encode() + b"\n" + bytes(found.asm["cubin"])

    about, cubin = kept((*build.parts, repr(capability), _version()), made).split(b"\n", 1)
    return Code(cubin, **json.loads(about))


@lru_cache(maxsize=1)
def _version() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:  # some builds of PyTorch bring it under another name
        import triton  # noqa: PLC0415

        return str(triton.__version__)


@lru_cache(maxsize=1024)
def compiled(build: Build, capability: tuple[int, int]) -> Any:
    """Return what Triton makes of a kernel (`.asm`, `.metadata`). Raises CompileError."""
    import triton  # noqa: PLC0415 - takes long, and is rarely needed
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415

    aligned = {
        (k,): [["tt.divisibility", build.alignment * dtype.itemsize]]
        for k, (_, dtype) in enumerate(build.pointers)
        if build.alignment
    }
    source = ASTSource(
        kernel(build.cell, build.template, fast=build.fast),
        build.signature,
        dict(build.constants),
        aligned,
    )
    target = GPUTarget("cuda", 10 * capability[0] + capability[1], 32)
    try:
        return triton.compile(source, target, {"num_warps": build.warps, "num_stages": 1})
    except Exception as error:
        owner = f" of cell {build.cell.name}" if build.cell else ""
        raise CompileError(
            f"{build.template}{owner} does not compile for "
            f"sm_{target.arch} with {dict(build.constants)}: {error}"
        ) from error


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes: registers and spilled bytes a thread, shared bytes a block."""

    registers: int
    spilled: int
    shared: int


def usage(build: Build, capability: tuple[int, int], folder: Path) -> Usage:
    """Return the resources of a kernel; `folder` takes the cubin for the tool that reads it."""
    import triton  # noqa: PLC0415 - brings the tool that reads machine code

    found = code(build, capability)
    path = folder / "kernel.cubin"
    path.write_bytes(found.cubin)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    report = subprocess.run(
        [tool, "-res-usage", path], check=True, capture_output=True, text=True
    ).stdout
    numbers = {key: int(n) for key, n in re.findall(r"(REG|STACK|LOCAL):(\d+)", report)}
    return Usage(numbers["REG"], numbers["STACK"] + numbers["LOCAL"], found.shared)


@dataclass(frozen=True)
class Loaded:
    """A kernel in a GPU's memory, ready to launch."""

    handle: Any
    device: int
    warps: int
    shared: int
    pointers: int

    def __call__(self, programs: int, *arguments: Tensor | int | None) -> None:
        """Launch on the current stream of the current device; a tensor of None is never read."""
        from cuda.bindings import driver  # noqa: PLC0415 - not on every machine

        # Triton adds two pointers to scratch memory, which these kernels do not use.
        packed = Packed((*arguments, None, None))
        if any(address % 16 for address in packed.integers[: self.pointers]):
            raise ValueError("kernel arguments: expected addresses that are multiples of 16 bytes")
        block, stream = 32 * self.warps, current_stream(self.device)
        bind_context(self.device)
        status = driver.cuLaunchKernel(
            self.handle, programs, 1, 1, block, 1, 1, self.shared, stream, packed.address, 0
        )
        checked("launch", status)


def shared_memory(device: int | torch.device) -> int:
    """Return the bytes of shared memory that one program can have."""
    properties = torch.cuda.get_device_properties(device)
    return int(properties.shared_memory_per_block_optin)  # type: ignore[attr-defined]


@lru_cache(maxsize=1024)
def loaded(build: Build, device: int) -> Loaded:
    """Compile if need be, and load on a device. Raises CompileError, UnsupportedError."""
    from cuda.bindings import driver  # noqa: PLC0415 - not on every machine

    found = code(build, torch.cuda.get_device_capability(device))
    shared, room = found.shared, shared_memory(device)
    if shared > room:
        raise UnsupportedError(
            f"{build.template} needs {shared:,} B of shared memory, this GPU has {room:,} B; "
            'use backend="alternating"'
        )
    bind_context(device)
    handle = load_kernel(found.cubin, found.name)
    wanted = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    answer = driver.cuKernelSetAttribute(wanted, shared, handle, driver.CUdevice(device))
    checked("reserve shared memory", answer)
    function = driver.CUfunction(int(handle))
    return Loaded(function, device, build.warps, shared, len(build.pointers))


def run(
    build: Build, device: torch.device, programs: int, arguments: Mapping[str, Tensor | int | None]
) -> None:
    """Launch a kernel, by argument names; on the CPU through Triton's interpreter."""
    names = [*(name for name, _ in build.pointers), *build.scalars]
    if device.type == "cpu":
        standin = torch.zeros(1, device=device)
        given = {name: standin if arguments[name] is None else arguments[name] for name in names}
        kernel(build.cell, build.template, fast=build.fast)[programs,](
            **given, **dict(build.constants)
        )
        return
    loaded(build, device.index)(programs, *(arguments[name] for name in names))


def aligned(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor, copied if it begins at an address that 16-byte loads cannot take."""
    if tensor is None or tensor.data_ptr() % 16 == 0:
        return tensor
    return tensor.clone()
