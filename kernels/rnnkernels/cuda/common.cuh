// Building blocks of the recurrent kernels: storage types, matrix products, asynchronous copies,
// clusters. Self-contained: NVRTC needs no header.
//
// A product tile is 16 rows of A by 32 bytes of K by 8 columns of B: K is 16 elements of a 16-bit
// type or 8 of float. In bytes both have one layout, so the kernels are written once.

using u32 = unsigned int;
using i64 = long long;

__device__ constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }
__device__ constexpr int ceil_div(int n, int by) { return (n + by - 1) / by; }

// ---- storage types -----------------------------------------------------------------------------

struct bf16 { unsigned short bits; };
struct f16 { unsigned short bits; };

__device__ __forceinline__ float widen(bf16 a) { return __uint_as_float(u32(a.bits) << 16); }
__device__ __forceinline__ float widen(f16 a) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(a.bits));
  return y;
}
__device__ __forceinline__ float widen(float a) { return a; }

__device__ __forceinline__ void narrow(float a, bf16& y) {
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(a));
}
__device__ __forceinline__ void narrow(float a, f16& y) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(a));
}
__device__ __forceinline__ void narrow(float a, float& y) { y = a; }
template <class T> __device__ __forceinline__ T narrowed(float a) {
  T y;
  narrow(a, y);
  return y;
}

