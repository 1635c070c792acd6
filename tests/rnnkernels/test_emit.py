"""Emitted code: CUDA compiles for every family, and CUDA, Triton and PyTorch code agree.

CUDA's exact variant runs here as C++ (device functions are plain functions of floats), Triton's in
its interpreter; both against the PyTorch code in float64.
"""

# ruff: noqa: ANN001, ANN201, F821 - cells are written as in a notebook

from __future__ import annotations

import ctypes
import importlib
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from rnn_inputs import ALL_CELLS
from rnnkernels import cell
from rnnkernels.definition import by_key
from rnnkernels.emit import cuda_source, torch_functions, triton_source

if TYPE_CHECKING:
    from pathlib import Path

    from rnnkernels import Cell


@cell(gates=("a", "b"), states=("h", "c"))
def everything(x, r, s):  # every operation, negative constants, a gate without x
    a = sqrt(1.5 + abs(x.a)) + log(2 + softplus(r.a)) - exp(minimum(x.b, 0.5)) / (3 + x.a**2)
    b = where(x.b > -0.25, log_sigmoid(x.a), maximum(-1.5, relu(r.a) - 2 * s.c))
    return tanh(a - b) + 0.1 * where(x.a >= r.b, -1.0, 1.0), sigmoid(-b) * s.c


@cell(gates=("a",), states=("h", "c"))
def swapping(x, r, s):  # new states that are old ones; derivatives that are constants
    return s.c + 0 * s.h, relu(x.a + r.a)


CELLS = {c.name: by_key(c.kernel_key) for c in (*ALL_CELLS.values(), everything, swapping)}

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
KERNEL = """
extern "C" __global__ void run(const float* in, float* out) {
  float x[GATES], r[GATES], s[STATES], d[STATES], dx[GATES], dr[GATES];
  for (int k = 0; k < GATES; ++k) { x[k] = in[k]; r[k] = in[GATES + k]; }
  for (int k = 0; k < STATES; ++k) { s[k] = in[2 * GATES + k]; d[k] = in[2 * GATES + STATES + k]; }
  cell_backward(x, r, s, d, dx, dr, d);
  cell_forward(x, r, s, s);  // in place
  for (int k = 0; k < STATES; ++k) { out[k] = s[k]; out[STATES + 2 * GATES + k] = d[k]; }
  for (int k = 0; k < GATES; ++k) { out[STATES + k] = dx[k]; out[STATES + GATES + k] = dr[k]; }
}
"""


