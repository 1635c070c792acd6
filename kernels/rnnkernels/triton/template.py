"""Kernel templates written out for a cell: one line per gate or state, then plain Triton.

A template is Triton code with three additions:

    x$ = ...  #: gates          the line once per gate, $ its number (also: see `_sets`)
    f([x$: gates])              the list x0, x1, ... in place
    %gates%, %distinct%, ..    how many there are; %row, %k: see `_sets`
"""

from __future__ import annotations

import linecache
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from rnnkernels.emit import triton_source

if TYPE_CHECKING:
    from rnnkernels.definition import Cell

_FAST = """


@triton.jit
def _tanh(a):
    return tl.inline_asm_elementwise(
        "tanh.approx.f32 $0, $1;", "=f,f", [a], dtype=tl.float32, is_pure=True, pack=1
    )


@triton.jit
def _exp(a):
    return tl.exp(a)


@triton.jit
def _div(a, b):
    return a / b


@triton.jit
def _sigmoid(a):
    return 0.5 * _tanh(0.5 * a) + 0.5
"""
_REPEAT = re.compile(r"\s*#: (\w+)$")
_LIST = re.compile(r"\[([^\[\]:]+): (\w+)\]")


@lru_cache(maxsize=256)
def kernel(cell: Cell | None, template: str, *, fast: bool = False) -> Any:
    """Return the Triton function `template` of this cell: interpreted if Triton was told to.

    `template` is the name of a .tpl file beside this one, and of the function that it defines.
    Some are the same for every cell: those take None. `fast` takes the approximate tanh of the
    hardware (relative error about 5e-4, right for bfloat16 storage), which is not interpreted.
    """
    owner = cell.key if cell else "any_cell"
    owner += "_fast" if fast else ""
    name = f"<rnnkernels {owner} {template}>"
    text = kernel_source(cell, template, fast=fast)
    # Triton reads the source of its functions back through linecache, by this name.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"__name__": f"rnnkernels.triton.{owner}.{template}"}
    exec(compile(text, name, "exec"), scope)  # noqa: S102 - our own text
    return scope[template]


def kernel_source(cell: Cell | None, template: str, *, fast: bool = False) -> str:
    """Return the module of Triton code that `kernel` runs, to read or to keep."""
    parts = [
        files(__package__).joinpath(f"{part}.tpl").read_text(encoding="utf-8")
        for part in ("tiles", template)
    ]
    if cell is None:
        return f"import triton\nimport triton.language as tl\n\n\n{parts[1]}"
    functions = triton_source(cell)
    if fast:  # names are looked up when the kernel is compiled: the later definition holds
        functions += _FAST
    return "\n\n\n".join([functions, *(expand(cell, part) for part in parts)])


def expand(cell: Cell, text: str) -> str:
    """Return the template with its repeats and lists written out for a cell."""
    sets = _sets(cell)
    lines: list[str] = []
    for line in text.splitlines():
        repeat = _REPEAT.search(line)
        members = sets[repeat.group(1)] if repeat else [{}]
        plain = line[: repeat.start()] if repeat else line
        lines += [_fill(_write_lists(plain, sets), member) for member in members]
    written = "\n".join(lines) + "\n"
    for name in ("gates", "distinct", "biases"):
        written = written.replace(f"%{name}%", str(len(sets[name])))
    return written


def _write_lists(line: str, sets: dict[str, list[dict[str, int]]]) -> str:
    def written(match: re.Match[str]) -> str:
        return ", ".join(_fill(match.group(1), member) for member in sets[match.group(2)])

    return _LIST.sub(written, line)


def _fill(text: str, member: dict[str, int]) -> str:
    for mark, number in member.items():
        text = text.replace(mark, str(number))
    return text


def _sets(cell: Cell) -> dict[str, list[dict[str, int]]]:
    """Return what a line can be repeated over: per member what replaces $ and the other marks."""
    gates, states = range(len(cell.gates)), range(len(cell.states))
    apart = [g for g in gates if cell.distinct[g]]
    read = [k for k in states if cell.uses_state[k]]
    rows = [(g, row) for g, row in enumerate(cell.recurrent_row) if row is not None]
    return {
        "gates": [{"$": g} for g in gates],
        "even": [{"$": g} for g in gates[::2]],
        "odd": [{"$": g} for g in gates[1::2]],
        "biases": [{"$": row} for row in range(cell.biases)],
        "recurrent": [{"$": g, "%row": row} for g, row in rows],  # row of b added to R h
        "distinct": [{"$": g, "%k": k} for k, g in enumerate(apart)],  # k: place among them
        "states": [{"$": k} for k in states],
        "carried": [{"$": k} for k in states[1:]],  # kept in float32 for backward
        "unread": [{"$": k} for k in states if k not in read],
        "read": [{"$": k} for k in read],  # previous value read pointwise
        "read_hidden": [{"$": k} for k in read if k == 0],
        "read_carried": [{"$": k} for k in read if k > 0],
    }
