// c(i, j) = Σ_p a(i, 2p)·b(2p, j) + a(i, 2p+1)·b(2p+1, j), see the header.
//
// The innermost loop keeps a block of 8 rows by 48 columns in 24 registers: a step over one pair
// loads three vectors of b, broadcasts eight pairs of a and issues 24 dot products. The panel of b
// is read from the second cache level once for every block of rows, at a small part of its rate.
#include "bfloat16_multiply.h"

#include "CKernels.h"
#include "bfloat16_panels.h"

size_t rfm_bf16_packed_size(int64_t pairs, int64_t n) {
  return (size_t)(vectors_of(n) * 2 * LANES * pairs);
}

int64_t rfm_bf16_panel_count(int64_t n) { return (vectors_of(n) + PANEL - 1) / PANEL; }

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AI static inline __attribute__((always_inline))
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16"))), apply_to = function)

int rfm_bf16_multiplies(void) { return rfm_has_bfloat16(); }

// MARK: Packing

// The order that interleaves two vectors of 16: x0 y0 x1 y1 …
AI __m512i interleaving(void) {
  __m512i order = _mm512_setzero_si512();
  uint16_t index[32];
  for (int i = 0; i < 32; i++) index[i] = (uint16_t)(i / 2 + (i & 1) * 16);
  memcpy(&order, index, sizeof index);
  return order;
}

AI __m512i interleave(__m256i x, __m256i y, __m512i order) {
  return _mm512_permutexvar_epi16(order, _mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1));
}

AI __mmask16 lanes(int64_t count) {
  return count >= LANES ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

void rfm_bf16_pack(const float *w, int64_t outputs, int64_t inputs, int64_t first, int64_t last,
                   uint16_t *panels) {
  const int64_t vectors = vectors_of(inputs), pairs = (outputs + 1) / 2;
  const __m512i order = interleaving();
  int64_t v = panel_start(first, vectors);
  for (int64_t panel = first; panel < last; panel++) {
    const int64_t width = panel_width(v, vectors);
    uint16_t *to = panels + v * 2 * LANES * pairs;
    for (int64_t p = 0; p < pairs; p++)
      for (int64_t j = 0; j < width; j++, to += 2 * LANES) {
        const int64_t column = (v + j) * LANES;
        const __mmask16 inside = lanes(inputs - column);
        const float *row = w + 2 * p * inputs + column;
        const __m512 x = _mm512_maskz_loadu_ps(inside, row);
        const __m512 y =
            2 * p + 1 < outputs ? _mm512_maskz_loadu_ps(inside, row + inputs) : _mm512_setzero_ps();
        const __m512bh both = _mm512_cvtne2ps_pbh(y, x);
        _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, (__m512i)both));
      }
    v += width;
  }
}

