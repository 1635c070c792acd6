"""What the kernels are compared with: cuDNN, a compiled step in a CUDA graph, plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DEVICE = torch.device("cuda", 0)
Timed = Callable[[int], object]  # takes the number of the repeat, to rotate inputs


def cudnn(batch: int, steps: int, size: int) -> tuple[Timed, Timed]:
    """Return forward, and forward with backward, of nn.LSTM in float16, W x included."""
    module = torch.nn.LSTM(size, size, batch_first=True).to(DEVICE, torch.float16)
    x = [torch.randn(batch, steps, size, device=DEVICE, dtype=torch.float16) for _ in range(3)]
    dy = torch.randn_like(x[0])

    def forward(k: int) -> object:
        with torch.no_grad():
            return module(x[k % 3])

    def both(k: int) -> object:
        given = x[k % 3].detach().requires_grad_()
        return torch.autograd.grad(module(given)[0], (given, *module.parameters()), dy)

    return forward, both


def lstm_step(x: Tensor, h: Tensor, c: Tensor, r: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """One step in plain PyTorch: x (B, 4, N, D), h and c (B, N, D), r (N, D, 4 D), b (4, N, D)."""
    B, N, D = h.shape
    product = torch.bmm(h.transpose(0, 1), r).view(N, B, 4, D).permute(1, 2, 0, 3)
    i, f, z, o = (x + b + product).unbind(1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(z)
    return torch.sigmoid(o) * torch.tanh(c), c


def _inputs(batch: int, steps: int, heads: int, head_dim: int) -> tuple[Tensor, Tensor, Tensor]:
    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=DEVICE).to(torch.bfloat16)

    r = draw(heads, head_dim, 4 * head_dim) / head_dim**0.5
    return draw(batch, steps, 4, heads, head_dim), r, draw(4, heads, head_dim)


def vanilla(batch: int, steps: int, heads: int, head_dim: int) -> tuple[Timed, Timed]:
    """Return forward, and forward with backward, of a loop over time in plain PyTorch, bfloat16."""
    leaves = [leaf.requires_grad_() for leaf in _inputs(batch, steps, heads, head_dim)]
    dh = torch.randn(batch, steps, heads, head_dim, device=DEVICE, dtype=torch.bfloat16)

    def loop() -> Tensor:
        wx, r, b = leaves
        h = c = wx.new_zeros(batch, heads, head_dim)
        outputs = []
        for t in range(steps):
            h, c = lstm_step(wx[:, t], h, c, r, b)
            outputs.append(h)
        return torch.stack(outputs, 1)

    def forward(_: int) -> object:
        with torch.no_grad():
            return loop()

    def both(_: int) -> object:
        return torch.autograd.grad(loop(), leaves, dh)

    return forward, both


def compiled_graph(batch: int, steps: int, heads: int, head_dim: int) -> tuple[Timed, None]:
    """Return forward of a compiled step, all steps in one CUDA graph: plain PyTorch at its best."""
    wx, r, b = _inputs(batch, steps, heads, head_dim)
    out = wx.new_empty(batch, steps, heads, head_dim)
    step = torch.compile(lstm_step)

    def loop() -> None:
        h = c = wx.new_zeros(batch, heads, head_dim)
        for t in range(steps):
            h, c = step(wx[:, t], h, c, r, b)
            out[:, t] = h

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        loop()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        loop()
    return lambda _: graph.replay(), None
