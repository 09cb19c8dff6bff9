// Stages of a decode step, run one after the other in one parallel region of OpenMP.
//
// Tensors that change from call to call are slots: `slots[i]` is the address of the i-th. The Python side that fills
// these structs is stages.py, which has the same fields in the same order.
#include <omp.h>

#include "attention_many.h"
#include "norm.h"
#include "product.h"
#include "product_int8.h"
#include "tiles_int8.h"

struct Stage {
  int64_t is_attention;
  int64_t waits;  // for what other threads made in the stages before
  // A product: rows x of K floats, normed unless `norm_weight` is null, times a weight of N outputs.
  int64_t x, ldx, K, N, y, ldy, first;  // x and y are slots; ld: floats between rows; y begins at column `first`
  const float *weight, *bias, *norm_weight, *norm_bias;
  float eps;
  int32_t centres;
  int64_t normed;  // slot that the normed rows are written to, [M, K], or -1
  int64_t residual, ld_residual;  // slot, or -1
  int64_t activation, multiplies;
  // An attention: slots, and the place of its sizes (`Attention`, then strides) in `sizes`.
  int64_t q, ldq, k, v, attention_bias, out, sizes;
  int64_t kv_heads, group, size;
  float scale;
  int32_t is_int8;  // the weight of the product
  int64_t row;  // slot of the row of K and V that this step's own are written to first, or -1
};

constexpr size_t KEPT = 16 << 20;  // numbers of 32 bits that scratch keeps between calls, as KEPT_FLOATS of program.py

template <class Scratch>
static void give_back(Scratch& scratch, size_t numbers) {
  if (numbers > KEPT) scratch = Scratch();
}

static Ending ending(const Stage& s, char* const* slots) {
  return {s.bias, s.residual < 0 ? nullptr : (const float*)slots[s.residual], (ptrdiff_t)s.ld_residual, s.activation,
          s.multiplies != 0};
}

static void run_product(const Stage& s, char* const* slots, int64_t M, int thread, int threads) {
  static thread_local std::vector<float> normed;
  // A norm alone is divided by rows. Before a product each thread norms all rows for itself, rather than wait for others.
  int64_t first = s.N ? 0 : M * thread / threads, rows = s.N ? M : M * (thread + 1) / threads - first;
  const float* x = (const float*)slots[s.x] + first * s.ldx;
  ptrdiff_t ldx = s.ldx;
  if (s.norm_weight) {
    normed.resize(std::max<size_t>(normed.size(), rows * s.K));
    Norm norm{s.norm_weight, s.norm_bias, s.eps, s.centres != 0};
    for (int64_t m = 0; m < rows; m++) norm_row(x + m * ldx, norm, s.K, normed.data() + m * s.K);
    x = normed.data();
    ldx = s.K;
    if (s.normed >= 0) {
      int64_t from = M * thread / threads, to = M * (thread + 1) / threads;
      std::memcpy((float*)slots[s.normed] + from * s.K, x + (from - first) * s.K, (to - from) * s.K * sizeof(float));
    }
  }
  if (!s.N) return;
  int64_t panels = (s.N + PANEL - 1) / PANEL;
  product(x, ldx, M, s.weight, s.K, s.N, (float*)slots[s.y] + s.first, s.ldy, ending(s, slots), panels * thread / threads,
          panels * (thread + 1) / threads);
  give_back(normed, normed.size());
}

// The threads share the norms and the rounding of the rows. A stage that does not wait has the rows of the one before.
static void run_int8_product(const Stage& s, char* const* slots, Rounded& rounded, int64_t M, bool same_rows, int thread,
                             int threads) {
  if (!same_rows) {
    static thread_local std::vector<float> normed;
    normed.resize(s.K);
    Norm norm{s.norm_weight, s.norm_bias, s.eps, s.centres != 0};
    for (int64_t m = M * thread / threads; m < M * (thread + 1) / threads; m++) {
      const float* x = (const float*)slots[s.x] + m * s.ldx;
      if (s.norm_weight) {
        float* to = s.normed < 0 ? normed.data() : (float*)slots[s.normed] + m * s.K;
        norm_row(x, norm, s.K, to);
        x = to;
      }
      rounded.round(x, s.K, m);
    }
#pragma omp barrier
  }
  int64_t panels = (s.N + PANEL - 1) / PANEL;
  auto multiply = fits_tiles(M, s.K) ? product_by_tiles : product_int8;
  multiply(rounded, M, s.weight, s.K, s.N, (float*)slots[s.y] + s.first, s.ldy, ending(s, slots),
           panels * thread / threads, panels * (thread + 1) / threads);
}

