// y[M, N] = act(x[M, K] w[N, K]^T + bias) with int8 weights, a scale for each output, and rows that are rounded to int8.
// A panel is [2 + words][PANEL]: the scales of its outputs, 128 times the sums of their weights, then words of four
// weights of an output, four inputs after four. K is filled up with zeros to `words` fours.
#pragma once
#include <immintrin.h>

#include <vector>

#include "product.h"

constexpr int FOUR = 4, HEADER = 2 * PANEL;
constexpr int TILE = 16;  // rows of a tile (tiles_int8.h)
#if defined(__AVX512F__)
constexpr int INT8_ROWS = 12;  // rows of a block, as in vectors.h
#elif defined(__AVXVNNI__)
constexpr int INT8_ROWS = 6;
#else
constexpr int INT8_ROWS = 4;  // dot products need registers, too
#endif
typedef int8_t Bytes __attribute__((vector_size(LANES)));
typedef uint32_t UnsignedInts __attribute__((vector_size(LANES * 4)));

static inline int64_t words_of(int64_t K) { return (K + FOUR - 1) / FOUR; }

static inline Ints load_ints(const void* from) {
  Ints x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

#if defined(__AVX512VNNI__) || (defined(__AVXVNNI__) && !defined(__AVX512F__))
constexpr bool UNSIGNED_ROWS = true;  // numbers of x are 128 more, so that none is negative
#else
constexpr bool UNSIGNED_ROWS = false;
#endif

// sum + the dot products of four inputs with the four weights of each output, exactly. Without VNNI, pairs of products
// are summed up in 16 bits, which hold 2 * 127 * 127.
static inline Ints add_dots(Ints sum, Ints x, Ints w) {
#if defined(__AVX512VNNI__)
  return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
#elif defined(__AVX512F__)
  __m512i signed_x = _mm512_mask_sub_epi8((__m512i)x, _mm512_movepi8_mask((__m512i)w), __m512i{}, (__m512i)x);
  __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8((__m512i)w), signed_x);
  return sum + (Ints)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif defined(__AVXVNNI__)
  return (Ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#else
  __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), _mm256_sign_epi8((__m256i)x, (__m256i)w));
  return sum + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
}

static inline Ints rounded(Floats x) {
#ifdef __AVX512F__
  return (Ints)_mm512_cvtps_epi32((__m512)x);
#else
  return (Ints)_mm256_cvtps_epi32((__m256)x);
#endif
}

// Rows of x in words of four int8 each, and the scale of each row.
struct Rounded {
  std::vector<int32_t> words;  // [M, words_of(K)]
  std::vector<float> scales;   // [M]; NaN where a row has a number that is not finite

  // Make room for M rows of K numbers at least.
  void resize(int64_t M, int64_t K) {
    words.resize(std::max<size_t>(words.size(), (M + TILE - 1) * words_of(K)));  // a tile reads all of its rows
    scales.resize(std::max<size_t>(scales.size(), M));
  }

  // Round a row of K numbers: the largest becomes 127 scales.
  void round(const float* x, int64_t K, int64_t row) {
    int8_t* to = (int8_t*)(words.data() + row * words_of(K));
    int64_t whole = K / LANES * LANES;
    int rest = (int)(K - whole);
    Floats most = {}, none = {};
    auto measure = [&](Floats part) {
      Floats size = part < 0.f ? -part : part;
      most = size > most ? size : most;
      none += part * 0.f;  // NaN of a number that is not finite
    };
    for (int64_t k = 0; k < whole; k += LANES) measure(load(x + k));
    measure(load_part(x + whole, rest));
    float largest = 1e-30f;  // a row of smaller numbers, or of zeros, becomes zeros
    for (int i = 0; i < LANES; i++) largest = std::max(largest, most[i]);
    scales[row] = largest / 127 + sum(none);
    Floats per = all(127 / largest);
    auto write = [&](Floats part, int64_t k, int64_t bytes) {
      Bytes narrow = __builtin_convertvector(rounded(part * per), Bytes);
      if (UNSIGNED_ROWS) narrow ^= (int8_t)-128;
      std::memcpy(to + k, &narrow, bytes);
    };
    for (int64_t k = 0; k < whole; k += LANES) write(load(x + k), k, LANES);
    write(load_part(x + whole, rest), whole, words_of(K) * FOUR - whole);
  }
};

