// Backward recurrence, one cluster of blocks (or one block) per head and tile of batch rows.
//
//     dx_t, dr_t, ds_t = cell'(wx_t + b, R h_{t-1} + b_r, s_{t-1}; ds_t + dstates_t)
//     ds_{t-1} = ds_t,  and for h also  + R^T dr_t
//
// wx (B, T, G, N, D), products R h_{t-1} (B, T, G, N, D), r (G, N, D, D), b (biases, N, D),
// initial (S, B, N, D) or null, lengths (B,) or null, hidden h (B, T, N, D),
// carried (S - 1, B, T, N, D) float32, dstates (S, B, T, N, D), dlast (S, B, N, D) or null
// -> dx (B, T, G, N, D), apart (B, T, distinct gates, N, D): dr where it is not dx,
// db (8 batch rows, biases, N, D) float32: its sums over those rows (one block only: in clusters the
// registers are wanted for R), dinitial (S, B, N, D) or null.
//
// A block owns UNITS units: the cells of those, and the K slice of R^T of all their gates, which
// stays in registers and shared memory. Each step it multiplies its dr into a share of dh of all
// units and sends every block the share of that block's units; the owner adds the shares. WARPS
// warps compute; COPIERS warps fetch the inputs, RING - 1 steps ahead, and write dx in whole rows.
//
// Constants: D, CLUSTER, TILE (batch rows), WARPS, SPLIT (warps that share a sum over K), COPIERS,
// RING, RESIDENT (tiles of K in registers), HAS_DSTATES, Store, Product (of `products`), EXACT, SHARED
// (bytes). Rows of D are whole pieces of 16 bytes.

constexpr int SIZE = sizeof(Store), K = 32 / SIZE, WORD = 4 / SIZE;
constexpr int UNITS = round_up(ceil_div(D, CLUSTER), 8), THREADS = 32 * (WARPS + COPIERS);
// A tile of 4 batch rows uses every other column of the products: one cell a lane, not two, for
// small batches, whose time is that of a lane's instructions.
constexpr int PER_LANE = TILE == 4 ? 1 : 2, WIDE = TILE == 4 ? 4 : 8;
constexpr int COLUMNS = ceil_div(TILE, 8), EIGHTS = UNITS / 8;
constexpr int ITEMS = EIGHTS * COLUMNS, MINE = ceil_div(ITEMS, WARPS);  // 8 units x WIDE batch rows
constexpr int GROUPS = WARPS / SPLIT, TILES_M = ceil_div(CLUSTER * UNITS, 16);
constexpr int ROWS = ceil_div(TILES_M, GROUPS);
constexpr int TILES_K = ceil_div(ceil_div(GATES * UNITS, K), SPLIT), FROM_SHARED = TILES_K - RESIDENT;
constexpr int CHAINS = TILES_K == 1 ? 1 : ROWS * COLUMNS == 1 && TILES_K >= 4 ? 4
                                      : ROWS * COLUMNS <= 4                   ? 2
                                                                              : 1;
constexpr bool SUMS = CLUSTER == 1;
constexpr int SOURCES = CLUSTER * SPLIT, SHARE_SIZE = CLUSTER > 1 && PER_LANE == 2 ? SIZE : 4;

