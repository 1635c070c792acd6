// What the backward kernels of every strategy are given, and the gates whose dr is not their dx.

struct Arguments {
  const Store* wx;
  const Product* products;
  const Store* r;
  const Store* b;
  const Store* initial;
  const int* lengths;
  const Store* hidden;
  const float* carried;
  const Store* dstates;
  const Store* dlast;
  Store* dx;
  Store* apart;
  float* db;
  Store* dinitial;
  i64 B, T, N;
  i64 first;  // of the pairs (batch tile, head), that this launch runs
};

// Of a gate: how many before it are distinct; of those that are, which one is the `index`-th.
__device__ constexpr int distinct_before(int gate) {
  int count = 0;
  for (int g = 0; g < gate; ++g) count += gate_is_distinct(g);
  return count;
}
__device__ constexpr int distinct_gate(int index) {
  for (int g = 0; g < GATES; ++g)
    if (gate_is_distinct(g) && distinct_before(g) == index) return g;
  return 0;
}
constexpr int DISTINCT = distinct_before(GATES);

