"""How a fused recurrent kernel may be laid out on a GPU, as an integer constraint problem.

A recurrent layer multiplies, at every time step, the state of each head by that head's weights:

    forward    (batch, head_dim) x (head_dim, gates * head_dim)      inputs x outputs
    backward   (batch, gates * head_dim) x (gates * head_dim, head_dim)

The kernel keeps the weights on the chip over all time steps, in registers as far as they go and
in shared memory for the rest, so every block of the launch has to be resident at once. A layout
says how the product is cut into tiles of the tensor cores, and who computes which tile: blocks,
then warps within a block, then a loop within a warp, along the outputs, the inputs and the batch.

The limits are those that FlashRNN's fused kernels state (NX-AI/flashrnn, Poeppel, Beck and
Hochreiter 2024, https://arxiv.org/abs/2412.07752), restated in names of our own; the problem files
``rnn_*`` hold the same limits with numbers filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from intsolver import Problem
from rnnkernels.gpus import GPUS, find_gpu

from workbench.widgets.controls import Choice, Range

if TYPE_CHECKING:
    from collections.abc import Mapping

Direction = Literal["forward", "backward"]

_MOST_LOOPS_BATCH = 4  # the kernels are compiled for at most this many
_PADDING = 8  # elements after each row in shared memory, against bank conflicts
_ALIGNMENT = 64  # bytes
_TILE_SUMS = 256  # sums of a tensor core tile
_WARP = 32
_THREADS = 256  # per block: with more, a thread cannot have the 255 registers that it may use
OBJECTIVE = ("blocks", "max")


@dataclass(frozen=True, slots=True)
class _Dtype:
    """Bytes of an element, depth of a tensor core tile, its sides along batch and outputs."""

    bytes: int
    depth: int
    sides: tuple[int, ...]


_DTYPES: Mapping[str, _Dtype] = {
    "bfloat16": _Dtype(2, 16, (8, 16, 32)),
    "float16": _Dtype(2, 16, (8, 16, 32)),
    "float32": _Dtype(4, 8, (16,)),  # multiplied as TF32
}

SHAPE = (
    Choice("head_dim", (32, 64, 128, 256, 512, 768, 1024), 256, "head dimension"),
    Choice("heads", (1, 2, 3, 4, 6, 8, 12, 16), 3),
    Choice("batch", (8, 16, 32, 64), 16, "batch size"),
    Choice("gates", (1, 3, 4), 4),
    Choice("dtype", tuple(_DTYPES), "bfloat16", "data type"),
    Choice("direction", ("forward", "backward"), "forward"),
    Choice("gpu", tuple(GPUS), "H100", "GPU"),
)
LIMITS = (
    Range("shared_memory", 0, 256 * 1024, 1024, "shared memory", "B"),
    Range("registers", 0, 131_072, 1024),
    Range("multiprocessors", 1, 192),
    Range("threads", 32, 1024, 32, "threads per block"),
)


def recurrent_kernel(
    head_dim: int = 256,
    heads: int = 3,
    *,
    batch: int = 16,
    gates: int = 4,
    dtype: str = "bfloat16",
    direction: str = "forward",
    gpu: str = "H100",
) -> Problem:
    """Return the layouts of a recurrent kernel as a problem; the GPU's limits are parameters.

    Variables: sides of a tile (``tile_batch``, ``tile_out``), ``blocks_*``, ``warps_*`` and
    ``loops_*`` along heads, batch, outputs and inputs, and ``register_tiles``, the tiles along the
    inputs whose weights a warp keeps in registers. Parameters: ``shared_memory`` (bytes per
    block), ``registers`` (32 bit, per multiprocessor), ``multiprocessors``, ``threads`` (per
    block).

    Raises
    ------
    ValueError
        A size below 1, or an unknown data type, direction or GPU.
    """
    sizes = {"head_dim": head_dim, "heads": heads, "batch": batch, "gates": gates}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: expected 1 or more, got {size}")
    if dtype not in _DTYPES:
        raise ValueError(f"unknown data type {dtype!r}; known: {', '.join(_DTYPES)}")
    if direction not in ("forward", "backward"):
        raise ValueError(f"unknown direction {direction!r}; known: forward, backward")
    inputs, outputs = head_dim, gates * head_dim
    if direction == "backward":
        inputs, outputs = outputs, inputs
    kind = _DTYPES[dtype]
    problem = Problem(f"recurrent kernel, {direction}")
    _declare(problem, kind, {"heads": heads, "batch": batch, "inputs": inputs, "outputs": outputs})
    _limits(problem, gpu)
    _cover(problem)
    _fit(problem, kind)
    return problem


def _declare(problem: Problem, kind: _Dtype, sizes: Mapping[str, int]) -> None:
    least = min(kind.sides)
    problem.var("tile_batch", list(kind.sides))
    problem.var("tile_out", list(kind.sides))
    problem.var("blocks_heads", _divisors(sizes["heads"]))
    problem.var("blocks_out", _divisors(sizes["outputs"] // least))
    problem.var("blocks_in", _divisors(sizes["inputs"] // kind.depth))
    problem.var("blocks_batch", _divisors(sizes["batch"] // least))
    problem.var("loops_batch", 1, _MOST_LOOPS_BATCH)
    problem.var("warps_batch", _divisors(sizes["batch"] // least))
    problem.var("loops_out", _divisors(sizes["outputs"] // least))
    problem.var("warps_in", _divisors(sizes["inputs"] // kind.depth))
    problem.var("register_tiles", 1, max(1, sizes["inputs"] // kind.depth))
    for name, size in sizes.items():
        problem.define(name, str(size))
    problem.define("tile_in", str(kind.depth))


def _limits(problem: Problem, gpu: str) -> None:
    row = find_gpu(gpu)
    problem.param("shared_memory", row.shared_memory)
    problem.param("registers", row.registers)
    problem.param("multiprocessors", row.multiprocessors)
    problem.param("threads", _THREADS)


def _cover(problem: Problem) -> None:
    """Tiles, blocks, warps and loops cover the product exactly."""
    problem.define("rows", "blocks_batch * warps_batch * loops_batch * tile_batch")
    problem.define("columns", "blocks_out * loops_out * tile_out")
    problem.define("depth", "blocks_in * warps_in * tile_in")
    problem.define("warps_out", "outputs // columns")
    problem.define("warps", "warps_in * warps_batch * warps_out")
    problem.define("blocks", "blocks_heads * blocks_batch * blocks_out * blocks_in")
    problem.add(f"tile_batch * tile_out == {_TILE_SUMS}", name="a tile has 256 sums")
    problem.add("outputs % columns == 0", name="tiles cover the outputs")
    problem.add("inputs % depth == 0", name="tiles cover the inputs")
    problem.add("batch % rows == 0", name="tiles cover the batch")
    problem.add("heads % blocks_heads == 0", name="blocks share the heads evenly")
    problem.add("register_tiles * depth <= inputs", name="register tiles are inputs")


def _fit(problem: Problem, kind: _Dtype) -> None:
    """Warps, registers and shared memory stay within the limits; so does the whole launch."""
    packed = 4 // kind.bytes  # elements in a register of 32 bits; sums are float32
    problem.define("register_weights", "tile_in * tile_out * register_tiles * warps_in * warps_out")
    problem.define(
        "register_elements",
        f"register_weights + warps * tile_batch * ({packed} * tile_out * loops_batch + tile_in)",
    )
    problem.define("blocks_a_head", "blocks_batch * blocks_out * blocks_in")
    problem.define(  # bytes, over the blocks of a head
        "shared_weights",
        f"{kind.bytes} * blocks_batch * outputs * (inputs + {_PADDING}) + {_ALIGNMENT}"
        f" - {kind.bytes} * register_weights * blocks_a_head",
    )
    problem.define(  # bytes, over the blocks of a head
        "partial_sums", f"4 * warps_in * blocks_in * rows * (outputs + {_PADDING} * blocks_out)"
    )
    problem.add(f"{_WARP} * warps <= threads", name="warps fit a block")
    problem.add("blocks <= multiprocessors", name="blocks fit the GPU")
    # Rounded up, so that both limits are compared in their own units.
    problem.define("registers_used", f"-(-register_elements // {packed})")
    problem.define("shared_used", "-(-(shared_weights + partial_sums) // blocks_a_head)")
    problem.add("registers_used <= registers", name="registers")
    problem.add("shared_weights >= 1", name="registers hold no weight twice")
    problem.add("shared_used <= shared_memory", name="shared memory")


def _divisors(number: int) -> list[int]:
    """Return the divisors of `number`, ascending; [1] where there is none."""
    return [size for size in range(1, number + 1) if number % size == 0] or [1]
