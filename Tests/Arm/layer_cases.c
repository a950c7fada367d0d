#include <math.h>
#include <string.h>

#include "cases.h"

// Pixels, channels as stored; a group of channels alone, and more pixels than are summed at a time.
static const int maps[][2] = {{1, 16}, {7, 48}, {300, 32}};

// What leaves a dyadic number dyadic, and its slope.
static int stays_dyadic(int activation) {
  return activation == RFM_IDENTITY || activation == RFM_RELU || activation == RFM_RELU6;
}

static rfm_view view(draws *from, enum type type, int pixels, int ld, int activation, int gated) {
  return (rfm_view){drawn(from, type, (size_t)pixels * ld),
                    drawn(from, FLOATS, ld),
                    drawn(from, FLOATS, ld),
                    gated ? drawn(from, FLOATS, ld) : 0,
                    0.25f,
                    activation,
                    ld};
}

static void views(const rfm_layer_kernels *layers, enum type type, draws *from, int pixels, int ld,
                  int activation, results *list) {
  const size_t count = (size_t)pixels * ld;
  rfm_view plain = view(from, type, pixels, ld, activation, 0);
  rfm_view gated = view(from, type, pixels, ld, activation, 1);
  void *out = elements(type, count);
  float *floats = elements(FLOATS, ld);
#define MAP "activation %d, %dx%d"
#define THIS activation, pixels, ld
  layers->load(&plain, out, pixels);
  keep(list, SUMS, type, out, count, "load of " MAP, THIS);
  layers->load(&gated, out, pixels);
  keep(list, SUMS, type, out, count, "load with a gate of " MAP, THIS);
  layers->load_sum(&plain, &gated, out, pixels);
  keep(list, SUMS, type, out, count, "load_sum of " MAP, THIS);
  layers->mean(&gated, floats, pixels);
  keep(list, ROUNDED, FLOATS, floats, ld, "mean of " MAP, THIS);

  const void *da = drawn(from, type, count), *existing = drawn(from, type, count);
  const float *uniform = drawn(from, FLOATS, ld);
  // Map, uniform, existing, defers.
  const int ways[][4] = {{1, 0, 0, 1}, {1, 1, 1, 1}, {1, 0, 1, 0}, {0, 1, 1, 1}, {0, 1, 0, 1}};
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    const int *way = ways[i];
    double *sums = elements(DOUBLES, 2 * ld);
    for (int c = 0; c < 2 * ld; c++) sums[c] = 1;
    void *d = elements(type, count);
    layers->unload(&plain, 0, way[0] ? da : 0, way[1] ? uniform : 0, way[2] ? existing : 0, way[3], d, sums,
                   pixels);
    keep(list, SUMS, type, d, count, "unload, way %zu, of " MAP, i, THIS);
    keep(list, ROUNDED, DOUBLES, sums, 2 * ld, "its sums");
    if (activation > RFM_LEAKY_RELU) continue;
    uint16_t *bits = elements(WORDS, count / 16);
    layers->mask(&plain, bits, pixels);
    keep(list, EXACT, WORDS, bits, count / 16, "mask of " MAP, THIS);
    d = elements(type, count);
    layers->unload(&plain, bits, way[0] ? da : 0, way[1] ? uniform : 0, way[2] ? existing : 0, way[3], d, 0,
                   pixels);
    keep(list, SUMS, type, d, count, "unload by bits, way %zu, of " MAP, i, THIS);
  }
  for (int adds = 0; adds < 2; adds++) {
    float *gradient = elements(FLOATS, ld);
    for (int c = 0; c < ld; c++) gradient[c] = 1;
    void *d = elements(type, count);
    layers->unload_gate(&gated, da, adds ? existing : 0, d, gradient, pixels);
    keep(list, SUMS, type, d, count, "unload_gate %d of " MAP, adds, THIS);
    keep(list, ROUNDED, FLOATS, gradient, ld, "its gate's gradient");
  }