// Turns rows of 16 pairs into columns: in four steps that each swap half of what is left to swap.
AI void transpose(__m512i v[LANES]) {
  __m512i t[LANES];
  for (int i = 0; i < LANES; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < LANES; i += 4)
    for (int j = 0; j < 2; j++) {
      v[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
      v[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
    }
  // v[4g + q] holds elements q, q + 4, q + 8, q + 12 of rows 4g … 4g + 3.
  for (int q = 0; q < 4; q++) {
    const __m512i lower0 = _mm512_shuffle_i32x4(v[q], v[q + 4], 0x44);
    const __m512i upper0 = _mm512_shuffle_i32x4(v[q], v[q + 4], 0xee);
    const __m512i lower1 = _mm512_shuffle_i32x4(v[q + 8], v[q + 12], 0x44);
    const __m512i upper1 = _mm512_shuffle_i32x4(v[q + 8], v[q + 12], 0xee);
    t[q] = _mm512_shuffle_i32x4(lower0, lower1, 0x88);
    t[q + 4] = _mm512_shuffle_i32x4(lower0, lower1, 0xdd);
    t[q + 8] = _mm512_shuffle_i32x4(upper0, upper1, 0x88);
    t[q + 12] = _mm512_shuffle_i32x4(upper0, upper1, 0xdd);
  }
  for (int i = 0; i < LANES; i++) v[i] = t[i];
}

void rfm_bf16_pack_transposed(const float *w, int64_t outputs, int64_t inputs, int64_t first,
                              int64_t last, uint16_t *panels) {
  const int64_t vectors = vectors_of(outputs), pairs = (inputs + 1) / 2;
  int64_t v = panel_start(first, vectors);
  for (int64_t panel = first; panel < last; panel++) {
    const int64_t width = panel_width(v, vectors);
    uint16_t *to = panels + v * 2 * LANES * pairs;
    for (int64_t p = 0; p < pairs; p += LANES)
      for (int64_t j = 0; j < width; j++) {
        __m512i square[LANES];
        for (int64_t r = 0; r < LANES; r++) {
          const int64_t output = (v + j) * LANES + r;
          const int64_t left = output < outputs ? inputs - 2 * p : 0;
          const float *row = w + output * inputs + 2 * p;
          const __m512 x = _mm512_maskz_loadu_ps(lanes(left), row);
          const __m512 y = _mm512_maskz_loadu_ps(lanes(left - LANES), row + LANES);
          square[r] = (__m512i)_mm512_cvtne2ps_pbh(y, x);
        }
        transpose(square);
        for (int64_t q = 0; q < LANES && p + q < pairs; q++)
          _mm512_storeu_si512(to + ((p + q) * width + j) * 2 * LANES, square[q]);
      }
    v += width;
  }
}

// Two pixels' vector of columns; the second may not exist.
AI __m512i pixel_pair(const uint16_t *x, int64_t ld, int second, __m512i order) {
  const __m256i upper = _mm256_loadu_si256((const void *)x);
  const __m256i lower =
      second ? _mm256_loadu_si256((const void *)(x + ld)) : _mm256_setzero_si256();
  return interleave(upper, lower, order);
}

void rfm_bf16_pack_pixels(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                          int64_t pair, int64_t pairs, uint16_t *panels) {
  const int64_t vectors = vectors_of(columns);
  const __m512i order = interleaving();
  for (int64_t v = 0; v < vectors;) {
    const int64_t width = panel_width(v, vectors);
    uint16_t *to = panels + v * 2 * LANES * pairs + pair * width * 2 * LANES;
    for (int64_t r = 0; r < rows; r += 2)
      for (int64_t j = 0; j < width; j++, to += 2 * LANES)
        _mm512_storeu_si512(to, pixel_pair(x + r * ld + (v + j) * LANES, ld, r + 1 < rows, order));
    v += width;
  }
}

void rfm_bf16_pack_pixels_transposed(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                                     int64_t pair, int64_t pairs, uint16_t *blocks) {
  const int64_t vectors = vectors_of(columns);
  const __m512i order = interleaving();
  for (int64_t v = 0; v < vectors; v++) {
    // A vector of columns is two blocks of rows.
    uint16_t *to = blocks + v * 2 * LANES * pairs + pair * 2 * BLOCK;
    for (int64_t r = 0; r < rows; r += 2, to += 2 * BLOCK) {
      const __m512i both = pixel_pair(x + r * ld + v * LANES, ld, r + 1 < rows, order);
      _mm256_storeu_si256((void *)to, _mm512_castsi512_si256(both));
      _mm256_storeu_si256((void *)(to + 2 * BLOCK * pairs), _mm512_extracti64x4_epi64(both, 1));
    }
  }
}

// MARK: Multiplying

// `rows` by `width` vectors of c; `edge` masks the last vector. All but pointers, strides and pairs
// are constants where this is inlined.
AI void block(int rows, int width, int result, int64_t pairs, const uint16_t *a, int64_t row,
              int64_t step, const uint16_t *b, void *c, int64_t ldc, __mmask16 edge) {
  __m512 sum[BLOCK][PANEL];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < width; j++) sum[i][j] = _mm512_setzero_ps();
#pragma clang loop unroll_count(2)
  for (int64_t p = 0; p < pairs; p++, a += step, b += width * 2 * LANES) {
    __m512bh column[PANEL];
    for (int j = 0; j < width; j++) column[j] = (__m512bh)_mm512_loadu_si512(b + j * 2 * LANES);
    for (int i = 0; i < rows; i++) {
      int32_t pair;
      memcpy(&pair, a + i * row, sizeof pair);
      const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
      for (int j = 0; j < width; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], both, column[j]);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < width; j++) {
      const __mmask16 inside = j == width - 1 ? edge : 0xffff;
      if (result == RFM_BF16_STORE) {
        uint16_t *to = (uint16_t *)c + i * ldc + j * LANES;
        _mm256_mask_storeu_epi16(to, inside, (__m256i)_mm512_cvtneps_pbh(sum[i][j]));
      } else {
        float *to = (float *)c + i * ldc + j * LANES;
        __m512 v = sum[i][j];
        if (result == RFM_BF16_ADD_FLOAT)
          v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(inside, to));
        _mm512_mask_storeu_ps(to, inside, v);
      }
    }
}

