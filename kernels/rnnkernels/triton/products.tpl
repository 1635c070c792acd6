# R h_{t-1} for all steps: one program per (head, ROWS rows of batch and time), all gates.


@triton.jit
def products(
    hidden,  # (B, T, N, D)
    initial,  # (B, N, D)
    r,  # (G, N, D_out, D_in)
    out,  # (B, T, G, N, D)
    B,
    T,
    N,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    GATES: tl.constexpr,
    ROWS: tl.constexpr,
    HAS_INITIAL: tl.constexpr,
):
    head = tl.program_id(0) % N
    row = (tl.program_id(0) // N).to(tl.int64) * ROWS + tl.arange(0, ROWS)  # b T + t
    col = tl.arange(0, BLOCK_D)
    width = tl.cast(N, tl.int64) * D
    rows = tl.cast(B, tl.int64) * T
    unit = head * D + col[None, :]
    live = (row < rows)[:, None] & (col < D)[None, :]
    later = live & (row % T > 0)[:, None]
    h = tl.load(hidden + (row - 1)[:, None] * width + unit, later, 0.0)
    if HAS_INITIAL:
        begin = live & (row % T == 0)[:, None]
        h += tl.load(initial + (row // T)[:, None] * width + unit, begin, 0.0)
    square = col[:, None] + col[None, :] * D  # R transposed: (D_in, D_out)
    inside = (col < D)[:, None] & (col < D)[None, :]
    at = row[:, None] * GATES * width + unit
    for gate in tl.static_range(GATES):
        factor = tl.load(r + (gate * width + head * D) * D + square, inside, 0.0)
        p = tl.dot(h, factor)
        tl.store(out + at + gate * width, p.to(out.dtype.element_ty), live)
