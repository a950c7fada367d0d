#include <math.h>
#include <string.h>

#include "cases.h"

static const int shapes[][3] = {{1, 1, 16},  {1, 6, 16}, {2, 3, 48}, {5, 1, 16},
                                {5, 7, 32},  {8, 4, 16}, {9, 9, 48}, {13, 11, 48},
                                {28, 14, 64}};

typedef struct {
  int H, W, ld, Ho, Wo;
  size_t count, half;  // elements of a map, and of one of half the size
  rfm_activation input, skip;
  const float *weights, *coefficients;
  const void *gradient, *half_gradient;
  enum type type;
} place;

static rfm_activation activation(draws *from, enum type type, size_t count, int ld, float floor) {
  return (rfm_activation){drawn(from, type, count), drawn(from, FLOATS, ld), drawn(from, FLOATS, ld),
                          floor, ld};
}

static void depthwise(const rfm_kernel_table *table, const place *at, int r0, int r1, results *list) {
  const int H = at->H, W = at->W, ld = at->ld;
  const size_t row = (size_t)W * ld;
  void *out = elements(at->type, (r1 - r0) * row);
  uint16_t *bits = elements(WORDS, at->count / 16);
#define ROWS "%dx%dx%d, rows %d to %d"
#define THESE H, W, ld, r0, r1
  table->depthwise_forward(&at->input, at->weights, out, bits, H, W, r0, r1);
  keep(list, SUMS, at->type, out, (r1 - r0) * row, "depthwise_forward of " ROWS, THESE);
  keep(list, EXACT, WORDS, bits, at->count / 16, "bits of depthwise_forward of " ROWS, THESE);
  out = elements(at->type, (r1 - r0) * row);
  table->depthwise_forward(&at->input, at->weights, out, 0, H, W, r0, r1);
  keep(list, SUMS, at->type, out, (r1 - r0) * row, "depthwise_forward without bits of " ROWS, THESE);
  // All bits, as inputs of the way back.
  table->depthwise_forward(&at->input, at->weights, elements(at->type, at->count), bits, H, W, 0, H);
  const int first = r0 > 0 ? r0 - 1 : 0;
  const char *dd = (const char *)at->gradient + first * row * (at->type == FLOATS ? 4 : 2);
  for (int kind = RFM_RESIDUAL_NONE; kind <= RFM_RESIDUAL_STRIDED_MASKED; kind++) {
    const void *residual = kind == RFM_RESIDUAL_DENSE ? at->gradient : at->half_gradient;
    void *dz = elements(at->type, at->count);
    float *dw = elements(FLOATS, 9 * ld);
    double *sums = elements(DOUBLES, 2 * ld);
    for (int i = 0; i < 9 * ld; i++) dw[i] = 1;
    for (int i = 0; i < 2 * ld; i++) sums[i] = 1;
    table->depthwise_backward(&at->input, at->weights, dd, first, residual, kind, dz, sums, dw, H, W,
                              r0, r1);
    keep(list, SUMS, at->type, dz, at->count, "depthwise_backward %d of " ROWS, kind, THESE);
    keep(list, SUMS, FLOATS, dw, 9 * ld, "its weight gradient");
    keep(list, SUMS, DOUBLES, sums, 2 * ld, "its sums");
    for (int masked = 0; masked < 2; masked++) {
      void *dx = elements(at->type, at->count);
      table->depthwise_backward_input(dd, first, at->weights, masked ? bits : 0, at->input.scale, residual,
                                      kind, dx, ld, H, W, r0, r1);
      keep(list, SUMS, at->type, dx, at->count, "depthwise_backward_input %d, masked %d, of " ROWS, kind,
           masked, THESE);
    }
  }
#undef ROWS
#undef THESE
}

