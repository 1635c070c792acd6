// Backward recurrence, a group of blocks of the whole GPU per head and tile of batch rows.
//
//     dx_t, dr_t, ds_t = cell'(wx_t + b, R h_{t-1} + b_r, s_{t-1}; ds_t + dstates_t)
//     ds_{t-1} = ds_t,  and for h also  + R^T dr_t
//
// wx (B, T, G, N, D), products R h_{t-1} (B, T, G, N, D), r turned: (N, D_in, G, D_out),
// b (biases, N, D), initial (S, B, N, D) or null, lengths (B,) or null, hidden h (B, T, N, D),
// carried (S - 1, B, T, N, D) float32, dstates (S, B, T, N, D) or null, dlast (S, B, N, D) or null
// -> dx (B, T, G, N, D) and apart (B, T, distinct gates, N, D), dr where it is not dx; both hold
// UNSET words before. db (B, biases, N, D) float32, sums over time; dinitial (S, B, N, D) or null.
// Every block reads dr of all gates and units, and has R^T for the dh of its own units.
// Further constants: HAS_DSTATES, Product (of `products`).

constexpr int KEPT = STATES > 1 ? STATES - 1 : 1;

struct Carry {  // what a thread keeps of a cell between steps, and its inputs of the next one
  float ds[STATES], db[BIASES], bias[BIASES];
  Store x[GATES];
  Product r[GATES];
  float s[KEPT];
  Store h, d[STATES];
  int length;
};

__device__ __forceinline__ i64 state_at(const Arguments& a, const Place& p, const Cell& c, int s) {
  return ((s * a.B + c.row) * a.N + p.head) * D + c.unit;
}

__device__ __forceinline__ void fetch(const Arguments& a, const Place& p, const Cell& c, i64 t,
                                      Carry& k) {
  if (!c.exists || t < 0) return;
  const i64 line = c.row * a.T + t, each = a.B * a.T * a.N * D;
  const i64 gates = (line * GATES * a.N + p.head) * D + c.unit;
  const i64 at = (line * a.N + p.head) * D + c.unit, before = at - a.N * D;
#pragma unroll
  for (int g = 0; g < GATES; ++g) {
    k.x[g] = a.wx[gates + g * a.N * D];
    k.r[g] = a.products[gates + g * a.N * D];
  }
#pragma unroll
  for (int s = 0; s < STATES; ++s)
    if (HAS_DSTATES) k.d[s] = a.dstates[s * each + at];
  if (t == 0) return;
  if (reads_state(0)) k.h = a.hidden[before];
#pragma unroll
  for (int s = 1; s < STATES; ++s) k.s[s - 1] = a.carried[(s - 1) * each + before];
}

__device__ __forceinline__ void start(const Arguments& a, const Place& p, const Cell& c, Carry& k) {
#pragma unroll
  for (int i = 0; i < BIASES; ++i) {
    k.bias[i] = c.exists ? widen(a.b[(i * a.N + p.head) * D + c.unit]) : 0.0f;
    k.db[i] = 0.0f;
  }
#pragma unroll
  for (int s = 0; s < STATES; ++s) {
    k.ds[s] = a.dlast && c.exists ? widen(a.dlast[state_at(a, p, c, s)]) : 0.0f;
    k.d[s] = Store{};
  }
#pragma unroll
  for (int s = 0; s < KEPT; ++s) k.s[s] = 0.0f;
#pragma unroll
  for (int g = 0; g < GATES; ++g) k.x[g] = Store{}, k.r[g] = Product{};
  k.h = Store{};
  k.length = !c.exists ? 0 : a.lengths ? a.lengths[c.row] : int(a.T);
  fetch(a, p, c, a.T - 1, k);
}

