"""What users have without our kernels: torch.nn, plain PyTorch in two ways, and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rnnkernels
import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.bench.case import BOTH, Case
from workbench.bench.problem import NAMES, Problem, rotation
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.bench.measure import Timed

    Results = Callable[[], dict[str, Tensor]]

_TORCH: dict[str, type[nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}
_OURS: dict[str, type[nn.Module]] = {
    "lstm": rnnkernels.LSTM,
    "gru": rnnkernels.GRU,
    "elman": rnnkernels.Elman,
    "slstm": rnnkernels.SLSTM,
}


def find(case: Case, device: torch.device) -> tuple[Timed, Results, Results, str]:
    """Return call, results, right results, and what it is, of a baseline without R h of its own.

    Raises
    ------
    WorkbenchError
        PyTorch has no module for the cell or the shape.
    """
    if case.backend == "attention":
        return _attention(case, device)
    return _gemm(case, device) if case.backend == "gemm" else _module(case, device)


def _module(case: Case, device: torch.device) -> tuple[Timed, Results, Results, str]:
    """Time torch.nn's module or ours, of hidden size heads x head_dim, W x included."""
    D, dtype = case.heads * case.head_dim, getattr(torch, case.dtype)
    torch.manual_seed(0)
    kinds = _TORCH if case.backend == "nn" else _OURS
    if case.cell not in kinds:
        raise WorkbenchError(f"torch.nn has no {case.cell}; it has {', '.join(_TORCH)}")
    if case.backend == "nn" and case.heads > 1:
        raise WorkbenchError(f"torch.nn has no heads, got {case.heads}; give one head")
    heads = {} if case.heads == 1 else {"num_heads": case.heads}
    module = kinds[case.cell](D, D, batch_first=True, **heads).to(device, dtype)
    exact = _exact(case, module, D, device)
    inputs = _inputs(case, D, device, dtype)
    dy = torch.randn_like(inputs[0])

    def results(of: nn.Module, x: Tensor, given: Tensor) -> dict[str, Tensor]:
        leaf = x.detach().requires_grad_()
        if case.direction != BOTH:
            with torch.no_grad():
                return {"y": of(leaf)[0]}
        y = of(leaf)[0]
        leaves = dict(of.named_parameters())
        grads = torch.autograd.grad(y, (leaf, *leaves.values()), given)
        return dict(zip(("y", "dx", *leaves), (y.detach(), *grads), strict=True))

    def right() -> dict[str, Tensor]:
        return results(exact, inputs[0].double(), dy.double())

    def call(k: int) -> object:
        return results(module, inputs[k % len(inputs)], dy)

    name = f"{type(module).__module__.split('.')[0]}.{type(module).__name__}"
    return call, lambda: results(module, inputs[0], dy), right, name


def _exact(case: Case, module: nn.Module, D: int, device: torch.device) -> nn.Module:
    """Return a module of the same weights in more digits: torch.nn's in float64, else ours."""
    if case.cell in _TORCH and case.heads == 1:
        exact = _TORCH[case.cell](D, D, batch_first=True).to(device, torch.float64)
    else:
        options = {"num_heads": case.heads, "batch_first": True, "backend": "reference"}
        exact = _OURS[case.cell](D, D, **options).to(device, torch.float64)
    exact.load_state_dict(module.state_dict())
    return exact


