// Packed multiplies of whole numbers of few bits: float32 holds every sum, in any order, so products must be
// right to the last bit.
#include <stdlib.h>
#include <string.h>

#include "cases.h"

static const int shapes[][3] = {{1, 1, 1},   {8, 48, 2},   {9, 49, 3},   {7, 16, 5},  {13, 64, 17},
                                {24, 112, 96}, {6, 80, 31}, {9, 31, 33}, {10, 47, 33}, {11, 63, 33},
                                {12, 15, 33}, {40, 104, 70}};

static float *whole(draws *from, size_t count) {
  float *values = elements(FLOATS, count);
  for (size_t i = 0; i < count; i++) values[i] = (float)(int)(draw(from) % 13) - 6;
  return values;
}

static uint16_t narrow(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static int padded(int channels) { return (channels + 15) / 16 * 16; }

// Rows of `ld` bfloat16 elements, zero beyond the columns.
static uint16_t *spread(const float *values, int rows, int columns, int ld) {
  uint16_t *out = elements(BFLOATS, (size_t)rows * ld);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < ld; c++) out[r * ld + c] = c < columns ? narrow(values[r * columns + c]) : 0;
  return out;
}

// Element (i, j) of a (m, k) times b, given by rows (k, n), or (n, k) if it is transposed.
static float product(const float *a, const float *b, int transposed, int n, int k, int i, int j) {
  float sum = 0;
  for (int p = 0; p < k; p++) sum += a[i * k + p] * (transposed ? b[j * k + p] : b[p * n + j]);
  return sum;
}

// The forward and the input gradient: by rows, rounded; columns beyond n are left alone.
static void check_rows(draws *from, int m, int n, int k, int transposed) {
  const float *a = whole(from, (size_t)m * k), *b = whole(from, (size_t)k * n);
  const int64_t pairs = (k + 1) / 2, count = rfm_bf16_panel_count(n);
  uint16_t *panels = elements(BFLOATS, rfm_bf16_packed_size(pairs, n));
  for (int half = 1; half >= 0; half--) {
    const int64_t first = half ? count / 2 : 0, last = half ? count : count / 2;
    if (transposed) rfm_bf16_pack_transposed(b, n, k, first, last, panels);
    else rfm_bf16_pack(b, k, n, first, last, panels);
  }
  const int ldc = padded(n) + 16;
  uint16_t *c = elements(BFLOATS, (size_t)m * ldc);
  for (int i = 0; i < m * ldc; i++) c[i] = 0x4240;
  rfm_bf16_multiply(m, n, pairs, spread(a, m, k, padded(k)), padded(k), panels, c, ldc, RFM_BF16_STORE);
  for (int i = 0; i < m; i++)
    for (int j = 0; j < ldc; j++) {
      const uint16_t wanted = j < n ? narrow(product(a, b, transposed, n, k, i, j)) : 0x4240;
      if (c[i * ldc + j] != wanted && !(wanted % 0x8000 == 0 && c[i * ldc + j] % 0x8000 == 0))
        fail("multiply of %dx%d by %d: (%d, %d) is %#x, expected %#x", m, n, k, i, j, c[i * ldc + j], wanted);
    }
}

// The weight gradient dyᵀ·x over the pixels of two tiles, packed one after the other.
static void check_blocks(draws *from, int outputs, int inputs, int pixels) {
  const float *dy = whole(from, (size_t)pixels * outputs), *x = whole(from, (size_t)pixels * inputs);
  const int64_t pairs = (pixels + 1) / 2;
  const int cut = pixels / 2 / 2 * 2, dy_ld = padded(outputs), x_ld = padded(inputs);
  const uint16_t *dy_rows = spread(dy, pixels, outputs, dy_ld), *x_rows = spread(x, pixels, inputs, x_ld);
  uint16_t *blocks = elements(BFLOATS, rfm_bf16_packed_size(pairs, outputs));
  uint16_t *panels = elements(BFLOATS, rfm_bf16_packed_size(pairs, inputs));
  for (int tile = 0; tile < 2; tile++) {
    const int start = tile ? cut : 0, rows = tile ? pixels - cut : cut;
    rfm_bf16_pack_pixels_transposed(dy_rows + start * dy_ld, rows, outputs, dy_ld, start / 2, pairs, blocks);
    rfm_bf16_pack_pixels(x_rows + start * x_ld, rows, inputs, x_ld, start / 2, pairs, panels);
  }
  float *c = elements(FLOATS, (size_t)outputs * inputs);
  for (int adds = 0; adds < 2; adds++) {
    rfm_bf16_multiply_blocks(outputs, inputs, pairs, blocks, panels, c, inputs,
                             adds ? RFM_BF16_ADD_FLOAT : RFM_BF16_STORE_FLOAT);
    for (int i = 0; i < outputs; i++)
      for (int j = 0; j < inputs; j++) {
        float wanted = 0;
        for (int p = 0; p < pixels; p++) wanted += dy[p * outputs + i] * x[p * inputs + j];
        if (c[i * inputs + j] != (adds ? 2 : 1) * wanted)
          fail("weight gradient %dx%d over %d pixels: (%d, %d) is %g, expected %g", outputs, inputs, pixels, i,
               j, c[i * inputs + j], (adds ? 2 : 1) * wanted);
      }
  }
}

int check_multiplies(void) {
  if (!rfm_bf16_multiplies()) return 0;
  draws from = {3, 0};
  const int count = sizeof shapes / sizeof shapes[0];
  for (int i = 0; i < count; i++) {
    check_rows(&from, shapes[i][0], shapes[i][1], shapes[i][2], 0);
    check_rows(&from, shapes[i][0], shapes[i][1], shapes[i][2], 1);
    check_blocks(&from, shapes[i][0], shapes[i][1], shapes[i][2]);
  }
  return 3 * count;
}
