"""The ways a call is made on the GPU: streams, graphs, compiled, odd layouts; and refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from gpu_cases import BACKENDS, DEVICE, Case, expected, given, run
from rnnkernels import CELLS, GRU, LSTM, Elman, ops, rnn
from rnnkernels.errors import DerivativeError, UnsupportedError
from torch import Tensor, nn
from torch.library import opcheck

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.gpu
# one block or program per head; a cluster; the whole GPU
SHAPES = [(3, 37, 2, 64), (5, 40, 1, 256), (3, 37, 1, 768)]


def supported(backend: str, head_dim: int) -> None:
    if backend == "triton" and head_dim > 128:
        pytest.skip("the Triton backend ends at head_dim 128")


def close(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_streams_side_by_side(shape: tuple[int, ...], backend: str) -> None:
    supported(backend, shape[-1])
    cases = [Case(cell, torch.bfloat16, *shape) for cell in ("lstm", "gru", "lstm", "elman")]
    inputs = [given(case) for case in cases]
    alone = [run(c, i, backend, c.dtype) for c, i in zip(cases, inputs, strict=True)]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in cases]
    together = []
    for case, given_, stream in zip(cases, inputs, streams, strict=True):
        with torch.cuda.stream(stream):
            together.append(run(case, given_, backend, case.dtype))
    torch.cuda.synchronize()
    assert all(close(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_captured_in_a_cuda_graph(shape: tuple[int, ...], backend: str) -> None:
    supported(backend, shape[-1])
    case = Case("gru", torch.bfloat16, *shape, initial=True, lengths=True)
    inputs = given(case)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run(case, inputs, backend, case.dtype)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run(case, inputs, backend, case.dtype)
    for _ in range(2):
        for leaf in inputs.leaves:
            leaf.copy_(leaf.flip(0))
        graph.replay()
        assert close(captured, run(case, inputs, backend, case.dtype))


@pytest.mark.filterwarnings("ignore")  # Inductor's are not ours
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_training_step(backend: str) -> None:
    torch.manual_seed(0)
    model = LSTM(24, 64, num_heads=2, backend=backend).to(DEVICE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.randn(20, 8, 24, device=DEVICE)
    y = torch.randn(20, 8, 64, device=DEVICE).tanh()

    # Inductor wants a C compiler for code of its own, and seconds: once is enough.
    compiler = "inductor" if backend == "cuda" and shutil.which("gcc") else "aot_eager"

    @torch.compile(fullgraph=True, backend=compiler)
    def loss(x: Tensor, y: Tensor) -> Tensor:
        return (model(x)[0] - y).square().mean()

    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss(x, y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.95 * losses[0]


WITHOUT_COMPILERS = """
import shutil, torch
from rnnkernels import LSTM, available
print([name for name in ("nvcc", "g++", "gcc", "cc", "clang", "c++") if shutil.which(name)])
torch.manual_seed(0)
theirs = torch.nn.LSTM(24, 48, num_layers=2)
x = torch.randn(7, 3, 24)
exact = torch.nn.LSTM(24, 48, num_layers=2).double()  # cuDNN's own float32 is off by 1e-5 at times
exact.load_state_dict(theirs.state_dict())
y = exact(x.double())[0]
y.square().sum().backward()
x = x.cuda()
for backend in available().names:
    ours = LSTM(24, 48, num_layers=2, backend=backend).cuda()
    ours.load_state_dict(theirs.state_dict())
    step = torch.compile(lambda: ours(x)[0].square().sum(), fullgraph=True, backend="aot_eager")
    step().backward()
    parameters = zip(ours.parameters(), exact.parameters())
    pairs = [(ours(x)[0], y), *((a.grad, b.grad) for a, b in parameters)]
    print(backend, max(((a.cpu() - b).abs().max() / b.abs().max()).item() for a, b in pairs))
"""


def test_without_any_compiler_everything_runs(tmp_path: Path) -> None:
    """No nvcc, no g++, no kernel from before: a checkpoint of nn.LSTM loads, matches and trains."""
    (tmp_path / "nothing").mkdir()
    hidden = ("CC", "CXX", "CUDA_HOME", "CUDA_PATH", "NVCC")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PATH": str(tmp_path / "nothing"), "XDG_CACHE_HOME": str(tmp_path)}
    environment |= {"RNNKERNELS_CACHE": str(tmp_path), "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILERS],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    found, *lines = done.stdout.splitlines()
    assert found == "[]"
    assert [line.split()[0] for line in lines] == ["cuda", "triton", "alternating", "reference"]
    assert all(float(line.split()[1]) <= 1e-5 for line in lines), lines


FIRST_USE = """
import time, torch
from rnnkernels import rnn

def use(cell, gates, biases, head_dim):
    sizes = (5, 9, gates, 3, head_dim), (gates, 3, head_dim, head_dim), (biases, 3, head_dim)
    leaves = [torch.randn(*size, device="cuda").bfloat16().requires_grad_() for size in sizes]
    torch.cuda.synchronize()
    start = time.perf_counter()
    rnn(*leaves, cell, "cuda")[0].sum().backward()
    torch.cuda.synchronize()
    return time.perf_counter() - start

