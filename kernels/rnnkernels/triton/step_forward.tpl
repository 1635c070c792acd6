# One time step, pointwise: states = cell(W x + b, p + b_r, states), after the product p = R h.
#
# t and the addresses of the caller's tensors are read from `table`, so that a recorded sequence of
# launches serves every call. Nothing happens once t reaches T.


@triton.jit
def step_forward(
    table,  # (7,) int64: t, T, addresses of wx, b, lengths, states, carried
    products,  # (N, B, G D) float32: R h
    hidden,  # (N, B, D) in and out: h for the next product
    carry,  # (S, B, N, D) float32 in and out
    B,
    N,
    D,
    STEP,  # of this launch, counted from the t in the table
    BLOCK: tl.constexpr,
    HAS_LENGTHS: tl.constexpr,
    KEEP: tl.constexpr,
):
    storage = tl.pointer_type(hidden.dtype.element_ty)
    exact = tl.pointer_type(tl.float32)
    t = tl.load(table) + STEP
    T = tl.load(table + 1)
    if t < T:
        wx = tl.load(table + 2).to(storage)  # (B, T, G, N, D)
        b = tl.load(table + 3).to(storage)  # (biases, N, D)
        states = tl.load(table + 5).to(storage)  # (S, B, T, N, D) out
        width = tl.cast(N, tl.int64) * D  # int64: B T N D may pass 2**31
        at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        live = at < B * width
        row = at // width
        unit = at % width
        head = unit // D
        at_x = (row * T + t) * %gates% * width + unit
        at_p = (head * B + row) * %gates% * D + unit % D
        at_h = (row * T + t) * width + unit
        x$ = tl.load(wx + at_x + $ * width, live, 0.0).to(tl.float32)  #: gates
        p$ = tl.load(products + at_p + $ * D, live, 0.0)  #: gates
        b$ = tl.load(b + $ * width + unit, live, 0.0).to(tl.float32)  #: biases
        x$ += b$  #: gates
        p$ += b%row  #: recurrent
        s$ = tl.load(carry + $ * B * width + at, live, 0.0)  #: states
        new = cell_forward([x$: gates], [p$: gates], [s$: states])
        n$ = new[$]  #: states
        n0 = n0.to(hidden.dtype.element_ty).to(tl.float32)
        if HAS_LENGTHS:
            lengths = tl.load(table + 4).to(tl.pointer_type(tl.int32))  # (B,)
            inner = t < tl.load(lengths + row, live, 0)
            s$ = tl.where(inner, n$, s$)  #: states
            n$ = tl.where(inner, n$, 0.0)  #: states
        else:
            s$ = n$  #: states
        tl.store(carry + $ * B * width + at, s$, live)  #: states
        tl.store(hidden + (head * B + row) * D + unit % D, s0.to(hidden.dtype.element_ty), live)
        stored = states + at_h
        tl.store(stored + $ * B * T * width, n$.to(hidden.dtype.element_ty), live)  #: states
        if KEEP:
            carried = tl.load(table + 6).to(exact) + at_h  # (S - 1, B, T, N, D) out
            tl.store(carried + ($ - 1) * B * T * width, n$, live)  #: carried
