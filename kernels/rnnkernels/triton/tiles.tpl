# A tile of 16 batch rows is loaded and stored as (8, columns / 8, 2, 8): lower row bits, upper
# column bits, upper row bit, lower column bits. Triton spreads that over threads (in pairs along
# the last axis, the rest of it and the first axis over the lanes of a warp, the second over warps)
# just as the tensor cores return their products, so tiles need no exchange between threads on
# their way to and from memory: no barriers, which took more of a step than its arithmetic.


@triton.jit
def at_rows(first):
    """Return the batch row of each element of a tile that begins at row `first`."""
    upper = 8 * tl.arange(0, 2)[None, None, :, None]
    return first + upper + tl.arange(0, 8)[:, None, None, None]


@triton.jit
def at_columns(COLUMNS: tl.constexpr):
    """Return the column of each element of a tile."""
    upper = 8 * tl.arange(0, COLUMNS // 8)[None, :, None, None]
    return upper + tl.arange(0, 8)[None, None, None, :]


@triton.jit
def flat(tile):
    """Return a loaded tile as (16, columns)."""
    return tl.reshape(tl.permute(tile, (2, 0, 1, 3)), (16, 8 * tile.shape[1]))


@triton.jit
def folded(tile):
    """Return (16, columns) as a tile to store."""
    return tl.permute(tl.reshape(tile, (2, 8, tile.shape[1] // 8, 8)), (1, 2, 0, 3))