// One step of a cell: from ds after it to ds before it; dx and dr go to memory, db is added to.
__device__ __forceinline__ void retreat(const Arguments& a, const Place& p, const Cell& c, int t,
                                        Carry& k) {
  float in[GATES], rec[GATES], s[STATES], dout[STATES], dx[GATES], dr[GATES], before[STATES];
#pragma unroll
  for (int g = 0; g < GATES; ++g) {
    in[g] = widen(k.x[g]) + k.bias[g];
    rec[g] = widen(k.r[g]) + (recurrent_row(g) < 0 ? 0.0f : k.bias[recurrent_row(g) < 0 ? 0 : recurrent_row(g)]);
  }
#pragma unroll
  for (int i = 0; i < STATES; ++i) {
    s[i] = i > 0 ? k.s[i > 0 ? i - 1 : 0] : reads_state(0) ? widen(k.h) : 0.0f;
    if (t == 0) s[i] = a.initial && c.exists ? widen(a.initial[state_at(a, p, c, i)]) : 0.0f;
    dout[i] = k.ds[i] + (HAS_DSTATES ? widen(k.d[i]) : 0.0f);
  }
  cell_backward(in, rec, s, dout, dx, dr, before);
  const bool live = t < k.length;
#pragma unroll
  for (int i = 0; i < STATES; ++i) k.ds[i] = live ? before[i] : k.ds[i];
  const i64 line = c.row * a.T + t;
#pragma unroll
  for (int g = 0; g < GATES; ++g) {
    const float dx_live = live ? dx[g] : 0.0f, dr_live = live ? dr[g] : 0.0f;
    k.db[g] += dx_live;
    if (recurrent_row(g) >= 0) k.db[recurrent_row(g) < 0 ? 0 : recurrent_row(g)] += dr_live;
    Store* own = a.dx + ((line * GATES + g) * a.N + p.head) * D + c.unit;
    if (gate_is_distinct(g)) {
      publish(a.apart + ((line * DISTINCT + distinct_before(g)) * a.N + p.head) * D + c.unit, dr_live, c.exists);
      if (c.exists) narrow(dx_live, *own);
    } else {
      publish(own, dr_live, c.exists);
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    grid_backward(const __grid_constant__ Arguments a) {
  extern __shared__ __align__(128) char shared[];
  const Place p = place(a.first, a.B, a.N);
  if (!p.exists) return;
  const auto row_of_r = [&](int n) -> const Store* {
    const int unit = p.rank * UNITS + n * 8 + p.row;
    return unit < D ? a.r + (p.head * i64(D) + unit) * K_ALL : nullptr;
  };
  const Weights<decltype(row_of_r)> weights(p, shared, row_of_r);
  Carry carry[MINE];
#pragma unroll
  for (int i = 0; i < MINE; ++i) start(a, p, Cell(p, i, a.B), carry[i]);
  for (int t = int(a.T) - 1; t >= 0; --t) {
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
      const Cell c(p, i, a.B);
      if (!c.real) continue;
      retreat(a, p, c, t, carry[i]);
      fetch(a, p, c, t - 1, carry[i]);
    }
    if (t == 0 && !a.dinitial) break;
    multiply_rows<true>(p, shared, weights, [&](int m, int half, int piece) -> const Store* {
      const i64 row = p.batch + m * 16 + half * 8 + p.row, line = row * a.T + t;
      const int gate = piece / (D / WIDTH), at = piece % (D / WIDTH) * WIDTH;
      if (row >= a.B) return nullptr;
      if (DISTINCT > 0 && gate_is_distinct(gate))
        return a.apart + ((line * DISTINCT + distinct_before(gate)) * a.N + p.head) * D + at;
      return a.dx + ((line * GATES + gate) * a.N + p.head) * D + at;
    });
    __syncthreads();
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
      const Cell c(p, i, a.B);
      if (c.real) carry[i].ds[0] += sum_of(shared, c, 0);
    }
    __syncthreads();  // the next sums may come
  }
#pragma unroll
  for (int i = 0; i < MINE; ++i) {
    const Cell c(p, i, a.B);
    if (!c.exists) continue;
#pragma unroll
    for (int j = 0; j < BIASES; ++j)
      a.db[((c.row * BIASES + j) * a.N + p.head) * D + c.unit] = carry[i].db[j];
#pragma unroll
    for (int s = 0; s < STATES; ++s)
      if (a.dinitial) narrow(carry[i].ds[s], a.dinitial[state_at(a, p, c, s)]);
  }
}
