"""Run-time compilation and its cache on disk; NVRTC needs no GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from rnnkernels.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

compiler = pytest.importorskip("rnnkernels.cuda.compile", reason="needs cuda-core")

KERNEL = 'extern "C" __global__ void add(float* p) { p[threadIdx.x] += 1.0f; }'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNKERNELS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object) -> bytes:
        raise AssertionError("compiled although it is in the cache")

    return lambda: monkeypatch.setattr(compiler, "_compile", refuse)


def test_second_use_comes_from_the_cache(folder: Path, no_compiler: Callable[[], None]) -> None:
    first = compiler.cubin(KERNEL, "sm_90a")
    assert first[:4] == b"\x7fELF"
    assert len(list(folder.iterdir())) == 1
    no_compiler()
    assert compiler.cubin(KERNEL, "sm_90a") == first


def test_source_architecture_and_options_decide_the_entry(folder: Path) -> None:
    compiler.cubin(KERNEL, "sm_90a")
    compiler.cubin(KERNEL, "sm_80")
    compiler.cubin(KERNEL, "sm_90a", "--maxrregcount=32")
    compiler.cubin(KERNEL + " ", "sm_90a")
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize(
    "damage",
    [lambda old: old[:-1], lambda old: old[:40] + b"?" + old[41:], lambda _: b""],
    ids=["cut", "changed", "empty"],
)
def test_a_damaged_entry_is_built_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    first = compiler.cubin(KERNEL, "sm_90a")
    (entry,) = folder.iterdir()
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    assert compiler.cubin(KERNEL, "sm_90a") == first
    assert entry.read_bytes() == good


def test_many_at_once_leave_one_whole_entry(folder: Path, no_compiler: Callable[[], None]) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: compiler.cubin(KERNEL, "sm_90a"), range(8)))
    assert len(found) == 1
    assert [path.suffix for path in folder.iterdir()] == [".cubin"]
    no_compiler()
    assert {compiler.cubin(KERNEL, "sm_90a")} == found


KEPT = """
import sys, torch
from rnnkernels.cuda import backend, compile
from rnnkernels.triton import sums
from rnnkernels.triton.compile import Build, code
pointers = tuple((name, torch.bfloat16) for name in ("hidden", "initial", "r", "out"))
constants = {"D": 16, "BLOCK_D": 16, "GATES": 1, "HAS_INITIAL": False, "ROWS": 128}
build = Build(None, "products", pointers, ("B", "T", "N"), tuple(constants.items()), 4, 8)
print(len(compile.cubin(sys.argv[1], "sm_90a")), len(code(build, (9, 0)).cubin))
print(*(name for name in ("triton", "cuda.core", "cuda.bindings.nvrtc") if name in sys.modules))
"""


def test_a_kept_kernel_loads_no_compiler(folder: Path) -> None:
    def run() -> list[str]:
        command = [sys.executable, "-c", KEPT, KERNEL]
        environment = {**os.environ, "RNNKERNELS_CACHE": str(folder)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return done.stdout.splitlines()

    first, second = run(), run()
    assert first == [first[0], "triton cuda.core cuda.bindings.nvrtc"]
    assert second == [first[0], ""]


def test_works_without_a_folder_to_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RNNKERNELS_CACHE", str(tmp_path / "file" / "below"))
    assert compiler.cubin(KERNEL, "sm_90a")[:4] == b"\x7fELF"


def test_an_error_shows_the_compilers_words(folder: Path) -> None:
    with pytest.raises(CompileError, match=r'(?s)sm_90a.*identifier "nothing" is undefined'):
        compiler.cubin("__global__ void f(int* p) { *p = nothing; }", "sm_90a")
    assert not list(folder.iterdir())


def test_architectures_with_their_own_instructions() -> None:
    names = [compiler.architecture(c) for c in [(8, 0), (8, 6), (9, 0), (10, 0), (12, 0)]]
    assert names == ["sm_80", "sm_86", "sm_90a", "sm_100a", "sm_120"]


def test_no_compiler_of_the_machine_is_asked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing on the path there is neither nvcc nor g++, and no toolkit to find."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for name in ("CC", "CXX", "CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert shutil.which("nvcc") is None
    assert shutil.which("g++") is None
    assert compiler.cubin(KERNEL, "sm_90a")[:4] == b"\x7fELF"
    assert [path.suffix for path in folder.iterdir() if path.is_file()] == [".cubin"]