#define ROWS(R, W, RESULT) \
  case R: block(R, W, RESULT, pairs, a, row, step, b, c, ldc, edge); break;
#define PANELS(W, RESULT)                                                                       \
  static void block_##W##_##RESULT(int64_t rows, int64_t pairs, const uint16_t *a, int64_t row, \
                                   int64_t step, const uint16_t *b, void *c, int64_t ldc,       \
                                   __mmask16 edge) {                                            \
    switch (rows) {                                                                             \
      ROWS(1, W, RESULT)                                                                        \
      ROWS(2, W, RESULT)                                                                        \
      ROWS(3, W, RESULT)                                                                        \
      ROWS(4, W, RESULT)                                                                        \
      ROWS(5, W, RESULT)                                                                        \
      ROWS(6, W, RESULT)                                                                        \
      ROWS(7, W, RESULT)                                                                        \
      ROWS(8, W, RESULT)                                                                        \
    }                                                                                           \
  }
#define RESULTS(W) PANELS(W, 0) PANELS(W, 1) PANELS(W, 2)
RESULTS(1)
RESULTS(2)
RESULTS(3)

typedef void (*block_function)(int64_t, int64_t, const uint16_t *, int64_t, int64_t,
                               const uint16_t *, void *, int64_t, __mmask16);
static const block_function functions[PANEL][3] = {
    {block_1_0, block_1_1, block_1_2},
    {block_2_0, block_2_1, block_2_2},
    {block_3_0, block_3_1, block_3_2},
};

// a's element (i, 2p) is at (i / 8)·group + (i % 8)·row + p·step.
AI void multiply(int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t group, int64_t row,
                 int64_t step, const uint16_t *panels, void *c, int64_t ldc, int result) {
  const int64_t vectors = vectors_of(n), element = result == RFM_BF16_STORE ? 2 : 4;
  for (int64_t v = 0; v < vectors;) {
    const int64_t width = panel_width(v, vectors);
    const block_function run = functions[width - 1][result];
    const __mmask16 edge = lanes(n - (v + width - 1) * LANES);
    for (int64_t i = 0; i < m; i += BLOCK)
      run(m - i < BLOCK ? m - i : BLOCK, pairs, a + i / BLOCK * group, row, step,
          panels + v * 2 * LANES * pairs, (char *)c + (i * ldc + v * LANES) * element, ldc, edge);
    v += width;
  }
}

void rfm_bf16_multiply(int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t lda,
                       const uint16_t *panels, void *c, int64_t ldc, int result) {
  multiply(m, n, pairs, a, BLOCK * lda, lda, 2, panels, c, ldc, result);
}

void rfm_bf16_multiply_blocks(int64_t m, int64_t n, int64_t pairs, const uint16_t *blocks,
                              const uint16_t *panels, void *c, int64_t ldc, int result) {
  multiply(m, n, pairs, blocks, 2 * BLOCK * pairs, 2, 2 * BLOCK, panels, c, ldc, result);
}

#pragma clang attribute pop
#elif !defined(__aarch64__)  // whose are in bfloat16_multiply_neon.c
#include <stdlib.h>

int rfm_bf16_multiplies(void) { return 0; }

// Never called where `rfm_bf16_multiplies` says no.
void rfm_bf16_pack_transposed(const float *w, int64_t outputs, int64_t inputs, int64_t first,
                              int64_t last, uint16_t *panels) { abort(); }
void rfm_bf16_pack(const float *w, int64_t outputs, int64_t inputs, int64_t first, int64_t last,
                   uint16_t *panels) { abort(); }
void rfm_bf16_pack_pixels(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                          int64_t pair, int64_t pairs, uint16_t *panels) { abort(); }
void rfm_bf16_pack_pixels_transposed(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                                     int64_t pair, int64_t pairs, uint16_t *blocks) { abort(); }
void rfm_bf16_multiply(int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t lda,
                       const uint16_t *panels, void *c, int64_t ldc, int result) { abort(); }
void rfm_bf16_multiply_blocks(int64_t m, int64_t n, int64_t pairs, const uint16_t *blocks,
                              const uint16_t *panels, void *c, int64_t ldc, int result) { abort(); }
#endif
