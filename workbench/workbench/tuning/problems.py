"""Which problems are tuned, and how a command line names them: lstm-12x64-B16-bfloat16."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkernels.plan import Call, describe
from rnnkernels.space import DTYPES

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rnnkernels.gpus import Gpu

_NAME = re.compile(r"([a-z]+)-(\d+)x(\d+)-B(\d+)(?:-([a-z0-9]+))?")


@dataclass(frozen=True, slots=True)
class Problem:
    """A cell, its heads and their size, rows of the batch, and the type."""

    cell: str
    heads: int
    head_dim: int
    batch: int
    dtype: str = "bfloat16"

    def __str__(self) -> str:
        return f"{self.cell}-{self.heads}x{self.head_dim}-B{self.batch}-{self.dtype}"

    @classmethod
    def parse(cls, text: str) -> Problem:
        """Return the problem of a name; raises WorkbenchError."""
        found = _NAME.fullmatch(text)
        if found is None:
            raise WorkbenchError(
                f"problem {text!r}: expected CELL-HEADSxSIZE-Bbatch, or that with -TYPE, as in "
                "lstm-12x64-B16 or gru-1x768-B64-float16"
            )
        cell, *sizes, dtype = found.groups()
        heads, head_dim, batch = map(int, sizes)
        return cls(cell, heads, head_dim, batch, dtype or "bfloat16")

    @classmethod
    def of(cls, call: Call) -> Problem:
        """Return what of a call is named."""
        dtype = next(name for name, dtype in DTYPES.items() if dtype == call.dtype)
        return cls(call.cell.name, call.heads, call.head_dim, call.batch, dtype)


STANDARD: tuple[Problem, ...] = (
    # the widths of a model with 768 units in heads of several sizes, and larger heads
    *(Problem("lstm", 768 // D, D, 16) for D in (16, 32, 64, 128, 256, 768)),
    *(Problem("lstm", 1, D, 16) for D in (512, 1024, 2048)),
    # batches of one row, and of many
    Problem("lstm", 12, 64, 1),
    Problem("lstm", 12, 64, 64),
    Problem("lstm", 12, 64, 256),
    Problem("lstm", 3, 256, 64),
    Problem("lstm", 1, 768, 256),
    # other cells and types
    *(
        Problem(cell, *size, 16)
        for cell in ("gru", "slstm", "elman")
        for size in ((12, 64), (1, 768))
    ),
    Problem("gru", 3, 256, 16),
    Problem("slstm", 6, 128, 16),
    Problem("lstm", 6, 128, 16, "float16"),
    Problem("lstm", 12, 64, 16, "float32"),
    Problem("lstm", 3, 256, 16, "float32"),
)


def calls(problems: Iterable[Problem], gpu: Gpu, directions: Sequence[str]) -> list[Call]:
    """Return the calls of problems on a GPU; raises ArgumentError for what there is not."""
    return [
        describe(p.cell, (p.batch, 1, p.heads, p.head_dim), p.dtype, gpu, direction)
        for p in problems
        for direction in dict.fromkeys(directions)
    ]
