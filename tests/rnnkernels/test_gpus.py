"""Rows of GPUs: what they say, and how one is found or made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from rnnkernels.errors import ArgumentError, UnsupportedError
from rnnkernels.gpus import COMPUTE, GPUS, Gpu, describe, find_gpu


def test_the_rows_and_their_sources() -> None:
    names = [
        "A100",
        "H100",
        "H100_PCIe",
        "H200",
        "B200",
        "L40S",
        "RTX_3090",
        "RTX_4090",
        "RTX_5090",
    ]
    assert list(GPUS) == [name.replace("_", " ") for name in names]
    for gpu in GPUS.values():
        assert "NVIDIA" in gpu.source
        assert 80 <= gpu.multiprocessors <= 170
        assert gpu.shared_memory in {kib * 1024 for kib in (99, 163, 227)}
        # a peak is operations a clock: 512 to 8,192 a multiprocessor
        each = gpu.peak * 1e12 / (gpu.multiprocessors * gpu.clock * 1e6)
        assert 450 < each < 8300, gpu.name


def test_clusters_are_those_measured_on_an_h200() -> None:
    h200 = find_gpu("H200")
    assert [h200.resident_clusters(size) for size in (1, 2, 4, 8, 16)] == [132, 66, 30, 15, 7]
    assert find_gpu("H100 PCIe").resident_clusters(16) == 6
    assert find_gpu("A100").resident_clusters(2) == 0
    with pytest.raises(ArgumentError, match=r"cluster of 3 blocks: expected one of 1, 2, 4"):
        h200.resident_clusters(3)


def test_an_unknown_gpu_is_told_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"unknown GPU 'H300'; known: A100, H100.*Gpu\("):
        find_gpu("H300")


def test_a_gpu_of_ones_own() -> None:
    given = {"multiprocessors": 60, "l2": 32 * 2**20, "bandwidth": 500, "peak": 90, "clock": 2400}
    mine = Gpu("mine", COMPUTE[8, 9], **given)
    assert find_gpu(mine) is mine
    assert mine.source == "given by the user"
    assert mine.max_cluster == 1
    with pytest.raises(ArgumentError, match=r"mine: peak: expected an integer from 1 on, got 0"):
        Gpu("mine", COMPUTE[8, 9], **{**given, "peak": 0})


def properties(**changed: object) -> SimpleNamespace:
    """What PyTorch says of an RTX 4070 SUPER."""
    given = {
        "name": "NVIDIA GeForce RTX 4070 SUPER",
        "major": 8,
        "minor": 9,
        "multi_processor_count": 56,
        "shared_memory_per_block_optin": 101_376,
        "max_threads_per_multi_processor": 1536,
        "regs_per_multiprocessor": 65_536,
        "L2_cache_size": 50_331_648,
        "clock_rate": 2_475_000,
        "memory_clock_rate": 10_501_000,
        "memory_bus_width": 192,
    }
    return SimpleNamespace(**(given | changed))


def test_a_device_without_a_row_is_described_by_its_driver() -> None:
    row = describe(properties())
    assert (row.multiprocessors, row.shared_memory, row.clock) == (56, 101_376, 2475)
    assert row.bandwidth == 504  # GB/s: 10.5 GHz, twice a clock, 24 bytes
    assert row.compute.blocks == 24
    assert "driver" in row.source


def test_newer_than_known_is_like_the_newest_known() -> None:
    row = describe(properties(major=10, minor=3, shared_memory_per_block_optin=232_448))
    assert row.capability == (10, 3)
    assert row.max_cluster == 16


def test_too_old_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"sm_75: needs sm_80"):
        describe(properties(major=7, minor=5))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_current_without_a_gpu_names_the_rows() -> None:
    with pytest.raises(UnsupportedError, match=r"no CUDA device.*A100, H100"):
        Gpu.current()
