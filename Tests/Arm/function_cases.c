#include <math.h>
#include <string.h>

#include "cases.h"

// Lengths around those of vectors and of pieces.
static const int counts[] = {0, 1, 7, 16, 33, 1000, 1024, 2500};

static void optimizers(draws *from, int count, results *list) {
  const float *gradients = drawn(from, FLOATS, count);
  for (int decoupled = 0; decoupled < 2; decoupled++) {
    float *weights = drawn(from, FLOATS, count), *means = drawn(from, FLOATS, count);
    float *squares = drawn(from, FLOATS, count);
    for (int i = 0; i < count; i++) squares[i] = fabsf(squares[i]);
    const rfm_adam_step step = {0.5f,  0.1f,  0.999f, 0.001f, 3e-3f,
                                0.25f, 1e-8f, decoupled ? 0 : 0.01f, decoupled ? 0.99f : 1};
    rfm_adam_update(weights, gradients, means, squares, count, step);
    keep(list, ROUNDED, FLOATS, weights, count, "weights after Adam %d of %d", decoupled, count);
    keep(list, ROUNDED, FLOATS, means, count, "means after Adam %d of %d", decoupled, count);
    keep(list, ROUNDED, FLOATS, squares, count, "squares after Adam %d of %d", decoupled, count);
  }
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    float *weights = drawn(from, FLOATS, count), *velocities = drawn(from, FLOATS, count);
    rfm_sgd_update(weights, gradients, velocities, count, (rfm_sgd_step){0.5f, 0.1f, 0.9f, 0.01f, nesterov});
    keep(list, ROUNDED, FLOATS, weights, count, "weights after SGD %d of %d", nesterov, count);
    keep(list, ROUNDED, FLOATS, velocities, count, "velocities after SGD %d of %d", nesterov, count);
  }
}

static void sums(draws *from, int count, results *list) {
  enum { RANKS = 6 };
  float *a = drawn(from, FLOATS, count), *arenas[RANKS];
  double *wide = drawn(from, DOUBLES, count);
  rfm_accumulate_double(wide, a, count);
  keep(list, SUMS, DOUBLES, wide, count, "accumulate_double of %d", count);
  rfm_accumulate(a, drawn(from, FLOATS, count), count);
  keep(list, SUMS, FLOATS, a, count, "accumulate of %d", count);
  uint16_t *packed = elements(BFLOATS, (size_t)RANKS * count), *sum = elements(BFLOATS, count);
  for (int r = 0; r < RANKS; r++) {
    arenas[r] = drawn(from, FLOATS, count);
    if (count > 7) arenas[r][7] = r == 2 ? -NAN : INFINITY;
    rfm_gradients_pack(arenas[r], packed + (size_t)r * count, count);
  }
  keep(list, EXACT, BFLOATS, packed, (size_t)RANKS * count, "gradients_pack of %d", count);
  rfm_gradients_unpack(packed, a, count);
  keep(list, EXACT, FLOATS, a, count, "gradients_unpack of %d", count);
  rfm_gradients_sum(packed, RANKS, count, sum, count);
  keep(list, EXACT, BFLOATS, sum, count, "gradients_sum of %d", count);
  const double finite = rfm_gradients_share(arenas, RANKS, 0, count, RANKS);
  keep(list, EXACT, DOUBLES, &finite, 1, "gradients_share of %d: finite", count);
  keep(list, EXACT, FLOATS, arenas[RANKS - 1], count, "gradients_share of %d", count);
}

static void finiteness(int count, results *list) {
  float *values = elements(FLOATS, count);
  double *wide = elements(DOUBLES, count), found[3] = {0};
  uint16_t *narrow = elements(BFLOATS, count);
  const float some[] = {0, -0.0f, 1e-45f, -3.4028235e38f, 1e38f}, bad[] = {INFINITY, -INFINITY, NAN};
  for (int place = -1; place < count; place++) {
    for (int i = 0; i < count; i++) {
      values[i] = i == place ? bad[place % 3] : some[i % 5];
      wide[i] = values[i] * (i == place ? 1 : 1e200);
      memcpy(narrow + i, (const char *)(values + i) + 2, 2);
    }
    found[0] += rfm_all_finite(values, count);
    found[1] += rfm_all_finite_bf16(narrow, count);
    found[2] += rfm_all_finite_double(wide, count);
  }
  // Once each: where nothing is bad.
  const double once[] = {1, 1, 1};
  if (memcmp(found, once, sizeof found)) fail("all_finite of %d: %g %g %g", count, found[0], found[1], found[2]);
  keep(list, EXACT, DOUBLES, found, 3, "all_finite of %d", count);
}

static void channels(draws *from, results *list) {
  enum { PIXELS = 5, TAPS = 4, LD = 32 };
  float *map = drawn(from, FLOATS, PIXELS * TAPS * LD), *out = elements(FLOATS, PIXELS * TAPS * LD);
  float *back = elements(FLOATS, PIXELS * TAPS * LD);
  const int groups[][2] = {{2, 3}, {7, 4}, {3, 8}, {1, 20}};
  for (int i = 0; i < 4; i++) {
    const int many = groups[i][0], each = groups[i][1];
    rfm_group_patches(map, out, PIXELS, TAPS, LD, many, each);
    keep(list, EXACT, FLOATS, out, (size_t)PIXELS * TAPS * many * each, "group_patches %d", i);
    rfm_ungroup_patches(out, back, PIXELS, TAPS, LD, many, each);
    keep(list, EXACT, FLOATS, back, PIXELS * TAPS * LD, "ungroup_patches %d", i);
  }
  rfm_copy_channels(map, LD, 3, out, 16, 5, 9, PIXELS, 4);
  rfm_clear_padding(out, PIXELS, 14, 16, 4);
  keep(list, EXACT, FLOATS, out, PIXELS * 16, "copy_channels and clear_padding");
  const int windows[][4] = {{3, 2, 0, 1}, {3, 1, 1, 1}, {7, 2, 3, 1}, {3, 1, 2, 2}};
  for (int i = 0; i < 4; i++) {
    enum { H = 9, W = 11 };
    const int size = windows[i][0], stride = windows[i][1], pad = windows[i][2];
    const int reach = (size - 1) * windows[i][3] + 1, K = size * size * 3;
    const rfm_window w = {size, stride, pad, windows[i][3], W, (W + 2 * pad - reach) / stride + 1};
    const int Ho = (H + 2 * pad - reach) / stride + 1;
    float *patches = elements(FLOATS, (size_t)Ho * w.Wo * K), *dx = drawn(from, FLOATS, H * W * 3);
    rfm_image_patches(drawn(from, FLOATS, H * W * 3), patches, &w, pad, H, 0, Ho);
    keep(list, EXACT, FLOATS, patches, (size_t)Ho * w.Wo * K, "image_patches %d", i);
    rfm_image_unpatches(patches, dx, &w, pad, H, 0, Ho);
    keep(list, ROUNDED, FLOATS, dx, H * W * 3, "image_unpatches %d", i);
  }
}

void run_functions(results *list) {
  draws from = {5, 0};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    optimizers(&from, counts[i], list);
    sums(&from, counts[i], list);
    if (counts[i] < 100) finiteness(counts[i], list);
  }
  channels(&from, list);
}
