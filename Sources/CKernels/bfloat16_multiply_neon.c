// The multiplies of bfloat16_multiply.h for 64-bit Arm processors with bfloat16 dot products (BFDOT), in the
// same panels and blocks as those of AVX512-BF16.
//
// The innermost loop keeps a block of 4 rows by 16 columns in 16 registers: a step over one pair loads four
// vectors of b, broadcasts four pairs of a and issues 16 dot products.
#include "bfloat16_multiply.h"

#include "CKernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "bfloat16_panels.h"

#define AI static inline __attribute__((always_inline))
#pragma clang attribute push(__attribute__((target("bf16"))), apply_to = function)

int rfm_bf16_multiplies(void) { return rfm_has_bfloat16(); }

// MARK: Packing

AI uint16x8_t rounded(const float *x) {
  return vreinterpretq_u16_bf16(
      vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(vld1q_f32(x)), vld1q_f32(x + 4)));
}

// Eight elements of x and y by turns: x0 y0 x1 y1 …
AI void interleave(uint16x8_t x, uint16x8_t y, uint16_t *to) {
  const uint16x8x2_t both = {{x, y}};
  vst2q_u16(to, both);
}

AI int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void rfm_bf16_pack(const float *w, int64_t outputs, int64_t inputs, int64_t first, int64_t last,
                   uint16_t *panels) {
  const int64_t vectors = vectors_of(inputs), pairs = (outputs + 1) / 2;
  int64_t v = panel_start(first, vectors);
  for (int64_t panel = first; panel < last; panel++) {
    const int64_t width = panel_width(v, vectors);
    uint16_t *to = panels + v * 2 * LANES * pairs;
    for (int64_t p = 0; p < pairs; p++)
      for (int64_t j = 0; j < width; j++, to += 2 * LANES) {
        const int64_t column = (v + j) * LANES;
        const size_t inside = (size_t)least(inputs - column, LANES) * sizeof(float);
        const float *row = w + 2 * p * inputs + column;
        float x[LANES] = {0}, y[LANES] = {0};
        memcpy(x, row, inside);
        if (2 * p + 1 < outputs) memcpy(y, row + inputs, inside);
        interleave(rounded(x), rounded(y), to);
        interleave(rounded(x + 8), rounded(y + 8), to + LANES);
      }
    v += width;
  }
}

void rfm_bf16_pack_transposed(const float *w, int64_t outputs, int64_t inputs, int64_t first,
                              int64_t last, uint16_t *panels) {
  const int64_t vectors = vectors_of(outputs), pairs = (inputs + 1) / 2;
  int64_t v = panel_start(first, vectors);
  for (int64_t panel = first; panel < last; panel++) {
    const int64_t width = panel_width(v, vectors);
    uint16_t *to = panels + v * 2 * LANES * pairs;
    for (int64_t column = 0; column < width * LANES; column++, to += 2) {
      const int64_t output = v * LANES + column;
      const float *row = w + output * inputs;
      // Eight inputs at a time are four pairs, each on a line of its own.
      for (int64_t p = 0; p < pairs; p += 4) {
        float x[8] = {0};
        if (output < outputs) memcpy(x, row + 2 * p, (size_t)least(inputs - 2 * p, 8) * sizeof(float));
        uint16_t few[8];
        vst1q_u16(few, rounded(x));
        for (int64_t q = 0; q < 4 && p + q < pairs; q++)
          memcpy(to + (p + q) * width * 2 * LANES, few + 2 * q, 2 * sizeof *few);
      }
    }
    v += width;
  }
}

// Eight columns of two pixels; the second may not exist.
AI void pair_pixels(const uint16_t *x, int64_t ld, int second, uint16_t *to) {
  interleave(vld1q_u16(x), second ? vld1q_u16(x + ld) : vdupq_n_u16(0), to);
}

void rfm_bf16_pack_pixels(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                          int64_t pair, int64_t pairs, uint16_t *panels) {
  const int64_t vectors = vectors_of(columns);
  for (int64_t v = 0; v < vectors;) {
    const int64_t width = panel_width(v, vectors);
    uint16_t *to = panels + v * 2 * LANES * pairs + pair * width * 2 * LANES;
    for (int64_t r = 0; r < rows; r += 2)
      for (int64_t column = 0; column < width * LANES; column += 8, to += 16)
        pair_pixels(x + r * ld + v * LANES + column, ld, r + 1 < rows, to);
    v += width;
  }
}

void rfm_bf16_pack_pixels_transposed(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                                     int64_t pair, int64_t pairs, uint16_t *blocks) {
  const int64_t vectors = vectors_of(columns);
  // A vector of columns is two blocks of rows.
  for (int64_t block = 0; block < 2 * vectors; block++) {
    uint16_t *to = blocks + (block * pairs + pair) * 2 * BLOCK;
    for (int64_t r = 0; r < rows; r += 2, to += 2 * BLOCK)
      pair_pixels(x + r * ld + block * BLOCK, ld, r + 1 < rows, to);
  }
}

