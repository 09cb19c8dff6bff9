// y[M, N] = act(x[M, K] w[N, K]^T + bias) with the weight packed in panels: [N / PANEL][K][PANEL], outputs side by side.
// A panel is streamed once from memory, front to back; all rows of x meet it there.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "vectors.h"

constexpr int64_t FAR = 16384, NEAR = 1024;  // floats by which a weight is fetched before its use, into L2 and L1
constexpr size_t ROW_BYTES = 512 << 10;  // bytes of rows of x that meet all panels before the next ones do

// Bytes that stay in a core's L2 cache beside others: half of it, or of a small one where the system does not say.
static const size_t NEAR_BYTES = [] {
#ifdef _SC_LEVEL2_CACHE_SIZE
  long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  long size = 0;
#endif
  return size_t(size > 0 ? size : 512 << 10) / 2;
}();

enum Activation : int64_t { NONE, RELU, GELU, GELU_NEW, SILU };

static inline Floats activate(Floats x, int64_t kind) {
  if (kind == RELU) return x < 0.f ? Floats{} : x;
  if (kind == SILU) return x / (1.f + exp(-x));
  if (kind == GELU_NEW) {  // 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
    return x / (1.f + exp(x * (-1.5957691216f - 0.0713548162726f * x * x)));
  }
  if (kind == GELU)
    for (int i = 0; i < LANES; i++) x[i] *= 0.5f * (1.f + std::erf(x[i] * 0.70710678f));
  return x;
}

// What becomes of a sum: y = act(sum + bias), times what y held before if it multiplies, plus the residual.
struct Ending {
  const float* bias;      // [N] or null
  const float* residual;  // rows of ld_residual floats, or null
  ptrdiff_t ld_residual;
  int64_t activation;
  bool multiplies;
};

enum Cache { L2 = 2, L1 = 3 };

template <Cache CACHE>
static inline void fetch(const float* panel_row) {
  __builtin_prefetch(panel_row, 0, CACHE);
  if (PANEL > 16) __builtin_prefetch(panel_row + 16, 0, CACHE);
}

static inline Floats ended(Floats sum, const Ending& end, const float* y, ptrdiff_t row, int col, int count) {
  if (end.bias) sum += load_part(end.bias + col, count);
  sum = activate(sum, end.activation);
  if (end.multiplies) sum *= load_part(y, count);
  if (end.residual) sum += load_part(end.residual + row * end.ld_residual + col, count);
  return sum;
}

// Rows M of x times one panel. Meanwhile `ahead`, what comes after the panel, is fetched from memory: `PANEL` floats of it
// for every `each` floats of a row, so that the blocks of rows that meet a panel fetch all of the next one together.
template <int M, bool ONE>
static inline void block(const float* x, ptrdiff_t ldx, const float* w, int K, const float* ahead, int each,
                         Floats (*sums)[2]) {
  Floats a[M][2];
  for (int m = 0; m < M; m++) a[m][0] = a[m][1] = Floats{};
  for (int k = 0; k < K;) {
    fetch<L2>(ahead);
    ahead += PANEL;
    for (int end = ONE ? k + 1 : std::min(k + each, K); k < end; k++, w += PANEL) {
      fetch<L1>(w + NEAR);
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

template <bool ONE>
static void block_of(int rows, const float* x, ptrdiff_t ldx, const float* w, int K, const float* ahead, int each,
                     Floats (*sums)[2]) {
  switch (rows) {
#define CASE(M) case M: return block<M, ONE>(x, ldx, w, K, ahead, each, sums);
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#ifdef __AVX512F__
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
  }
}

// Have blocks of at most MOST of M rows meet each of the panels [first, last) of a weight, in the order of memory:
// `meet(p, panel, row, rows, ahead, blocks)`. A panel has `inner` rows of PANEL floats, in `size` floats. As many rows as
// fit into `bytes` meet all panels before the next ones do. `ahead` is what a block fetches, of `blocks` that share it.
template <int MOST, class Meet>
static inline void each_block(int64_t M, int64_t row_bytes, const float* w, int64_t size, int64_t inner, int64_t first,
                              int64_t last, Meet meet, size_t bytes = ROW_BYTES) {
  int64_t together = std::max<int64_t>(MOST, bytes / row_bytes / MOST * MOST);
  for (int64_t from = 0; from < M; from += together) {
    int64_t to = std::min(M, from + together), blocks = (to - from + MOST - 1) / MOST;
    for (int64_t p = first; p < last; p++) {
      const float* panel = w + p * size;
      for (int64_t b = 0; b < blocks; b++) {
        int64_t row = from + (to - from) * b / blocks, rows = from + (to - from) * (b + 1) / blocks - row;
        meet(p, panel, row, (int)rows, panel + std::min(size, (int64_t)FAR) + b * inner / blocks * PANEL, (int)blocks);
      }
    }
  }
}

// Write the sums of one row and one half of panel p, of N outputs, as far as there are outputs.
static inline void write(Floats sum, const Ending& end, float* y, ptrdiff_t ldy, int64_t row, int64_t p, int half,
                         int64_t N) {
  int col = p * PANEL + half * LANES, part = (int)std::min<int64_t>(LANES, N - col);
  float* to = y + row * ldy + col;
  if (part == LANES)
    store(to, ended(sum, end, to, row, col, LANES));
  else if (part > 0)
    store_part(to, ended(sum, end, to, row, col, part), part);
}

// Rows M of x times the panels [first, last) of a weight of N outputs.
static void product(const float* x, ptrdiff_t ldx, int64_t M, const float* w, int64_t K, int64_t N, float* y,
                    ptrdiff_t ldy, const Ending& end, int64_t first, int64_t last) {
  auto meet = [&](int64_t p, const float* panel, int64_t row, int rows, const float* ahead, int blocks) {
    Floats sums[ROWS][2];
    if (blocks == 1)
      block_of<true>(rows, x + row * ldx, ldx, panel, K, ahead, 1, sums);
    else
      block_of<false>(rows, x + row * ldx, ldx, panel, K, ahead, blocks, sums);
    for (int m = 0; m < rows; m++)
      for (int half = 0; half < 2; half++) write(sums[m][half], end, y, ldy, row + m, p, half, N);
  };
  each_block<ROWS>(M, K * sizeof(float), w, K * PANEL, K, first, last, meet);
}