static void pooling(const rfm_kernel_table *table, const place *at, results *list) {
  const int H = at->H, W = at->W, ld = at->ld;
  void *out = elements(at->type, at->half), *kept = elements(at->type, at->half);
  uint8_t *winner = elements(BYTES, at->half);
  table->pool_forward(&at->input, &at->skip, out, winner, kept, H, W);
  keep(list, SUMS, at->type, out, at->half, "pool_forward of %dx%dx%d", H, W, ld);
  keep(list, EXACT, BYTES, winner, at->half, "its winners");
  keep(list, EXACT, at->type, kept, at->half, "its maxima");
  for (int trains = 0; trains < 2; trains++)
    for (int r0 = 0; r0 < H; r0 = r0 * 2 + 1) {
      const size_t count = (size_t)(H - r0) * W * ld;
      void *dx = elements(at->type, count);
      table->pool_backward(at->half_gradient, winner, trains ? at->input.data : 0, at->coefficients, dx, ld,
                           H, W, r0, H);
      keep(list, SUMS, at->type, dx, count, "pool_backward %d of %dx%dx%d from row %d", trains, H, W, ld,
           r0);
    }
  out = elements(at->type, at->half);
  table->gather_strided(&at->input, out, H, W);
  keep(list, SUMS, at->type, out, at->half, "gather_strided of %dx%dx%d", H, W, ld);
}

static void rows(const rfm_kernel_table *table, const place *at, results *list) {
  const int ld = at->ld, pixels = at->H * at->W;
  double *sums = elements(DOUBLES, 2 * ld), *products = elements(DOUBLES, 2 * ld);
  for (int i = 0; i < 2 * ld; i++) sums[i] = products[i] = 1;
  table->statistics(at->gradient, pixels, ld, sums);
  keep(list, SUMS, DOUBLES, sums, 2 * ld, "statistics of %d pixels", pixels);
  table->gradient_sums(at->gradient, at->input.data, pixels, ld, products);
  keep(list, SUMS, DOUBLES, products, 2 * ld, "gradient_sums of %d pixels", pixels);
  for (int trains = 0; trains < 2; trains++) {
    void *out = elements(at->type, at->count);
    table->affine_gradient(at->gradient, trains ? at->input.data : 0, at->coefficients, out, pixels, ld);
    keep(list, SUMS, at->type, out, at->count, "affine_gradient %d of %d pixels", trains, pixels);
  }
}

static void conversions(const rfm_kernel_table *table, draws *from, enum type type, results *list) {
  float *values = drawn(from, FLOATS, 64);
  const float some[] = {0, -0.0f, INFINITY, -INFINITY, NAN, -NAN, 0x1.01p0f, 0x1.03p0f, 0x1.02fffep0f,
                        0x1.010002p0f, 3.4e38f, -3.4028235e38f, 1e-30f, 1, -1, 1.5f};
  memcpy(values + 16, some, sizeof some);
  void *out = elements(type, 64);
  float *back = elements(FLOATS, 64);
  table->from_float(values, out, 64);
  table->to_float(out, back, 64);
  keep(list, EXACT, type, out, 64, "from_float");
  keep(list, EXACT, FLOATS, back, 64, "to_float");
}

void run_table(const rfm_kernel_table *table, enum type type, int dyadic, results *list) {
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    for (int rectified = 0; rectified < 2; rectified++) {
      draws from = {100 + i, dyadic};
      place at = {.H = shapes[i][0], .W = shapes[i][1], .ld = shapes[i][2], .type = type};
      at.Ho = (at.H - 1) / 2 + 1, at.Wo = (at.W - 1) / 2 + 1;
      at.count = (size_t)at.H * at.W * at.ld, at.half = (size_t)at.Ho * at.Wo * at.ld;
      at.input = activation(&from, type, at.count, at.ld, rectified ? 0 : -INFINITY);
      at.skip = activation(&from, type, at.half, at.ld, -INFINITY);
      at.weights = drawn(&from, FLOATS, 9 * at.ld);
      at.coefficients = drawn(&from, FLOATS, 3 * at.ld);
      at.gradient = drawn(&from, type, at.count);
      at.half_gradient = drawn(&from, type, at.half);
      depthwise(table, &at, 0, at.H, list);
      if (at.H > 1) {
        depthwise(table, &at, 0, at.H / 2, list);
        depthwise(table, &at, at.H / 2, at.H, list);
      }
      pooling(table, &at, list);
      rows(table, &at, list);
    }
  draws from = {7, dyadic};
  conversions(table, &from, type, list);
}
