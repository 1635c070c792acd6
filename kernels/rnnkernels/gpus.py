"""What a kernel's launch may use on a GPU, as rows of data with the source of every number.

    find_gpu("H200").shared_memory          # bytes a block can have
    Gpu.current()                           # the row of the device of this machine
    Gpu("my card", COMPUTE[8, 9], multiprocessors=60, ...)      # one of your own

Limits that every GPU of a compute capability shares are in `COMPUTE`, what differs between
products in `GPUS`; sources: `ARCHITECTURE_SOURCE`, and `source` of each row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rnnkernels.errors import ArgumentError, UnsupportedError

if TYPE_CHECKING:
    import torch

_KIB, _MIB = 1024, 1024**2
ARCHITECTURE_SOURCE = (
    "CUDA C++ Programming Guide 13.0, tables of feature support and technical specifications per "
    "compute capability; the same numbers: NVIDIA/cccl, arch_traits.cuh. Clusters: the guide's "
    "section on thread block clusters (8 blocks are portable), Hopper tuning guide (16 on request)"
)


@dataclass(frozen=True, slots=True)
class Compute:
    """The limits of a compute capability; sizes in bytes, registers of 32 bits."""

    capability: tuple[int, int]
    shared_memory: int  # of a block, with opt-in; 1 KiB less than of a multiprocessor
    threads: int  # resident on a multiprocessor
    blocks: int  # resident on a multiprocessor
    max_cluster: int = 1  # blocks; 1: there are no clusters
    registers: int = 65_536  # of a multiprocessor, and of a block
    thread_registers: int = 255
    block_threads: int = 1024


COMPUTE = {
    row.capability: row
    for row in (
        Compute((8, 0), 163 * _KIB, 2048, 32),
        Compute((8, 6), 99 * _KIB, 1536, 16),
        Compute((8, 9), 99 * _KIB, 1536, 24),
        Compute((9, 0), 227 * _KIB, 2048, 32, max_cluster=16),
        Compute((10, 0), 227 * _KIB, 2048, 32, max_cluster=16),
        Compute((12, 0), 99 * _KIB, 1536, 24, max_cluster=8),
    )
}

# Clusters of that many blocks that are resident at a time, of those that fill a multiprocessor
# each: cuOccupancyMaxActiveClusters at 200 KiB of shared memory, read on an H200 (132
# multiprocessors; those of a graphics processing cluster that are left over hold none).
_H200_CLUSTERS = {2: 66, 4: 30, 8: 15, 16: 7}
_H200_MULTIPROCESSORS = 132


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its limits and its peak rates.

    `l2` in bytes, `bandwidth` of its memory in GB/s (1e9 bytes), `peak` of dense bfloat16 products
    with float32 sums in TFLOP/s, `clock` of a multiprocessor at its highest in MHz.
    """

    name: str
    compute: Compute
    multiprocessors: int
    l2: int
    bandwidth: int
    peak: int
    clock: int
    source: str = "given by the user"

    def __post_init__(self) -> None:
        for field in ("multiprocessors", "l2", "bandwidth", "peak", "clock"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(
                    f"{self.name}: {field}: expected an integer from 1 on, got {value!r}"
                )

    @property
    def capability(self) -> tuple[int, int]:
        """Compute capability, (9, 0) for an H200."""
        return self.compute.capability

    @property
    def shared_memory(self) -> int:
        """Bytes of shared memory that a block can have, with opt-in."""
        return self.compute.shared_memory

    @property
    def registers(self) -> int:
        """Registers of 32 bits of a multiprocessor."""
        return self.compute.registers

    @property
    def max_cluster(self) -> int:
        """Blocks in the largest cluster, 1 where there are none."""
        return self.compute.max_cluster

    def resident_clusters(self, size: int) -> int:
        """Return how many clusters of `size` blocks that fill a multiprocessor each are resident.

        Measured on an H200, and scaled by multiprocessors for other GPUs with clusters.
        """
        if size == 1:
            return self.multiprocessors
        if size > self.max_cluster:
            return 0
        if size not in _H200_CLUSTERS:
            sizes = ", ".join(str(s) for s in (1, *_H200_CLUSTERS))
            raise ArgumentError(f"cluster of {size} blocks: expected one of {sizes}")
        return max(1, _H200_CLUSTERS[size] * self.multiprocessors // _H200_MULTIPROCESSORS)

    @classmethod
    def current(cls, device: torch.device | int | None = None) -> Gpu:
        """Return the row of a CUDA device of this machine: a known one, else its driver's words.

        Raises UnsupportedError without a CUDA device, or for one older than sm_80.
        """
        import torch  # noqa: PLC0415 - the rows themselves need none

        if not torch.cuda.is_available():
            raise UnsupportedError(
                f"no CUDA device is available; rows of GPUs without one: {', '.join(GPUS)}"
            )
        given = device if device is None or isinstance(device, int) else device.index
        return _of_device(torch.cuda.current_device() if given is None else given)


@lru_cache(maxsize=64)
def _of_device(index: int) -> Gpu:
    import torch  # noqa: PLC0415

    found: Any = torch.cuda.get_device_properties(index)
    try:
        return row_of(found.name, found.multi_processor_count)
    except ArgumentError:
        return describe(found)


def describe(properties: Any) -> Gpu:
    """Return a row made of a device's properties, as PyTorch gives them.

    Raises UnsupportedError for a device older than sm_80.
    """
    capability = (properties.major, properties.minor)
    if capability < (8, 0):
        raise UnsupportedError(
            f"{properties.name} is sm_{capability[0]}{capability[1]}: needs sm_80"
        )
    family = max(known for known in COMPUTE if known <= capability)
    compute = Compute(
        capability,
        properties.shared_memory_per_block_optin,
        properties.max_threads_per_multi_processor,
        COMPUTE[family].blocks,
        COMPUTE[family].max_cluster,
        properties.regs_per_multiprocessor,
    )
    count, clock = properties.multi_processor_count, properties.clock_rate // 1000
    # Products of 16 bits a clock and multiprocessor, multiply and add: tensor cores of sm_90 on
    # take twice those of sm_80. Memory transfers twice a clock.
    products = 4096 if capability >= (9, 0) else 2048
    return Gpu(
        properties.name,
        compute,
        multiprocessors=count,
        l2=properties.L2_cache_size,
        bandwidth=max(1, properties.memory_clock_rate * properties.memory_bus_width // 4_000_000),
        peak=max(1, count * products * clock // 1_000_000),
        clock=clock,
        source="properties of the device, read from its driver",
    )


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu(
            "A100",
            COMPUTE[8, 0],
            multiprocessors=108,
            l2=40 * _MIB,
            bandwidth=2039,
            peak=312,
            clock=1410,
            source="NVIDIA A100 Tensor Core GPU Architecture (whitepaper V1.0), table 1 and 4; "
            "bandwidth: A100 80GB SXM data sheet, 2021",
        ),
        Gpu(
            "H100",
            COMPUTE[9, 0],
            multiprocessors=132,
            l2=50 * _MIB,
            bandwidth=3350,
            peak=989,
            clock=1980,
            source="NVIDIA H100 Tensor Core GPU Architecture (whitepaper V1.04), H100 SXM5; "
            "clock: nvidia-smi, maximum of the multiprocessors' (peak is stated at 1830)",
        ),
        Gpu(
            "H100 PCIe",
            COMPUTE[9, 0],
            multiprocessors=114,
            l2=50 * _MIB,
            bandwidth=2000,
            peak=756,
            clock=1755,
            source="NVIDIA H100 Tensor Core GPU Architecture (whitepaper V1.04), H100 PCIe; "
            "clock: product brief PB-11133-001",
        ),
        Gpu(
            "H200",
            COMPUTE[9, 0],
            multiprocessors=132,
            l2=50 * _MIB,
            bandwidth=4800,
            peak=989,
            clock=1980,
            source="NVIDIA H200 data sheet, 2024: H100's GPU with other memory; clock: nvidia-smi "
            "under load; PyTorch reports 60 MB of L2 on it, 50 MiB are H100's",
        ),
        Gpu(
            "B200",
            COMPUTE[10, 0],
            multiprocessors=148,
            l2=126 * _MIB,
            bandwidth=8000,
            peak=2250,
            clock=1855,
            source="NVIDIA Blackwell data sheet, 2024 (HGX B200, per GPU: bandwidth, dense peak); "
            "multiprocessors and L2: Chips and Cheese, NVIDIA's B200, 2025; clock: the peak over "
            "148 multiprocessors of 8,192 operations a clock",
        ),
        Gpu(
            "L40S",
            COMPUTE[8, 9],
            multiprocessors=142,
            l2=96 * _MIB,
            bandwidth=864,
            peak=362,
            clock=2520,
            source="NVIDIA L40S data sheet, 2023; multiprocessors, L2: NVIDIA Ada GPU "
            "Architecture (whitepaper V2.01), L40 of the same AD102",
        ),
        Gpu(
            "RTX 3090",
            COMPUTE[8, 6],
            multiprocessors=82,
            l2=6 * _MIB,
            bandwidth=936,
            peak=71,
            clock=1695,
            source="NVIDIA Ampere GA102 GPU Architecture (whitepaper V2.0), appendix A",
        ),
        Gpu(
            "RTX 4090",
            COMPUTE[8, 9],
            multiprocessors=128,
            l2=72 * _MIB,
            bandwidth=1008,
            peak=165,
            clock=2520,
            source="NVIDIA Ada GPU Architecture (whitepaper V2.01), appendix A",
        ),
        Gpu(
            "RTX 5090",
            COMPUTE[12, 0],
            multiprocessors=170,
            l2=96 * _MIB,
            bandwidth=1792,
            peak=209,
            clock=2407,
            source="NVIDIA RTX Blackwell GPU Architecture (whitepaper V1.1), appendix A",
        ),
    )
}
# The first that is part of a device's name and has as many multiprocessors.
_BY_DEVICE_NAME = {
    "A100": "A100",
    "H100 PCIe": "H100 PCIe",
    "H100": "H100",
    "H200": "H200",
    "B200": "B200",
    "L40S": "L40S",
    "RTX 3090": "RTX 3090",
    "RTX 4090": "RTX 4090",
    "RTX 5090": "RTX 5090",
}


def row_of(device: str, multiprocessors: int) -> Gpu:
    """Return the row of a device by what its driver calls it: "NVIDIA H100 80GB HBM3", 132.

    Raises ArgumentError for a device without a row.
    """
    for key, name in _BY_DEVICE_NAME.items():
        if key in device and multiprocessors == GPUS[name].multiprocessors:
            return GPUS[name]
    raise ArgumentError(
        f"no row for the device {device!r} of {multiprocessors} multiprocessors; rows: "
        f"{', '.join(GPUS)}"
    )


def find_gpu(gpu: str | Gpu) -> Gpu:
    """Return the row of a GPU by its name; a row is returned as it is.

    Raises ArgumentError for a name without a row; the message lists those there are.
    """
    if isinstance(gpu, Gpu):
        return gpu
    if gpu not in GPUS:
        raise ArgumentError(f"unknown GPU {gpu!r}; known: {', '.join(GPUS)}; or give a Gpu(...)")
    return GPUS[gpu]
