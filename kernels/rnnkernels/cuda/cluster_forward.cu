// Forward recurrence, one cluster of blocks (or one block) per head and tile of batch rows.
//
//     r_t = R h_{t-1} + b_r        s_t = cell(wx_t + b, r_t, s_{t-1})        h = s[0]
//
// wx (B, T, G, N, D), r (G, N, D, D), b (biases, N, D), initial (S, B, N, D) or null,
// lengths (B,) or null -> states (S, B, T, N, D), last (S, B, N, D) and, unless null,
// carried (S - 1, B, T, N, D), the states but h in float32.
//
// A block owns UNITS units, all their gates: R of those stays in registers and shared memory as the
// A operand of the products, with rows ordered so that one lane gets every gate of a unit. h of all
// units is in the shared memory of every block, twice, and goes there by asynchronous stores that
// count as bytes arrived. WARPS warps compute; COPIERS warps fetch wx, RING - 1 steps ahead so that
// no step waits for memory, and write the results of the step before in whole rows.
//
// Constants: D, CLUSTER, TILE (batch rows), SPLIT (warps that share a sum over K), COPIERS, RING,
// RESIDENT (tiles of K in registers), Store, EXACT, SHARED (bytes). Rows of D are whole pieces of 16
// bytes.

constexpr int SIZE = sizeof(Store), WORD = 4 / SIZE;        // bytes, elements in 4 bytes
constexpr int K = 32 / SIZE;                                // elements of K in a tile
constexpr int UNIT_ROWS = GATES % 2 ? 2 : 1;                // eights of units that fill whole tiles
constexpr int SLAB = 8 * UNIT_ROWS;                         // units of a warp
constexpr int UNITS = round_up(ceil_div(D, CLUSTER), SLAB);
constexpr int SLABS = UNITS / SLAB, WARPS = SLABS * SPLIT, THREADS = 32 * (WARPS + COPIERS);
// A tile of 4 batch rows uses every other column of the products: one cell a lane, not two, for
// small batches, whose time is that of a lane's instructions.
constexpr int PER_LANE = TILE == 4 ? 1 : 2;
constexpr int ROWS = GATES * UNIT_ROWS / 2, COLUMNS = ceil_div(TILE, 8);  // tiles of a warp
constexpr int TILES_K = ceil_div(ceil_div(D, K), SPLIT), FROM_SHARED = TILES_K - RESIDENT;
constexpr int CHAINS = ROWS * COLUMNS <= 3 && TILES_K > 1 ? 2 : 1;  // four sums are enough in flight

// Rows are padded by 16 bytes so that the 8 rows of a load fall into different banks.
constexpr int H_WIDTH = TILES_K * SPLIT * K > CLUSTER * UNITS ? TILES_K * SPLIT * K : CLUSTER * UNITS;
constexpr int H_ROW = round_up(H_WIDTH * SIZE, 32) + 16, H_BYTES = TILE * H_ROW;
constexpr int X_ROW = GATES * UNITS * SIZE + 16, X_BYTES = TILE * X_ROW;
constexpr int C_ROW = 4 * UNITS + 16, C_BYTES = STATES * TILE * C_ROW;
constexpr int REST_BYTES = WARPS * ROWS * FROM_SHARED * 512;
constexpr int SUM_BYTES = SLABS * (SPLIT - 1) * ROWS * COLUMNS * 512;
constexpr int H_AT = 0, X_AT = H_AT + 2 * H_BYTES, C_AT = X_AT + RING * X_BYTES;
constexpr int REST_AT = C_AT + 2 * C_BYTES, SUM_AT = REST_AT + REST_BYTES;
// With several tiles of columns registers are scarce: biases and lengths stay in shared memory.
constexpr bool SPARING = COLUMNS > 1;
constexpr int BIAS_AT = SUM_AT + SUM_BYTES, LENGTH_AT = BIAS_AT + (SPARING ? BIASES * UNITS * 4 : 0);
constexpr int BARRIER_AT = LENGTH_AT + (SPARING ? TILE * 4 : 0);
static_assert(BARRIER_AT + 16 == SHARED, "cluster.py counts the same bytes");

