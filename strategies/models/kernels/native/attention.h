// Attention of one position per sequence: softmax(scale * q k^T + bias) v, K and V read once, front to back.
// The rows of queries that share K and V (query heads of a group, beams of a sentence) meet each key together.
#pragma once
#include <vector>

#include "vectors.h"

struct Strides {
  int64_t batch, head, key;  // in floats; the elements of a key lie side by side
};

struct BiasStrides {
  int64_t batch, head, row, key;  // in floats; 0 where the bias is the same for all
};

struct Attention {
  int64_t batch, beams, kv_heads, group, size, keys;  // B, W, G, H / G, K, M
  const float *q, *k, *v, *bias;
  int64_t ldq;  // floats between the rows of q, one for each of the B * W sequences
  Strides of_k, of_v;
  BiasStrides of_bias;
  float scale;
  float* out;  // [B * W, H * K]

  // The first row of one sentence and one head of K, and of V.
  const float* keys_of(int64_t sentence, int64_t head) const { return k + sentence * of_k.batch + head * of_k.head; }
  const float* values_of(int64_t sentence, int64_t head) const { return v + sentence * of_v.batch + head * of_v.head; }
};

constexpr int TOGETHER = 4;  // keys that meet a query together
constexpr int AHEAD = 16;    // keys by which K is fetched before its use; V is fetched meanwhile

static inline void fetch(const float* row, int64_t size) {
  for (int64_t i = 0; i < size; i += 16) __builtin_prefetch(row + i);
}

static inline float dot(const float* a, const float* b, int64_t size) {
  Floats total = {};
  int64_t i = 0;
  for (; i + LANES <= size; i += LANES) total += load(a + i) * load(b + i);
  if (i < size) total += load_part(a + i, size - i) * load_part(b + i, size - i);
  return sum(total);
}

// Replace scores of `keys` by exp(score + bias - the largest one) and return 1 / their sum, by which softmax multiplies:
// 0 if every key is masked, NaN if any score is. `at(key)` is where LANES scores lie, the last ones filled up.
template <class At>
static inline float weigh(int64_t keys, const float* bias, int64_t bias_stride, At at) {
  Floats most = all(-INFINITY), total = {};
  for (int64_t m = 0; m < keys; m += LANES) {
    int count = (int)std::min<int64_t>(LANES, keys - m);
    Floats score = load(at(m));
    if (bias && bias_stride == 1)
      score += load_part(bias + m, count);
    else if (bias)
      for (int i = 0; i < count; i++) score[i] += bias[(m + i) * bias_stride];
    for (int i = count; i < LANES; i++) score[i] = -INFINITY;
    most = score > most ? score : most;
    store(at(m), score);
  }
  float largest = max(most);
  if (largest == -INFINITY) largest = 0;  // with every key masked, all weights are 0, as torch has it
  for (int64_t m = 0; m < keys; m += LANES) {
    Floats e = exp(load(at(m)) - largest);
    total += e;
    store(at(m), e);
  }
  float divisor = sum(total);
  return divisor == 0 ? 0 : 1 / divisor;
}

// One sentence and one head of K and V.
static void attend(const Attention& a, int64_t sentence, int64_t head, std::vector<float>& scratch) {
  int64_t rows = a.beams * a.group, padded = (a.keys + LANES - 1) / LANES * LANES;
  scratch.resize(rows * (padded + 1));
  float* scales = scratch.data() + rows * padded;
  auto query = [&](int64_t r) { return (sentence * a.beams + r / a.group) * a.ldq + (head * a.group + r % a.group) * a.size; };
  const float *k = a.keys_of(sentence, head), *v = a.values_of(sentence, head);
  int64_t m = 0;
  for (; m + TOGETHER <= a.keys; m += TOGETHER) {
    const float* key = k + m * a.of_k.key;
    for (int j = 0; j < TOGETHER; j++) {
      fetch(key + (AHEAD + j) * a.of_k.key, a.size);
      fetch(v + (m + j) * a.of_v.key, a.size);
    }
    for (int64_t r = 0; r < rows; r++) {
      const float* q = a.q + query(r);
      Floats total[TOGETHER] = {};
      int64_t i = 0;
      for (; i + LANES <= a.size; i += LANES)
        for (int j = 0; j < TOGETHER; j++) total[j] += load(q + i) * load(key + j * a.of_k.key + i);
      if (i < a.size)
        for (int j = 0; j < TOGETHER; j++)
          total[j] += load_part(q + i, a.size - i) * load_part(key + j * a.of_k.key + i, a.size - i);
      for (int j = 0; j < TOGETHER; j++) scratch[r * padded + m + j] = sum(total[j]) * a.scale;
    }
  }
  for (; m < a.keys; m++)
    for (int64_t r = 0; r < rows; r++) scratch[r * padded + m] = dot(a.q + query(r), k + m * a.of_k.key, a.size) * a.scale;
  for (int64_t r = 0; r < rows; r++) {
    const float* bias = a.bias ? a.bias + sentence * a.of_bias.batch + head * a.of_bias.head + r * a.of_bias.row : nullptr;
    scales[r] = weigh(a.keys, bias, a.of_bias.key, [&](int64_t key) { return scratch.data() + r * padded + key; });
  }
  constexpr int WIDE = 4;  // vectors of a row of V that are summed up together
  for (int64_t r = 0; r < rows; r++) {
    const float* score = scratch.data() + r * padded;
    float* out = a.out + (sentence * a.beams + r / a.group) * a.kv_heads * a.group * a.size + (head * a.group + r % a.group) * a.size;
    int64_t i = 0;
    for (; i + WIDE * LANES <= a.size; i += WIDE * LANES) {
      Floats sums[WIDE] = {};
      for (int64_t m = 0; m < a.keys; m++) {
        const float* value = v + m * a.of_v.key + i;
        for (int j = 0; j < WIDE; j++) sums[j] += score[m] * load(value + j * LANES);
      }
      for (int j = 0; j < WIDE; j++) store(out + i + j * LANES, sums[j] * scales[r]);
    }
    for (; i < a.size; i += LANES) {
      int count = (int)std::min<int64_t>(LANES, a.size - i);
      Floats total = {};
      for (int64_t m = 0; m < a.keys; m++) total += score[m] * load_part(v + m * a.of_v.key + i, count);
      store_part(out + i, total * scales[r], count);
    }
  }
}
