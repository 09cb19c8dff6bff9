// Norms of rows: RMSNorm and LayerNorm, each over D.
#pragma once
#include "vectors.h"

struct Norm {
  const float* weight;  // [D]; null: the rows are copied
  const float* bias;    // [D] or null
  float eps;
  bool centres;  // LayerNorm, which subtracts the mean
};

static void norm_row(const float* x, const Norm& norm, int64_t D, float* y) {
  float mean = 0;
  if (norm.centres) {
    Floats total = {};
    for (int64_t d = 0; d < D; d += LANES) total += load_part(x + d, (int)std::min<int64_t>(LANES, D - d));
    mean = sum(total) / D;
  }
  Floats squares = {};
  for (int64_t d = 0; d < D; d += LANES) {
    int count = (int)std::min<int64_t>(LANES, D - d);
    Floats off = load_part(x + d, count);
    if (norm.centres) {
      off -= mean;
      for (int i = count; i < LANES; i++) off[i] = 0;
    }
    squares += off * off;
  }
  float scale = 1.f / std::sqrt(sum(squares) / D + norm.eps);
  for (int64_t d = 0; d < D; d += LANES) {
    int count = (int)std::min<int64_t>(LANES, D - d);
    Floats out = (load_part(x + d, count) - mean) * scale * load_part(norm.weight + d, count);
    if (norm.bias) out += load_part(norm.bias + d, count);
    store_part(y + d, out, count);
  }
}
