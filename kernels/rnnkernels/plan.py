"""Choosing a launch: `plan` asks the solver for all that fit and takes the one of least cost.

    plan("lstm", (16, 1024, 12, 64), "bfloat16", gpu="H200").config
    with forced(forward=Configuration.of("cluster", cluster=4, tile=8, ...)): rnn(...)

`rnn(backend="cuda")` runs what `choose` returns: what is forced, else what `autotune` has measured
to be best here, else what `plan` predicts to be.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import zip_longest
from operator import and_
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import intsolver
import numpy as np
import torch

from rnnkernels import cost, tuned
from rnnkernels.cells import find
from rnnkernels.config import Configuration
from rnnkernels.cuda import cluster_plan, grid_plan
from rnnkernels.cuda.ledger import Integer, Numbers
from rnnkernels.cuda.sizes import Sizes, whole_rows
from rnnkernels.definition import by_key
from rnnkernels.errors import UnsupportedError
from rnnkernels.gpus import Gpu, find_gpu
from rnnkernels.problem import Problem
from rnnkernels.space import (
    DIRECTIONS,
    LAYOUTS,
    as_dtype,
    check,
    checked_sizes,
    declare,
    parameters,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from rnnkernels.definition import Cell

Layout = cluster_plan.Plan | grid_plan.Plan
_one_at_a_time = Lock()


@dataclass(frozen=True)
class Choice:
    """A configuration, its kernel's constants, and the predicted time of a step."""

    config: Configuration
    layout: Layout
    picoseconds: int


@dataclass(frozen=True)
class Call:
    """What decides a launch: sizes, cell, type, direction and GPU; not the number of steps."""

    cell: Cell
    batch: int
    heads: int
    head_dim: int  # a multiple of 16 bytes
    dtype: torch.dtype
    gpu: Gpu
    backward: bool
    dstates: bool = True  # backward gets gradients of all steps, not of the last one only

    @classmethod
    def of(cls, problem: Problem, gpu: Gpu, *, backward: bool, dstates: bool = True) -> Call:
        """Return what of a problem decides its launch."""
        head_dim = whole_rows(problem.head_dim, problem.dtype)
        sizes = (problem.batch, problem.heads, head_dim)
        return cls(problem.cell, *sizes, problem.dtype, gpu, backward, dstates or not backward)

    @cached_property
    def sizes(self) -> Sizes:
        """What formulas need of cell and type."""
        return Sizes.of(self.cell, self.dtype)

    @property
    def parameters(self) -> dict[str, int]:
        """Values of the launch problem's parameters."""
        given = {"batch": self.batch, "heads": self.heads, "head_dim": self.head_dim}
        return parameters(self.gpu, **given)

    def problem(self, steps: int = 1, device: str = "cuda") -> Problem:
        """Return a backend's problem of this call."""
        shape = (self.batch, steps, self.heads, self.head_dim)
        return Problem(
            self.cell, *shape, self.dtype, torch.device(device), needs_grad=self.backward
        )

    def __str__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        size = f"{self.heads}x{self.head_dim} B{self.batch}"
        direction = DIRECTIONS[self.backward]
        return f"{self.cell.name} {size} {kind} {direction}"


def plan(
    cell: str | Cell,
    shape: tuple[int, int, int, int],
    dtype: str | torch.dtype = "bfloat16",
    gpu: str | Gpu | None = None,
    direction: str = "forward",
) -> Choice:
    """Return the launch of least predicted cost.

    Parameters
    ----------
    shape
        (B, T, N, D): batch, steps, heads, head_dim; the steps decide nothing.
    gpu
        A name of `rnnkernels.gpus.GPUS`, a `Gpu`, or None for the device of this machine.

    Raises
    ------
    ArgumentError
        An unknown name, or a size below 1.
    UnsupportedError
        No launch fits; the message says which limits are in the way.
    """
    call = describe(cell, shape, dtype, gpu, direction)
    found = planned(call)
    if found is None:
        raise UnsupportedError(f"no launch fits {call} on {call.gpu.name}: {why_none(call)}")
    return found


def describe(
    cell: str | Cell,
    shape: tuple[int, int, int, int],
    dtype: str | torch.dtype = "bfloat16",
    gpu: str | Gpu | None = None,
    direction: str = "forward",
) -> Call:
    """Return the call of these arguments, checked; as `plan`."""
    batch, steps, heads, head_dim = shape
    checked_sizes(batch=batch, steps=steps, heads=heads, head_dim=head_dim)
    check(DIRECTIONS, direction, "direction")
    kernel_cell = by_key(find(cell).kernel_key)  # parameters travel as states
    return Call(
        kernel_cell,
        batch,
        heads,
        whole_rows(head_dim, as_dtype(dtype)),
        as_dtype(dtype),
        Gpu.current() if gpu is None else find_gpu(gpu),
        direction == "backward",
    )


