# dR: one program per (gate, head, part of the rows of batch and time) adds dr h_{t-1}^T over its
# rows; the parts are added afterwards, in order, so that equal inputs give equal bits.


@triton.jit
def weights(
    dr,  # (B, T, K, N, D): gates FIRST to FIRST + GATES of these are wanted
    hidden,  # (B, T, N, D)
    initial,  # (B, N, D)
    out,  # (parts, ALL, N, D_out, D_in) float32: gates INTO to INTO + GATES of these are written
    B,
    T,
    N,
    K,
    FIRST,
    ALL,
    INTO,
    EACH,  # rows of a part, a multiple of ROWS
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    GATES: tl.constexpr,
    ROWS: tl.constexpr,
    HAS_INITIAL: tl.constexpr,
):
    head = tl.program_id(0) % N
    gate = tl.program_id(0) // N % GATES
    part = tl.program_id(0) // N // GATES
    col = tl.arange(0, BLOCK_D)
    width = tl.cast(N, tl.int64) * D
    rows = tl.cast(B, tl.int64) * T
    unit = head * D + col[None, :]
    total = tl.zeros([BLOCK_D, BLOCK_D], tl.float32)
    begin_row = tl.cast(part, tl.int64) * EACH
    for step in range(0, EACH, ROWS):
        row = begin_row + step + tl.arange(0, ROWS)  # b T + t
        live = (row < rows)[:, None] & (col < D)[None, :]
        later = live & (row % T > 0)[:, None]
        h = tl.load(hidden + (row - 1)[:, None] * width + unit, later, 0.0)
        if HAS_INITIAL:
            begin = live & (row % T == 0)[:, None]
            h += tl.load(initial + (row // T)[:, None] * width + unit, begin, 0.0)
        d = tl.load(dr + (row[:, None] * K + FIRST + gate) * width + unit, live, 0.0)
        total = tl.dot(tl.trans(d), h, total)
    at = ((part * ALL + INTO + gate) * width + head * D) * D
    square = col[:, None] * D + col[None, :]
    inside = (col < D)[:, None] & (col < D)[None, :]
    tl.store(out + at + square, total, inside)
