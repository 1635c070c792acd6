"""Time a call: device events on a GPU, the wall clock on a CPU; medians with quartiles, memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

Timed: TypeAlias = Callable[[int], object]  # takes the number of the repeat
_SECONDS = 0.5  # of timed repeats, at most, beyond the least number
_LEAST = 3
_QUEUED = 20  # calls that a device's queue holds without making the host wait


def measure(call: Timed, device: torch.device, repeats: int) -> dict[str, Any]:
    """Return median and quartiles in ms, the number of repeats, and the peak of memory in bytes.

    On a GPU also `host_ms`, what the host takes to queue a call.

    Warm-up is three calls, one if a call takes long. Repeats are fewer than asked for where they
    would take longer than half a second, but three at least.
    """
    for k in range(1 if _seconds(call, 0, device) > _SECONDS else 3):
        call(k)
    took = _seconds(call, 1, device)
    count = max(_LEAST, min(repeats, int(_SECONDS / max(took, 1e-9))))
    times = _events(call, count) if device.type == "cuda" else _clock(call, count)
    points = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    low, middle, high = torch.tensor(times, dtype=torch.float64).quantile(points).tolist()
    found = {"ms": middle, "ms_p25": low, "ms_p75": high, "repeats": count}
    if device.type == "cuda":
        found["host_ms"] = _queued(call, min(count, _QUEUED), device)
    return found | {"peak_memory": _peak(call, device)}


def _seconds(call: Timed, k: int, device: torch.device) -> float:
    synchronize(device)
    began = time.perf_counter()
    call(k)
    synchronize(device)
    return time.perf_counter() - began


def _events(call: Timed, count: int) -> list[float]:
    """Return ms between events before and after each call, calls queued without waiting."""
    pairs = [(_event(), _event()) for _ in range(count)]
    for k, (start, end) in enumerate(pairs):
        start.record()
        call(k)
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in pairs]


def _queued(call: Timed, count: int, device: torch.device) -> float:
    """Return the ms after which the host has queued a call: what bounds calls faster than that."""
    synchronize(device)
    began = time.perf_counter()
    for k in range(count):
        call(k)
    took = time.perf_counter() - began
    synchronize(device)
    return 1e3 * took / count


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def _clock(call: Timed, count: int) -> list[float]:
    times = []
    for k in range(count):
        began = time.perf_counter()
        call(k)
        times.append(1e3 * (time.perf_counter() - began))
    return times


def _peak(call: Timed, device: torch.device) -> int | None:
    """Return the bytes that a call needs beyond its inputs; None on a CPU, where nobody counts."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call(0)
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device) - before)


def synchronize(device: torch.device) -> None:
    """Wait until the device has nothing to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
