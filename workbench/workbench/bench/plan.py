"""The sweep: which cases, in which order. What matters most is timed first.

`full` is for a GPU: every cell, head sizes 16 to 2048, batches 1 to 256, 128 to 4096 steps, both
directions. `small` takes seconds on a CPU. A filter keeps part of either.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from workbench.bench.case import BOTH, CELLS, DIRECTIONS, FORWARD, Case
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

WIDTH = 768  # of a layer: 48 heads of 16, or 1 of 768
WITH_NN = ("lstm", "gru", "elman")  # torch.nn has these
# Heads x head size. Up to 768 of equal width, beyond one head.
HEADS = tuple((WIDTH // size, size) for size in (16, 32, 64, 128, 256, 768))
SHAPES = (*HEADS, (1, 512), (1, 1024), (1, 1536), (1, 2048))
ONE_HEAD = tuple((1, size) for size in (64, 128, 256))  # what one head of torch.nn is compared with
TYPICAL = ((12, 64), (1, 768))
BATCHES = (1, 2, 4, 8, 32, 64, 128, 256)  # beside 16
LENGTHS = (128, 256, 512, 2048, 4096)  # beside 1024


def full() -> list[Case]:
    """Return the sweep for a GPU: a few hundred cases, minutes."""
    at = Case("auto", "lstm", "bfloat16", FORWARD, 16, 1024, 12, 64)
    return _unique(
        chain(
            _each(at, ("auto",), SHAPES),
            _baselines(at),
            chain.from_iterable(
                _each(replace(at, cell=cell), ("auto",), SHAPES) for cell in CELLS if cell != "lstm"
            ),
            _sizes(at),
            _each(at, ("triton",), HEADS[:4]),
            _each(at, ("alternating",), (*TYPICAL, (1, 2048))),
            _dtypes(at),
            chain.from_iterable(
                _sizes(replace(at, cell=cell), (1, 64, 256), (128, 4096))
                for cell in CELLS
                if cell != "lstm"
            ),
            _slow(at),
        )
    )


def _baselines(at: Case) -> Iterable[Case]:
    """Yield what users have: torch.nn in both 16-bit types, W x apart, our modules in its place."""
    half = replace(at, dtype="float16")
    singles = [shape for shape in SHAPES if shape[0] == 1]
    yield from _each(half, ("nn", "module", "gemm", "auto"), (*ONE_HEAD, *singles))
    yield from _each(at, ("nn", "module", "gemm"), ((1, 64), (1, 768)))
    yield from _each(at, ("attention",), HEADS[:5])
    for cell in ("gru", "elman"):
        yield from _each(replace(half, cell=cell), ("nn", "module"), ((1, 64), (1, 768)))
    for batch in (64, 256):
        yield from _each(replace(half, batch=batch), ("nn", "module"), ((1, 64), (1, 768)))


def _sizes(
    at: Case, batches: Sequence[int] = BATCHES, lengths: Sequence[int] = LENGTHS
) -> Iterable[Case]:
    """Yield the sweeps over batch and length, of many small heads and of one large."""
    for batch in batches:
        yield from _each(replace(at, batch=batch), ("auto",), TYPICAL)
    for steps in lengths:
        yield from _each(replace(at, steps=steps), ("auto",), TYPICAL)


def _dtypes(at: Case) -> Iterable[Case]:
    for dtype in ("float16", "float32"):
        yield from _each(replace(at, dtype=dtype), ("auto",), TYPICAL)


def _slow(at: Case) -> Iterable[Case]:
    """Yield plain PyTorch, which takes seconds: on few problems and last."""
    for heads, head_dim in TYPICAL:
        here = replace(at, heads=heads, head_dim=head_dim)
        yield replace(here, backend="compiled")
        yield replace(here, backend="vanilla")
        yield replace(here, backend="vanilla", direction=BOTH)


def small() -> list[Case]:
    """Return a sweep for a CPU: what runs there, at sizes that take seconds in all."""
    at = Case("reference", "lstm", "float32", FORWARD, 4, 32, 1, 64)
    cases: list[Case] = []
    for cell in CELLS:
        here = replace(at, cell=cell)
        cases += _each(here, ("reference", "alternating"), ((1, 64),))
        cases += _each(here, ("module", "nn") if cell in WITH_NN else ("module",), ((1, 64),))
    cases += _each(at, ("vanilla", "gemm", "attention"), ((1, 64),))
    for size in (16, 32, 128):
        cases += _each(at, ("reference",), ((1, size),))
        cases += _each(at, ("nn",), ((1, size),))
    for batch in (1, 16):
        cases += _each(replace(at, batch=batch), ("reference", "nn"), ((1, 64),))
    for steps in (8, 16, 64):
        cases += _each(replace(at, steps=steps), ("reference", "nn"), ((1, 64),))
    return _unique(cases)


PLANS = {"full": full, "small": small}


def find_plan(name: str) -> list[Case]:
    """Return the cases of a plan by its name.

    Raises
    ------
    WorkbenchError
        No such plan.
    """
    if name not in PLANS:
        raise WorkbenchError(f"unknown plan {name!r}; known: {', '.join(PLANS)}")
    return PLANS[name]()


def keep(cases: Sequence[Case], wanted: Mapping[str, Collection[object]]) -> list[Case]:
    """Return the cases whose fields have one of the wanted values; a field without any is free.

    Raises
    ------
    WorkbenchError
        None is left.
    """
    given = {name: values for name, values in wanted.items() if values}
    kept = [
        case
        for case in cases
        if all(getattr(case, name) in values for name, values in given.items())
    ]
    if not kept:
        asked = "; ".join(f"{n} {' '.join(map(str, v))}" for n, v in given.items())
        raise WorkbenchError(f"no case of the plan has {asked}; --list prints the plan")
    return kept


def _each(at: Case, backends: Sequence[str], shapes: Sequence[tuple[int, int]]) -> list[Case]:
    """Return each shape with each backend and direction, those of a shape side by side."""
    return [
        replace(at, backend=backend, heads=heads, head_dim=head_dim, direction=direction)
        for heads, head_dim in shapes
        for backend in backends
        for direction in DIRECTIONS
    ]


def _unique(cases: Iterable[Case]) -> list[Case]:
    return list(dict.fromkeys(cases))
