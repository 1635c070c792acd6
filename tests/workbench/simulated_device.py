"""A GPU that is not there: times follow the launch model with a spread, in place of measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from rnnkernels.gpus import Gpu, find_gpu
from rnnkernels.measuring import Measured
from rnnkernels.plan import predicted, values_of

if TYPE_CHECKING:
    from rnnkernels.config import Configuration
    from rnnkernels.plan import Call


class SimulatedDevice:
    """What `workbench.tuning.run.Device` does, without a GPU.

    `broken` gives launches that fail, by what their text contains, with the driver's word.
    """

    def __init__(self, gpu: str = "H200", broken: dict[str, str] | None = None) -> None:
        self.gpu: Gpu = find_gpu(gpu)
        self.broken = broken or {}
        self.measured: list[tuple[Call, Configuration]] = []
        self.closed = False

    def measure(self, call: Call, config: Configuration) -> Measured:
        self.measured.append((call, config))
        guess = predicted(call, config) / 1e3
        for part, word in self.broken.items():
            if part in str(config):
                return Measured(config, guess, failure=word)
        values = values_of(call, config)
        spread = 0.9 + crc32(str(config).encode()) % 1000 / 5000
        registers = values.get("registers_equal", values["registers_available"])
        resources = {"registers": registers, "spilled": 0, "dynamic_shared": values["shared"]}
        return Measured(config, guess, guess * spread, 1.0, None, resources)

    def close(self) -> None:
        self.closed = True