struct Place {
  int warp, lane, slab, part, rank, head, batch;  // batch: the first row of the tile
  int row, pair;                                  // lane / 4 and lane % 4: unit, and two batch rows
};

__device__ __forceinline__ Place place(const Arguments& a) {
  Place p;
  p.warp = threadIdx.x / 32, p.lane = threadIdx.x % 32;
  p.slab = p.warp / SPLIT, p.part = p.warp % SPLIT;
  p.rank = CLUSTER > 1 ? cluster_rank() : 0;
  const i64 id = a.first + blockIdx.x / CLUSTER;
  p.head = int(id % a.N), p.batch = int(id / a.N) * TILE;
  p.row = p.lane / 4, p.pair = p.lane % 4;
  return p;
}

// Row group q of a slab, 8 rows of a tile: gate q % GATES of its q / GATES-th eight of units.
__device__ __forceinline__ int unit_in_block(const Place& p, int eight) {
  return p.slab * SLAB + eight * 8 + p.row;
}

// The batch row, in the tile, of a lane's cell e of column tile j.
__device__ __forceinline__ int row_in_tile(const Place& p, int j, int e) {
  return PER_LANE == 1 ? p.pair : 8 * j + 2 * p.pair + e;
}

__device__ __forceinline__ void load_weights(const Arguments& a, const Place& p, int i, int k,
                                             u32 (&tile)[4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int q = 2 * i + half, unit = p.rank * UNITS + unit_in_block(p, q / GATES);
    const Store* row = a.r + ((q % GATES * a.N + p.head) * i64(D) + unit) * D;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int at = (p.part * TILES_K + k) * K + side * K / 2 + p.pair * WORD;
      tile[half + 2 * side] = load_word(row + at, unit < D && at < D);
    }
  }
}

// The copies of wx that a thread of the copiers makes each step.
struct Stream {
  static constexpr int EACH = GATES * UNITS * SIZE / 16, COUNT = TILE * EACH;
  static constexpr int MINE = ceil_div(COUNT, 32 * COPIERS);
  const char* from[MINE];
  u32 to[MINE];
  i64 step;

  __device__ __forceinline__ Stream(const Arguments& a, const Place& p, u32 ring) {
    step = GATES * a.N * D * SIZE;
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
      const int id = threadIdx.x - 32 * WARPS + i * 32 * COPIERS, n = id / EACH;
      const int at = id % EACH * (16 / SIZE), gate = at / UNITS;
      const int unit = p.rank * UNITS + at % UNITS;
      const i64 row = p.batch + n;
      const bool exists = id < COUNT && row < a.B && unit < D;
      const Store* start = a.wx + ((row * a.T * GATES + gate) * a.N + p.head) * D + unit;
      from[i] = exists ? reinterpret_cast<const char*>(start) : nullptr;
      to[i] = ring + n * X_ROW + at * SIZE;
    }
  }
  __device__ __forceinline__ void fetch(bool wanted, int stage) {
#pragma unroll
    for (int i = 0; i < MINE; ++i)
      if (from[i]) {
        if (wanted) copy_async(to[i] + stage * X_BYTES, from[i]);
        from[i] += step;
      }
    commit_async();
  }
};

// One run of units of one state of one batch row, that a thread of the copiers writes each step.
struct Run {
  static constexpr int WIDTH = 16 / SIZE, EACH = UNITS / WIDTH;
  static constexpr int COUNT = STATES * TILE * EACH, MINE = ceil_div(COUNT, 32 * COPIERS);
  Store* to;     // at step 0; null: nothing to write
  float* kept;   // the same in `carried`, or null
  int from;      // offset in shared memory
  int length;