static void run_attention(const Stage& s, char* const* slots, const int64_t* sizes, int64_t M, int thread, int threads) {
  static thread_local std::vector<float> scratch;
  static thread_local Attending attending;
  const int64_t* n = sizes + s.sizes;
  Attention a{n[0], n[1], s.kv_heads, s.group, s.size, n[2],
              (const float*)slots[s.q], (const float*)slots[s.k], (const float*)slots[s.v],
              s.attention_bias < 0 ? nullptr : (const float*)slots[s.attention_bias],
              s.ldq, {n[3], n[4], n[5]}, {n[6], n[7], n[8]}, {n[9], n[10], n[11], n[12]}, s.scale,
              (float*)slots[s.out]};
  int64_t items = a.batch * a.kv_heads, positions = M / (a.batch * a.beams);
  if (positions > 1) {  // more threads than items divide the queries of each
    int64_t parts = (threads + items - 1) / items, queries = positions * a.group;
    int64_t end = items * parts * (thread + 1) / threads;
    for (int64_t i = items * parts * thread / threads; i < end; i++) {
      int64_t item = i / parts, part = i % parts, next = std::min(i + 1, end - 1) / parts;
      attend_many(a, positions, item, next, queries * part / parts, queries * (part + 1) / parts, attending);
    }
    return;
  }
  for (int64_t i = items * thread / threads; i < items * (thread + 1) / threads; i++) {
    int64_t sentence = i / a.kv_heads, head = i % a.kv_heads;
    if (s.row >= 0) {  // they lie behind the queries: all of K, then all of V
      int64_t row = *(const int64_t*)slots[s.row];
      const float* own = a.q + sentence * a.ldq + (a.kv_heads * a.group + head) * a.size;
      std::memcpy((float*)a.keys_of(sentence, head) + row * a.of_k.key, own, a.size * 4);
      std::memcpy((float*)a.values_of(sentence, head) + row * a.of_v.key, own + a.kv_heads * a.size, a.size * 4);
    }
    attend(a, sentence, head, scratch);
  }
}

extern "C" void run_stages(const Stage* stages, int64_t count, char* const* slots, const int64_t* sizes, int64_t rows,
                           int64_t threads) {
  if (rows == 0) return;
  static thread_local Rounded of_caller;
  Rounded& rounded = of_caller;  // the threads of the region share that of the thread that opens it
  for (int64_t i = 0; i < count; i++)
    if (stages[i].is_int8) rounded.resize(rows, stages[i].K);
#pragma omp parallel num_threads(threads)
  {
    int thread = omp_get_thread_num(), all = omp_get_num_threads();
    for (int64_t i = 0; i < count; i++) {
      if (stages[i].waits) {
#pragma omp barrier
      }
      if (stages[i].is_attention)
        run_attention(stages[i], slots, sizes, rows, thread, all);
      else if (stages[i].is_int8)
        run_int8_product(stages[i], slots, rounded, rows, i > 0 && !stages[i].waits, thread, all);
      else
        run_product(stages[i], slots, rows, thread, all);
    }
  }
  give_back(rounded, rounded.words.size());
}

// Whether products of M rows of K numbers with weights of int8 go through tiles.
extern "C" int64_t uses_tiles(int64_t M, int64_t K) { return fits_tiles(M, K); }

// Panels of a packed weight of N outputs, which are filled up with zeros to a multiple of 32, one of every PANEL.
static int64_t packed_panels(int64_t N) { return (N + 31) / 32 * 32 / PANEL; }

// Lay out a weight [N, K] in panels.
extern "C" void pack_panels(const float* w, int64_t K, int64_t N, float* out) {
#pragma omp parallel for
  for (int64_t p = 0; p < packed_panels(N); p++)
    for (int64_t k = 0; k < K; k++)
      for (int64_t n = 0; n < PANEL; n++)
        out[(p * K + k) * PANEL + n] = p * PANEL + n < N ? w[(p * PANEL + n) * K + k] : 0.f;
}

// Lay out a weight of int8 and its scales [N] as product_int8.h has them.
extern "C" void pack_int8_panels(const int8_t* w, const float* scales, int64_t K, int64_t N, float* out) {
  int64_t size = HEADER + words_of(K) * PANEL;
#pragma omp parallel for
  for (int64_t p = 0; p < packed_panels(N); p++) {
    float* panel = out + p * size;
    std::memset(panel, 0, size * sizeof(float));
    for (int64_t n = 0; n < std::min<int64_t>(PANEL, N - p * PANEL); n++) {
      const int8_t* row = w + (p * PANEL + n) * K;
      int32_t total = 0;
      for (int64_t k = 0; k < K; k++) {
        ((int8_t*)(panel + HEADER + k / FOUR * PANEL + n))[k % FOUR] = row[k];
        total += 128 * row[k];
      }
      panel[n] = scales[p * PANEL + n];
      std::memcpy(panel + PANEL + n, &total, sizeof total);
    }
  }
}

// Rows of a packed weight [N, K]: out[i] = w[ids[i]], [count, K]. Returns -1, or the place of the first id that is none.
extern "C" int64_t gather_panels(const float* packed, int64_t K, int64_t N, const int64_t* ids, int64_t count,
                                 float* out) {
  for (int64_t i = 0; i < count; i++)
    if (ids[i] < 0 || ids[i] >= N) return i;
#pragma omp parallel for if (count > 16)
  for (int64_t i = 0; i < count; i++)
    for (int64_t k = 0; k < K; k++) out[i * K + k] = packed[(ids[i] / PANEL * K + k) * PANEL + ids[i] % PANEL];
  return -1;
}
