"""What is timed, ready to be called: rnn(...) here, what it is compared with in `baselines.py`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from rnnkernels import CELLS, rnn
from rnnkernels.problem import Problem as Call
from rnnkernels.registry import select

from workbench.bench import baselines
from workbench.bench.case import BOTH, KERNELS, Case
from workbench.bench.problem import Problem, allowed, relative

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workbench.bench.measure import Timed


@dataclass(frozen=True)
class Contestant:
    """A call to time, its results and the right ones, by name; `ran` says what a name stood for."""

    call: Timed
    found: Callable[[], dict[str, Tensor]]
    exact: Callable[[], dict[str, Tensor]]
    ran: str

    def errors(self) -> dict[str, float]:
        """Return the relative error of each result of the first set of inputs."""
        exact = self.exact()
        return {name: relative(value, exact[name]) for name, value in self.found().items()}


class Stage:
    """Makes contestants, and keeps the last problem for the cases that share it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._problem: Problem | None = None

    def prepare(self, case: Case) -> Contestant:
        """Return the contestant of a case; raises what the backend raises."""
        if case.backend in KERNELS:
            return _kernel(case, self.problem(case))
        if case.backend in {"compiled", "vanilla"}:
            plain = baselines.PlainLoop(self.problem(case))
            call, found = plain.calls(case.backend, case.direction)
            return Contestant(call, found, self.problem(case).truth, "loop")
        self.clear()
        call, found, exact, ran = baselines.find(case, self.device)
        return Contestant(call, found, exact, ran)

    def problem(self, case: Case) -> Problem:
        """Return the problem of a case, the one before where it is the same."""
        if self._problem is None or self._problem.case.inputs != case.inputs:
            self.clear()
            self._problem = Problem(case, self.device)
        return self._problem

    def clear(self) -> None:
        """Let go of the problem and of the memory that PyTorch keeps."""
        self._problem = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def clear_quietly(self) -> None:
        """Clear, also where the device does not answer any more."""
        with contextlib.suppress(Exception):
            self.clear()


def _kernel(case: Case, problem: Problem) -> Contestant:
    wx, cell, backend = problem.wx, case.cell, case.backend

    def forward(k: int) -> object:
        with torch.no_grad():
            return rnn(wx[k % problem.sets], problem.r, problem.b, cell, backend)

    def both(k: int) -> object:
        leaves = (wx[k % problem.sets], problem.r, problem.b)
        return torch.autograd.grad(rnn(*leaves, cell, backend)[0][0], leaves, problem.dh)

    return Contestant(
        both if case.direction == BOTH else forward,
        lambda: problem.results(backend, problem.dtype, case.direction),
        problem.truth,
        _chosen(case, problem),
    )


def _chosen(case: Case, problem: Problem) -> str:
    """Return the backend that runs the call: what "auto" stands for."""
    call = Call(
        CELLS[case.cell],
        case.batch,
        case.steps,
        case.heads,
        case.head_dim,
        problem.dtype,
        problem.device,
        needs_grad=case.direction == BOTH,
    )
    return select(case.backend, call).name


def judged(case: Case, errors: dict[str, float]) -> dict[str, object]:
    """Return errors with what they may be, and whether all are; NaN is not."""
    bounds = {name: allowed(case, name) for name in errors}
    correct = all(error <= bounds[name] for name, error in errors.items())
    return {"error": errors, "allowed": bounds, "correct": correct}
