# Backward: one program per (head, 16 batch rows) runs the time steps from the last to the
# first; R stays on the chip. R h_{t-1} was computed for all steps before.
#
#     dx, dr, ds = cell'(W x + b, p + b_r, states_{t-1}, d);    d_{t-1} = ds + R^T dr (for h)
#
# Where registers allow it, what a step reads is loaded up to two steps before. The products of R^T
# dr run in two chains, over the even and the odd gates, because each product waits for the one it
# adds to. Rows past their length pass their gradient on and have dx = 0.


@triton.jit
def load_step(
    wx,
    products,
    initial,
    hidden,
    carried,
    dstates,
    t,
    at_x,
    at_h,
    at_s,
    live,
    width: tl.constexpr,
    B,
    T,
    HAS_INITIAL: tl.constexpr,
    HAS_DSTATES: tl.constexpr,
    FIRST: tl.constexpr,
):
    """Return what step t reads: x and R h per gate, then the previous states, then dstates."""
    t = tl.cast(t, tl.int64)  # B T N D may pass 2**31
    plane = B * tl.cast(T, tl.int64) * width
    now = live & (t >= 0)
    before = live & (t > 0)
    at_x += t * (%gates% * width)
    at_h += t * width
    x$ = tl.load(wx + at_x + $ * width, now, 0.0)  #: gates
    p$ = tl.load(products + at_x + $ * width, now, 0.0)  #: gates
    s$ = x0  #: unread
    s$ = tl.load(hidden + at_h - width, before, 0.0)  #: read_hidden
    exact = carried + at_h - width
    s$ = tl.load(exact + ($ - FIRST) * plane, before, 0.0)  #: read_carried
    if HAS_INITIAL:
        begin = live & (t == 0)
        s$ += tl.load(initial + $ * B * width + at_s, begin, 0.0)  #: read
    d$ = x0  #: states
    if HAS_DSTATES:
        d$ = tl.load(dstates + at_h + $ * plane, now, 0.0)  #: states
    return ([x$: gates], [p$: gates], [s$: states], [d$: states])