@lru_cache(maxsize=4096)
def planned(call: Call) -> Choice | None:
    """Return the choice of least predicted cost among all strategies, None if nothing fits."""
    best: tuple[int, Configuration] | None = None
    for strategy in LAYOUTS:
        floor = _floor(strategy, call.gpu, backward=call.backward)
        if best is not None and best[0] <= floor:
            continue
        found = ranked(call, strategy, top=1)
        if found and (best is None or found[0][0] < best[0]):
            best = found[0]
    return None if best is None else _choice(call, best[1], best[0])


def ranked(call: Call, strategy: str, top: int | None = None) -> list[tuple[int, Configuration]]:
    """Return (picoseconds, configuration) of what is worth planning, cheapest first.

    That is what fits, with R in registers as far as it goes; ties in the solver's order. The
    solver looks at all of it in columns (at most 14,000 assignments): milliseconds of analysis
    would cost more, and the cell, the shape and the GPU differ from call to call.
    """
    layout = LAYOUTS[strategy]
    wanted = layout.knobs(backward=call.backward)
    free = {name: values for name, values in wanted.items() if name not in layout.FOLLOWING}
    found = intsolver.least(free, lambda columns: _look(call, strategy, columns), top)
    columns = {name: np.array([row[name] for _, row in found], np.int64) for name in free}
    if layout.FOLLOWING:
        columns = _worked_out(call, strategy, columns)[1]
    rows = zip(*[columns[name].tolist() for name in wanted], strict=True)
    return [
        (picoseconds, Configuration(strategy, tuple(zip(wanted, row, strict=True))))
        for (picoseconds, _), row in zip(found, rows, strict=True)
    ]


def _look(call: Call, strategy: str, columns: dict[str, Integer]) -> tuple[Integer, Integer]:
    """Return where launches are worth planning, and their picoseconds a step."""
    layout = LAYOUTS[strategy]
    book, values = _worked_out(call, strategy, columns)
    conditions = list(layout.limits(call.sizes, values, backward=call.backward).values())
    if layout.FOLLOWING:
        largest = layout.knobs(backward=call.backward)
        conditions += [values[name] <= largest[name][-1] for name in layout.FOLLOWING]
    else:
        conditions.append(layout.first_choice(values, book))
    return reduce(and_, conditions), _priced(call, strategy, book, values)


def sampled(call: Call, count: int, seed: int = 0) -> list[Configuration]:
    """Return random configurations of all that the model allows, as many of each strategy."""
    drawn = []
    for strategy in LAYOUTS:
        names, rows = _solutions(call, strategy)
        order = np.random.default_rng(seed).permutation(len(rows))
        drawn.append(
            [
                Configuration(strategy, tuple(zip(names, map(int, rows[i]), strict=True)))
                for i in order[:count].tolist()
            ]
        )
    mixed = [config for pair in zip_longest(*drawn) for config in pair if config is not None]
    return mixed[:count]


def predicted(call: Call, config: Configuration) -> int:
    """Return the predicted time of a step of a configuration, in picoseconds."""
    return int(
        _priced(call, config.strategy, *_worked_out(call, config.strategy, dict(config.knobs)))
    )


def values_of(call: Call, config: Configuration) -> dict[str, int]:
    """Return all that follows from a configuration, by the names of its launch problem."""
    _, values = _worked_out(call, config.strategy, dict(config.knobs))
    return {name: int(value) for name, value in values.items()}


def layout_of(call: Call, config: Configuration) -> Layout:
    """Return the kernel's constants of a configuration."""
    values = call.parameters | dict(config.knobs)
    module = cluster_plan if config.strategy == "cluster" else grid_plan
    made = module.plan_of(call.sizes, values, backward=call.backward, dstates=call.dstates)
    return cast("Layout", made)


def _choice(call: Call, config: Configuration, picoseconds: int) -> Choice:
    return Choice(config, layout_of(call, config), picoseconds)