def _inputs(case: Case, D: int, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    sets = rotation(case.batch * case.steps * D * dtype.itemsize, device)
    shape = (case.batch, case.steps, D)
    return [torch.randn(*shape, device=device, dtype=dtype) for _ in range(sets)]


def _gemm(case: Case, device: torch.device) -> tuple[Timed, Results, Results, str]:
    """Time W x (B, T, G D) of x (B, T, D) alone, and its gradients."""
    D, dtype = case.heads * case.head_dim, getattr(torch, case.dtype)
    torch.manual_seed(0)
    rows = len(rnnkernels.CELLS[case.cell].gates) * D
    inputs = _inputs(case, D, device, dtype)
    weight = torch.randn(rows, D, device=device, dtype=dtype) / D**0.5
    dy = torch.randn(case.batch, case.steps, rows, device=device, dtype=dtype)

    def results(x: Tensor, w: Tensor, given: Tensor) -> dict[str, Tensor]:
        if case.direction != BOTH:
            with torch.no_grad():
                return {"y": functional.linear(x, w)}
        leaves = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = functional.linear(*leaves)
        dx, dw = torch.autograd.grad(y, leaves, given)
        return {"y": y.detach(), "dx": dx, "dw": dw}

    def right() -> dict[str, Tensor]:
        more = _more_digits(dtype)
        return results(inputs[0].to(more), weight.to(more), dy.to(more))

    return (
        lambda k: results(inputs[k % len(inputs)], weight, dy),
        lambda: results(inputs[0], weight, dy),
        right,
        "torch.nn.functional.linear",
    )


def _more_digits(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize == 2 else torch.float64


def _attention(case: Case, device: torch.device) -> tuple[Timed, Results, Results, str]:
    """Time causal attention on q, k, v (B, N, T, D): a layer of the same width, not the same."""
    shape = (case.batch, case.heads, case.steps, case.head_dim)
    dtype = getattr(torch, case.dtype)
    torch.manual_seed(0)
    sets = rotation(3 * case.batch * case.steps * case.heads * case.head_dim * 2, device)
    qkv = [[torch.randn(*shape, device=device, dtype=dtype) for _ in range(3)] for _ in range(sets)]
    dy = torch.randn(*shape, device=device, dtype=dtype)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def results(given: list[Tensor], gradient: Tensor) -> dict[str, Tensor]:
        leaves = [one.detach().requires_grad_() for one in given]
        if case.direction != BOTH:
            with torch.no_grad():
                return {"y": attend(*leaves)}
        y = attend(*leaves)
        grads = torch.autograd.grad(y, leaves, gradient)
        return dict(zip(("y", "dq", "dk", "dv"), (y.detach(), *grads), strict=True))

    def right() -> dict[str, Tensor]:
        more = _more_digits(dtype)
        return results([one.to(more) for one in qkv[0]], dy.to(more))

    return (
        lambda k: results(qkv[k % sets], dy),
        lambda: results(qkv[0], dy),
        right,
        "scaled_dot_product_attention",
    )


def lstm_step(x: Tensor, h: Tensor, c: Tensor, r: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """One step in plain PyTorch: x (B, 4, N, D), h and c (B, N, D), r (N, D, 4 D), b (4, N, D)."""
    B, N, D = h.shape
    product = torch.bmm(h.transpose(0, 1), r).view(N, B, 4, D).permute(1, 2, 0, 3)
    i, f, z, o = (x + b + product).unbind(1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(z)
    return torch.sigmoid(o) * torch.tanh(c), c


class PlainLoop:
    """An LSTM's loop over time in plain PyTorch, on the inputs that the kernels get."""

    def __init__(self, problem: Problem) -> None:
        if problem.case.cell != "lstm":
            raise WorkbenchError(f"{problem.case.backend}: written for lstm alone; got another")
        self.problem = problem

    def calls(self, backend: str, direction: str) -> tuple[Timed, Results]:
        """Return what is timed and its results, "vanilla" or "compiled" (forward only)."""
        if backend == "vanilla":
            return lambda k: self._vanilla(k, direction), lambda: self._vanilla(0, direction)
        if direction == BOTH or self.problem.device.type != "cuda":
            raise WorkbenchError("compiled: forward on a GPU alone, as it is one CUDA graph")
        replay, out = self._graph()

        def found() -> dict[str, Tensor]:
            replay(0)
            return {"h": out}

        return replay, found

    def _loop(self, leaves: Sequence[Tensor], step: Any = lstm_step) -> Tensor:
        wx, r, b = leaves
        B, T, G, N, D = wx.shape
        joined = r.permute(1, 3, 0, 2).reshape(N, D, G * D)
        h = c = wx.new_zeros(B, N, D)
        outputs = []
        for t in range(T):
            h, c = step(wx[:, t], h, c, joined, b)
            outputs.append(h)
        return torch.stack(outputs, 1)

    def _vanilla(self, k: int, direction: str) -> dict[str, Tensor]:
        p = self.problem
        leaves = (p.wx[k % p.sets], p.r, p.b)
        if direction != BOTH:
            with torch.no_grad():
                return {"h": self._loop(leaves)}
        h = self._loop(leaves)
        return dict(zip(NAMES, (h.detach(), *torch.autograd.grad(h, leaves, p.dh)), strict=True))

    def _graph(self) -> tuple[Timed, Tensor]:
        """Return the replay of all steps, on one set of inputs, and where it writes h."""
        leaves = [leaf.detach() for leaf in self.problem.leaves]
        step = torch.compile(lstm_step)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), torch.no_grad():
            self._loop(leaves, step)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            out = self._loop(leaves, step)
        return lambda _: graph.replay(), out