// What a batch row reads in a step: wx, products, carried and h of the step before, dstates.
constexpr int LINE = UNITS * SIZE, PRODUCTS_AT = GATES * LINE;
constexpr int PRODUCT = sizeof(Product), CARRIED_AT = PRODUCTS_AT + GATES * UNITS * PRODUCT;
constexpr int HIDDEN_AT = CARRIED_AT + (STATES - 1) * UNITS * 4;
constexpr int DSTATES_AT = HIDDEN_AT + (reads_state(0) ? LINE : 0);
constexpr int X_USED = DSTATES_AT + (HAS_DSTATES ? STATES * LINE : 0);
constexpr int X_ROW = X_USED + 16, X_BYTES = TILE * X_ROW;
constexpr int DR_ROW = TILES_K * SPLIT * 32 + 16, DR_BYTES = TILE * DR_ROW;
constexpr int ASIDE_ROW = DISTINCT * LINE + 16, ASIDE_BYTES = DISTINCT ? TILE * ASIDE_ROW : 0;
constexpr int SHARE_BYTES = SOURCES * TILE * UNITS * SHARE_SIZE;
constexpr int X_AT = 0, DR_AT = X_AT + RING * X_BYTES, ASIDE_AT = DR_AT + DR_BYTES;
constexpr int SHARE_AT = ASIDE_AT + ASIDE_BYTES;
constexpr int REST_AT = SHARE_AT + (CLUSTER > 1 ? 2 : 1) * SHARE_BYTES;
constexpr int BIAS_AT = REST_AT + WARPS * ROWS * FROM_SHARED * 512;
constexpr int BARRIER_AT = BIAS_AT + BIASES * UNITS * 4;
static_assert(BARRIER_AT + 16 == SHARED, "cluster.py counts the same bytes");

struct Place {
  int warp, lane, group, part, rank, head, batch;  // batch: the first row of the tile
  int row, pair;                                   // lane / 4 and lane % 4: unit, two batch rows
};

__device__ __forceinline__ Place place(const Arguments& a) {
  Place p;
  p.warp = threadIdx.x / 32, p.lane = threadIdx.x % 32;
  p.group = p.warp / SPLIT, p.part = p.warp % SPLIT;
  p.rank = CLUSTER > 1 ? cluster_rank() : 0;
  const i64 id = a.first + blockIdx.x / CLUSTER;
  p.head = int(id % a.N), p.batch = int(id / a.N) * TILE;
  p.row = p.lane / 4, p.pair = p.lane % 4;
  return p;
}

// R^T: row k of dh, column gate * UNITS + unit of dr.
__device__ __forceinline__ void load_weights(const Arguments& a, const Place& p, int i, int tile_k,
                                             u32 (&tile)[4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int k = (p.group + i * GROUPS) * 16 + half * 8 + p.row;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
      const int at = (p.part * TILES_K + tile_k) * K + side * K / 2 + p.pair * WORD;
      const int gate = at / UNITS, unit = p.rank * UNITS + at % UNITS;
      const bool inside = gate < GATES && k < D;
      const Store* from = a.r + ((gate * a.N + p.head) * i64(D) + unit) * D + k;
      tile[half + 2 * side] = word_of(from, D, inside && unit < D);
    }
  }
}

__device__ __forceinline__ int copier(int i) {  // of all the copiers' work, the thread's i-th piece
  return threadIdx.x - 32 * WARPS + i * 32 * COPIERS;
}

// The copies that a thread of the copiers makes each step, from the last step to the first.
struct Stream {
  static constexpr int EACH = X_USED / 16, COUNT = TILE * EACH;
  static constexpr int HERE = ceil_div(COUNT, 32 * COPIERS);
  const char* from[HERE];
  int step[HERE];
  u32 earlier;  // bit i: copy i is of the step before

