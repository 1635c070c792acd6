"""Run a small set of every strategy under compute-sanitizer: memcheck, then racecheck.

    python kernels/benchmarks/sanitize_rnn.py

Returns 0 if both tools find nothing. Shapes are small, for the tools slow kernels down a
hundredfold, but have tails in every direction: batch rows, steps and units.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rnnkernels import rnn
from rnnkernels.config import Configuration
from rnnkernels.errors import UnsupportedError
from rnnkernels.plan import forced

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOLS = ("memcheck", "racecheck")
# one program or block per head (and its edge); clusters; the whole GPU
HEAD_DIMS = {"triton": (20, 64), "cuda": (20, 64, 128, 250, 768, 1024), "alternating": (20,)}
# What no plan of those takes: 16 batch rows with R in registers and shared memory in turns, and
# warps that share sums.
LAUNCHES = {
    ("lstm", 64): {"cluster": 2, "tile": 16, "split": 1, "ring": 2, "resident": 2},
    ("gru", 64): {"cluster": 2, "tile": 8, "split": 2, "ring": 2, "resident": 1},
    ("gru", 32): {"cluster": 1, "tile": 8, "split": 2, "ring": 2, "resident": 1},
}


def run_all(backends: Sequence[str]) -> int:
    """Run forward and backward of the set in this process; return how many calls ran."""
    ran = 0
    for backend in backends:
        for head_dim in HEAD_DIMS[backend]:
            for cell in ("lstm", "gru"):
                try:
                    _run(backend, cell, head_dim)
                except UnsupportedError as error:
                    print(f"{backend} {cell} {head_dim}: {error}")
                else:
                    ran += 1
                    print(f"{backend} {cell} {head_dim}: ran", flush=True)
    for (cell, head_dim), knobs in LAUNCHES.items() if "cuda" in backends else ():
        config = Configuration.of("cluster", **knobs)
        with forced(forward=config):
            _run("cuda", cell, head_dim)
        ran += 1
        print(f"{config} {cell} {head_dim}: ran", flush=True)
    return ran


def _run(backend: str, cell: str, head_dim: int) -> None:
    B, T, N = 13, 3, 2 if head_dim < 256 else 1
    G, S = (4, 2) if cell == "lstm" else (3, 1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda").to(torch.bfloat16).requires_grad_()

    wx, r = draw(B, T, G, N, head_dim), draw(G, N, head_dim, head_dim)
    b, initial = draw(G + (cell == "gru"), N, head_dim), draw(S, B, N, head_dim)
    states, last = rnn(wx, r, b, cell, backend, initial, [3, 0, 2, 3, 1, *[2] * 8])
    (states.float().sum() + last.float().sum()).backward()
    torch.cuda.synchronize()


def main(argv: Sequence[str] | None = None) -> int:
    """Start this program under each tool; return the number of tools that complained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inside", action="store_true", help="run the kernels, without a tool")
    parser.add_argument("--backends", nargs="*", default=list(HEAD_DIMS))
    args = parser.parse_args(argv)
    if args.inside:
        return 0 if run_all(args.backends) else 1
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        print("compute-sanitizer is not on the path: it comes with the CUDA toolkit")
        return 1
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", "--backends"]
    # PyTorch asks the driver for entry points that it may lack; only kernels are looked at here.
    options = ["--report-api-errors", "no", "--error-exitcode", "9"]
    complained = 0
    for tool in TOOLS:
        done = subprocess.run(
            [sanitizer, "--tool", tool, *options, *command, *args.backends],
            check=False,
        )
        print(f"{tool}: {'clean' if done.returncode == 0 else 'FOUND ERRORS'}")
        complained += done.returncode != 0
    return complained


if __name__ == "__main__":
    sys.exit(main())
