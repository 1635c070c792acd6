"""What the GPU tests run: problems that cover the shapes, and their results in float64."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, product
from multiprocessing import get_context
from random import Random

import torch
from rnn_inputs import ALL_CELLS, make_inputs
from rnnkernels import rnn
from rnnkernels.errors import UnsupportedError
from torch import Tensor

DEVICE = torch.device("cuda", 0)
BACKENDS = ("cuda", "triton", "alternating")
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
# 1 and 48 fill no tile, 96 and 384 are no power of two, 2560 is the largest that is promised
HEAD_DIMS = (1, 16, 48, 64, 96, 128, 256, 384, 512, 768, 1024, 2048, 2560)
BATCHES = (3, 16, 1, 65)
STEPS = (37, 2, 256, 1)
HEADS = (1, 3, 12)
NAMES = ("states", "last", "dwx", "dr", "db", "dinitial")


@dataclass(frozen=True)
class Case:
    """One call, forward and backward."""

    cell: str
    dtype: torch.dtype
    batch: int
    steps: int
    heads: int
    head_dim: int
    initial: bool = False
    lengths: bool = False

    def __str__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        options = "".join(f"-{name}" for name in ("initial", "lengths") if getattr(self, name))
        sizes = f"B{self.batch}-T{self.steps}-{self.heads}x{self.head_dim}"
        return f"{self.cell}-{kind}-{sizes}{options}"


def covering() -> list[Case]:
    """Return cases in which every cell meets every head_dim, and every pair of choices occurs.

    The LSTM meets every head_dim in every dtype; the others change dtype with head_dim. Batch,
    steps, heads and options are then chosen one case after the other, each time to bring together
    the most values that have not met.
    """
    met: set[tuple[tuple[str, object], tuple[str, object]]] = set()
    found = []
    for place, cell in enumerate(("lstm", "gru", "slstm", "elman", "minimal_gated_unit")):
        for row, head_dim in enumerate(HEAD_DIMS):
            for dtype in DTYPES if cell == "lstm" else (DTYPES[(row + place) % 3],):
                candidates = _candidates(cell, dtype, head_dim)
                best = max(candidates, key=lambda case: len(_pairs(case) - met))
                met |= _pairs(best)
                found.append(best)
    # parameters of the cell travel as states; heads at large head_dim; a long sequence
    found.append(Case("peephole_lstm", torch.bfloat16, 3, 37, 3, 64, initial=True))
    found.append(Case("peephole_lstm", torch.float32, 16, 37, 1, 256, lengths=True))
    found.append(Case("lstm", torch.bfloat16, 3, 37, 3, 768))
    found.append(Case("lstm", torch.bfloat16, 16, 1024, 12, 64))
    return found


def drawn(count: int = 24, seed: int = 11) -> list[Case]:
    """Return cases of sizes that nobody chose: odd ones, most of no multiple of anything."""
    dice = Random(seed)
    cells = ("lstm", "gru", "slstm", "elman", "minimal_gated_unit")
    return [
        Case(
            cells[k % len(cells)],
            DTYPES[k % len(DTYPES)],
            batch=dice.randint(1, 70),
            steps=dice.randint(1, 40),
            heads=dice.choice((1, 1, 2, 5)),
            head_dim=int(2 ** dice.uniform(0, 9.8)),
            initial=dice.random() < 0.5,
            lengths=dice.random() < 0.5,
        )
        for k in range(count)
    ]


def _candidates(cell: str, dtype: torch.dtype, head_dim: int) -> list[Case]:
    # What float64 takes for long sequences and many heads of a large head_dim is time, not insight.
    steps = STEPS if head_dim < 768 else tuple(t for t in STEPS if t <= 37)
    heads = HEADS if head_dim <= 256 else (1,)
    sizes, flags = (
        product(BATCHES, steps, heads),
        ((False, False), (True, False), (False, True), (True, True)),
    )
    return [Case(cell, dtype, *size, head_dim, *flag) for size, flag in product(sizes, flags)]


def _pairs(case: Case) -> set[tuple[tuple[str, object], tuple[str, object]]]:
    return set(combinations(vars(case).items(), 2))


@dataclass
class Given:
    """Inputs of a call, and the gradients of its results."""

    leaves: tuple[Tensor, ...]  # wx, r, b and, if there is one, initial
    lengths: Tensor | None
    dstates: Tensor
    dlast: Tensor


def given(case: Case) -> Given:
    """Draw the case's inputs, in its dtype, on the device."""
    cell = ALL_CELLS[case.cell]
    shape = (case.batch, case.steps, case.heads, case.head_dim)
    inputs = make_inputs(cell, shape, case.dtype, seed=case.head_dim, requires_grad=False)
    generator = torch.Generator().manual_seed(case.steps)
    S, (B, T, N, D) = len(cell.states), shape

    def draw(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator).to(DEVICE, case.dtype)

    lengths = None
    if case.lengths:
        lengths = torch.randint(0, T + 1, (B,), generator=generator, dtype=torch.int32).to(DEVICE)
    leaves = inputs.leaves() if case.initial else inputs.leaves()[:3]
    on_device = tuple(leaf.to(DEVICE) for leaf in leaves)
    dstates, dlast = draw(S, B, T, N, D), draw(S, B, N, D)
    if "m" in cell.states:
        # m is a maximum. Where both sides meet, rounding decides which one the derivative of m
        # follows, and with it those of c and n, which are scaled by exp(-m); that of h does not.
        dstates[1:], dlast[1:] = 0, 0
    return Given(on_device, lengths, dstates, dlast)


def run(case: Case, inputs: Given, backend: str, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Return states, last and the gradients of the inputs, as named in NAMES."""
    wx, r, b, *initial = (leaf.detach().to(dtype).requires_grad_() for leaf in inputs.leaves)
    states, last = rnn(
        wx, r, b, ALL_CELLS[case.cell], backend, initial[0] if initial else None, inputs.lengths
    )
    adjoints = (inputs.dstates.to(dtype), inputs.dlast.to(dtype))
    grads = torch.autograd.grad((states, last), (wx, r, b, *initial), adjoints)
    return (states.detach(), last.detach(), *grads)


@lru_cache(maxsize=4)  # the backends of one case are tested one after the other
def expected(case: Case) -> tuple[Given, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return inputs, results in float64, and results of PyTorch in the case's dtype."""
    inputs = given(case)
    exact = run(case, inputs, "reference", torch.float64)
    return inputs, exact, run(case, inputs, "reference", case.dtype)


def compile_all(cases: list[Case]) -> None:
    """Fill the disk caches with the cases' kernels, in as many processes as there are cores."""
    workers = min(16, os.cpu_count() or 1)
    # Cases of one cell and dtype share kernels: neighbours go to one worker.
    shares = [cases[first::workers] for first in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_compile, shares))


def _compile(cases: list[Case]) -> None:
    for case in cases:
        short = replace(case, steps=1)
        for backend in BACKENDS:
            try:
                run(short, given(short), backend, case.dtype)
            except UnsupportedError:
                continue