template <int M, bool ONE>
static inline void block(const int32_t* x, const float* w, int words, const float* ahead, int each, Ints (*sums)[2]) {
  Ints a[M][2];
  for (int m = 0; m < M; m++) a[m][0] = a[m][1] = Ints{};
  w += HEADER;
  for (int k = 0; k < words;) {
    fetch<L2>(ahead);
    ahead += PANEL;
    for (int end = ONE ? k + 1 : std::min(k + each, words); k < end; k++, w += PANEL) {
      fetch<L1>(w + NEAR);
      Ints w0 = load_ints(w), w1 = load_ints(w + LANES);
#pragma GCC unroll 16
      for (int m = 0; m < M; m++) {
        Ints b = x[(ptrdiff_t)m * words + k] - Ints{};
        a[m][0] = add_dots(a[m][0], b, w0);
        a[m][1] = add_dots(a[m][1], b, w1);
      }
    }
  }
  for (int m = 0; m < M; m++) sums[m][0] = a[m][0], sums[m][1] = a[m][1];
}

template <bool ONE>
static void block_of(int rows, const int32_t* x, const float* w, int words, const float* ahead, int each,
                     Ints (*sums)[2]) {
  switch (rows) {
#define CASE(M) case M: return block<M, ONE>(x, w, words, ahead, each, sums);
    CASE(1) CASE(2) CASE(3) CASE(4)
#if defined(__AVX512F__) || defined(__AVXVNNI__)
    CASE(5) CASE(6)
#endif
#ifdef __AVX512F__
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
#undef CASE
  }
}

// Write the sums of rows from `row` on with panel p.
static inline void write_sums(Ints (*sums)[2], const Rounded& x, int64_t row, int rows, const float* panel,
                              const Ending& end, float* y, ptrdiff_t ldy, int64_t p, int64_t N) {
  for (int m = 0; m < rows; m++)
    for (int half = 0; half < 2; half++) {
      UnsignedInts sum = (UnsignedInts)sums[m][half];  // may have gone beyond 31 bits, and comes back
      if (UNSIGNED_ROWS) sum -= (UnsignedInts)load_ints(panel + PANEL + half * LANES);
      Floats scales = load(panel + half * LANES) * x.scales[row + m];
      write(__builtin_convertvector((Ints)sum, Floats) * scales, end, y, ldy, row + m, p, half, N);
    }
}

// Have blocks of at most MOST rows `meet` the panels [first, last). Where these stay in the L2 cache, a few rows meet all
// of them before the next rows do, so that each row of y is written in one go.
template <int MOST, class Meet>
static inline void each_int8_block(int64_t M, const float* w, int64_t words, int64_t first, int64_t last, Meet meet) {
  int64_t size = HEADER + words * PANEL;
  size_t bytes = (last - first) * size * sizeof(float) <= NEAR_BYTES ? 0 : ROW_BYTES;
  each_block<MOST>(M, words * FOUR, w, size, words, first, last, meet, bytes);
}

// Rows M of x times the panels [first, last) of a weight of N outputs.
static void product_int8(const Rounded& x, int64_t M, const float* w, int64_t K, int64_t N, float* y, ptrdiff_t ldy,
                         const Ending& end, int64_t first, int64_t last) {
  int64_t words = words_of(K);
  auto meet = [&](int64_t p, const float* panel, int64_t row, int rows, const float* ahead, int blocks) {
    Ints sums[INT8_ROWS][2];
    if (blocks == 1)
      block_of<true>(rows, x.words.data() + row * words, panel, words, ahead, 1, sums);
    else
      block_of<false>(rows, x.words.data() + row * words, panel, words, ahead, blocks, sums);
    write_sums(sums, x, row, rows, panel, end, y, ldy, p, N);
  };
  each_int8_block<INT8_ROWS>(M, w, words, first, last, meet);
}
