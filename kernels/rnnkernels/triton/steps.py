"""The alternating backend's launches on a GPU: per time step a product and a pointwise kernel.

Launching 2 T small kernels from Python would take longer than running them. A CUDA graph records
the launches of CHUNK steps once per kind of problem, on buffers of its own; t and the caller's
addresses are read from a table on the device, so the graph serves calls of every length without
copies, and its memory does not grow with T.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from rnnkernels.gradients import multiply
from rnnkernels.triton.compile import Build, aligned, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from rnnkernels.problem import Problem

CHUNK = 32  # steps in one graph: the gap between two graphs is then a few percent of their time
_FEWEST = 16  # steps from which a graph is worth recording
_BLOCK, _WARPS = 256, 4  # elements and warps of a pointwise program
_KEPT_PLANS = 16  # graphs, with their copies of R, kept for the next call


@dataclass(frozen=True)
class Kind:
    """What a recorded graph depends on: the problem but for its length, and the direction."""

    problem: Problem
    backward: bool
    has_dstates: bool = False
    kept: bool = False  # c, n, m of every step are kept in float32


@dataclass
class Workspace:
    """What one step hands to the next, at addresses that a graph may hold on to."""

    kind: Kind
    table: Tensor  # (12,) int64
    factor: Tensor  # (N, G D_out, D_in): R
    left: Tensor  # forward: h (N, B, D); backward: dr (N, B, G D); in the storage type
    product: Tensor  # forward: R h (N, B, G D); backward: R^T dr (N, B, D); float32
    carry: Tensor  # (S, B, N, D) float32: the states, or their adjoints
    sums: Tensor  # (biases, B, N, D) float32, backward only: db, before the sum over the batch

    @staticmethod
    def allocate(kind: Kind) -> Workspace:
        """Return a workspace of uninitialised buffers."""
        problem, cell = kind.problem, kind.problem.cell
        B, N, D, G = problem.batch, problem.heads, problem.head_dim, len(cell.gates)
        S, biases = len(cell.states), cell.biases if kind.backward else 0
        left, right = (G * D, D) if kind.backward else (D, G * D)

        def buffer(dtype: torch.dtype, *shape: int) -> Tensor:
            return torch.empty(shape, dtype=dtype, device=problem.device)

        # Until the table is filled, no step is left to do, in either direction.
        table = buffer(torch.int64, 12).fill_(-1 if kind.backward else 0)
        return Workspace(
            kind,
            table,
            factor=buffer(problem.dtype, N, G * D, D),
            left=buffer(problem.dtype, N, B, left),
            product=buffer(torch.float32, N, B, right),
            carry=buffer(torch.float32, S, B, N, D),
            sums=buffer(torch.float32, biases, B, N, D),
        )

    def buffers(self) -> tuple[Tensor, ...]:
        """Return every tensor of the workspace."""
        return self.table, self.factor, self.left, self.product, self.carry, self.sums

    def point_at(self, addresses: Sequence[Tensor | None], t: int, steps: int) -> None:
        """Write the step to begin with, T and the caller's tensors into the table."""
        given = [*addresses, *([None] * (10 - len(addresses)))]
        arguments = {f"a{k}": aligned(tensor) for k, tensor in enumerate(given)}
        sizes = {"t": t, "T": steps}
        build = _build(self.kind, "fill_table")
        run(build, self.table.device, 1, {"table": self.table, **arguments, **sizes})

    def chunk(self, steps: int = CHUNK) -> None:
        """Launch this many steps, then move t to the next chunk."""
        for step in range(steps):
            if self.kind.backward:
                self._pointwise(step)
                multiply(self.left, self.factor, self.product)
            else:
                multiply(self.left, self.factor.mT, self.product)
                self._pointwise(step)
        run(_build(self.kind, "advance"), self.table.device, 1, {"table": self.table})

    def _pointwise(self, step: int) -> None:
        problem = self.kind.problem
        sizes = {"B": problem.batch, "N": problem.heads, "D": problem.head_dim, "STEP": step}
        if self.kind.backward:
            tensors = {"dr": self.left, "dh": self.product}
            tensors |= {"adjoint": self.carry, "db": self.sums}
        else:
            tensors = {"products": self.product, "hidden": self.left, "carry": self.carry}
        programs = -(-problem.batch * problem.heads * problem.head_dim // _BLOCK)
        build = _build(self.kind, "step_backward" if self.kind.backward else "step_forward")
        run(build, self.table.device, programs, {"table": self.table, **tensors, **sizes})


def _build(kind: Kind, template: str) -> Build:
    storage, wide, table = kind.problem.dtype, torch.float32, ("table", torch.int64)
    sizes, constants = ("B", "N", "D", "STEP"), {"BLOCK": _BLOCK}
    constants["HAS_LENGTHS"] = kind.problem.lengths
    if template == "fill_table":
        pointers = (table, *((f"a{k}", storage) for k in range(10)))
        return Build(None, template, pointers, ("t", "T"), (), 1)
    if template == "advance":
        by = -CHUNK if kind.backward else CHUNK
        return Build(None, template, (table,), (), (("BY", by),), 1)
    if template == "step_forward":
        pointers = (table, ("products", wide), ("hidden", storage), ("carry", wide))
        constants["KEEP"] = kind.kept
    else:
        pointers = (table, ("dr", storage), *((name, wide) for name in ("dh", "adjoint", "db")))
        constants |= {"HAS_INITIAL": kind.problem.initial, "HAS_DSTATES": kind.has_dstates}
        constants["KEPT"] = kind.kept
    return Build(kind.problem.cell, template, pointers, sizes, tuple(constants.items()), _WARPS)


@dataclass
class Plan:
    """A workspace and the graph that runs CHUNK steps on it."""

    workspace: Workspace
    graph: torch.cuda.CUDAGraph

    @staticmethod
    def record(kind: Kind, stream: torch.cuda.Stream) -> Plan:
        """Record the graph on a stream that does nothing else."""
        workspace, graph = Workspace.allocate(kind), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            workspace.chunk(1)  # loads kernels and libraries; the empty table leaves nothing to do
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                workspace.chunk()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)
        return Plan(workspace, graph)

    def release(self) -> None:
        """Let the memory be handed out again only after the current stream's work so far."""
        workspace, stream = self.workspace, torch.cuda.current_stream()
        for buffer in workspace.buffers():
            buffer.record_stream(stream)


