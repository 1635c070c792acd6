# A tile of 16 batch rows is loaded and stored as (8, columns / GROUP, 2, GROUP): lower row bits,
# warps, upper row bit, the GROUP columns of a warp. Triton spreads that over threads (GROUP / 4
# neighbours along the last axis each, the rest of it and the first axis over the lanes of a warp,
# the second over warps) just as the tensor cores return their products, so tiles need no exchange
# between threads on their way to and from memory: no barriers, which took more of a step than its
# arithmetic.
#
# A product's columns are pairs, dealt to the lanes and then to the warps, and then again. With
# GROUP 16 a thread has two such pairs: they are neighbours in memory, in another order than in the
# product (`at_units`), which R and the biases are loaded in. A step then touches half as many lines
# of the L1 cache: the backward step of an LSTM of head_dim 64 took 1.6 us on an H200, before 2.3.


@triton.jit
def at_rows(first):
    """Return the batch row of each element of a tile that begins at row `first`."""
    upper = 8 * tl.arange(0, 2)[None, None, :, None]
    return first + upper + tl.arange(0, 8)[:, None, None, None]


@triton.jit
def at_columns(COLUMNS: tl.constexpr, GROUP: tl.constexpr):
    """Return the column of each element of a tile whose warps have GROUP columns."""
    upper = GROUP * tl.arange(0, COLUMNS // GROUP)[None, :, None, None]
    return upper + tl.arange(0, GROUP)[None, None, None, :]


@triton.jit
def at_units(COLUMNS: tl.constexpr, GROUP: tl.constexpr):
    """Return the column in memory of each column of a product."""
    col = tl.arange(0, COLUMNS)
    if GROUP == 8:
        return col
    else:
        half: tl.constexpr = COLUMNS // 2
        return col % half // 8 * 16 + col % 8 // 2 * 4 + col // half * 2 + col % 2


@triton.jit
def flat(tile):
    """Return a loaded tile as (16, columns)."""
    groups: tl.constexpr = tile.shape[1]
    if tile.shape[3] == 8:
        return tl.reshape(tl.permute(tile, (2, 0, 1, 3)), (16, 8 * groups))
    else:
        pairs = tl.reshape(tile, (8, groups, 2, 4, 2, 2))
        return tl.reshape(tl.permute(pairs, (2, 0, 4, 1, 3, 5)), (16, 16 * groups))


@triton.jit
def folded(tile, GROUP: tl.constexpr):
    """Return (16, columns) as a tile to store."""
    groups: tl.constexpr = tile.shape[1] // GROUP
    if GROUP == 8:
        return tl.permute(tl.reshape(tile, (2, 8, groups, 8)), (1, 2, 0, 3))
    else:
        pairs = tl.permute(tl.reshape(tile, (2, 8, 2, groups, 4, 2)), (1, 3, 0, 4, 2, 5))
        return tl.reshape(pairs, (8, groups, 2, 16))