__device__ __forceinline__ u32 pack(float low, float high, bf16) {
  u32 y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
__device__ __forceinline__ u32 pack(float low, float high, f16) {
  u32 y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
__device__ __forceinline__ u32 pack(float low, float, float) { return __float_as_uint(low); }
template <class T> __device__ __forceinline__ float unpack(u32 both, int half) {
  return widen(T{(unsigned short)(half ? both >> 16 : both & 0xffffu)});
}

// Loads of the weights, 0 where not wanted. Volatile, or the compiler starts hundreds of them at once
// and spills.
__device__ __forceinline__ u32 load_word(const void* p, bool wanted) {
  u32 y;
  asm volatile("{.reg .pred p;\nsetp.ne.u32 p, %2, 0;\nmov.b32 %0, 0;\n@p ld.global.nc.b32 %0, [%1];}"
               : "=r"(y)
               : "l"(p), "r"(u32(wanted)));
  return y;
}
__device__ __forceinline__ u32 load_half(const void* p, bool wanted) {
  unsigned short y;
  asm volatile("{.reg .pred p;\nsetp.ne.u32 p, %2, 0;\nmov.b16 %0, 0;\n@p ld.global.nc.b16 %0, [%1];}"
               : "=h"(y)
               : "l"(p), "r"(u32(wanted)));
  return y;
}
// 4 bytes of K: one float, or two 16-bit elements `step` apart.
template <class T> __device__ __forceinline__ u32 word_of(const T* p, i64 step, bool wanted) {
  if constexpr (sizeof(T) == 4) return load_word(p, wanted);
  return load_half(p, wanted) | load_half(p + step, wanted) << 16;
}

// ---- products ----------------------------------------------------------------------------------

using Tile = u32[4];  // a lane's part of A: rows lane / 4 and that + 8, K halves 0 and 1

__device__ __forceinline__ void product(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1, bf16) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void product(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1, f16) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void product_tf32(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ u32 to_tf32(u32 a) {
  u32 y;
  // volatile: split before the loop, the weights would take twice the registers
  asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(__uint_as_float(a)));
  return y;
}
// What TF32 leaves of a float, in TF32: the two together carry 22 of its 24 bits or more.
__device__ __forceinline__ u32 tf32_rest(u32 a, u32 high) {
  return to_tf32(__float_as_uint(__uint_as_float(a) - __uint_as_float(high)));
}

// c += A B of a tile. Float32: EXACT takes all four products of the halves of its factors, summed
// outside of the tensor cores, whose accumulators truncate; else one product of TF32.
template <class T, bool EXACT>
__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  if constexpr (sizeof(T) == 2) {
    product(c, a, b0, b1, T{});
  } else {
    u32 high[4], b0_high = to_tf32(b0), b1_high = to_tf32(b1);
#pragma unroll
    for (int i = 0; i < 4; ++i) high[i] = to_tf32(a[i]);
    if constexpr (!EXACT) {
      product_tf32(c, high, b0_high, b1_high);
    } else {
      u32 low[4], b0_low = tf32_rest(b0, b0_high), b1_low = tf32_rest(b1, b1_high);
#pragma unroll
      for (int i = 0; i < 4; ++i) low[i] = tf32_rest(a[i], high[i]);
      float p[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      product_tf32(p, low, b0_low, b1_low);
      product_tf32(p, low, b0_high, b1_high);
      product_tf32(p, high, b0_low, b1_low);
      product_tf32(p, high, b0_high, b1_high);
#pragma unroll
      for (int i = 0; i < 4; ++i) c[i] += p[i];
    }
  }
}

__device__ __forceinline__ u32 shared_address(const void* p) {
  return u32(__cvta_generic_to_shared(p));
}
// B of two neighbouring tiles along K: lanes 0-7 give the rows of the first 16 bytes, and so on.
__device__ __forceinline__ void load_pair(u32 (&b)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_single(u32 (&b)[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(b[0]), "=r"(b[1])
               : "r"(address)
               : "memory");
}
// A lane's part of A. Volatile, or the compiler loads many tiles ahead and spills registers.
__device__ __forceinline__ void load_tile(u32 (&a)[4], u32 address) {
  asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];"
               : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void store_tile(const u32 (&a)[4], u32 address) {
  asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(a[0]), "r"(a[1]),
               "r"(a[2]), "r"(a[3])
               : "memory");
}

// Which tiles of K of A are in registers and which in shared memory. The first 2 TURNS take turns,
// so that a load has time for its way; then come the others in registers, then those in shared memory.
template <int TILES_K, int RESIDENT, int TURNS> struct Split {
  static constexpr int SHARED = TILES_K - RESIDENT;

  __device__ static constexpr bool is_held(int k) { return k < 2 * TURNS ? k % 2 == 0 : k < RESIDENT + TURNS; }
  __device__ static constexpr int held(int k) { return k < 2 * TURNS ? k / 2 : k - TURNS; }
  __device__ static constexpr int shared(int k) { return k < 2 * TURNS ? k / 2 : k - RESIDENT; }
  // The K tile that is the `index`-th of its kind.
  __device__ static constexpr int held_tile(int index) { return index < TURNS ? 2 * index : index + TURNS; }
  __device__ static constexpr int shared_tile(int index) { return index < TURNS ? 2 * index + 1 : index + RESIDENT; }
};
// Only products of several rows and columns gain by turns: with others the compiler runs out of
// registers before the loads do out of time.
__device__ constexpr int turns(int rows, int columns, int resident, int shared) {
  return rows == 1 || columns == 1 ? 0 : resident < shared ? resident : shared;
}

// Fill `held` and the shared memory at `rest` with A, whose tile (row i, K tile k) `load` gets. Few
// tiles at a time: with all loops unrolled the compiler would start all loads at once and spill.
template <int ROWS, int COLUMNS, int TILES_K, int RESIDENT, class Load>
__device__ __forceinline__ void place_weights(Tile (&held)[ROWS][RESIDENT ? RESIDENT : 1], u32 rest,
                                              Load load) {
  using Where = Split<TILES_K, RESIDENT, turns(ROWS, COLUMNS, RESIDENT, TILES_K - RESIDENT)>;
  constexpr int AT_ONCE = 2;
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
#pragma unroll 1
    for (int first = 0; first < RESIDENT; first += AT_ONCE) {
      Tile tiles[AT_ONCE];
#pragma unroll
      for (int q = 0; q < AT_ONCE; ++q) load(i, Where::held_tile(first + q), tiles[q]);
#pragma unroll
      for (int k = 0; k < RESIDENT; ++k)
        if (k - k % AT_ONCE == first)
#pragma unroll
          for (int e = 0; e < 4; ++e) held[i][k][e] = tiles[k % AT_ONCE][e];
    }
#pragma unroll 1
    for (int index = 0; index < Where::SHARED; ++index) {
      Tile tile;
      load(i, Where::shared_tile(index), tile);
      store_tile(tile, rest + (i * Where::SHARED + index) * 512);
    }
  }
}

// acc[i][j] += A[i] B[j]^T along TILES_K tiles of K, for ROWS tiles of A and COLUMNS of B, where A
// is as `place_weights` left it, 512 bytes a tile in shared memory.
// `b` is the address of this lane's row of B: 16-byte column lane / 8 of row lane % 8; the rows of
// the next 8 columns of B are `stride` bytes on.
template <class T, bool EXACT, int ROWS, int COLUMNS, int TILES_K, int RESIDENT, int CHAINS>
__device__ __forceinline__ void multiply_tiles(float (&acc)[CHAINS][ROWS][COLUMNS][4],
                                               const Tile (&held)[ROWS][RESIDENT ? RESIDENT : 1],
                                               u32 rest, u32 b, int stride) {
  using Where = Split<TILES_K, RESIDENT, turns(ROWS, COLUMNS, RESIDENT, TILES_K - RESIDENT)>;
#pragma unroll
  for (int k = 0; k < TILES_K; k += 2) {
    u32 h[COLUMNS][4];
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
      if (k + 1 < TILES_K) load_pair(h[j], b + j * stride + k * 32);
      else load_single(h[j], b + j * stride + k * 32);
    }
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      if (k + q >= TILES_K) break;
#pragma unroll
      for (int i = 0; i < ROWS; ++i) {
        if (Where::is_held(k + q)) {
#pragma unroll
          for (int j = 0; j < COLUMNS; ++j)
            multiply<T, EXACT>(acc[(k + q) % CHAINS][i][j],
                               held[i][Where::is_held(k + q) ? Where::held(k + q) : 0], h[j][2 * q],
                               h[j][2 * q + 1]);
        } else {
          u32 a[4];
          load_tile(a, rest + (i * Where::SHARED + Where::shared(k + q)) * 512);
#pragma unroll
          for (int j = 0; j < COLUMNS; ++j)
            multiply<T, EXACT>(acc[(k + q) % CHAINS][i][j], a, h[j][2 * q], h[j][2 * q + 1]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < ROWS; ++i)
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int chain = 1; chain < CHAINS; ++chain) acc[0][i][j][e] += acc[chain][i][j][e];
}

// ---- asynchronous copies from global to shared memory ------------------------------------------

__device__ __forceinline__ void copy_async(u32 to, const char* from) {  // 16 bytes
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void commit_async() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING> __device__ __forceinline__ void wait_async() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Registers of a thread from here on, if not 0; all warps of a warpgroup say so. What the block took
// at its start is all there is: taking more than others leave waits for ever.
template <int COUNT> __device__ __forceinline__ void take_registers() {
  if constexpr (COUNT > 0) asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void leave_registers() {
  if constexpr (COUNT > 0) asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

__device__ __forceinline__ void clear_shared(void* start, int bytes) {  // by all threads
  u32* words = reinterpret_cast<u32*>(start);
  for (int i = threadIdx.x; i < bytes / 4; i += blockDim.x) words[i] = 0u;
}

// ---- clusters ----------------------------------------------------------------------------------

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ int cluster_rank() {
  u32 rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return int(rank);
}
__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}
__device__ __forceinline__ u32 remote_address(u32 address, int rank) {
  u32 y;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(y) : "r"(address), "r"(rank));
  return y;
}
// Stores into another block's shared memory that count as bytes arrived at its barrier.
__device__ __forceinline__ void send16(u32 to, const u32 (&v)[4], u32 barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1,%2,%3,%4}, [%5];" ::"r"(
          to), "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]), "r"(barrier)
      : "memory");
}
__device__ __forceinline__ void send8(u32 to, u32 v0, u32 v1, u32 barrier) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1,%2}, [%3];" ::
                   "r"(to), "r"(v0), "r"(v1), "r"(barrier)
               : "memory");
}
__device__ __forceinline__ void send4(u32 to, u32 v, u32 barrier) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to),
               "r"(v), "r"(barrier)
               : "memory");
}
#else  // compiled for clusters of one block only
__device__ __forceinline__ int cluster_rank() { return 0; }
__device__ __forceinline__ void cluster_sync() { __syncthreads(); }
__device__ __forceinline__ u32 remote_address(u32 address, int) { return address; }
__device__ __forceinline__ void send16(u32, const u32 (&)[4], u32) {}
__device__ __forceinline__ void send8(u32, u32, u32, u32) {}
__device__ __forceinline__ void send4(u32, u32, u32) {}
#endif

