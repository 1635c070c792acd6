# One time step backward, pointwise: dx, dr, ds = cell'(W x + b, p + b_r, states_{t-1}, d), before
# the product R^T dr, which the next launch adds to the adjoint of h.
#
# t and the addresses of the caller's tensors are read from `table`, so that a recorded sequence of
# launches serves every call. Nothing happens once t is below 0.


@triton.jit
def step_backward(
    table,  # (12,) int64: t, T, addresses of wx, products, b, initial, lengths, hidden, carried,
    # dstates, dx, apart
    dr,  # (N, B, G D) out: for the next product
    dh,  # (N, B, D) float32: R^T dr of the step after
    adjoint,  # (S, B, N, D) float32 in and out, without dh
    db,  # (biases, B, N, D) float32 in and out: sums over time
    B,
    N,
    D,
    STEP,  # of this launch, counted down from the t in the table
    BLOCK: tl.constexpr,
    HAS_INITIAL: tl.constexpr,
    HAS_LENGTHS: tl.constexpr,
    HAS_DSTATES: tl.constexpr,
    KEPT: tl.constexpr,  # carried is float32 from state 1 on, else it is states
):
    storage = tl.pointer_type(dr.dtype.element_ty)
    t = tl.load(table) - STEP
    T = tl.load(table + 1)
    if t >= 0:
        wx = tl.load(table + 2).to(storage)  # (B, T, G, N, D)
        products = tl.load(table + 3).to(storage)  # (B, T, G, N, D): R h_{t-1}
        b = tl.load(table + 4).to(storage)  # (biases, N, D)
        initial = tl.load(table + 5).to(storage)  # (S, B, N, D)
        states = tl.load(table + 7).to(storage)  # (S, B, T, N, D)
        dstates = tl.load(table + 9).to(storage)  # (S, B, T, N, D)
        dx = tl.load(table + 10).to(storage)  # (B, T, G, N, D) out
        apart = tl.load(table + 11).to(storage)  # (B, T, K, N, D) out
        width = tl.cast(N, tl.int64) * D  # int64: B T N D may pass 2**31
        plane = B * T * width
        at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        live = at < B * width
        row = at // width
        unit = at % width
        head = unit // D
        at_x = (row * T + t) * %gates% * width + unit
        at_h = (row * T + t) * width + unit
        x$ = tl.load(wx + at_x + $ * width, live, 0.0).to(tl.float32)  #: gates
        p$ = tl.load(products + at_x + $ * width, live, 0.0).to(tl.float32)  #: gates
        b$ = tl.load(b + $ * width + unit, live, 0.0).to(tl.float32)  #: biases
        x$ += b$  #: gates
        p$ += b%row  #: recurrent
        later = live & (t > 0)
        before = states + at_h - width
        s0 = tl.load(before, later, 0.0).to(tl.float32)
        if KEPT:
            exact = tl.load(table + 8).to(tl.pointer_type(tl.float32)) + at_h - width
            s$ = tl.load(exact + ($ - 1) * plane, later, 0.0)  #: carried
        else:
            before += plane
            s$ = tl.load(before + ($ - 1) * plane, later, 0.0).to(tl.float32)  #: carried
        if HAS_INITIAL:
            s$ += tl.load(initial + $ * B * width + at, live & (t == 0), 0.0)  #: states
        d$ = tl.load(adjoint + $ * B * width + at, live, 0.0)  #: states
        d0 += tl.load(dh + (head * B + row) * D + unit % D, live, 0.0)
        e$ = d$  #: states
        if HAS_DSTATES:
            e$ += tl.load(dstates + $ * plane + at_h, live, 0.0).to(tl.float32)  #: states
        back = cell_backward([x$: gates], [p$: gates], [s$: states], [e$: states])
        dx$ = back[$]  #: gates
        dr$ = back[%gates% + $]  #: gates
        e$ = back[2 * %gates% + $]  #: states
        if HAS_LENGTHS:
            lengths = tl.load(table + 6).to(tl.pointer_type(tl.int32))  # (B,)
            inner = t < tl.load(lengths + row, live, 0)
            dx$ = tl.where(inner, dx$, 0.0)  #: gates
            dr$ = tl.where(inner, dr$, 0.0)  #: gates
            e$ = tl.where(inner, e$, d$)  #: states
        at_b = db + at
        sum$ = tl.load(at_b + $ * B * width, live, 0.0)  #: biases
        sum$ += dx$  #: gates
        sum%row += dr$  #: recurrent
        tl.store(at_b + $ * B * width, sum$, live)  #: biases
        tl.store(adjoint + $ * B * width + at, e$, live)  #: states
        tl.store(dx + at_x + $ * width, dx$.to(dr.dtype.element_ty), live)  #: gates
        at_r = (head * B + row) * %gates% * D + unit % D
        tl.store(dr + at_r + $ * D, dr$.to(dr.dtype.element_ty), live)  #: gates
        at_a = (row * T + t) * %distinct% * width + unit
        tl.store(apart + at_a + %k * width, dr$.to(dr.dtype.element_ty), live)  #: distinct
