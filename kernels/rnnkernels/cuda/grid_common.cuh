// What both kernels of the grid strategy share: R in a block, and products with rows that other
// blocks are still writing.
//
// A group of BLOCKS blocks runs one head and TILE batch rows. Block `rank` owns UNITS units. Every
// step each block multiplies a matrix (TILE rows, K_ALL) that the group has just written with its
// own 8 TILES_N rows of R (K_ALL columns). The matrix is the output tensor itself: it starts filled
// with UNSET, which no result is, so a reader asks for a word until it is not UNSET. There are no
// flags, and no memory is used twice, so nothing has to be ordered.
//
// The warps share the sum over K. A lane takes 16 bytes of a row at a time: its place in K within
// 64 bytes (a pair of product tiles) is the same for both factors, so any order of K will do.
//
// Constants: D, BLOCKS, UNITS, TILE (8, 16 or 32), WARPS, K_ALL, TILES_N, RESIDENT (pairs of a warp in
// registers), IN_SHARED (pairs in shared memory; the rest is read again each step), AT_ONCE (pairs
// asked for at once), ALONE (wait for one piece first), Store, EXACT, SHARED (bytes).

constexpr int SIZE = sizeof(Store), THREADS = 32 * WARPS;
// A product tile has 16 rows; with 8 batch rows the others are 0.
constexpr int TILES_M = ceil_div(TILE, 16), HALVES = TILE == 8 ? 1 : 2;
constexpr int SPOTS = 64 * HALVES;  // sums that are kept of a tile: 8 columns of those rows
constexpr int WIDTH = 16 / SIZE;  // elements that a lane reads at once
constexpr int PIECES = K_ALL / WIDTH, PAIRS = ceil_div(ceil_div(PIECES, 4), WARPS);
constexpr int EIGHTS = UNITS / 8, CELLS = TILE * UNITS, MINE = ceil_div(CELLS, THREADS);
constexpr int CHAINS = TILES_M * TILES_N <= 4 ? 2 : 1;  // sums in flight
constexpr int REST_AT = 0, SUMS_AT = WARPS * IN_SHARED * TILES_N * 512;
constexpr int SUM_BYTES = TILES_M * TILES_N * SPOTS * 4;  // of a warp
static_assert(SUMS_AT + WARPS * SUM_BYTES == SHARED, "grid_plan.py counts the same bytes");
static_assert(D % WIDTH == 0, "rows are read 16 bytes at a time");

constexpr int MOST = SIZE == 2 && PAIRS > RESIDENT + IN_SHARED ? 12 : TILES_N > 4 ? 2 : 4;
constexpr int LOADS = TILES_N < MOST ? TILES_N : MOST;  // of R at once

constexpr u32 UNSET = 0xffffffffu;
constexpr u32 PATIENCE = 1u << 23;  // questions, some 5 s: then something is broken

struct Place {
  int warp, lane, row, pair;  // row = lane / 4, pair = lane % 4
  int rank, head;
  i64 batch;  // the first row of the tile
  bool exists;
};

__device__ __forceinline__ Place place(i64 first, i64 B, i64 N) {
  Place p;
  p.warp = threadIdx.x / 32, p.lane = threadIdx.x % 32;
  p.row = p.lane / 4, p.pair = p.lane % 4;
  p.rank = blockIdx.x % BLOCKS;
  const i64 job = first + blockIdx.x / BLOCKS;
  p.head = int(job % N), p.batch = job / N * TILE;
  p.exists = p.batch < B;
  return p;
}

// ---- words that other blocks write -------------------------------------------------------------

__device__ __forceinline__ void ask(u32 (&v)[4], const void* from) {
  asm volatile("ld.relaxed.gpu.global.v4.b32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
               : "l"(from)
               : "memory");
}
__device__ __forceinline__ bool unset(const u32 (&v)[4]) {
  return v[0] == UNSET || v[1] == UNSET || v[2] == UNSET || v[3] == UNSET;
}
__device__ __forceinline__ void tell(void* to, u32 v) {
  asm volatile("st.relaxed.gpu.global.b32 [%0], %1;" ::"l"(to), "r"(v) : "memory");
}
// Write a result of this lane's unit where other blocks wait for it; the next lane has the next
// unit. 16-bit types go two units at a time. Results of conversions and arithmetic are never UNSET;
// a float that was only copied could be.
__device__ __forceinline__ void publish(Store* to, float value, bool exists) {
  if constexpr (SIZE == 4) {
    const u32 bits = __float_as_uint(value);
    if (exists) tell(to, bits == UNSET ? 0x7fffffffu : bits);
  } else {
    const float next = __shfl_down_sync(~0u, value, 1);
    if (exists && threadIdx.x % 2 == 0) tell(to, pack(value, next, Store{}));
  }
}

