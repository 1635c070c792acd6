# Forward: one program per (head, 16 batch rows) runs all time steps; R stays on the chip.
#
#     p_g = R_g h;    states = cell(W x + b, p + b_r, states);    stored: states of every step
#
# The states stay in float32 from step to step, h rounded to the storage type. What W x
# is two steps ahead is loaded meanwhile: memory answers later than the next step begins. Rows past
# their length keep their states.


@triton.jit
def fused_forward(
    wx,  # (B, T, G, N, D)
    r,  # (G, N, D_out, D_in)
    b,  # (biases, N, D)
    initial,  # (S, B, N, D)
    lengths,  # (B,) int32
    states,  # (S, B, T, N, D) out
    last,  # (S, B, N, D) out
    carried,  # (S - 1, B, T, N, D) float32 out
    B,
    T,
    N: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    GROUP: tl.constexpr,  # columns of a warp: 8 or 16
    HAS_INITIAL: tl.constexpr,
    HAS_LENGTHS: tl.constexpr,
    KEEP: tl.constexpr,
    PRECISION: tl.constexpr,
):
    head = tl.program_id(0) % N
    first = tl.program_id(0) // N * 16
    col = at_units(BLOCK_D, GROUP)
    rows, columns = at_rows(first), at_columns(BLOCK_D, GROUP)
    live = (rows < B) & (columns < D)
    width: tl.constexpr = N * D  # a constant: what is added to an address costs nothing then
    steps = tl.cast(T, tl.int64)  # B T N D may pass 2**31
    plane = B * steps * width  # one state at every step
    unit = head * D + columns
    far = rows.to(tl.int64)
    at_x = wx + far * (steps * %gates% * width) + unit
    at_h = far * (steps * width) + unit
    at_s = far * width + unit
    square = col[:, None] + col[None, :] * D  # R transposed: (D_in, D_out)
    inside = (col < D)[:, None] & (col < D)[None, :]
    r$ = tl.load(r + ($ * width + head * D) * D + square, inside, 0.0)  #: gates
    b$ = tl.load(b + $ * width + head * D + col, col < D, 0.0).to(tl.float32)[None, :]  #: biases
    if HAS_INITIAL:
        s$ = flat(tl.load(initial + $ * B * width + at_s, live, 0.0)).to(tl.float32)  #: states
    else:
        s$ = tl.zeros([16, BLOCK_D], tl.float32)  #: states
    if HAS_LENGTHS:
        row = first + tl.arange(0, 16)
        length = tl.load(lengths + row, row < B, 0)[:, None]
    near$ = tl.load(at_x + $ * width, live, 0.0)  #: gates
    soon = live & (T > 1)
    far$ = tl.load(at_x + (%gates% + $) * width, soon, 0.0)  #: gates
    for t in range(T):
        x$ = flat(near$).to(tl.float32) + b$  #: gates
        near$ = far$  #: gates
        at_x += %gates% * width
        soon = live & (t + 2 < T)
        far$ = tl.load(at_x + (%gates% + $) * width, soon, 0.0)  #: gates
        h = s0.to(wx.dtype.element_ty)
        p$ = tl.dot(h, r$, input_precision=PRECISION)  #: gates
        p$ += b%row  #: recurrent
        new = cell_forward([x$: gates], [p$: gates], [s$: states])
        n$ = new[$]  #: states
        n0 = n0.to(wx.dtype.element_ty).to(tl.float32)
        if HAS_LENGTHS:
            s$ = tl.where(t < length, n$, s$)  #: states
            n$ = tl.where(t < length, n$, 0.0)  #: states
        else:
            s$ = n$  #: states
        tl.store(states + $ * plane + at_h, folded(n$.to(states.dtype.element_ty), GROUP), live)  #: states
        if KEEP:
            tl.store(carried + ($ - 1) * plane + at_h, folded(n$, GROUP), live)  #: carried
            carried += width
        states += width
    tl.store(last + $ * B * width + at_s, folded(s$.to(last.dtype.element_ty), GROUP), live)  #: states