// A barrier that a phase of `bytes` arrived bytes completes.
__device__ __forceinline__ void barrier_init(u32 barrier) {
  asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(barrier) : "memory");
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
__device__ __forceinline__ void barrier_expect(u32 barrier, u32 bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
#endif
}
__device__ __forceinline__ void barrier_wait(u32 barrier, u32 parity) {
#if __CUDA_ARCH__ >= 900
  u32 done = 0;
  while (!done)
    asm volatile(
        "{.reg .pred p;\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
#endif
}

// ---- exchange within four neighbouring lanes ---------------------------------------------------

// An 8 x 8 tile of 16-bit elements, a row in 4 lanes, 2 elements each: transposed.
__device__ __forceinline__ u32 transpose8(u32 a) {
  u32 y;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(a));
  return y;
}
// v[k] of lane j goes to v[j] of lane k, for j, k of the same four lanes.
__device__ __forceinline__ void transpose_quad(u32 (&v)[4], int lane) {
  const bool odd = lane & 1, upper = lane & 2;
#pragma unroll
  for (int i = 0; i < 4; i += 2) {
    const u32 other = __shfl_xor_sync(~0u, odd ? v[i] : v[i + 1], 1);
    if (odd) v[i] = other;  // no reference to one of the two: registers have no address
    else v[i + 1] = other;
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const u32 other = __shfl_xor_sync(~0u, upper ? v[i] : v[i + 2], 2);
    if (upper) v[i] = other;
    else v[i + 2] = other;
  }
}
