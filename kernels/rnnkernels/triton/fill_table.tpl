# Write t, T and addresses into the table that recorded launches read: on the stream, in order.


@triton.jit
def fill_table(
    table,  # int64 out
    a0,
    a1,
    a2,
    a3,
    a4,
    a5,
    a6,
    a7,
    a8,
    a9,
    t,
    T,
):
    tl.store(table, t.to(tl.int64))
    tl.store(table + 1, T.to(tl.int64))
    tl.store(table + 2, a0.to(tl.int64))
    tl.store(table + 3, a1.to(tl.int64))
    tl.store(table + 4, a2.to(tl.int64))
    tl.store(table + 5, a3.to(tl.int64))
    tl.store(table + 6, a4.to(tl.int64))
    tl.store(table + 7, a5.to(tl.int64))
    tl.store(table + 8, a6.to(tl.int64))
    tl.store(table + 9, a7.to(tl.int64))
    tl.store(table + 10, a8.to(tl.int64))
    tl.store(table + 11, a9.to(tl.int64))
