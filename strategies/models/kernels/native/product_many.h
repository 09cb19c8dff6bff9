// Blocks of rows that meet a slab of a panel, for attention of many positions.
//
// Rows lie in slabs of DEEP numbers, each row STRIDE after the one before: the addresses of a block's rows are constants
// then, and do not share a few places of the cache.
#pragma once
#include "product.h"

constexpr int DEEP = 256, STRIDE = DEEP + 16;
#ifdef __AVX512F__
constexpr int TALL = 14;  // rows of a block: TALL * 2 accumulators, 2 weights and an input fit the registers
#else
constexpr int TALL = 6;
#endif

// Add to the sums of M rows, STRIDE apart, what `depth` numbers of each row make with as many rows of a panel.
template <int M>
__attribute__((always_inline)) static inline void meet(const float* x, const float* w, int depth, Floats (*sums)[2]) {
  Floats a[M][2];
  for (int m = 0; m < M; m++) a[m][0] = sums[m][0], a[m][1] = sums[m][1];
  for (int k = 0; k < depth; k++, w += PANEL) {
    Floats w0 = load(w), w1 = load(w + LANES);
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) {
      Floats b = all(x[m * STRIDE + k]);
      a[m][0] += w0 * b;
      a[m][1] += w1 * b;
    }
  }
  for (int m = 0; m < M; m++) sums[m][0] = a[m][0], sums[m][1] = a[m][1];
}

static void meet_slab(int rows, const float* x, const float* w, int depth, Floats (*sums)[2]) {
  switch (rows) {
#define CASE(M) case M: return meet<M>(x, w, depth, sums);
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#ifdef __AVX512F__
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
#undef CASE
  }
}
