// Vectors of floats as wide as the instruction set has them, and the functions of them that the kernels need.
#pragma once
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
constexpr int LANES = 16;  // floats in a vector
constexpr int ROWS = 12;   // rows of a block: ROWS * 2 accumulators, 2 weights and an input fit the registers
#else
constexpr int LANES = 8;
constexpr int ROWS = 6;
#endif
constexpr int PANEL = 2 * LANES;  // outputs of a panel

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));

static inline Floats all(float value) { return value - Floats{}; }  // x - 0 is x, of which the compiler makes one instruction

static inline Floats load(const float* from) {
  Floats x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

static inline void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }

// The first `count` floats, and zeros; memory beyond them is not touched.
static inline Floats load_part(const float* from, int count) {
#ifdef __AVX512F__
  return (Floats)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#else
  return (Floats)_mm256_maskload_ps(from, (__m256i)(Ints{0, 1, 2, 3, 4, 5, 6, 7} < count));
#endif
}

static inline void store_part(float* to, Floats x, int count) {
#ifdef __AVX512F__
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)x);
#else
  _mm256_maskstore_ps(to, (__m256i)(Ints{0, 1, 2, 3, 4, 5, 6, 7} < count), (__m256)x);
#endif
}

static inline float sum(Floats x) {
#ifdef __AVX512F__
  return _mm512_reduce_add_ps((__m512)x);
#else
  __m256 y = (__m256)x;
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#endif
}

// The largest number; NaN among them may be passed over.
static inline float max(Floats x) {
#ifdef __AVX512F__
  return _mm512_reduce_max_ps((__m512)x);
#else
  __m128 four = _mm_max_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
#endif
}

// The elements of x in another order.
static inline Floats ordered(Floats x, Ints order) {
#ifdef __AVX512F__
  return (Floats)_mm512_permutexvar_ps((__m512i)order, (__m512)x);
#else
  return (Floats)_mm256_permutevar8x32_ps((__m256)x, (__m256i)order);
#endif
}

// Transpose a square of LANES rows: exchange the quarters off the diagonal, then do the same within each quarter.
static inline void transpose(Floats (&rows)[LANES]) {
  Ints lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
#pragma GCC unroll 4
  for (int half = LANES / 2; half; half /= 2) {
    Ints moved = lane ^ half;
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
      if (!(i & half)) {
        Floats a = rows[i], b = rows[i + half];
        rows[i] = (lane & half) ? ordered(b, moved) : a;
        rows[i + half] = (lane & half) ? b : ordered(a, moved);
      }
  }
}

// exp(x) within 2 units in the last place: 2^n exp(r) with x = n ln 2 + r and the Taylor series of exp(r), |r| < 0.35.
// Below -87 it is 0 and above 88 infinity, a little before floats end; NaN stays NaN.
static inline Floats exp(Floats x) {
  const Floats magic = all(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  Floats bounded = x < -87.f ? all(-87.f) : x;
  bounded = bounded > 88.f ? all(88.f) : bounded;
  Floats n = (bounded * 1.44269504f + magic) - magic;
  Floats r = bounded - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Floats p = all(1.f / 5040);
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  Ints exponent = (__builtin_convertvector(n, Ints) + 127) << 23;
  Floats power;
  std::memcpy(&power, &exponent, sizeof power);
  Floats y = p * power;
  y = x < -87.f ? Floats{} : y;
  y = x > 88.f ? all(INFINITY) : y;
  return x == x ? y : x;
}