@dataclass
class _Device:
    """The graphs of one device. They share a stream's library workspace: one runs at a time."""

    stream: torch.cuda.Stream
    done: torch.cuda.Event
    plans: OrderedDict[Kind, Plan] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, kind: Kind) -> Plan:
        if kind not in self.plans:
            self.plans[kind] = Plan.record(kind, self.stream)
            if len(self.plans) > _KEPT_PLANS:
                self.plans.popitem(last=False)[1].release()
        self.plans.move_to_end(kind)
        return self.plans[kind]


_devices: dict[int, _Device] = {}
_devices_lock = threading.Lock()


def _of_device(index: int) -> _Device:
    with _devices_lock:
        if index not in _devices:
            stream = torch.cuda.Stream(index)  # type: ignore[no-untyped-call]
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            _devices[index] = _Device(stream, done)
        return _devices[index]


@contextmanager
def _ready(kind: Kind, steps: int) -> Iterator[tuple[Workspace, Callable[[], None]]]:
    """Hand out a workspace and what runs up to CHUNK steps on it: a graph where that pays."""
    on_cpu = kind.problem.device.type == "cpu"  # interpreted
    if on_cpu or steps < _FEWEST or torch.cuda.is_current_stream_capturing():
        workspace = Workspace.allocate(kind)
        yield workspace, lambda: workspace.chunk(min(steps, CHUNK))
        return
    device = _of_device(kind.problem.device.index)
    with device.lock:
        torch.cuda.current_stream().wait_event(device.done)
        plan = device.plan(kind)
        yield plan.workspace, plan.graph.replay
        device.done.record()


def _kind(problem: Problem, *, backward: bool, has_dstates: bool, kept: bool) -> Kind:
    return Kind(replace(problem, steps=0, needs_grad=False), backward, has_dstates, kept)


def _chunks(steps: int) -> range:
    return range(-(-steps // CHUNK))


def _by_head(r: Tensor) -> Tensor:
    """Return R (G, N, D_out, D_in) as (N, G D_out, D_in)."""
    return r.transpose(0, 1).flatten(1, 2)


def forward_steps(  # noqa: PLR0917 - in the order of forward
    problem: Problem,
    inputs: Sequence[Tensor | None],
    r: Tensor,
    initial: Tensor | None,
    states: Tensor,
    carried: Tensor | None,
) -> Tensor:
    """Fill states (S, B, T, N, D) and carried (S - 1, B, T, N, D); return last (S, B, N, D).

    inputs are wx, b and lengths; shapes as in `registry.Backend`.
    """
    kind = _kind(problem, backward=False, has_dstates=False, kept=carried is not None)
    with _ready(kind, problem.steps) as (workspace, launch):
        workspace.factor.copy_(_by_head(r))
        if initial is None:
            workspace.carry.zero_()
            workspace.left.zero_()
        else:
            workspace.carry.copy_(initial)
            workspace.left.copy_(initial[0].transpose(0, 1))
        workspace.point_at([*inputs, states, carried], 0, problem.steps)
        for _ in _chunks(problem.steps):
            launch()
        return workspace.carry.to(problem.dtype, copy=True)  # the next call overwrites it


def backward_steps(  # noqa: PLR0917 - in the order of backward
    problem: Problem,
    inputs: Sequence[Tensor | None],
    r: Tensor,
    dstates: Tensor | None,
    dlast: Tensor | None,
    outputs: Sequence[Tensor | None],
    *,
    kept: bool,
) -> tuple[Tensor, Tensor]:
    """Fill dx (B, T, G, N, D) and apart (B, T, K, N, D); return db and dinitial (S, B, N, D).

    inputs are wx, products, b, initial, lengths, states and carried, outputs are dx and apart.
    """
    has_dstates = dstates is not None
    kind = _kind(problem, backward=True, has_dstates=has_dstates, kept=kept)
    with _ready(kind, problem.steps) as (workspace, launch):
        workspace.factor.copy_(_by_head(r))
        workspace.product.zero_()
        workspace.sums.zero_()
        if dlast is None:
            workspace.carry.zero_()
        else:
            workspace.carry.copy_(dlast)
        workspace.point_at([*inputs, dstates, *outputs], problem.steps - 1, problem.steps)
        for _ in _chunks(problem.steps):
            launch()
        adjoint = workspace.carry.clone()
        adjoint[0] += workspace.product.transpose(0, 1)
        return workspace.sums.sum(1).to(problem.dtype), adjoint.to(problem.dtype)
