// Products of many rows: a slab of a panel stays in the nearest cache while block after block of rows meets it.
//
// Rows are copied into slabs of DEEP numbers, each row STRIDE after the one before: the addresses of a block's rows are
// constants then, and do not share a few places of the cache. A sum is made in the same order as for few rows.
#pragma once
#include <vector>

#include "product.h"

constexpr int64_t MANY = 128;  // rows from which on products are made in this way
constexpr int DEEP = 256, STRIDE = DEEP + 16;
#ifdef __AVX512F__
constexpr int TALL = 14;  // rows of a block: TALL * 2 accumulators, 2 weights and an input fit the registers
#else
constexpr int TALL = 6;
#endif

// What a thread makes of a product: rows [from, to) times panels [first, last). Threads divide the panels, and the rows
// too where there are SHARED of them for each.
struct Share {
  int64_t from, to, first, last;
};

constexpr int64_t SHARED = 256;

static Share share_of(int64_t M, int64_t N, int thread, int threads) {
  int64_t panels = (N + PANEL - 1) / PANEL, parts = 1;  // of the rows
  for (int n = 2; n <= threads && M >= n * SHARED; n++)
    if (threads % n == 0) parts = n;
  int64_t each = threads / parts, part = thread / each, i = thread % each;
  return {M * part / parts, M * (part + 1) / parts, panels * i / each, panels * (i + 1) / each};
}

// Add to the sums of M rows what `depth` numbers of each row make with as many rows of a panel. Meanwhile the weights
// that follow are fetched, as `block` in product.h does it. Where they are FIRST met, weights are fetched into L1 too.
template <int M, bool FIRST>
__attribute__((always_inline)) static inline void tall(const float* x, ptrdiff_t ldx, const float* w, int depth,
                                                       const float* ahead, int each, Floats (*sums)[2]) {
  Floats a[M][2];
  for (int m = 0; m < M; m++) a[m][0] = sums[m][0], a[m][1] = sums[m][1];
  for (int k = 0; k < depth;) {
    fetch<L2>(ahead);
    ahead += PANEL;
    for (int end = std::min(k + each, depth); k < end; k++, w += PANEL) {
      if (FIRST) fetch<L1>(w + NEAR);
      Floats w0 = load(w), w1 = load(w + LANES);
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        Floats b = all(x[m * ldx + k]);
        a[m][0] += w0 * b;
        a[m][1] += w1 * b;
      }
    }
  }
  for (int m = 0; m < M; m++) sums[m][0] = a[m][0], sums[m][1] = a[m][1];
}

// Of rows that lie STRIDE apart.
template <bool FIRST>
static void tall_of(int rows, const float* x, const float* w, int depth, const float* ahead, int each,
                    Floats (*sums)[2]) {
  switch (rows) {
#define CASE(M) case M: return tall<M, FIRST>(x, STRIDE, w, depth, ahead, each, sums);
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#ifdef __AVX512F__
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
#undef CASE
  }
}

// A share of a product; x begins with its first row.
static void product_many(const float* x, ptrdiff_t ldx, const float* w, int64_t K, int64_t N, float* y, ptrdiff_t ldy,
                         const Ending& end, const Share& of) {
  static thread_local std::vector<float> copied;
  static thread_local std::vector<Floats> kept;
  int64_t slabs = (K + DEEP - 1) / DEEP, together = ROW_BYTES / (slabs * STRIDE * sizeof(float)) / TALL * TALL;
  together = std::max<int64_t>(TALL, together);
  copied.resize(std::max<size_t>(copied.size(), together * slabs * STRIDE));
  kept.resize(together * 2);
  for (int64_t from = of.from; from < of.to; from += together) {
    int64_t count = std::min(of.to - from, together), blocks = (count + TALL - 1) / TALL;
    for (int64_t s = 0; s < slabs; s++)
      for (int64_t r = 0; r < count; r++)
        std::memcpy(copied.data() + (s * count + r) * STRIDE, x + (from - of.from + r) * ldx + s * DEEP,
                    std::min<int64_t>(DEEP, K - s * DEEP) * sizeof(float));
    for (int64_t p = of.first; p < of.last; p++) {
      std::fill(kept.begin(), kept.begin() + 2 * count, Floats{});
      for (int64_t s = 0; s < slabs; s++) {
        int depth = (int)std::min<int64_t>(DEEP, K - s * DEEP);
        const float* slab = w + (p * K + s * DEEP) * PANEL;
        for (int64_t b = 0; b < blocks; b++) {
          int64_t r = count * b / blocks, last = count * (b + 1) / blocks;
          auto meet = b == 0 ? tall_of<true> : tall_of<false>;
          Floats(*sums)[2] = (Floats(*)[2])(kept.data() + 2 * r);
          if (s + 1 == slabs)
            for (int64_t row = from + r; row < from + last; row++) {
              fetch<L1>(y + row * ldy + p * PANEL);
              if (end.residual) fetch<L1>(end.residual + row * end.ld_residual + p * PANEL);
            }
          meet((int)(last - r), copied.data() + (s * count + r) * STRIDE, slab, depth,
               slab + (depth + depth * b / blocks) * PANEL, (int)blocks, sums);
          if (s + 1 < slabs) continue;
          for (int64_t row = from + r; r < last; r++, row++, sums++)
            for (int half = 0; half < 2; half++) write(sums[0][half], end, y, ldy, row, p, half, N);
        }
      }
    }
  }
}
