// Products of product_int8.h by tile instructions (AMX), up to 32 rows of x times a panel at once, with the same sums.
// A tile of x is 16 rows of 16 words; a tile of a panel 16 words of 16 outputs, as they lie there.
#pragma once
#include "product_int8.h"

#ifdef __AMX_INT8__
#include <cpuid.h>

constexpr int TILE_ROWS = 2 * TILE;
static_assert(UNSIGNED_ROWS && LANES == TILE, "tiles multiply unsigned rows, and have 16 outputs");

constexpr unsigned AMX_INT8 = 1u << 25;  // in EDX of leaf 7

// Whether the processor has them for int8; that a process may use tiles was asked before this library was chosen.
static bool has_int8_tiles() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AMX_INT8);
}

// Whether M rows of K numbers are multiplied by tiles: rows that fill one, and words that fill each.
static inline bool fits_tiles(int64_t M, int64_t K) {
  static const bool has = has_int8_tiles();
  return has && M >= TILE && K % (TILE * FOUR) == 0;
}

// The shapes of all eight tiles, as the processor reads them: 16 rows of 64 bytes each.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, unused[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE};
};
static const TileShapes TILE_SHAPES;

// Up to 32 rows of x times one panel: tiles 0 and 1 are the sums of 16 rows, 2 and 3 of the next 16.
template <bool BOTH>
static inline void tile_block(const int32_t* x, const float* w, int words, const float* ahead, int each,
                              Ints (*sums)[2]) {
  _tile_zero(0);
  _tile_zero(1);
  if (BOTH) {
    _tile_zero(2);
    _tile_zero(3);
  }
  w += HEADER;
  int lines = (TILE + each - 1) / each;  // rows of the next panel that are fetched with each tile
  for (int k = 0; k < words; k += TILE, w += TILE * PANEL) {
    for (int i = 0; i < lines; i++, ahead += PANEL) fetch<L2>(ahead);
    _tile_loadd(6, w, PANEL * sizeof(float));
    _tile_loadd(7, w + LANES, PANEL * sizeof(float));
    _tile_loadd(4, x + k, words * sizeof(int32_t));
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    if (BOTH) {
      _tile_loadd(5, x + k + (ptrdiff_t)TILE * words, words * sizeof(int32_t));
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    }
  }
  _tile_stored(0, &sums[0][0], sizeof *sums);
  _tile_stored(1, &sums[0][1], sizeof *sums);
  if (BOTH) {
    _tile_stored(2, &sums[TILE][0], sizeof *sums);
    _tile_stored(3, &sums[TILE][1], sizeof *sums);
  }
}

// `product_int8` where `fits_tiles`. Rows beyond M, up to the next 16, are read and not written.
static void product_by_tiles(const Rounded& x, int64_t M, const float* w, int64_t K, int64_t N, float* y, ptrdiff_t ldy,
                             const Ending& end, int64_t first, int64_t last) {
  int64_t words = words_of(K);
  _tile_loadconfig(&TILE_SHAPES);
  auto meet = [&](int64_t p, const float* panel, int64_t row, int rows, const float* ahead, int blocks) {
    Ints sums[TILE_ROWS][2];
    auto run = rows > TILE ? tile_block<true> : tile_block<false>;
    run(x.words.data() + row * words, panel, words, ahead, blocks, sums);
    write_sums(sums, x, row, rows, panel, end, y, ldy, p, N);
  };
  each_int8_block<TILE_ROWS>(M, w, words, first, last, meet);
  _tile_release();
}
#else
static inline bool fits_tiles(int64_t M, int64_t K) { return false; }
constexpr auto product_by_tiles = product_int8;
#endif