// ---- R -----------------------------------------------------------------------------------------

__device__ __forceinline__ void load_piece(u32 (&v)[4], const Store* from, bool wanted) {
  asm volatile(
      "{.reg .pred p;\nsetp.ne.u32 p, %5, 0;\nmov.b32 %0, 0;\nmov.b32 %1, 0;\nmov.b32 %2, 0;\n"
      "mov.b32 %3, 0;\n@p ld.global.nc.v4.b32 {%0,%1,%2,%3}, [%4];}"
      : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
      : "l"(from), "r"(u32(wanted)));
}

// A lane's part of the block's rows of R: `at(n)` is where row 8 n + lane / 4 starts, or null.
template <class At> struct Weights {
  u32 held[RESIDENT ? RESIDENT : 1][TILES_N][4];
  u32 rest;  // shared memory
  int first;  // the lane's first piece
  At at;

  __device__ __forceinline__ Weights(const Place& p, char* shared, At at) : at(at) {
    rest = shared_address(shared + REST_AT) + (p.warp * IN_SHARED * TILES_N * 32 + p.lane) * 16;
    first = p.warp * PAIRS * 4 + p.pair;
#pragma unroll
    for (int k = 0; k < RESIDENT; ++k)
#pragma unroll
      for (int n = 0; n < TILES_N; ++n) from_global(held[k][n], k, n);
#pragma unroll 1
    for (int k = 0; k < IN_SHARED; ++k)
#pragma unroll 1
      for (int n = 0; n < TILES_N; ++n) {
        u32 v[4];
        from_global(v, RESIDENT + k, n);
        store_tile(v, rest + (k * TILES_N + n) * 512);
      }
  }
  __device__ __forceinline__ bool inside(int k) const { return first + 4 * k < PIECES; }
  __device__ __forceinline__ void from_global(u32 (&v)[4], int k, int n) const {
    const Store* row = at(n);
    load_piece(v, row + (first + 4 * k) * WIDTH, row && inside(k));
  }
  // HELD: k is a constant, and may be in registers.
  template <bool HELD> __device__ __forceinline__ void get(u32 (&v)[4], int k, int n) const {
    if (HELD && k < RESIDENT) {
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] = held[HELD && k < RESIDENT ? k : 0][n][i];
    } else if (k < RESIDENT + IN_SHARED) {
      load_tile(v, rest + ((k - RESIDENT) * TILES_N + n) * 512);
    } else {
      from_global(v, k, n);
    }
  }
};

// ---- products ----------------------------------------------------------------------------------

using Sums = float[CHAINS][TILES_M][TILES_N][4];

// Visit the pieces that a lane asks for at once: the place in `a`, and where the piece is, or null.
template <class Weight, class From, class Visit>
__device__ __forceinline__ void each_piece(const Weight& weights, const From& from, int start,
                                           const Visit& visit) {
#pragma unroll
  for (int i = 0; i < AT_ONCE; ++i)
#pragma unroll
    for (int m = 0; m < TILES_M; ++m)
#pragma unroll
      for (int half = 0; half < HALVES; ++half) {
        const bool wanted = start + i < PAIRS && weights.inside(start + i);
        visit(i, m, half, wanted ? from(m, half, weights.first + 4 * (start + i)) : nullptr);
      }
}

// Get the pieces from `start` on. WAIT: until all are there. The first one is asked for alone, so
// that waiting takes little of the bandwidth; then all are asked for together. FIRST: `start` may be 0.
template <bool WAIT, bool FIRST, class Weight, class From>
__device__ __forceinline__ void get_pieces(u32 (&a)[AT_ONCE][TILES_M][HALVES][4], const Weight& weights,
                                           const From& from, int start) {
  u32 asked = 0;
  if (WAIT && ALONE && FIRST && start == 0 && weights.inside(0)) {
    const Store* place = from(0, 0, weights.first);
    u32 v[4] = {0u, 0u, 0u, 0u};
    if (place) ask(v, place);
    while (unset(v)) {
      ask(v, place);
      if (++asked == PATIENCE) __trap();
    }
  }
  if (WAIT && ALONE && FIRST) __syncwarp();
  each_piece(weights, from, start, [&](int i, int m, int half, const Store* place) {
    u32(&v)[4] = a[i][m][half];
    v[0] = v[1] = v[2] = v[3] = 0u;
    if (place) ask(v, place);
  });
  bool again = WAIT;
  while (again) {
    again = false;
    each_piece(weights, from, start, [&](int i, int m, int half, const Store* place) {
      u32(&v)[4] = a[i][m][half];
      if (unset(v)) ask(v, place), again = true;
    });
    if (++asked == PATIENCE) __trap();
  }
  __syncwarp();
}

