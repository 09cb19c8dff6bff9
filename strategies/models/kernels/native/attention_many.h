// Attention of many positions per sequence: keys and values are laid out in panels, and met by blocks of queries.
//
// Rows lie in slabs of DEEP numbers, each row STRIDE after the one before: the addresses of a block's rows are constants
// then, and do not share a few places of the cache.
#pragma once
#include "attention.h"
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

// Scratch of a thread.
struct Attending {
  std::vector<float> keys, values, queries, weights;
};

static float* room(std::vector<float>& in, int64_t panels, int64_t inner) {
  in.resize(std::max<size_t>(in.size(), panels * inner * PANEL));
  return in.data();
}

// Lay out `count` rows of `size` floats as a weight whose outputs they are; places beyond the last row become zeros.
static void lay_out_keys(const float* rows, ptrdiff_t stride, int64_t count, int64_t size, std::vector<float>& in) {
  float* to = room(in, (count + PANEL - 1) / PANEL, size);
  for (int64_t r = 0; r < (count + PANEL - 1) / PANEL * PANEL; r += LANES)
    for (int64_t i = 0; i < size; i += LANES) {
      Floats square[LANES];
      int part = (int)std::min<int64_t>(LANES, size - i);
      for (int j = 0; j < LANES; j++) square[j] = r + j < count ? load_part(rows + (r + j) * stride + i, part) : Floats{};
      transpose(square);
      float* panel = to + (r / PANEL * size + i) * PANEL + r % PANEL;
      for (int j = 0; j < part; j++) store(panel + j * PANEL, square[j]);
    }
}

// Lay out `count` rows of `size` floats as a weight whose inputs they are.
static void lay_out_values(const float* rows, ptrdiff_t stride, int64_t count, int64_t size, std::vector<float>& in) {
  float* to = room(in, (size + PANEL - 1) / PANEL, count);
  for (int64_t i = 0; i < (size + PANEL - 1) / PANEL * PANEL; i += LANES)
    for (int64_t r = 0; r < count; r++) {
      int part = (int)std::max<int64_t>(0, std::min<int64_t>(LANES, size - i));
      store(to + (i / PANEL * count + r) * PANEL + i % PANEL, load_part(rows + r * stride + i, part));
    }
}

// The sums that `rows` rows of `inner` numbers make with a panel.
static void meet_panel(int rows, const float* x, const float* panel, int64_t inner, Floats (*sums)[2]) {
  for (int m = 0; m < rows; m++) sums[m][0] = sums[m][1] = Floats{};
  for (int64_t k = 0; k < inner; k += DEEP, x += TALL * STRIDE) {
    int depth = (int)std::min<int64_t>(DEEP, inner - k);
    meet_slab(rows, x, panel + k * PANEL, depth, sums);
  }
}

// Fetch one of the `parts` of the rows of Q, K and V of one sentence and one head, unless they are too many for the cache.
static void fetch_rows(const Attention& a, int64_t positions, int64_t sentence, int64_t head, int64_t part, int64_t parts) {
  const float *k = a.keys_of(sentence, head), *v = a.values_of(sentence, head);
  if ((2 * a.keys + positions * a.group) * a.size * sizeof(float) > NEAR_BYTES / 2) return;
  for (int64_t m = a.keys * part / parts; m < a.keys * (part + 1) / parts; m++) {
    fetch(k + m * a.of_k.key, a.size);
    fetch(v + m * a.of_v.key, a.size);
  }
  for (int64_t m = positions * part / parts; m < positions * (part + 1) / parts; m++)
    fetch(a.q + (sentence * positions + m) * a.ldq + head * a.group * a.size, a.group * a.size);
}

// softmax(scale * q k^T + bias) v of `positions` of one sentence and one head of K and V, from query row `from` to `to`.
// The rows of q are those of the sentence's positions, and the rows of a group's heads come one head after the other.
static void attend_many(const Attention& a, int64_t positions, int64_t item, int64_t next, int64_t from, int64_t to,
                        Attending& own) {
  int64_t sentence = item / a.kv_heads, head = item % a.kv_heads;
  int64_t slabs = (std::max(a.keys, a.size) + DEEP - 1) / DEEP, ld_out = a.kv_heads * a.group * a.size;
  own.queries.resize(std::max<size_t>(own.queries.size(), TALL * slabs * STRIDE));
  own.weights.resize(std::max<size_t>(own.weights.size(), TALL * slabs * STRIDE));
  lay_out_keys(a.keys_of(sentence, head), a.of_k.key, a.keys, a.size, own.keys);
  lay_out_values(a.values_of(sentence, head), a.of_v.key, a.keys, a.size, own.values);
  auto element = [](std::vector<float>& rows, int m, int64_t k) {
    return rows.data() + (k / DEEP * TALL + m) * STRIDE + k % DEEP;
  };
  Floats sums[TALL][2];
  float scales[TALL];
  int64_t blocks = (to - from + TALL - 1) / TALL;
  for (int64_t b = 0; b < blocks; b++) {
    int64_t first = from + (to - from) * b / blocks;
    int rows = (int)(from + (to - from) * (b + 1) / blocks - first);
    auto column = [&](int64_t r) { return (head * a.group + r / positions) * a.size; };
    auto row = [&](int64_t r) { return sentence * positions + r % positions; };
    if (next != item) fetch_rows(a, positions, next / a.kv_heads, next % a.kv_heads, b, blocks);
    for (int m = 0; m < rows; m++) {
      const float* query = a.q + row(first + m) * a.ldq + column(first + m);
      for (int64_t i = 0; i < a.size; i += LANES)
        store(element(own.queries, m, i), load_part(query + i, (int)std::min<int64_t>(LANES, a.size - i)) * a.scale);
    }
    for (int64_t key = 0; key < a.keys; key += PANEL) {
      meet_panel(rows, own.queries.data(), own.keys.data() + key * a.size, a.size, sums);
      for (int m = 0; m < rows; m++)
        for (int half = 0; half < 2; half++) store(element(own.weights, m, key) + half * LANES, sums[m][half]);
    }
    for (int m = 0; m < rows; m++) {
      const float* bias = a.bias ? a.bias + sentence * a.of_bias.batch + head * a.of_bias.head + (first + m) * a.of_bias.row
                                 : nullptr;
      scales[m] = weigh(a.keys, bias, a.of_bias.key, [&](int64_t key) { return element(own.weights, m, key); });
    }
    for (int64_t i = 0; i < a.size; i += PANEL) {
      meet_panel(rows, own.weights.data(), own.values.data() + i * a.keys, a.keys, sums);
      for (int m = 0; m < rows; m++)
        for (int half = 0; half < 2; half++) {
          int64_t at = i + half * LANES, part = std::min<int64_t>(LANES, a.size - at);
          if (part > 0) store_part(a.out + row(first + m) * ld_out + column(first + m) + at, sums[m][half] * scales[m],
                                   (int)part);
        }
    }
  }
}