  __device__ __forceinline__ Stream(const Arguments& a, const Place& p) {
    earlier = 0;
#pragma unroll
    for (int i = 0; i < HERE; ++i) {
      const int id = copier(i), at = id % EACH * 16;
      const i64 row = p.batch + id / EACH, each = a.B * a.T * a.N * D;
      const bool wide = at >= CARRIED_AT && at < HIDDEN_AT, gates = at < CARRIED_AT;
      const int start = gates             ? (at < PRODUCTS_AT ? 0 : PRODUCTS_AT)
                        : wide            ? CARRIED_AT
                        : at < DSTATES_AT ? HIDDEN_AT
                                          : DSTATES_AT;
      const int size = wide ? 4 : gates && at >= PRODUCTS_AT ? PRODUCT : SIZE, line = (at - start) / (UNITS * size);
      const int unit = p.rank * UNITS + (at - start) % (UNITS * size) / size;
      const char* base = reinterpret_cast<const char*>(
          at < PRODUCTS_AT ? static_cast<const void*>(a.wx)
          : gates          ? static_cast<const void*>(a.products)
          : wide           ? static_cast<const void*>(a.carried + line * each)
          : at < DSTATES_AT ? static_cast<const void*>(a.hidden)
                            : static_cast<const void*>(a.dstates + line * each));
      const bool before = !gates && at < DSTATES_AT;
      const i64 t = row * a.T + a.T - (before ? 2 : 1);
      const i64 element = gates ? ((t * GATES + line) * a.N + p.head) * D + unit
                                : (t * a.N + p.head) * D + unit;
      from[i] = id < COUNT && row < a.B && unit < D ? base + element * size + at % size : nullptr;
      step[i] = int((gates ? GATES : 1) * a.N * D * size);
      earlier |= u32(before) << i;
    }
  }
  __device__ __forceinline__ void fetch(int t, u32 to) {
#pragma unroll
    for (int i = 0; i < HERE; ++i)
      if (from[i]) {
        const int id = copier(i);
        if (t > 0 || (t == 0 && !(earlier >> i & 1)))
          copy_async(to + id / EACH * X_ROW + id % EACH * 16, from[i]);
        from[i] -= step[i];
      }
    commit_async();
  }
};

// What a lane owns of item i: a unit and PER_LANE batch rows.
struct Cell {
  int eight, column, unit, n;  // n: batch row in the tile
  bool exists;
};
__device__ __forceinline__ Cell cell_of(const Place& p, int i) {
  const int id = p.warp + i * WARPS, eight = id % EIGHTS, column = id / EIGHTS;
  const int unit = eight * 8 + p.row;
  return {eight, column, unit, 8 * column + PER_LANE * p.pair, id < ITEMS && p.rank * UNITS + unit < D};
}

// Add the shares of dh that arrived for the batch rows of a lane.
__device__ __forceinline__ void add_shares(const Place& p, const Cell& c, const char* shares,
                                           float (&ds)[PER_LANE][STATES]) {
  const int at = (c.column * UNITS + c.unit) * WIDE + PER_LANE * p.pair;
#pragma unroll
  for (int source = 0; source < SOURCES; ++source) {
    const char* from = shares + source * TILE * UNITS * SHARE_SIZE + at * SHARE_SIZE;
#pragma unroll
    for (int e = 0; e < PER_LANE; ++e) {
      if constexpr (SHARE_SIZE == 4) ds[e][0] += reinterpret_cast<const float*>(from)[e];
      else ds[e][0] += unpack<Store>(*reinterpret_cast<const u32*>(from), e);
    }
  }
}

__device__ __forceinline__ i64 state_at(const Arguments& a, const Place& p, const Cell& c, int state,
                                        int e) {
  return ((state * a.B + p.batch + c.n + e) * a.N + p.head) * D + p.rank * UNITS + c.unit;
}