// Add the products of the pairs from `start` on, AT_ONCE of them. HELD: `start` is a constant, and
// one of them may be in registers.
template <bool WAIT, bool HELD, class Weight, class From>
__device__ __forceinline__ void add_pairs(Sums& acc, const Weight& weights, const From& from, int start) {
  u32 a[AT_ONCE][TILES_M][HALVES][4];
  get_pieces<WAIT, (HELD || RESIDENT == 0)>(a, weights, from, start);
#pragma unroll
  for (int i = 0; i < AT_ONCE; ++i) {
    if (start + i >= PAIRS) break;
#pragma unroll
    for (int first = 0; first < TILES_N; first += LOADS) {
      u32 w[LOADS][4];
#pragma unroll
      for (int n = 0; n < LOADS; ++n)
        if (first + n < TILES_N) weights.template get<HELD>(w[n], start + i, first + n);
#pragma unroll
      for (int n = 0; n < LOADS; ++n)
#pragma unroll
        for (int q = 0; q < 2; ++q)
#pragma unroll
          for (int m = 0; m < TILES_M; ++m) {
            if (first + n >= TILES_N) continue;
            const u32(&v)[HALVES][4] = a[i][m];
            constexpr int SECOND = HALVES - 1;
            const u32 tile[4] = {v[0][2 * q], SECOND ? v[SECOND][2 * q] : 0u, v[0][2 * q + 1],
                                 SECOND ? v[SECOND][2 * q + 1] : 0u};
            multiply<Store, EXACT>(acc[q % CHAINS][m][first + n], tile, w[n][2 * q], w[n][2 * q + 1]);
          }
    }
  }
}

// sums (in shared memory, of this warp) = rows times R^T over the warp's part of K.
// `from(m, half, piece)` is where a piece of row 16 m + 8 half + lane / 4 is, or null.
template <bool WAIT, class Weight, class From>
__device__ __forceinline__ void multiply_rows(const Place& p, char* shared, const Weight& weights,
                                              const From& from) {
  constexpr int UNROLLED = round_up(RESIDENT, AT_ONCE);
  Sums acc = {};
#pragma unroll
  for (int start = 0; start < UNROLLED; start += AT_ONCE)
    add_pairs<WAIT, true>(acc, weights, from, start);
#pragma unroll 1
  for (int start = UNROLLED; start < PAIRS; start += AT_ONCE)
    add_pairs<WAIT, false>(acc, weights, from, start);
  float* to = reinterpret_cast<float*>(shared + SUMS_AT + p.warp * SUM_BYTES) + p.row * 8 + 2 * p.pair;
#pragma unroll
  for (int m = 0; m < TILES_M; ++m)
#pragma unroll
    for (int n = 0; n < TILES_N; ++n)
#pragma unroll
      for (int half = 0; half < HALVES; ++half) {
        const float* c = &acc[0][m][n][2 * half];
        const float* d = &acc[CHAINS - 1][m][n][2 * half];
        float2 v = make_float2(c[0], c[1]);
        if (CHAINS == 2) v.x += d[0], v.y += d[1];
        *reinterpret_cast<float2*>(to + (m * TILES_N + n) * SPOTS + half * 64) = v;
      }
}

// The i-th cell of a thread: a unit and a batch row.
struct Cell {
  int m, eight, within, unit;  // within the 16 x 8 of a product tile; unit of all D
  i64 row;
  bool real, exists;  // real: the thread has an i-th cell; exists: it is in the tensor

  __device__ __forceinline__ Cell(const Place& p, int i, i64 B) {
    const int id = threadIdx.x + i * THREADS;
    real = id < CELLS;
    within = id % SPOTS, eight = id / SPOTS % EIGHTS, m = id / SPOTS / EIGHTS;
    unit = p.rank * UNITS + eight * 8 + within % 8;
    row = p.batch + m * 16 + within / 8;
    exists = real && unit < D && row < B;
  }
};

// The sum over all of K for a cell's row `n` of R, of the EIGHTS eights of each.
__device__ __forceinline__ float sum_of(const char* shared, const Cell& c, int n) {
  const float* from = reinterpret_cast<const float*>(shared + SUMS_AT) +
                      (c.m * TILES_N + n * EIGHTS + c.eight) * SPOTS + c.within;
  float sum = 0.0f;
#pragma unroll
  for (int warp = 0; warp < WARPS; ++warp) sum += from[warp * (SUM_BYTES / 4)];
  return sum;
}
