// What the forward kernels of every strategy are given.

struct Arguments {
  const Store* wx;
  const Store* r;
  const Store* b;
  const Store* initial;
  const int* lengths;
  Store* states;
  Store* last;
  float* carried;
  i64 B, T, N;
  i64 first;  // of the pairs (batch tile, head), that this launch runs
};