// One step of a cell: from ds after it to ds before it; leaves dr and dx in shared memory and adds
// to db.
__device__ __forceinline__ void retreat(const Arguments& a, const Place& p, const Cell& c, int e, int t,
                                        int length, char* shared, const char* x,
                                        float (&ds)[STATES], float (&db)[BIASES]) {
  const int n = c.n + e;
  const float* bias = reinterpret_cast<const float*>(shared + BIAS_AT) + c.unit;
  const char* line = x + n * X_ROW;
  const bool live = c.exists && t < length;
  float in[GATES], rec[GATES], s[STATES], dout[STATES], dx[GATES], dr[GATES], before[STATES];
#pragma unroll
  for (int g = 0; g < GATES; ++g) {
    in[g] = widen(reinterpret_cast<const Store*>(line)[g * UNITS + c.unit]) + bias[g * UNITS];
    rec[g] = widen(reinterpret_cast<const Product*>(line + PRODUCTS_AT)[g * UNITS + c.unit]);
    if (recurrent_row(g) >= 0) rec[g] += bias[recurrent_row(g) * UNITS];
  }
#pragma unroll
  for (int k = 0; k < STATES; ++k) {
    s[k] = 0.0f;
    if (t == 0) {
      if (a.initial && live) s[k] = widen(a.initial[state_at(a, p, c, k, e)]);
    } else if (k > 0) {
      s[k] = reinterpret_cast<const float*>(line + CARRIED_AT)[(k - 1) * UNITS + c.unit];
    } else if (reads_state(0)) {
      s[k] = widen(reinterpret_cast<const Store*>(line + HIDDEN_AT)[c.unit]);
    }
    dout[k] = ds[k];
    if (HAS_DSTATES)
      dout[k] += widen(reinterpret_cast<const Store*>(line + DSTATES_AT)[k * UNITS + c.unit]);
  }
  cell_backward(in, rec, s, dout, dx, dr, before);
#pragma unroll
  for (int k = 0; k < STATES; ++k) ds[k] = live ? before[k] : ds[k];
  Store* to = reinterpret_cast<Store*>(shared + DR_AT + n * DR_ROW) + c.unit;
#pragma unroll
  for (int g = 0; g < GATES; ++g) {
    const float dx_live = live ? dx[g] : 0.0f, dr_live = live ? dr[g] : 0.0f;
    if (SUMS) db[g] += dx_live;
    if (SUMS && recurrent_row(g) >= 0) db[recurrent_row(g) < 0 ? 0 : recurrent_row(g)] += dr_live;
    narrow(dr_live, to[g * UNITS]);
    if (gate_is_distinct(g))
      narrow(dx_live, reinterpret_cast<Store*>(shared + ASIDE_AT + n * ASIDE_ROW)
                          [distinct_before(g) * UNITS + c.unit]);
  }
}

// Give each block the shares of dh of its units, to be found at `shares` there.
__device__ __forceinline__ void send_shares(const Place& p, char* shares,
                                            const float (&acc)[ROWS][COLUMNS][4], u32 barrier) {
  constexpr int COUNT = ROWS * 2 * COLUMNS;  // 8 rows of dh x WIDE batch rows
  constexpr bool QUADS = CLUSTER > 1 && WIDE * SHARE_SIZE == 16;  // a lane can send a whole row
  char* const to = shares + (p.rank * SPLIT + p.part) * TILE * UNITS * SHARE_SIZE;
#pragma unroll
  for (int first = 0; first < COUNT; first += 4) {
    u32 v[4];
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const int id = first + q, half = id / COLUMNS % 2, column = id % COLUMNS;
      if (id >= COUNT) break;
      const float* c = &acc[id / COLUMNS / 2][column][2 * half];
      if constexpr (QUADS) {
        if constexpr (SHARE_SIZE == 2) v[q] = pack(c[0], c[1], Store{});
        else v[q] = __float_as_uint(c[0]);
        continue;
      }
      const int k = (p.group + id / COLUMNS / 2 * GROUPS) * 16 + half * 8 + p.row;
      const int owner = k / UNITS, unit = k % UNITS;
      char* const place = to + ((column * UNITS + unit) * WIDE + PER_LANE * p.pair) * 4;
      if (owner >= CLUSTER) continue;
      if constexpr (CLUSTER > 1)
        send8(remote_address(shared_address(place), owner), __float_as_uint(c[0]),
              __float_as_uint(c[1]), remote_address(barrier, owner));
      else if constexpr (PER_LANE == 2) *reinterpret_cast<float2*>(place) = make_float2(c[0], c[1]);
      else *reinterpret_cast<float*>(place) = c[0];
    }
    if constexpr (QUADS) {
      transpose_quad(v, p.lane);
      const int id = first + p.pair, half = id / COLUMNS % 2, column = id % COLUMNS;
      const int k = (p.group + id / COLUMNS / 2 * GROUPS) * 16 + half * 8 + p.row;
      const int owner = k / UNITS, unit = k % UNITS;
      if (id < COUNT && owner < CLUSTER)
        send16(remote_address(shared_address(to + (column * UNITS + unit) * 16), owner), v,
               remote_address(barrier, owner));
    }
  }
}

