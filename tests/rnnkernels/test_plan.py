"""Which launch is chosen, how fast, and how it is forced or tuned."""

from __future__ import annotations

import time
from itertools import product
from typing import TYPE_CHECKING

import pytest
from rnnkernels import plan as planning
from rnnkernels import tuned
from rnnkernels.config import Configuration
from rnnkernels.errors import ArgumentError, UnsupportedError
from rnnkernels.plan import Call, choose, describe, forced, plan, planned, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LSTM64 = ("lstm", (16, 1024, 12, 64), "bfloat16", "H200")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("RNNKERNELS_CACHE", str(tmp_path))
    planning.forget()
    yield tmp_path
    planning.forget()


def test_small_heads_take_a_block_medium_ones_a_cluster_large_ones_the_gpu() -> None:
    chosen = {
        size: plan("lstm", (16, 1, 1, size), gpu="H200").config for size in (64, 256, 512, 2048)
    }
    assert [config.strategy for config in chosen.values()] == [*["cluster"] * 3, "grid"]
    assert dict(chosen[64].knobs)["cluster"] == 1
    assert dict(chosen[256].knobs)["cluster"] > 1


def test_the_number_of_steps_decides_nothing() -> None:
    assert plan("gru", (4, 1, 2, 96), gpu="B200") == plan("gru", (4, 999, 2, 96), gpu="B200")


def test_a_row_of_ones_own_with_less_shared_memory_gets_another_launch() -> None:
    h200, card = (describe("lstm", (16, 1, 12, 64), "float32", gpu) for gpu in ("H200", "RTX 3090"))
    for call in (h200, card):
        found = planned(call)
        assert found is not None
        assert found.layout.shared <= call.gpu.shared_memory


def test_nothing_fits_says_which_limits() -> None:
    with pytest.raises(UnsupportedError, match=r"lstm 1x10000.*cluster: .*grid: registers of"):
        plan("lstm", (1, 1, 1, 10_000), gpu="H200")


@pytest.mark.timing
def test_planning_is_fast() -> None:
    """Under 5 ms for what was not asked before, cell, type, direction or GPU; else under 50 us."""
    cold, warm = [], []
    for cell, dtype, gpu, direction in product(
        ("lstm", "gru", "slstm", "elman"),
        ("bfloat16", "float32"),
        ("H200", "A100"),
        ("forward", "backward"),
    ):
        for size in (48, 272, 1040):
            start = time.process_time()
            call = describe(cell, (16, 1, 3, size), dtype, gpu, direction)
            choose(call)
            middle = time.process_time()
            choose(call)
            warm.append(time.process_time() - middle)
            cold.append(middle - start)
    assert sorted(cold)[int(0.9 * len(cold))] < 5e-3, cold
    assert sorted(warm)[int(0.9 * len(warm))] < 50e-6, warm


def test_a_forced_configuration_runs_and_one_that_does_not_fit_is_refused() -> None:
    call, back = (describe(*LSTM64, direction) for direction in ("forward", "backward"))
    other = ranked(call, "cluster")[3][1]
    with forced(forward=other):
        assert choose(call).config == other
        assert choose(back) == planned(back)
    assert choose(call) == planned(call)
    large = Configuration("cluster", tuple((dict(other.knobs) | {"tile": 32, "ring": 8}).items()))
    with forced(forward=large), pytest.raises(UnsupportedError, match=r"does not run.*batch fills"):
        choose(call)
    with (
        forced(forward=Configuration.of("cluster", tile=8)),
        pytest.raises(UnsupportedError, match=r"expected values of cluster, tile.*got tile"),
    ):
        choose(call)
    with (
        pytest.raises(ArgumentError, match="unknown strategy"),
        forced(forward=Configuration("x", ())),
    ):
        pass


def test_a_tuned_launch_is_used_here_and_in_later_processes(folder: Path) -> None:
    call = describe(*LSTM64)
    other = ranked(call, "cluster")[5][1]
    path = tuned.store(call, other, 123.0)
    planning.forget()
    assert choose(call).config == other
    assert path.parent == folder
    assert [entry.name for entry in folder.iterdir()] == [path.name]  # nothing half-written
    planning.forget()  # as a new process would begin
    assert choose(call).config == other
    another = describe("lstm", (16, 1, 12, 128), gpu="H200")
    assert choose(another) == planned(another)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 1}'])
def test_a_damaged_tuned_file_counts_as_none(folder: Path, content: bytes) -> None:
    call = describe(*LSTM64)
    tuned.file_of(call.gpu).write_bytes(content)
    planning.forget()
    assert choose(call) == planned(call)
    assert folder.exists()


def test_a_tuned_launch_that_no_longer_fits_is_not_used(folder: Path) -> None:
    call = describe(*LSTM64)
    knobs = dict(planned(call).config.knobs) | {"resident": 45}
    tuned.store(call, Configuration("cluster", tuple(knobs.items())), 1.0)
    planning.forget()
    assert choose(call) == planned(call)
    assert folder.exists()


def test_a_call_is_told_by_its_name() -> None:
    assert str(describe(*LSTM64, "backward")) == "lstm 12x64 B16 bfloat16 backward"
    assert isinstance(describe(*LSTM64), Call)
