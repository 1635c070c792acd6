"""The backends, declared as data; which of them run here; which one `auto` takes.

A backend is a module with the functions of `Backend`. To add one: its module, and one row below.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast

from rnnkernels.errors import ArgumentError, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

    from rnnkernels.problem import Problem


class Backend(Protocol):
    """What a backend module offers. All tensors are contiguous, on one device, of one dtype.

    wx (B, T, G, N, D); r (G, N, D_out, D_in); b (biases, N, D); initial (S, B, N, D) or None;
    lengths (B,) int32 or None; states (S, B, T, N, D); last (S, B, N, D).
    """

    name: str

    def missing(self) -> str | None:
        """Return why the backend runs nowhere on this machine, or None if it can run."""
        ...

    def unsupported(self, problem: Problem) -> str | None:
        """Return why this problem cannot run here and what would work, or None if it can."""
        ...

    def forward(  # noqa: PLR0917 - one order for every backend
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Return states, last and what `Problem.saved_like` says is kept for backward."""
        ...

    def backward(  # noqa: PLR0917 - forward's arguments, then its results
        self,
        problem: Problem,
        wx: Tensor,
        r: Tensor,
        b: Tensor,
        initial: Tensor | None,
        lengths: Tensor | None,
        states: Tensor,
        last: Tensor,
        saved: tuple[Tensor, ...],
        dstates: Tensor | None,
        dlast: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Return dwx, dr, db and dinitial (None without an initial state)."""
        ...


@dataclass(frozen=True)
class Entry:
    """One backend: where its module is and what it is good for."""

    name: str
    module: str
    summary: str


# In the order in which `auto` prefers them.
BACKENDS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("cuda", "rnnkernels.cuda.backend", "one persistent kernel, strategy by shape"),
        Entry("triton", "rnnkernels.triton.backend", "one persistent kernel for small head sizes"),
        Entry("alternating", "rnnkernels.alternating", "GEMM and pointwise per step, CUDA graph"),
        Entry("reference", "rnnkernels.reference", "loop in PyTorch, any dtype, any device"),
    )
}


@cache
def _load(entry: Entry) -> Backend | str:
    """Return the backend's module, or why it cannot run on this machine."""
    try:
        module = cast("Backend", importlib.import_module(entry.module))
    except ImportError as error:
        return f"{entry.module} cannot be imported here: {error}"
    return module.missing() or module


class Availability(dict[str, str | None]):
    """Each backend's name with None if it runs on this machine, else why it does not."""

    @property
    def names(self) -> tuple[str, ...]:
        """The backends that run here, in the order in which `auto` prefers them."""
        return tuple(name for name, reason in self.items() if reason is None)

    def __repr__(self) -> str:
        lines = (
            f"{name:12} {BACKENDS[name].summary if reason is None else f'not here: {reason}'}"
            for name, reason in self.items()
        )
        return "\n".join(lines)


def available() -> Availability:
    """Return each backend's name with None if it runs on this machine, else why it does not."""
    loaded = {name: _load(entry) for name, entry in BACKENDS.items()}
    return Availability(
        {name: state if isinstance(state, str) else None for name, state in loaded.items()}
    )


def obstacle(name: str, problem: Problem) -> str | None:
    """Return why this backend cannot run this problem, or None if it can."""
    backend = _load(BACKENDS[name])
    return backend if isinstance(backend, str) else backend.unsupported(problem)


def check_name(name: str) -> None:
    """Raise ArgumentError unless this is "auto" or the name of a backend."""
    if name not in BACKENDS and name != "auto":
        raise ArgumentError(f"unknown backend {name!r}; known: {', '.join(('auto', *BACKENDS))}")


def select(name: str, problem: Problem) -> Backend:
    """Return the backend of this name, or for "auto" the first that can run the problem.

    Raises ArgumentError for an unknown name and UnsupportedError, naming what would work, if the
    named backend cannot run the problem: another one is never taken instead.
    """
    check_name(name)
    for candidate in BACKENDS if name == "auto" else (name,):
        if obstacle(candidate, problem) is None:
            return cast("Backend", _load(BACKENDS[candidate]))
    works = [other for other in BACKENDS if obstacle(other, problem) is None]
    if name == "auto":
        raise UnsupportedError(f"no backend runs this call: {obstacle('reference', problem)}")
    raise UnsupportedError(
        f"backend {name!r} cannot run this call: {obstacle(name, problem)}; "
        f"these can: {', '.join(works) or 'none'}"
    )