// Write the sums of a lane's item over its 8 (or 4) batch rows.
__device__ __forceinline__ void write_sums(const Arguments& a, const Place& p, const Cell& c,
                                           const float (&db)[BIASES]) {
#pragma unroll
  for (int row = 0; row < BIASES; ++row) {
    float sum = db[row];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    const i64 part = i64(p.batch / TILE) * COLUMNS + c.column;
    if (c.exists && p.pair == 0)
      a.db[((part * BIASES + row) * a.N + p.head) * D + p.rank * UNITS + c.unit] = sum;
  }
}

// Write dx of step t, and dr where it differs, from shared memory.
__device__ __forceinline__ void write_out(const Arguments& a, const Place& p, int t,
                                          const char* shared) {
  constexpr int WIDTH = 16 / SIZE, EACH = UNITS / WIDTH;
  constexpr int COUNT = TILE * (GATES + DISTINCT) * EACH;
  // A thread that gave registers away has none for the places of all its pieces.
  constexpr int AT_ONCE = COPY_REGISTERS ? 1 : 4;
#pragma unroll AT_ONCE
  for (int id = copier(0); id < COUNT; id += 32 * COPIERS) {
    const int n = id / ((GATES + DISTINCT) * EACH), slot = id / EACH % (GATES + DISTINCT);
    const int at = id % EACH * WIDTH, unit = p.rank * UNITS + at;
    const i64 row = p.batch + n;
    if (row >= a.B || unit >= D) continue;
    const i64 step = row * a.T + t;
    const char* from = shared + DR_AT + n * DR_ROW + (slot * UNITS + at) * SIZE;
    Store* to = a.dx;
    i64 line = step * GATES + slot;
    if (slot >= GATES) {
      from = shared + ASIDE_AT + n * ASIDE_ROW + ((slot - GATES) * UNITS + at) * SIZE;
      line = step * GATES + distinct_gate(slot - GATES);
    } else if (DISTINCT > 0 && gate_is_distinct(slot)) {
      to = a.apart;
      line = step * DISTINCT + distinct_before(slot);
    }
    to += (line * a.N + p.head) * D + unit;
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
  }
}

// What every thread does at the start of a turn: then the shares and the inputs are there.
__device__ __forceinline__ void begin_turn(int turn, u32 barriers) {
  __syncthreads();
  if (CLUSTER > 1 && turn > 0) {
    const u32 barrier = barriers + 8 * (turn & 1);
    barrier_wait(barrier, (turn - 1) >> 1 & 1);
    if (threadIdx.x == 0) barrier_expect(barrier, SHARE_BYTES);
  }
}

