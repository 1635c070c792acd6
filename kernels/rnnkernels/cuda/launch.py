"""Cubins into a GPU and onto a stream: loading, the residency check, a launch of a few us.

Every kernel takes one struct by value whose members are 8 bytes wide (pointers and `long long`), so
that a launch packs plain integers.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from cuda.bindings import driver
from cuda.core import ObjectCode

from rnnkernels.errors import CompileError, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Gpu:
    """What a launch may use; sizes in bytes."""

    capability: tuple[int, int]
    sms: int
    shared: int  # per block, with opt-in

    @property
    def max_cluster(self) -> int:
        """Blocks in the largest cluster: 16 with the non-portable size, 1 before sm_90."""
        return 16 if self.capability[0] in {9, 10} else 1


def gpu(device: torch.device | int) -> Gpu:
    """Return the row of a device of this machine."""
    found: Any = torch.cuda.get_device_properties(device)
    return Gpu(
        (found.major, found.minor), found.multi_processor_count, found.shared_memory_per_block_optin
    )


@dataclass(frozen=True)
class Grid:
    """Blocks (a multiple of `cluster`), threads a block, dynamic shared memory in bytes."""

    blocks: int
    threads: int
    shared: int = 0
    cluster: int = 1
    cooperative: bool = False


class Launch:
    """A kernel of one device, loaded and checked to be resident, ready to be called.

    Raises UnsupportedError if the grid can never be resident: one cluster for a cluster launch, all
    blocks for a cooperative one. Waiting inside a kernel is safe after that.
    """

    def __init__(self, cubin: bytes, name: str, grid: Grid, device: int) -> None:
        with torch.cuda.device(device):
            torch.cuda.current_stream(device)  # PyTorch's context is the one to load into
            self._kernel = ObjectCode.from_cubin(cubin).get_kernel(name)
            self._function = _checked(
                "find the kernel",
                driver.cuKernelGetFunction(driver.CUkernel(int(self._kernel.handle))),
            )
            self._prepare(grid)
            self._config = _config(grid)
            self._check_residency(name, grid, device)
        self.device = device
        self.grid = grid

    def _prepare(self, grid: Grid) -> None:
        kinds = driver.CUfunction_attribute
        wanted = {kinds.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: grid.shared}
        if grid.cluster > 8:  # larger ones have to be asked for
            wanted[kinds.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED] = 1
        for kind, value in wanted.items():
            _checked("set up the kernel", driver.cuFuncSetAttribute(self._function, kind, value))

    def _check_residency(self, name: str, grid: Grid, device: int) -> None:
        if grid.cluster > 1:
            room = _checked(
                "count clusters",
                driver.cuOccupancyMaxActiveClusters(self._function, self._config),
            )
            needed, unit = 1, f"clusters of {grid.cluster} blocks"
        else:
            each = _checked(
                "count blocks",
                driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                    self._function, grid.threads, grid.shared
                ),
            )
            room = each * gpu(device).sms
            needed, unit = grid.blocks if grid.cooperative else 1, "blocks"
        self.resident = room
        if room < needed:
            raise UnsupportedError(
                f"{name}: {needed} {unit} of {grid.threads} threads with {grid.shared:,} B of "
                f'shared memory must be resident, this GPU holds {room}; use backend="alternating"'
            )

    def __call__(self, *arguments: Tensor | int | None) -> None:
        """Start on the current stream of the device; None is a null pointer."""
        values = [0 if a is None else a if isinstance(a, int) else a.data_ptr() for a in arguments]
        packed = (ctypes.c_int64 * len(values))(*values)
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(packed))
        self._config.hStream = torch.cuda.current_stream(self.device).cuda_stream
        _checked(
            "launch",
            driver.cuLaunchKernelEx(self._config, self._function, ctypes.addressof(pointers), 0),
        )


def aligned(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor, copied if it does not start at a multiple of 16 bytes (a view may not)."""
    return tensor if tensor is None or tensor.data_ptr() % 16 == 0 else tensor.clone()


def _config(grid: Grid) -> Any:
    config = driver.CUlaunchConfig()
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


def _checked(action: str, answer: tuple[Any, ...]) -> Any:
    """Return the driver's answer without its status; raises CompileError if that is an error."""
    status, *values = answer
    if status != type(status).CUDA_SUCCESS:
        raise CompileError(f"could not {action}: the CUDA driver says {status.name}")
    return values[0] if values else None
