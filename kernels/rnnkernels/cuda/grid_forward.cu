// Forward recurrence, a group of blocks of the whole GPU per head and tile of batch rows.
//
//     r_t = R h_{t-1} + b_r        s_t = cell(wx_t + b, r_t, s_{t-1})        h = s[0]
//
// wx (B, T, G, N, D), r (G, N, D, D), b (biases, N, D), initial (S, B, N, D) or null,
// lengths (B,) or null -> states (S, B, T, N, D), whose h holds UNSET words before,
// last (S, B, N, D) and, unless null, carried (S - 1, B, T, N, D), the states but h in float32.
// The groups of this launch run the pairs (batch tile, head) from the `first` on.

struct Carry {  // what a thread keeps of a cell between steps
  float s[STATES];
  float bias[BIASES];
  Store x[GATES];  // wx of the next step
  int length;
};

__device__ __forceinline__ void fetch(const Arguments& a, const Place& p, const Cell& c, i64 t,
                                      Carry& k) {
  const Store* from = a.wx + ((c.row * a.T + t) * GATES * a.N + p.head) * D + c.unit;
#pragma unroll
  for (int g = 0; g < GATES; ++g)
    if (c.exists && t < a.T) k.x[g] = from[g * a.N * D];
}

__device__ __forceinline__ void start(const Arguments& a, const Place& p, const Cell& c, Carry& k) {
#pragma unroll
  for (int i = 0; i < BIASES; ++i)
    k.bias[i] = c.exists ? widen(a.b[(i * a.N + p.head) * D + c.unit]) : 0.0f;
#pragma unroll
  for (int s = 0; s < STATES; ++s)
    k.s[s] = a.initial && c.exists
                 ? widen(a.initial[((s * a.B + c.row) * a.N + p.head) * D + c.unit])
                 : 0.0f;
  k.length = !c.exists ? 0 : a.lengths ? a.lengths[c.row] : int(a.T);
#pragma unroll
  for (int g = 0; g < GATES; ++g) k.x[g] = Store{};
  fetch(a, p, c, 0, k);
}

__device__ __forceinline__ void advance(const Arguments& a, const Place& p, const Cell& c, int t,
                                        const float (&sums)[GATES], Carry& k) {
  float in[GATES], rec[GATES], out[STATES];
#pragma unroll
  for (int g = 0; g < GATES; ++g) {
    in[g] = widen(k.x[g]) + k.bias[g];
    rec[g] = sums[g] + (recurrent_row(g) < 0 ? 0.0f : k.bias[recurrent_row(g) < 0 ? 0 : recurrent_row(g)]);
  }
  cell_forward(in, rec, k.s, out);
  out[0] = widen(narrowed<Store>(out[0]));  // h is what is stored, wherever it is read
  const bool live = t < k.length;
  const i64 at = ((c.row * a.T + t) * a.N + p.head) * D + c.unit, each = a.B * a.T * a.N * D;
  publish(a.states + at, live ? out[0] : 0.0f, c.exists);
#pragma unroll
  for (int s = 0; s < STATES; ++s) {
    k.s[s] = live ? out[s] : k.s[s];
    if (s == 0 || !c.exists) continue;
    narrow(live ? out[s] : 0.0f, a.states[s * each + at]);
    if (a.carried) a.carried[(s - 1) * each + at] = live ? out[s] : 0.0f;
  }
  fetch(a, p, c, t + 1, k);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    grid_forward(const __grid_constant__ Arguments a) {
  extern __shared__ __align__(128) char shared[];
  const Place p = place(a.first, a.B, a.N);
  if (!p.exists) return;
  const auto row_of_r = [&](int n) -> const Store* {
    const int gate = n / EIGHTS, unit = p.rank * UNITS + n % EIGHTS * 8 + p.row;
    return unit < D ? a.r + ((gate * a.N + p.head) * i64(D) + unit) * D : nullptr;
  };
  const Weights<decltype(row_of_r)> weights(p, shared, row_of_r);
  Carry carry[MINE];
#pragma unroll
  for (int i = 0; i < MINE; ++i) start(a, p, Cell(p, i, a.B), carry[i]);
  const auto row_at = [&](const Store* h, i64 stride, int m, int half, int piece) -> const Store* {
    const i64 row = p.batch + m * 16 + half * 8 + p.row;
    return row < a.B ? h + row * stride + piece * WIDTH : nullptr;
  };
  for (int t = 0; t < int(a.T); ++t) {
    const bool products = t > 0 || a.initial;
    if (t > 0) {
      const Store* h = a.states + ((t - 1) * a.N + p.head) * D;
      multiply_rows<true>(p, shared, weights, [&](int m, int half, int piece) {
        return row_at(h, a.T * a.N * D, m, half, piece);
      });
    } else if (a.initial) {
      const Store* h = a.initial + p.head * D;
      multiply_rows<false>(p, shared, weights, [&](int m, int half, int piece) {
        return row_at(h, a.N * D, m, half, piece);
      });
    }
    __syncthreads();
    float sums[MINE][GATES];
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
      const Cell c(p, i, a.B);
#pragma unroll
      for (int g = 0; g < GATES; ++g)
        sums[i][g] = products && c.real ? sum_of(shared, c, g) : 0.0f;
    }
    __syncthreads();  // the next sums may come
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
      const Cell c(p, i, a.B);
      if (c.real) advance(a, p, c, t, sums[i], carry[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < MINE; ++i) {
    const Cell c(p, i, a.B);
#pragma unroll
    for (int s = 0; s < STATES; ++s)
      if (c.exists) narrow(carry[i].s[s], a.last[((s * a.B + c.row) * a.N + p.head) * D + c.unit]);
  }
}