def inputs_of(defined: Cell, count: int = 64) -> torch.Tensor:
    rows = 2 * len(defined.gates) + 2 * len(defined.states)
    values = torch.randn(rows, count, generator=torch.Generator().manual_seed(5))
    values[: 2 * len(defined.gates), : count // 8] *= 20  # saturated gates too
    return values


def truth(defined: Cell, values: torch.Tensor) -> torch.Tensor:
    forward, backward = torch_functions(defined)
    rows = values.double().unbind(0)
    results = forward(*rows[: -len(defined.states)]) + backward(*rows)
    return torch.stack(results)


def assert_float32_accurate(name: str, got: torch.Tensor, expected: torch.Tensor) -> None:
    # Some tens of roundings in a chain, and of |values| up to 20: 40 eps of the larger magnitude.
    allowed = 40 * torch.finfo(torch.float32).eps * (1 + expected.abs())
    worst = ((got.double() - expected).abs() / allowed).max()
    assert worst <= 1, f"{name}: error is {worst:.2f} of what float32 explains"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_cuda_compiles_for_every_family(name: str, dtype: torch.dtype) -> None:
    core = pytest.importorskip("cuda.core")
    source = cuda_source(CELLS[name], dtype) + KERNEL
    for arch in ("sm_80", "sm_90a", "sm_100a"):
        options = core.ProgramOptions(arch=arch, std="c++17")
        assert core.Program(source, "c++", options).compile("cubin").code


SHIM = """
#include <cmath>
#include <cstring>
#define __device__
#define __global__
#define __forceinline__ inline
using std::fmax;
"""
INSTRUCTIONS = {  # what the PTX manual defines, the approximate ones without their error
    "max.NaN.f32": "a != a ? a : b != b ? b : a > b ? a : b",
    "min.NaN.f32": "a != a ? a : b != b ? b : a < b ? a : b",
    "tanh.approx.f32": "tanhf(a)",
    "sqrt.approx.ftz.f32": "sqrtf(a)",
    "ex2.approx.ftz.f32": "exp2f(a)",
    "lg2.approx.ftz.f32": "log2f(a)",
    "rcp.approx.ftz.f32": "1.0f / a",
}
ASM = re.compile(r'asm\("(\S+) %0, %1(?:, %2)?;" : "=f"\(y\) : "f"\(a\)(?:, "f"\(b\))?\);')


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler to run CUDA code with")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_cuda_code_computes_the_cell(tmp_path: Path, dtype: torch.dtype) -> None:
    parts = [SHIM]
    for name, defined in CELLS.items():
        source = cuda_source(defined, dtype)
        source = ASM.sub(lambda found: f"y = {INSTRUCTIONS[found[1]]};", source)
        assert "asm" not in source
        kernel = KERNEL.replace('extern "C"', "").replace("void run", f"void run_{name}")
        parts.append(f"namespace {name}_ {{\n{source}{kernel}}}\n")
        parts.append(
            f'extern "C" void {name}(const float* in, float* out) '
            f"{{ {name}_::run_{name}(in, out); }}\n"
        )
    (tmp_path / "cells.cpp").write_text("".join(parts))
    library = tmp_path / "cells.so"
    subprocess.run(
        ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-o", library, tmp_path / "cells.cpp"],
        check=True,
    )
    loaded = ctypes.CDLL(str(library))
    for name, defined in CELLS.items():
        values = inputs_of(defined)
        expected = truth(defined, values)
        got = torch.empty(expected.shape[::-1])
        columns = values.T.contiguous()
        for k in range(values.shape[1]):
            into, out = columns[k].data_ptr(), got[k].data_ptr()
            loaded[name](ctypes.c_void_p(into), ctypes.c_void_p(out))
        assert_float32_accurate(name, got.T, expected)


TRITON_RUN = """
import sys, torch, triton, triton.language as tl
import emitted_{name} as cells

@triton.jit
def run(in_ptr, out_ptr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
{loads}
    forward = cells.cell_forward({forward})
    backward = cells.cell_backward({backward})
{stores}

values = torch.load(sys.argv[1] + "/{name}.in.pt")
out = torch.empty({results}, values.shape[1])
run[(1,)](values, out, BLOCK=values.shape[1])
torch.save(out, sys.argv[1] + "/{name}.out.pt")
"""


def triton_program(name: str, defined: Cell) -> str:
    G, S = len(defined.gates), len(defined.states)
    named = [f"{kind}{k}" for kind, n in (("x", G), ("r", G), ("s", S), ("d", S)) for k in range(n)]
    results = [f"forward[{k}]" for k in range(S)] + [f"backward[{k}]" for k in range(2 * G + S)]
    return TRITON_RUN.format(
        name=name,
        loads="\n".join(
            f"    {v} = tl.load(in_ptr + {k} * BLOCK + at)" for k, v in enumerate(named)
        ),
        forward=", ".join(named[: 2 * G + S]),
        backward=", ".join(named),
        stores="\n".join(
            f"    tl.store(out_ptr + {k} * BLOCK + at, {v})" for k, v in enumerate(results)
        ),
        results=len(results),
    )


def test_triton_code_computes_the_cell_in_the_interpreter(tmp_path: Path) -> None:
    # In a process of its own: Triton decides at import whether it interprets.
    lines = []
    for name, defined in CELLS.items():
        torch.save(inputs_of(defined), tmp_path / f"{name}.in.pt")
        (tmp_path / f"emitted_{name}.py").write_text(triton_source(defined))
        (tmp_path / f"run_{name}.py").write_text(triton_program(name, defined))
        lines.append(f"runpy.run_path(sys.argv[1] + '/run_{name}.py')")
    (tmp_path / "all.py").write_text("import runpy, sys\n" + "\n".join(lines))
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(
        [sys.executable, tmp_path / "all.py", tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for name, defined in CELLS.items():
        got = torch.load(tmp_path / f"{name}.out.pt")
        assert_float32_accurate(name, got, truth(defined, inputs_of(defined)))


@pytest.mark.parametrize("name", ["slstm", "everything", "swapping"])
def test_triton_code_compiles_to_cubins(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = pytest.importorskip("triton.compiler")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    program = triton_program(name, CELLS[name])
    (tmp_path / f"emitted_{name}.py").write_text(triton_source(CELLS[name]))
    (tmp_path / f"kernel_{name}.py").write_text(program[: program.index("values =")])
    kernel = importlib.import_module(f"kernel_{name}").run
    pointers = {"in_ptr": "*fp32", "out_ptr": "*fp32"}
    for capability in (80, 90):
        source = compiler.ASTSource(kernel, pointers, {(2,): 64})
        compiled = compiler.compile(source, target=target("cuda", capability, 32))
        assert len(compiled.asm["cubin"]) > 0


def test_tables_describe_the_cell() -> None:
    source = cuda_source(CELLS["gru"], torch.bfloat16)
    assert "constexpr int GATES = 3, STATES = 1, BIASES = 4;" in source
    assert (
        "bool gate_is_distinct(int k) { return k == 0 ? false : k == 1 ? false : true; }" in source
    )
    assert "int recurrent_row(int k) { return k == 0 ? -1 : k == 1 ? -1 : 3; }" in source
    assert "#include" not in source


def test_functions_are_as_exact_as_the_storage_type() -> None:
    exact, half, coarse = (cuda_source(CELLS["lstm"], dtype) for dtype in DTYPES)
    assert "approx" not in exact
    assert "ex2.approx" in half
    assert "tanh.approx" not in half
    assert "tanh.approx" in coarse