__device__ __forceinline__ void compute(const Arguments& a, const Place& p, char* shared,
                                        u32 barriers) {
  const int T = int(a.T);
  const u32 rest = shared_address(shared + REST_AT) + (p.warp * ROWS * FROM_SHARED * 32 + p.lane) * 16;
  Tile held[ROWS][RESIDENT ? RESIDENT : 1];
  place_weights<ROWS, COLUMNS, TILES_K, RESIDENT>(
      held, rest, [&](int i, int k, u32(&tile)[4]) { load_weights(a, p, i, k, tile); });
  float ds[MINE][PER_LANE][STATES], db[MINE][BIASES] = {};
  int length[MINE][PER_LANE];
#pragma unroll
  for (int i = 0; i < MINE; ++i)
#pragma unroll
    for (int e = 0; e < PER_LANE; ++e) {
      const Cell c = cell_of(p, i);
      const i64 row = p.batch + c.n + e;
      const bool inside = c.exists && row < a.B;
      length[i][e] = !inside ? 0 : a.lengths ? a.lengths[row] : T;
#pragma unroll
      for (int k = 0; k < STATES; ++k)
        ds[i][e][k] = inside && a.dlast ? widen(a.dlast[state_at(a, p, c, k, e)]) : 0.0f;
    }
  const u32 lane_row = shared_address(shared + DR_AT) + p.lane % 8 * PER_LANE / 2 * DR_ROW +
                       p.lane / 8 * 16 + p.part * TILES_K * 32;
  int stage = 0;
  for (int turn = 0; turn <= T; ++turn) {  // the last turn only collects the shares
    const int now = CLUSTER > 1 ? turn & 1 : 0, next = CLUSTER > 1 ? now ^ 1 : 0, t = T - 1 - turn;
    begin_turn(turn, barriers);
#pragma unroll
    for (int i = 0; i < MINE; ++i) {
      if (p.warp + i * WARPS >= ITEMS) break;
      const Cell c = cell_of(p, i);
      if (turn > 0) add_shares(p, c, shared + SHARE_AT + now * SHARE_BYTES, ds[i]);
      if (turn == T) continue;
#pragma unroll
      for (int e = 0; e < PER_LANE; ++e)
        retreat(a, p, c, e, t, length[i][e], shared, shared + X_AT + stage * X_BYTES, ds[i][e],
                db[i]);
    }
    if (turn == T) break;
    __syncthreads();
    float acc[CHAINS][ROWS][COLUMNS][4] = {};
    multiply_tiles<Store, EXACT, ROWS, COLUMNS, TILES_K, RESIDENT, CHAINS>(
        acc, held, rest, lane_row, 8 * DR_ROW);
    send_shares(p, shared + SHARE_AT + next * SHARE_BYTES, acc[0], barriers + 8 * next);
    stage = stage + 1 == RING ? 0 : stage + 1;
  }
#pragma unroll
  for (int i = 0; i < MINE; ++i)
    if (SUMS && p.warp + i * WARPS < ITEMS) write_sums(a, p, cell_of(p, i), db[i]);
  if (!a.dinitial) return;
#pragma unroll
  for (int i = 0; i < MINE; ++i)
#pragma unroll
    for (int e = 0; e < PER_LANE; ++e) {
      const Cell c = cell_of(p, i);
      if (!c.exists || p.batch + c.n + e >= a.B) continue;
#pragma unroll
      for (int k = 0; k < STATES; ++k) narrow(ds[i][e][k], a.dinitial[state_at(a, p, c, k, e)]);
    }
}

__device__ __forceinline__ void copy(const Arguments& a, const Place& p, char* shared, u32 barriers) {
  const int T = int(a.T);
  const u32 ring = shared_address(shared + X_AT);
  Stream stream(a, p);
  for (int i = 0; i < RING - 1; ++i) stream.fetch(T - 1 - i, ring + i * X_BYTES);
  int stage = 0;
  for (int turn = 0; turn < T; ++turn) {
    const int t = T - 1 - turn;
    wait_async<RING - 2>();
    begin_turn(turn, barriers);
    stream.fetch(t - (RING - 1), ring + (stage == 0 ? RING - 1 : stage - 1) * X_BYTES);
    __syncthreads();
    write_out(a, p, t, shared);
    stage = stage + 1 == RING ? 0 : stage + 1;
  }
  begin_turn(T, barriers);
  wait_async<0>();
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    cluster_backward(const __grid_constant__ Arguments a) {
  extern __shared__ __align__(128) char shared[];
  const Place p = place(a);
  const u32 barriers = shared_address(shared + BARRIER_AT);
  clear_shared(shared, SHARE_AT);
  for (int id = threadIdx.x; id < BIASES * UNITS; id += THREADS) {
    const int unit = p.rank * UNITS + id % UNITS;
    reinterpret_cast<float*>(shared + BIAS_AT)[id] =
        unit < D ? widen(a.b[(id / UNITS * a.N + p.head) * D + unit]) : 0.0f;
  }
  if (CLUSTER > 1 && threadIdx.x == 0)
    for (int k = 0; k < 2; ++k) {
      barrier_init(barriers + 8 * k);
      barrier_expect(barriers + 8 * k, SHARE_BYTES);
    }
  __syncthreads();
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
