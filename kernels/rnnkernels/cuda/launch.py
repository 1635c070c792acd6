"""Cubins into a GPU and onto a stream: loading, the residency check, a launch of a few us.

Every kernel takes one struct by value whose members are 8 bytes wide (pointers and `long long`), so
that a launch packs plain integers.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from cuda.bindings import driver

from rnnkernels.cuda.sizes import Grid as Grid  # noqa: PLC0414, TC001 - offered
from rnnkernels.driver import Packed, bind_context, checked, current_stream, load_kernel
from rnnkernels.errors import UnsupportedError
from rnnkernels.gpus import Gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


Events = list[tuple["Launch", torch.cuda.Event, torch.cuda.Event]]
_timed: Events | None = None  # where launches leave an event before and after, if anywhere


@contextmanager
def timed() -> Iterator[Events]:
    """Collect every launch within, an event before and one after: to measure kernels alone."""
    global _timed  # noqa: PLW0603 - autograd launches from threads of its own
    before, _timed = _timed, []
    try:
        yield _timed
    finally:
        _timed = before


class Launch:
    """A kernel of one device, loaded and checked to be resident, ready to be called.

    Raises UnsupportedError if the grid can never be resident: one cluster for a cluster launch, all
    blocks for a cooperative one. Waiting inside a kernel is safe after that.
    """

    def __init__(self, cubin: bytes, name: str, grid: Grid, device: int) -> None:
        with torch.cuda.device(device):
            bind_context(device)
            self._function = _load(cubin, name, device)
            _allow(self._function, grid)
            self.resident = _resident(self._function, grid, device)
        self.device = device
        self.grid = grid
        self._configs: dict[int, Any] = {}  # by stream, so that threads do not share one
        needed = 1 if grid.cluster > 1 or not grid.cooperative else grid.blocks
        if self.resident < needed:
            unit = f"clusters of {grid.cluster} blocks" if grid.cluster > 1 else "blocks"
            raise UnsupportedError(
                f"{name}: {needed} {unit} of {grid.threads} threads with {grid.shared:,} B of "
                f"shared memory must be resident, this GPU holds {self.resident}; "
                'use backend="alternating"'
            )

    @property
    def resources(self) -> dict[str, int]:
        """Registers and spilled bytes of a thread, shared bytes of a block, what is resident."""
        kinds, of = driver.CUfunction_attribute, self._function
        return {
            "registers": _attribute(of, kinds.CU_FUNC_ATTRIBUTE_NUM_REGS),
            "spilled": _attribute(of, kinds.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES),
            "static_shared": _attribute(of, kinds.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES),
            "dynamic_shared": self.grid.shared,
            "resident": self.resident,
        }

    def __call__(self, *arguments: Tensor | int | None) -> None:
        """Start on the current stream of the device; None is a null pointer."""
        packed = Packed(arguments)
        bind_context(self.device)
        stream = current_stream(self.device)
        config = self._configs.get(stream)
        if config is None:
            config = self._configs[stream] = _config(self.grid, stream)
        start = None if _timed is None else _mark()
        status = driver.cuLaunchKernelEx(config, self._function, packed.address, 0)
        checked("launch", status)
        if _timed is not None and start is not None:
            _timed.append((self, start, _mark()))


def _attribute(function: Any, kind: Any) -> int:
    return int(checked("ask about the kernel", driver.cuFuncGetAttribute(kind, function)))


def _mark() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


@lru_cache(maxsize=1024)
def _load(cubin: bytes, name: str, _device: int) -> Any:
    """Return a kernel's function in the current context: the device's."""
    kernel = load_kernel(cubin, name)
    return checked("find the kernel", driver.cuKernelGetFunction(kernel))


def _allow(function: Any, grid: Grid) -> None:
    """Raise the limits that a launch of this grid needs raised."""
    kinds = driver.CUfunction_attribute
    wanted = {kinds.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: grid.shared}
    if grid.cluster > 8:
        wanted[kinds.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED] = 1
    for kind, value in wanted.items():
        checked("set up the kernel", driver.cuFuncSetAttribute(function, kind, value))


def _resident(function: Any, grid: Grid, device: int) -> int:
    """Return how many clusters, or blocks, of a grid the device holds at a time."""
    if grid.cluster > 1:
        config = _config(grid, 0)
        room = driver.cuOccupancyMaxActiveClusters(function, config)
        return int(checked("count clusters", room))
    count = driver.cuOccupancyMaxActiveBlocksPerMultiprocessor
    each = checked("count blocks", count(function, grid.threads, grid.shared))
    return int(each) * Gpu.current(device).multiprocessors


def aligned(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor, copied if it does not start at a multiple of 16 bytes (a view may not)."""
    return tensor if tensor is None or tensor.data_ptr() % 16 == 0 else tensor.clone()


def _config(grid: Grid, stream: int) -> Any:
    config = driver.CUlaunchConfig()
    config.hStream = stream
    config.gridDimX, config.gridDimY, config.gridDimZ = grid.blocks, 1, 1
    config.blockDimX, config.blockDimY, config.blockDimZ = grid.threads, 1, 1
    config.sharedMemBytes = grid.shared
    attributes = []
    kinds = driver.CUlaunchAttributeID
    if grid.cluster > 1:
        shape = driver.CUlaunchAttribute()
        shape.id = kinds.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        shape.value.clusterDim.x = grid.cluster
        shape.value.clusterDim.y = shape.value.clusterDim.z = 1
        attributes.append(shape)
    if grid.cooperative:
        together = driver.CUlaunchAttribute()
        together.id = kinds.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
        together.value.cooperative = 1
        attributes.append(together)
    config.attrs, config.numAttrs = attributes, len(attributes)
    return config
