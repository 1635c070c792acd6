"""What every launch through the CUDA driver needs first: PyTorch's context in this thread."""

from __future__ import annotations

from typing import Any

from rnnkernels.errors import CompileError


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