  __device__ __forceinline__ Run() {}
  __device__ __forceinline__ Run(const Arguments& a, const Place& p, int i) {
    const int id = threadIdx.x - 32 * WARPS + i * 32 * COPIERS;
    const int state = id / (TILE * EACH), n = id / EACH % TILE, at = id % EACH * WIDTH;
    const int unit = p.rank * UNITS + at;
    const i64 row = p.batch + n, each = a.B * a.T * a.N * D;
    const i64 place = (row * a.T * a.N + p.head) * D + unit;
    to = id < COUNT && row < a.B && unit < D ? a.states + state * each + place : nullptr;
    kept = to && state > 0 && a.carried ? a.carried + (state - 1) * each + place : nullptr;
    from = C_AT + (state * TILE + n) * C_ROW + at * 4;
    length = !to ? 0 : a.lengths ? a.lengths[row] : int(a.T);
  }
  __device__ __forceinline__ void write(i64 offset, int t, const char* shared, int now) const {
    if (!to) return;
    const bool live = t < length;
    const float* c = reinterpret_cast<const float*>(shared + from + now * C_BYTES);
    constexpr int LAST = WIDTH < 8 ? 0 : 1;
    float4 v[LAST + 1];
#pragma unroll
    for (int i = 0; i <= LAST; ++i) {
      v[i] = reinterpret_cast<const float4*>(c)[i];
      if (!live) v[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (kept) reinterpret_cast<float4*>(kept + offset)[i] = v[i];
    }
    if constexpr (SIZE == 4) *reinterpret_cast<float4*>(to + offset) = v[0];
    else *reinterpret_cast<uint4*>(to + offset) =
        make_uint4(pack(v[0].x, v[0].y, Store{}), pack(v[0].z, v[0].w, Store{}),
                   pack(v[LAST].x, v[LAST].y, Store{}), pack(v[LAST].z, v[LAST].w, Store{}));
  }
};

// Give h of one eight of units and of a lane's batch rows in column tile j to every block.
__device__ __forceinline__ void publish(const Place& p, char* h, int j, int eight,
                                        const float (&value)[PER_LANE], u32 barrier) {
  const int unit = p.rank * UNITS + unit_in_block(p, eight);
  if constexpr (CLUSTER == 1 || SIZE == 4) {
#pragma unroll
    for (int e = 0; e < PER_LANE; ++e) {
      char* const to = h + row_in_tile(p, j, e) * H_ROW + unit * SIZE;
      if constexpr (CLUSTER == 1) narrow(value[e], *reinterpret_cast<Store*>(to));
      else
#pragma unroll
        for (int peer = 0; peer < CLUSTER; ++peer)
          send4(remote_address(shared_address(to), peer), __float_as_uint(value[e]),
                remote_address(barrier, peer));
    }
  } else {  // transposed, four lanes hold 8 units of one column; each sends them to some peers
    const u32 mine = transpose8(pack(value[0], value[PER_LANE - 1], Store{}));
    u32 v[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = __shfl_sync(~0u, mine, (p.lane & ~3) | i);
    const int first = p.rank * UNITS + p.slab * SLAB + eight * 8;
    // With one cell a lane, columns 2 n and 2 n + 1 hold the same batch row and share the peers.
    const int n = PER_LANE == 1 ? p.row / 2 : 8 * j + p.row;
    const int sender = PER_LANE == 1 ? p.row % 2 * 4 + p.pair : p.pair;
    const u32 to = shared_address(h + n * H_ROW + first * SIZE);
#pragma unroll
    for (int turn = 0; turn < CLUSTER; turn += PER_LANE == 1 ? 8 : 4) {
      const int peer = turn + sender;
      if (peer < CLUSTER) send16(remote_address(to, peer), v, remote_address(barrier, peer));
    }
  }
}

__device__ __forceinline__ float bias_of(const Arguments& a, const Place& p, int row, int unit) {
  const int of_all = p.rank * UNITS + unit;
  return of_all < D ? widen(a.b[(row * a.N + p.head) * D + of_all]) : 0.0f;
}
// Steps of a batch row of the tile, 0 outside of the tensor.
__device__ __forceinline__ int length_of(const Arguments& a, const Place& p, int n) {
  const i64 row = p.batch + n;
  return row >= a.B ? 0 : a.lengths ? a.lengths[row] : int(a.T);
}

// What a lane owns: a unit of each eight, its batch rows of each column tile that its part owns.
constexpr int OWNED = ceil_div(COLUMNS, SPLIT);
struct Cells {
  float state[UNIT_ROWS][OWNED][PER_LANE][STATES];
  float bias[UNIT_ROWS][BIASES];  // these two take no registers where SPARING: nothing reads them
  int length[OWNED][PER_LANE];

  __device__ __forceinline__ i64 row(const Place& p, int o, int e) const {
    return p.batch + row_in_tile(p, o * SPLIT + p.part, e);
  }
  __device__ __forceinline__ i64 at(const Arguments& a, const Place& p, int state, int o, int e,
                                    int eight) const {
    const int unit = p.rank * UNITS + unit_in_block(p, eight);
    return ((state * a.B + row(p, o, e)) * a.N + p.head) * D + unit;
  }
  __device__ __forceinline__ bool exists(const Arguments& a, const Place& p, int o, int e,
                                         int eight) const {
    return p.rank * UNITS + unit_in_block(p, eight) < D && o * SPLIT + p.part < COLUMNS &&
           row(p, o, e) < a.B;
  }
  __device__ __forceinline__ Cells(const Arguments& a, const Place& p) {
#pragma unroll
    for (int u = 0; u < UNIT_ROWS; ++u) {
#pragma unroll
      for (int row = 0; row < BIASES; ++row) bias[u][row] = bias_of(a, p, row, unit_in_block(p, u));
#pragma unroll
      for (int o = 0; o < OWNED; ++o)
#pragma unroll
        for (int e = 0; e < PER_LANE; ++e)
#pragma unroll
          for (int s = 0; s < STATES; ++s)
            state[u][o][e][s] =
                a.initial && exists(a, p, o, e, u) ? widen(a.initial[at(a, p, s, o, e, u)]) : 0.0f;
    }
#pragma unroll
    for (int o = 0; o < OWNED; ++o)
#pragma unroll
      for (int e = 0; e < PER_LANE; ++e)
        length[o][e] = length_of(a, p, row_in_tile(p, o * SPLIT + p.part, e));
  }
  __device__ __forceinline__ void write_last(const Arguments& a, const Place& p) const {
#pragma unroll
    for (int u = 0; u < UNIT_ROWS; ++u)
#pragma unroll
      for (int o = 0; o < OWNED; ++o)
#pragma unroll
        for (int e = 0; e < PER_LANE; ++e)
#pragma unroll
          for (int s = 0; s < STATES; ++s)
            if (exists(a, p, o, e, u)) narrow(state[u][o][e][s], a.last[at(a, p, s, o, e, u)]);
  }
};

// One step of the cells of a lane: reads wx from `x`, leaves all states in `c` and h with `publish`.
__device__ __forceinline__ void advance(const Place& p, Cells& cells, int t, const char* shared,
                                        const char* x, char* h, char* c,
                                        float (&acc)[ROWS][COLUMNS][4], u32 barrier) {
  const float* biases = reinterpret_cast<const float*>(shared + BIAS_AT);
  const int* lengths = reinterpret_cast<const int*>(shared + LENGTH_AT);
#pragma unroll
  for (int j = 0; j < COLUMNS; ++j) {
    if (j % SPLIT != p.part) continue;
#pragma unroll
    for (int u = 0; u < UNIT_ROWS; ++u) {
      const int unit = unit_in_block(p, u), o = j / SPLIT;
      const bool inside = p.rank * UNITS + unit < D;
      float h_new[PER_LANE];
#pragma unroll
      for (int e = 0; e < PER_LANE; ++e) {
        const int n = row_in_tile(p, j, e);
        const Store* wx = reinterpret_cast<const Store*>(x + n * X_ROW) + unit;
        const auto bias = [&](int row) {
          return SPARING ? biases[row * UNITS + unit] : cells.bias[u][row < 0 ? 0 : row];
        };
        float in[GATES], rec[GATES], out[STATES];
#pragma unroll
        for (int g = 0; g < GATES; ++g) {
          const int q = u * GATES + g;
          in[g] = widen(wx[g * UNITS]) + bias(g);
          rec[g] = acc[q / 2][j][q % 2 * 2 + e];
          if (recurrent_row(g) >= 0) rec[g] += bias(recurrent_row(g));
        }
        float(&s)[STATES] = cells.state[u][o][e];
        cell_forward(in, rec, s, out);
        out[0] = widen(narrowed<Store>(out[0]));  // h is what is stored, wherever it is read
        const bool live = inside && t < (SPARING ? lengths[n] : cells.length[o][e]);
#pragma unroll
        for (int k = 0; k < STATES; ++k) {
          s[k] = live ? out[k] : s[k];
          reinterpret_cast<float*>(c + (k * TILE + n) * C_ROW)[unit] = s[k];
        }
        h_new[e] = s[0];
      }
      publish(p, h, j, u, h_new, barrier);
    }
  }
}

// Add the sums over K of the warps of a slab: each gets those of its own column tiles.
__device__ __forceinline__ void add_parts(const Place& p, char* sums,
                                          float (&acc)[ROWS][COLUMNS][4]) {
  float4* mine = reinterpret_cast<float4*>(sums) + p.slab * (SPLIT - 1) * ROWS * COLUMNS * 32 + p.lane;
#pragma unroll
  for (int j = 0; j < COLUMNS; ++j) {
    const int owner = j % SPLIT, turn = (p.part - owner + SPLIT) % SPLIT - 1;
    if (turn >= 0)
#pragma unroll
      for (int i = 0; i < ROWS; ++i)
        mine[((turn * COLUMNS + j) * ROWS + i) * 32] =
            make_float4(acc[i][j][0], acc[i][j][1], acc[i][j][2], acc[i][j][3]);
  }
  __syncthreads();  // with the copiers: racecheck does not follow barriers of some warps
#pragma unroll
  for (int j = 0; j < COLUMNS; ++j) {
    if (j % SPLIT != p.part) continue;
#pragma unroll
    for (int turn = 0; turn < SPLIT - 1; ++turn)
#pragma unroll
      for (int i = 0; i < ROWS; ++i) {
        const float4 v = mine[((turn * COLUMNS + j) * ROWS + i) * 32];
        acc[i][j][0] += v.x, acc[i][j][1] += v.y, acc[i][j][2] += v.z, acc[i][j][3] += v.w;
      }
  }
}

// What every thread does at the start of step t: then h of the step before and wx are there.
__device__ __forceinline__ void begin_step(int t, u32 barriers) {
  __syncthreads();
  if (CLUSTER > 1 && t > 0) {
    const u32 barrier = barriers + 8 * (t & 1);
    barrier_wait(barrier, (t - 1) >> 1 & 1);
    if (threadIdx.x == 0) barrier_expect(barrier, CLUSTER * UNITS * TILE * SIZE);
  }
}

__device__ __forceinline__ void compute(const Arguments& a, const Place& p, char* shared,
                                        u32 barriers) {
  const int T = int(a.T);
  const u32 rest = shared_address(shared + REST_AT) + (p.warp * ROWS * FROM_SHARED * 32 + p.lane) * 16;
  Tile held[ROWS][RESIDENT ? RESIDENT : 1];
  place_weights<ROWS, COLUMNS, TILES_K, RESIDENT>(
      held, rest, [&](int i, int k, u32(&tile)[4]) { load_weights(a, p, i, k, tile); });
  Cells cells(a, p);
  const u32 lane_row = shared_address(shared + H_AT) + p.lane % 8 * PER_LANE / 2 * H_ROW +
                       p.lane / 8 * 16 + p.part * TILES_K * 32;
  int stage = 0;
  for (int t = 0; t < T; ++t) {
    const int now = t & 1;
    begin_step(t, barriers);
    float acc[CHAINS][ROWS][COLUMNS][4] = {};
    multiply_tiles<Store, EXACT, ROWS, COLUMNS, TILES_K, RESIDENT, CHAINS>(
        acc, held, rest, lane_row + now * H_BYTES, 8 * H_ROW);
    if (SPLIT > 1) add_parts(p, shared + SUM_AT, acc[0]);
    advance(p, cells, t, shared, shared + X_AT + stage * X_BYTES, shared + H_AT + (now ^ 1) * H_BYTES,
            shared + C_AT + now * C_BYTES, acc[0], barriers + 8 * (now ^ 1));
    stage = stage + 1 == RING ? 0 : stage + 1;
  }
  begin_step(T, barriers);
  cells.write_last(a, p);
}

__device__ __forceinline__ void copy(const Arguments& a, const Place& p, char* shared, u32 barriers) {
  const int T = int(a.T);
  Stream stream(a, p, shared_address(shared + X_AT));
  for (int t = 0; t < RING - 1; ++t) stream.fetch(t < T, t);
  constexpr bool HOLD = Run::MINE <= 4;  // more would take too many registers
  Run runs[HOLD ? Run::MINE : 1];
  if (HOLD)
#pragma unroll
    for (int i = 0; i < Run::MINE; ++i) runs[HOLD ? i : 0] = Run(a, p, i);
  int stage = 0;
  for (int t = 0; t <= T; ++t) {
    wait_async<RING - 2>();
    begin_step(t, barriers);
    stream.fetch(t + RING - 1 < T, stage == 0 ? RING - 1 : stage - 1);
    if (SPLIT > 1 && t < T) __syncthreads();  // as in add_parts
    const i64 offset = i64(t - 1) * a.N * D;
    if (t > 0) {
      if constexpr (HOLD) {
#pragma unroll
        for (int i = 0; i < Run::MINE; ++i) runs[i].write(offset, t - 1, shared, t - 1 & 1);
      } else {
        for (int i = 0; i < Run::MINE; ++i) Run(a, p, i).write(offset, t - 1, shared, t - 1 & 1);
      }
    }
    stage = stage + 1 == RING ? 0 : stage + 1;
  }
  wait_async<0>();
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    cluster_forward(const __grid_constant__ Arguments a) {
  extern __shared__ __align__(128) char shared[];
  const Place p = place(a);
  const u32 barriers = shared_address(shared + BARRIER_AT);
  clear_shared(shared, REST_AT);
  if constexpr (SPARING) {
    for (int id = threadIdx.x; id < BIASES * UNITS; id += THREADS)
      reinterpret_cast<float*>(shared + BIAS_AT)[id] = bias_of(a, p, id / UNITS, id % UNITS);
    for (int n = threadIdx.x; n < TILE; n += THREADS)
      reinterpret_cast<int*>(shared + LENGTH_AT)[n] = length_of(a, p, n);
  }
  if (CLUSTER > 1 && threadIdx.x == 0)
    for (int k = 0; k < 2; ++k) {
      barrier_init(barriers + 8 * k);
      barrier_expect(barriers + 8 * k, CLUSTER * UNITS * TILE * SIZE);
    }
  __syncthreads();
  if (a.initial)
    for (int id = threadIdx.x; id < TILE * D; id += THREADS) {
      const i64 row = p.batch + id / D;
      if (row < a.B)
        *reinterpret_cast<Store*>(shared + H_AT + id / D * H_ROW + id % D * SIZE) =
            a.initial[(row * a.N + p.head) * D + id % D];
    }
  if (CLUSTER > 1) cluster_sync();
  if (p.warp < WARPS) {
    take_registers<REGISTERS>();
    compute(a, p, shared, barriers);
  } else {
    leave_registers<COPY_REGISTERS>();
    copy(a, p, shared, barriers);
  }
  if (CLUSTER > 1) cluster_sync();
}