def _solutions(call: Call, strategy: str) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Return every launch that fits, by the solver: names of the knobs and rows of values."""
    problem = _declared(call.sizes, strategy, call.backward, call.dstates)
    with _one_at_a_time:  # autograd plans in threads of its own
        found = problem.solve(**_given(problem, call))
    return tuple(v.name for v in problem.variables), found.to_numpy()


def _given(problem: intsolver.Problem, call: Call) -> dict[str, int]:
    """Return the parameters that a problem has, for a call."""
    values = call.parameters
    return {name: values[name] for name in problem.params}


@lru_cache(maxsize=256)
def _declared(sizes: Sizes, strategy: str, backward: bool, dstates: bool) -> intsolver.Problem:
    """Return the problem of a cell and type; all that a shape or GPU changes are parameters."""
    values = parameters(find_gpu("H200"), batch=16, heads=1, head_dim=64)
    return declare(sizes, strategy, values, backward=backward, dstates=dstates)


def _worked_out(
    call: Call, strategy: str, knobs: Mapping[str, Integer]
) -> tuple[Numbers, dict[str, Integer]]:
    """Return all that follows from knobs, numbers or columns, and the ledger it is in."""
    book, values = Numbers(), {**call.parameters, **knobs}
    LAYOUTS[strategy].formulas(
        book, call.sizes, values, backward=call.backward, dstates=call.dstates
    )
    return book, values | book.values


def _priced(call: Call, strategy: str, book: Numbers, values: Mapping[str, Integer]) -> Integer:
    """Return the picoseconds a step."""
    return cost.picoseconds(book, call.sizes, values, strategy, call.gpu, backward=call.backward)


def _floor(strategy: str, gpu: Gpu, *, backward: bool) -> int:
    return cost.prices(strategy, gpu, backward=backward)["step"]


def why_none(call: Call) -> str:
    """Return, for each strategy, the smallest set of limits that leaves no launch."""
    reasons = []
    for strategy in LAYOUTS:
        problem = _declared(call.sizes, strategy, call.backward, call.dstates)
        told = problem.explain(**_given(problem, call))
        if not told.feasible:
            reasons.append(f"{strategy}: {', '.join(told.core)}")
    return "; ".join(reasons)


# ---- what runs ---------------------------------------------------------------------------------

_forced: dict[bool, Configuration] = {}  # by whether backward; seen by autograd's threads too


@contextmanager
def forced(
    *, forward: Configuration | None = None, backward: Configuration | None = None
) -> Iterator[None]:
    """Within, run these configurations instead of the planned ones, in the whole process.

    A configuration that does not fit a call raises UnsupportedError there, naming the limit.
    """
    before = dict(_forced)
    for direction, config in ((False, forward), (True, backward)):
        if config is not None:
            check(LAYOUTS, config.strategy, "strategy")
            _forced[direction] = config
    try:
        yield
    finally:
        _forced.clear()
        _forced.update(before)


def choose(call: Call) -> Choice | None:
    """Return what runs: forced, else measured best here, else planned; None if nothing fits."""
    if _forced and (config := _forced.get(call.backward)):
        return _checked(call, config)
    return _chosen(call)


@lru_cache(maxsize=4096)
def _chosen(call: Call) -> Choice | None:
    config = tuned.lookup(call)
    if config is not None and not broken_limits(call, config):
        return _choice(call, config, predicted(call, config))
    return planned(call)


def forget() -> None:
    """Forget what was chosen: tuning has found something better."""
    _chosen.cache_clear()
    tuned.forget()


@lru_cache(maxsize=4096)
def _checked(call: Call, config: Configuration) -> Choice:
    broken = broken_limits(call, config)
    if broken:
        raise UnsupportedError(f"{config} does not run {call} on {call.gpu.name}: {broken}")
    return _choice(call, config, predicted(call, config))


def broken_limits(call: Call, config: Configuration) -> str:
    """Return the limits that a configuration breaks, with both sides, "" if it may run."""
    check(LAYOUTS, config.strategy, "strategy")
    problem = _declared(call.sizes, config.strategy, call.backward, call.dstates)
    wanted = {v.name: v.domain for v in problem.variables}
    knobs = dict(config.knobs)
    if knobs.keys() != wanted.keys():
        return f"expected values of {', '.join(wanted)}, got {', '.join(knobs) or 'none'}"
    outside = [name for name, value in knobs.items() if value not in wanted[name]]
    if outside:
        name = outside[0]
        return f"{name}={knobs[name]}: expected one of {list(wanted[name])}"
    found = problem.binding(knobs, **_given(problem, call))
    return "; ".join(f"{one.name} ({one.text})" for one in found if not one.holds)