// MARK: Multiplying

enum { ROWS = BLOCK / 2, QUARTERS = LANES / 4 };

// Writes `columns` of a row of sums.
AI void put(const float32x4_t *sum, int64_t columns, void *c, int result) {
  float values[LANES];
  for (int j = 0; j < QUARTERS; j++) vst1q_f32(values + 4 * j, sum[j]);
  if (result == RFM_BF16_STORE) {
    uint16_t narrow[LANES];
    vst1q_u16(narrow, rounded(values));
    vst1q_u16(narrow + 8, rounded(values + 8));
    memcpy(c, narrow, (size_t)columns * sizeof *narrow);
    return;
  }
  float *to = c;
  for (int64_t k = 0; k < columns; k++)
    to[k] = result == RFM_BF16_ADD_FLOAT ? to[k] + values[k] : values[k];
}

// `rows` rows by a vector of c, of which `columns` exist; b's next pair is `next` elements on. `rows` and
// `result` are constants where this is inlined.
AI void block(int rows, int result, int64_t pairs, const uint16_t *a, int64_t row, int64_t step,
              const uint16_t *b, int64_t next, char *c, int64_t line, int64_t columns) {
  float32x4_t sum[ROWS][QUARTERS];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < QUARTERS; j++) sum[i][j] = vdupq_n_f32(0);
  for (int64_t p = 0; p < pairs; p++, a += step, b += next) {
    bfloat16x8_t column[QUARTERS];
    for (int j = 0; j < QUARTERS; j++) column[j] = vreinterpretq_bf16_u16(vld1q_u16(b + 8 * j));
    for (int i = 0; i < rows; i++) {
      uint32_t pair;
      memcpy(&pair, a + i * row, sizeof pair);
      const bfloat16x8_t both = vreinterpretq_bf16_u32(vdupq_n_u32(pair));
      for (int j = 0; j < QUARTERS; j++) sum[i][j] = vbfdotq_f32(sum[i][j], both, column[j]);
    }
  }
  for (int i = 0; i < rows; i++) put(sum[i], columns, c + i * line, result);
}

// a's element (i, 2p) is at (i / 8)·group + (i % 8)·row + p·step.
AI void multiply(int result, int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t group,
                 int64_t row, int64_t step, const uint16_t *panels, void *c, int64_t ldc) {
  const int64_t vectors = vectors_of(n), element = result == RFM_BF16_STORE ? 2 : 4;
  const int64_t line = ldc * element;
  for (int64_t v = 0; v < vectors;) {
    const int64_t width = panel_width(v, vectors), next = width * 2 * LANES;
    for (int64_t i = 0; i < m; i += ROWS) {
      const uint16_t *from = a + i / BLOCK * group + i % BLOCK * row;
      for (int64_t j = 0; j < width; j++) {
        const uint16_t *b = panels + v * 2 * LANES * pairs + j * 2 * LANES;
        const int64_t column = (v + j) * LANES, columns = least(n - column, LANES);
        char *to = (char *)c + i * line + column * element;
        switch (m - i) {
          case 1: block(1, result, pairs, from, row, step, b, next, to, line, columns); break;
          case 2: block(2, result, pairs, from, row, step, b, next, to, line, columns); break;
          case 3: block(3, result, pairs, from, row, step, b, next, to, line, columns); break;
          default: block(ROWS, result, pairs, from, row, step, b, next, to, line, columns);
        }
      }
    }
    v += width;
  }
}

AI void multiply_as(int result, int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t group,
                    int64_t row, int64_t step, const uint16_t *panels, void *c, int64_t ldc) {
  switch (result) {
    case RFM_BF16_STORE:
      multiply(RFM_BF16_STORE, m, n, pairs, a, group, row, step, panels, c, ldc);
      break;
    case RFM_BF16_STORE_FLOAT:
      multiply(RFM_BF16_STORE_FLOAT, m, n, pairs, a, group, row, step, panels, c, ldc);
      break;
    default: multiply(RFM_BF16_ADD_FLOAT, m, n, pairs, a, group, row, step, panels, c, ldc);
  }
}

void rfm_bf16_multiply(int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t lda,
                       const uint16_t *panels, void *c, int64_t ldc, int result) {
  multiply_as(result, m, n, pairs, a, BLOCK * lda, lda, 2, panels, c, ldc);
}

void rfm_bf16_multiply_blocks(int64_t m, int64_t n, int64_t pairs, const uint16_t *blocks,
                              const uint16_t *panels, void *c, int64_t ldc, int result) {
  multiply_as(result, m, n, pairs, blocks, 2 * BLOCK * pairs, 2, 2 * BLOCK, panels, c, ldc);
}

#pragma clang attribute pop
#endif