#undef MAP
#undef THIS
}

// The functions from far below to far above, and no number where there is none.
static void functions(const rfm_layer_kernels *layers, enum type type, results *list) {
  enum { COUNT = 4096 };
  float *values = elements(FLOATS, COUNT), *ones = elements(FLOATS, 16), *zeros = elements(FLOATS, 16);
  const float ends[] = {-1e30f, -200, -90, 90, 200, 1e30f, 1e-30f, 0, INFINITY, NAN};
  for (int i = 0; i < COUNT; i++) values[i] = (float)(i - COUNT / 2) / 64;
  memcpy(values, ends, sizeof ends);
  for (int i = 0; i < 16; i++) ones[i] = 1, zeros[i] = 0;
  // Not from the kernels under test, which convert too.
  uint16_t *narrow = elements(BFLOATS, COUNT);
  for (int i = 0; i < COUNT; i++) memcpy(narrow + i, (const char *)(values + i) + 2, 2);
  for (int activation = RFM_SILU; activation <= RFM_SIGMOID; activation++) {
    const rfm_view all = {type == FLOATS ? (void *)values : narrow, ones, zeros, 0, 0, activation, 16};
    void *out = elements(type, COUNT);
    layers->load(&all, out, COUNT / 16);
    // The far ends, where a sum over all would be theirs alone, are the Swift tests' business.
    keep(list, ROUNDED, type, (char *)out + 16 * (type == FLOATS ? 4 : 2), COUNT - 16,
         "function %d", activation);
  }
}

// Taps, stride, padding, dilation.
static const int windows[][4] = {{3, 1, 1, 1}, {3, 2, 1, 1}, {3, 2, 0, 1}, {5, 1, 2, 1}, {5, 2, 2, 1},
                                 {7, 1, 3, 1}, {1, 2, 0, 1}, {2, 2, 0, 1}, {4, 4, 0, 1}, {3, 1, 2, 2},
                                 {3, 1, 3, 3}, {7, 2, 3, 1}};

static void window(const rfm_layer_kernels *layers, enum type type, draws *from, const rfm_window *w,
                   int missing, int ld, results *list) {
  enum { MOST = 8 };
  const int size = w->size, taps = size * size;
  const size_t in = (size_t)w->W * ld, out = (size_t)w->Wo * ld;
  const void *rows[MOST], *gradients[MOST], *patches[MOST];
  const uint8_t *winners[MOST];
  int32_t heights[MOST];
  for (int k = 0; k < size; k++) {
    rows[k] = drawn(from, type, in);
    gradients[k] = drawn(from, type, out);
    patches[k] = drawn(from, type, out * taps);
    uint8_t *won = elements(BYTES, out);
    for (size_t i = 0; i < out; i++) won[i] = (uint8_t)(draw(from) % taps);
    winners[k] = won;
    heights[k] = 1 + k;
    if (k == missing) rows[k] = gradients[k] = patches[k] = 0, winners[k] = 0;
  }
  const float *weights = drawn(from, FLOATS, (size_t)taps * ld);
  void *wide = elements(type, out * taps), *made = elements(type, out), *back = elements(type, in);
#define PLACE "%d taps, stride %d, padding %d, dilation %d, %d pixels, without row %d"
#define THIS size, w->stride, w->pad, w->dilation, w->W, missing
  layers->depthwise(rows, weights, made, w, ld);
  keep(list, SUMS, type, made, out, "depthwise: " PLACE, THIS);
  layers->depthwise_input(gradients, weights, back, w, ld);
  keep(list, SUMS, type, back, in, "depthwise_input: " PLACE, THIS);
  float *dw = elements(FLOATS, (size_t)taps * ld);
  for (int i = 0; i < taps * ld; i++) dw[i] = 1;
  layers->depthwise_weight(rows, drawn(from, type, out), dw, w, ld);
  keep(list, SUMS, FLOATS, dw, (size_t)taps * ld, "depthwise_weight: " PLACE, THIS);
  layers->patch(rows, wide, w, ld);
  keep(list, EXACT, type, wide, out * taps, "patch: " PLACE, THIS);
  layers->unpatch(patches, back, w, ld);
  keep(list, SUMS, type, back, in, "unpatch: " PLACE, THIS);
  // Poolings have no dilation, and no window in the padding alone.
  if (w->dilation != 1 || 2 * w->pad > size || (size == 1 && missing == 0)) return;
  uint8_t *winner = elements(BYTES, out);
  layers->max_pool(rows, made, winner, w, ld);
  keep(list, EXACT, type, made, out, "max_pool: " PLACE, THIS);
  keep(list, EXACT, BYTES, winner, out, "its winners");
  layers->max_unpool(gradients, winners, back, w, ld);
  keep(list, SUMS, type, back, in, "max_unpool: " PLACE, THIS);
  for (int counts = 0; counts < 2; counts++) {
    layers->average_pool(rows, made, w, counts, ld);
    keep(list, ROUNDED, type, made, out, "average_pool %d: " PLACE, counts, THIS);
    layers->average_unpool(gradients, heights, back, w, counts, ld);
    keep(list, ROUNDED, type, back, in, "average_unpool %d: " PLACE, counts, THIS);
  }
#undef PLACE
#undef THIS
}