@triton.jit
def fused_backward(
    wx,  # (B, T, G, N, D)
    products,  # (B, T, G, N, D): R h_{t-1}
    r,  # (G, N, D_out, D_in)
    b,  # (biases, N, D)
    initial,  # (S, B, N, D)
    lengths,  # (B,) int32
    hidden,  # (B, T, N, D)
    carried,  # (S - FIRST, B, T, N, D)
    dstates,  # (S, B, T, N, D)
    dlast,  # (S, B, N, D)
    dx,  # (B, T, G, N, D) out
    apart,  # (B, T, K, N, D) out: dr of the distinct gates
    dinitial,  # (S, B, N, D) out
    db,  # (programs of a head, biases, N, D) float32 out: sums over time and the rows of each
    B,
    T,
    N: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    GROUP: tl.constexpr,  # columns of a warp: 8 or 16
    HAS_INITIAL: tl.constexpr,
    HAS_LENGTHS: tl.constexpr,
    PRECISION: tl.constexpr,
    HAS_DSTATES: tl.constexpr,
    HAS_DLAST: tl.constexpr,
    FIRST: tl.constexpr,  # the state that `carried` begins with: 1, or 0 if it is `states`
    AHEAD: tl.constexpr,  # how many steps before its use a step's input is loaded: 0, 1 or 2
):
    head = tl.program_id(0) % N
    first = tl.program_id(0) // N * 16
    col = at_units(BLOCK_D, GROUP)
    rows, columns = at_rows(first), at_columns(BLOCK_D, GROUP)
    live = (rows < B) & (columns < D)
    width: tl.constexpr = N * D  # a constant: what is added to an address costs nothing then
    unit = head * D + columns
    far = rows.to(tl.int64)
    steps = tl.cast(T, tl.int64)  # B T N D may pass 2**31
    at_x = far * (steps * %gates% * width) + unit
    at_a = far * (steps * %distinct% * width) + unit
    at_h = far * (steps * width) + unit
    at_s = far * width + unit
    square = col[:, None] * D + col[None, :]
    inside = (col < D)[:, None] & (col < D)[None, :]
    r$ = tl.load(r + ($ * width + head * D) * D + square, inside, 0.0)  #: gates
    b$ = tl.load(b + $ * width + head * D + col, col < D, 0.0).to(tl.float32)[None, :]  #: biases
    if HAS_DLAST:
        d$ = flat(tl.load(dlast + $ * B * width + at_s, live, 0.0)).to(tl.float32)  #: states
    else:
        d$ = tl.zeros([16, BLOCK_D], tl.float32)  #: states
    row = first + tl.arange(0, 16)
    if HAS_LENGTHS:
        length = tl.load(lengths + row, row < B, 0)[:, None]
    sum$ = tl.zeros([16, BLOCK_D], tl.float32)  #: biases
    if AHEAD > 0:
        [near_x$: gates], [near_p$: gates], [near_s$: states], [near_d$: states] = load_step(
            wx, products, initial, hidden, carried, dstates, T - 1, at_x, at_h, at_s, live, width,
            B, T, HAS_INITIAL, HAS_DSTATES, FIRST
        )
    if AHEAD > 1:
        [far_x$: gates], [far_p$: gates], [far_s$: states], [far_d$: states] = load_step(
            wx, products, initial, hidden, carried, dstates, T - 2, at_x, at_h, at_s, live, width,
            B, T, HAS_INITIAL, HAS_DSTATES, FIRST
        )
    for step in range(T):
        t = T - 1 - step
        if AHEAD == 0:
            [near_x$: gates], [near_p$: gates], [near_s$: states], [near_d$: states] = load_step(
                wx, products, initial, hidden, carried, dstates, t, at_x, at_h, at_s, live, width,
                B, T, HAS_INITIAL, HAS_DSTATES, FIRST
            )
        x$ = flat(near_x$).to(tl.float32) + b$  #: gates
        p$ = flat(near_p$).to(tl.float32)  #: gates
        s$ = flat(near_s$).to(tl.float32)  #: states
        e$ = flat(near_d$).to(tl.float32)  #: states
        if AHEAD == 1:
            [near_x$: gates], [near_p$: gates], [near_s$: states], [near_d$: states] = load_step(
                wx, products, initial, hidden, carried, dstates, t - 1, at_x, at_h, at_s, live, width,
                B, T, HAS_INITIAL, HAS_DSTATES, FIRST
            )
        if AHEAD > 1:
            near_x$, near_p$ = far_x$, far_p$  #: gates
            near_s$, near_d$ = far_s$, far_d$  #: states
            [far_x$: gates], [far_p$: gates], [far_s$: states], [far_d$: states] = load_step(
                wx, products, initial, hidden, carried, dstates, t - 2, at_x, at_h, at_s, live, width,
                B, T, HAS_INITIAL, HAS_DSTATES, FIRST
            )
        p$ += b%row  #: recurrent
        if HAS_DSTATES:
            e$ += d$  #: states
        else:
            e$ = d$  #: states
        back = cell_backward([x$: gates], [p$: gates], [s$: states], [e$: states])
        dx$ = back[$]  #: gates
        dr$ = back[%gates% + $]  #: gates
        if HAS_LENGTHS:
            inner = t < length
            dx$ = tl.where(inner, dx$, 0.0)  #: gates
            dr$ = tl.where(inner, dr$, 0.0)  #: gates
            d$ = tl.where(inner, back[2 * %gates% + $], d$)  #: states
        else:
            d$ = back[2 * %gates% + $]  #: states
        sum$ += dx$  #: gates
        sum%row += dr$  #: recurrent
        q$ = dr$.to(r.dtype.element_ty)  #: gates
        odd = tl.zeros([16, BLOCK_D], tl.float32)
        d0 = tl.dot(q$, r$, d0, input_precision=PRECISION)  #: even
        odd = tl.dot(q$, r$, odd, input_precision=PRECISION)  #: odd
        d0 += odd
        now = tl.cast(t, tl.int64)
        out_x = dx + at_x + now * (%gates% * width)
        out_a = apart + at_a + now * (%distinct% * width)
        tl.store(out_x + $ * width, folded(dx$.to(dx.dtype.element_ty), GROUP), live)  #: gates
        tl.store(out_a + %k * width, folded(q$, GROUP), live)  #: distinct
    if HAS_INITIAL:
        d$ = folded(d$, GROUP)  #: states
        tl.store(dinitial + $ * B * width + at_s, d$.to(dinitial.dtype.element_ty), live)  #: states
    at_b = (tl.program_id(0) // N * %biases%) * width + head * D + col
    kept = (row < B)[:, None] & (col < D)[None, :]
    sum$ = tl.sum(tl.where(kept, sum$, 0.0), 0)  #: biases
    tl.store(db + at_b + $ * width, sum$, col < D)  #: biases