print(use("lstm", 4, 4, 64), use("gru", 3, 4, 72))
"""


def test_first_use_of_a_configuration_is_quick(tmp_path: Path) -> None:
    """Under 3 s a direction to compile, under 50 ms where the kernels are kept from before."""

    def second_configuration() -> float:
        command = [sys.executable, "-c", FIRST_USE]
        environment = {**os.environ, "RNNKERNELS_CACHE": str(tmp_path)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout.split()[1])

    compiled, kept = second_configuration(), second_configuration()
    assert compiled < 6
    assert kept < 2 * 0.05


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", ["gru", "slstm"])
def test_opcheck(cell: str, backend: str) -> None:
    case = Case(cell, torch.float32, 3, 5, 2, 16, initial=True, lengths=True)
    inputs = given(case)
    leaves = [leaf.requires_grad_() for leaf in inputs.leaves]
    key = CELLS[cell].kernel_key
    opcheck(ops.forward, (*leaves, inputs.lengths, key, backend, True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("ours", "theirs"), [(LSTM, nn.LSTM), (GRU, nn.GRU), (Elman, nn.RNN)], ids=lambda m: m.__name__
)
def test_float32_is_that_of_torch_nn(
    ours: type[nn.Module], theirs: type[nn.Module], backend: str
) -> None:
    torch.manual_seed(0)
    reference = theirs(40, 48, num_layers=2, bidirectional=True).to(DEVICE)
    model = ours(40, 48, num_layers=2, bidirectional=True, backend=backend).to(DEVICE)
    model.load_state_dict(reference.state_dict())
    x = torch.randn(64, 5, 40, device=DEVICE, requires_grad=True)
    dy = torch.randn(64, 5, 96, device=DEVICE)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        for module in (model, reference):
            module(x)[0].backward(dy)
        outputs = model(x)[0], reference(x)[0]
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert (outputs[0] - outputs[1]).abs().max() <= 1e-5
    truth = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        expected_grad = truth[name].grad
        assert expected_grad is not None
        assert parameter.grad is not None
        scale = expected_grad.abs().max()
        assert (parameter.grad - expected_grad).abs().max() <= 1e-5 * scale, name


@pytest.mark.parametrize("backend", BACKENDS)
def test_views_at_odd_addresses(backend: str) -> None:
    case = Case("lstm", torch.bfloat16, 3, 7, 2, 33)
    inputs, exact, _ = expected(case)
    wx, r, b = inputs.leaves
    room = torch.empty(wx.numel() + 1, dtype=wx.dtype, device=DEVICE)
    shifted = room[1:].view(wx.shape).copy_(wx)
    assert shifted.data_ptr() % 16
    transposed = wx.transpose(0, 1).contiguous().transpose(0, 1)
    plain = rnn(wx, r, b, backend=backend)
    assert close(plain, rnn(shifted, r, b, backend=backend))
    assert close(plain, rnn(transposed, r, b, backend=backend))
    assert (plain[0].double() - exact[0]).abs().max() < 0.02


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_runs_in_bfloat16(backend: str) -> None:
    case = Case("lstm", torch.float32, 3, 7, 2, 32)
    with torch.autocast("cuda", torch.bfloat16):
        states, _ = rnn(*given(case).leaves, backend=backend)
    assert states.dtype == torch.bfloat16


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_derivative_is_refused(backend: str) -> None:
    case = Case("lstm", torch.float32, 1, 3, 1, 16)
    wx, r, b = (leaf.requires_grad_() for leaf in given(case).leaves)
    states, _ = rnn(wx, r, b, backend=backend)
    (grad,) = torch.autograd.grad(states.square().sum(), wx, create_graph=True)
    with pytest.raises(DerivativeError):
        grad.sum().backward()


def test_what_a_backend_cannot_run_names_what_can() -> None:
    case = Case("lstm", torch.float32, 1, 2, 1, 512)
    with pytest.raises(UnsupportedError, match=r"head_dim 512: at most 64.*alternating"):
        rnn(*given(case).leaves, backend="triton")
    wx, r, b = (leaf.double() for leaf in given(case).leaves)
    for backend in BACKENDS:
        with pytest.raises(UnsupportedError, match=r"float64.*reference"):
            rnn(wx, r, b, backend=backend)


def test_a_grid_that_cannot_be_resident_is_refused() -> None:
    launch = pytest.importorskip("rnnkernels.cuda.launch")
    core = pytest.importorskip("cuda.core")
    waiting = """extern "C" __global__ void waiting(long long* arguments) { }"""

    major, minor = torch.cuda.get_device_capability(DEVICE)
    options = core.ProgramOptions(arch=f"sm_{major}{minor}")
    cubin = core.Program(waiting, "c++", options).compile("cubin").code
    blocks = 40 * torch.cuda.get_device_properties(DEVICE).multi_processor_count
    grid = launch.Grid(blocks, 1024, cooperative=True)
    with pytest.raises(UnsupportedError, match=rf"{blocks} blocks of 1024 threads.*alternating"):
        launch.Launch(cubin, "waiting", grid, DEVICE.index)


def test_many_kinds_of_alternating_problems_keep_memory_bounded() -> None:
    # more kinds than graphs are kept; each is called twice, the second time after all others
    cases = [Case("elman", torch.float32, batch, 20, 1, 8) for batch in range(1, 24)]
    first = [run(case, given(case), "alternating", case.dtype) for case in cases]
    second = [run(case, given(case), "alternating", case.dtype) for case in cases]
    assert all(close(a, b) for a, b in zip(first, second, strict=True))
