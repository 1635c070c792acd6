"""Run by test_triton_interpreter.py with TRITON_INTERPRET=1: kernels on the CPU, checked."""

from __future__ import annotations

import sys

import torch
from rnn_inputs import ALL_CELLS, make_inputs
from rnnkernels import alternating
from rnnkernels.api import rnn
from rnnkernels.triton import steps
from torch import Tensor


def through_steps() -> None:
    """Let the alternating backend take its path of a GPU, in chunks shorter than a sequence."""

    def forward_loop(problem, wx, r, b, initial, lengths, states, carried):  # noqa: ANN001, ANN202, PLR0917
        return steps.forward_steps(problem, (wx, b, lengths), r, initial, states, carried)

    def backward_loop(problem, inputs, r, dstates, dlast, outputs):  # noqa: ANN001, ANN202, PLR0917
        kept = inputs[-1] is not None
        return steps.backward_steps(problem, inputs, r, dstates, dlast, outputs, kept=kept)

    alternating._forward_loop = forward_loop
    alternating._backward_loop = backward_loop
    steps.CHUNK = 3


def results(
    cell: str,
    backend: str,
    leaves: tuple[Tensor, ...],
    lengths: Tensor | None,
    adjoints: list[Tensor],
) -> tuple[Tensor, ...]:
    wx, r, b, *initial = (leaf.detach().requires_grad_() for leaf in leaves)
    outputs = rnn(wx, r, b, ALL_CELLS[cell], backend, initial[0] if initial else None, lengths)
    asked = [(y, dy.to(y.dtype)) for y, dy in zip(outputs, adjoints, strict=False)]
    ys, dys = zip(*asked, strict=True)
    return (*outputs, *torch.autograd.grad(ys, (wx, r, b, *initial), dys))


def check(
    cell: str, backend: str, shape: tuple[int, int, int, int], dtype: torch.dtype, options: str
) -> str | None:
    """Return what is wrong, or None; options: letters i (initial), l (lengths), d (dlast too)."""
    B, T, N, D = shape
    inputs = make_inputs(ALL_CELLS[cell], shape, dtype, requires_grad=False)
    leaves = inputs.leaves() if "i" in options else inputs.leaves()[:3]
    lengths = torch.arange(B) % (T + 1) if "l" in options else None
    S = len(ALL_CELLS[cell].states)
    adjoints = [torch.randn(S, B, T, N, D), torch.randn(S, B, N, D)][: 1 + ("d" in options)]
    ours = results(cell, backend, leaves, lengths, adjoints)
    theirs = results(cell, "reference", leaves, lengths, adjoints)
    wide = tuple(leaf.double() for leaf in leaves)
    exact = results(cell, "reference", wide, lengths, adjoints)
    names = ("states", "last", "dwx", "dr", "db", "dinitial")
    for name, a, b, truth in zip(names, ours, theirs, exact, strict=False):
        error, reference_error = ((x - truth).abs().max().item() for x in (a, b))
        allowed = 2 * reference_error + torch.finfo(dtype).eps * truth.abs().max().item()
        if not error <= allowed:
            return f"{name}: {error:.2e} > {allowed:.2e}"
    return None


# One row, step and unit; tails of every tile; two tiles of batch rows; a warp of 16 columns.
# Options for both dtypes.
SHAPES = {(1, 1, 1, 1): ("", "id"), (3, 5, 2, 20): ("ld", "i"), (17, 4, 1, 16): ("il", "l")}
SHAPES |= {(3, 3, 2, 50): ("", "il")}


def main(backend: str) -> int:
    """Check one backend; return the number of failures."""
    torch.manual_seed(0)
    if backend == "alternating":
        through_steps()
    failures = 0
    for cell in ("elman", "lstm", "gru", "slstm", "maxout", "peephole_lstm"):
        for shape, both in SHAPES.items():
            for dtype, options in zip((torch.float32, torch.float16), both, strict=True):
                wrong = check(cell, backend, shape, dtype, options)
                failures += wrong is not None
                sys.stdout.write(f"{cell} {shape} {dtype} {options}: {wrong or 'ok'}\n")
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
