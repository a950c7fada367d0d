// The kernels as plain loops, for comparison: see plain.inc.h.
#include <math.h>
#include <string.h>

#include "CKernels.h"
#include "tables.h"

// MARK: What both element types share

// act(z); a NaN passes all of them.
static double activated(double z, int kind, double slope) {
  switch (kind) {
    case RFM_RELU: return z < 0 ? 0 : z;
    case RFM_RELU6: return z < 0 ? 0 : z > 6 ? 6 : z;
    case RFM_LEAKY_RELU: return z < 0 ? slope * z : z;
    case RFM_SILU: return z / (1 + exp(-z));
    case RFM_GELU: return z * 0.5 * erfc(-z * M_SQRT1_2);
    case RFM_HARD_SWISH: return z * (z < -3 ? 0 : z > 3 ? 6 : z + 3) / 6;
    case RFM_SIGMOID: return 1 / (1 + exp(-z));
    default: return z;
  }
}

// act'(z).
static double slope_at(double z, int kind, double slope) {
  const double sigmoid = 1 / (1 + exp(-z));
  switch (kind) {
    case RFM_RELU: return z > 0;
    case RFM_RELU6: return z > 0 && z < 6;
    case RFM_LEAKY_RELU: return z > 0 ? 1 : slope;
    case RFM_SILU: return sigmoid * (1 + z * (1 - sigmoid));
    case RFM_GELU:
      return 0.5 * erfc(-z * M_SQRT1_2) + z * exp(-0.5 * z * z) * 0.5 * M_SQRT1_2 * M_2_SQRTPI;
    case RFM_HARD_SWISH: return z > -3 ? (z < 3 ? (2 * z + 3) / 6 : 1) : 0;
    case RFM_SIGMOID: return sigmoid * (1 - sigmoid);
    default: return 1;
  }
}

static double rectified(double z, double floor) { return z < floor ? floor : z; }

static int bit_at(const uint16_t *bits, ptrdiff_t i) { return bits[i / 16] >> i % 16 & 1; }

static void set_bit(uint16_t *bits, ptrdiff_t i, int on) {
  const uint16_t bit = (uint16_t)(1u << i % 16);
  bits[i / 16] = (uint16_t)(on ? bits[i / 16] | bit : bits[i / 16] & ~bit);
}

static int is_inside(ptrdiff_t i, ptrdiff_t size) { return i >= 0 && i < size; }

// The pixel of a row that lies under tap k of the window at x, or -1: it lies outside.
static ptrdiff_t under(const rfm_window *w, ptrdiff_t x, ptrdiff_t k) {
  const ptrdiff_t i = x * w->stride + k * w->dilation - w->pad;
  return is_inside(i, w->W) ? i : -1;
}

// The window under whose tap k pixel x lies, or -1: there is none.
static ptrdiff_t over(const rfm_window *w, ptrdiff_t x, ptrdiff_t k) {
  const ptrdiff_t i = x + w->pad - k * w->dilation;
  return i >= 0 && i % w->stride == 0 && i / w->stride < w->Wo ? i / w->stride : -1;
}

// Taps of the window at x that lie inside of the row.
static int taps_inside(const rfm_window *w, ptrdiff_t x) {
  int count = 0;
  for (int k = 0; k < w->size; k++) count += under(w, x, k) >= 0;
  return count;
}

// What an average's sum is multiplied by, in the float32 of the other kernels.
static float share_of(int count) { return 1.0f / (float)count; }

// MARK: Each element type

#define ACT float
#define IS_BF16 0
#define NAME(x) x##_f32_plain
#include "plain.inc.h"
#include "plain_windows.inc.h"
#include "table.inc.h"
#undef ACT
#undef IS_BF16
#undef NAME

#define ACT uint16_t
#define IS_BF16 1
#define NAME(x) x##_bf16_plain
#include "plain.inc.h"
#include "plain_windows.inc.h"
#include "table.inc.h"
#undef ACT
#undef IS_BF16
#undef NAME

const rfm_kernels_t rfm_kernels_plain = {"plain", &table_f32_plain, &table_bf16_plain,
    &layers_f32_plain, &layers_bf16_plain};