static void norms(const rfm_layer_kernels *layers, enum type type, draws *from, int channels, int ld,
                  results *list) {
  enum { PIXELS = 9 };
  const size_t count = (size_t)PIXELS * ld;
  void *x = drawn(from, type, count), *dy = drawn(from, type, count);
  const size_t element = type == FLOATS ? 4 : 2;
  float *weight = drawn(from, FLOATS, ld), *bias = drawn(from, FLOATS, ld);
  for (int c = channels; c < ld; c++) weight[c] = bias[c] = 0;
  rfm_clear_padding(x, PIXELS, channels, ld, (int)element);
  rfm_clear_padding(dy, PIXELS, channels, ld, (int)element);
  void *out = elements(type, count);
  layers->layer_norm(x, weight, bias, 1e-3f, out, PIXELS, channels, ld);
  keep(list, ROUNDED, type, out, count, "layer_norm of %d channels", channels);
  for (int sums = 0; sums < 2; sums++) {
    double *total = elements(DOUBLES, 2 * ld);
    for (int c = 0; c < 2 * ld; c++) total[c] = 0;
    layers->layer_norm_backward(x, dy, weight, 1e-3f, out, sums ? total : 0, PIXELS, channels, ld);
    keep(list, ROUNDED, type, out, count, "layer_norm_backward of %d channels", channels);
    keep(list, ROUNDED, DOUBLES, total, 2 * ld, "sums of layer_norm_backward of %d channels", channels);
  }
}

void run_layers(const rfm_layer_kernels *layers, enum type type, int dyadic, results *list) {
  draws from = {1, dyadic};
  for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
    for (int activation = RFM_IDENTITY; activation <= RFM_SIGMOID; activation++)
      if (!dyadic || stays_dyadic(activation))
        views(layers, type, &from, maps[i][0], maps[i][1], activation, list);
  if (!dyadic) functions(layers, type, list);
  const int widths[] = {1, 4, 11, 19};
  for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
    for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
      const int size = windows[i][0], stride = windows[i][1], pad = windows[i][2];
      const int reach = (size - 1) * windows[i][3] + 1;
      if (widths[k] + 2 * pad < reach) continue;
      const rfm_window w = {size, stride, pad, windows[i][3], widths[k],
                            (widths[k] + 2 * pad - reach) / stride + 1};
      window(layers, type, &from, &w, -1, 32, list);
      window(layers, type, &from, &w, 0, 16, list);
      window(layers, type, &from, &w, size - 1, 16, list);
    }
  norms(layers, type, &from, 32, 32, list);
  norms(layers, type, &from, 27, 48, list);
}
