"""What every launch through the CUDA driver needs first: PyTorch's context in this thread."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import torch

from rnnkernels.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Packed:
    """Arguments of a launch as the driver wants them: each 8 bytes wide, and where each is.

    Members of one struct that the kernel takes, or its arguments one by one, of which an int32
    reads the lower half (machines with GPUs are little-endian). None is a null pointer.
    """

    def __init__(self, arguments: Sequence[Tensor | int | None]) -> None:
        self.integers = [
            0 if a is None else a if isinstance(a, int) else a.data_ptr() for a in arguments
        ]
        count = len(arguments)
        self._values = (ctypes.c_int64 * count)(*self.integers)
        first = ctypes.addressof(self._values)
        self._places = (ctypes.c_void_p * count)(*range(first, first + 8 * count, 8))
        self.address = ctypes.addressof(self._places)


def current_stream(device: int) -> int:
    """Return the handle of a device's current stream, without the objects around it.

    As PyTorch's compiled graphs ask for it; it has no public name.
    """
    return int(torch._C._cuda_getCurrentRawStream(device))  # noqa: SLF001


def bind_context(device: int) -> None:
    """Make PyTorch's context current in this thread if none is: autograd's threads begin so."""
    from cuda.bindings import driver  # noqa: PLC0415 - not on every machine

    if int(checked("look for a context", driver.cuCtxGetCurrent())) == 0:
        primary = driver.cuDevicePrimaryCtxRetain(driver.CUdevice(device))
        context = checked("find PyTorch's context", primary)
        checked("take PyTorch's context", driver.cuCtxSetCurrent(context))


def load_kernel(cubin: bytes, name: str) -> Any:
    """Return the kernel `name` of machine code, as the driver's CUkernel of every device."""
    from cuda.bindings import driver  # noqa: PLC0415 - not on every machine

    library = checked("load", driver.cuLibraryLoadData(cubin, [], [], 0, [], [], 0))
    return checked("find the kernel", driver.cuLibraryGetKernel(library, name.encode()))


def checked(action: str, answer: tuple[Any, ...]) -> Any:
    """Return the driver's answer without its status; raises CompileError if that is an error."""
    status, *values = answer
    if status != type(status).CUDA_SUCCESS:
        raise CompileError(f"could not {action}: the CUDA driver says {status.name}")
    return values[0] if values else None
