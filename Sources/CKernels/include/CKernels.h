// The network's kernels: everything in the step that is not a matrix multiply.
//
// Activations are NHWC. A tensor is `rows` pixels of `ld` elements, ld = the channel count rounded
// up to 16, so that every pixel starts a whole vector; elements are float32 or bfloat16 (`_f32`,
// `_bf16`). What travels between layers is the raw convolution output y; a consumer applies
// z = scale[c]·y + shift[c] and a = max(z, floor) as it loads (floor 0 is a ReLU, -inf none), so
// normalisation never makes a pass over memory of its own.
//
// One source serves every processor: it is compiled for AVX-512 and 64-bit Arm's NEON, each with and
// without bfloat16, for AVX2 and for any other, and `rfm_kernels` picks the best that this processor runs,
// or the one that RFM_KERNELS names. Beside it stands a plain version, element by element, that the others
// are compared with. What it deliberately isn't: a general operator library.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "bfloat16_multiply.h"
#include "bfloat16_rows.h"
#include "finite.h"
#include "gradient_compression.h"
#include "gradient_sum.h"
#include "layer_kernels.h"
#include "optimizers.h"
#include "processor_limits.h"

#pragma clang assume_nonnull begin

enum { RFM_VECTOR = 16 };

/// A lazily normalised activation: a(p, c) = max(scale[c]·data[p·ld + c] + shift[c], floor).
typedef struct {
  const void *data;    // (pixels, ld)
  const float *scale;  // (ld)
  const float *shift;  // (ld)
  float floor;         // 0: ReLU, -INFINITY: none
  int32_t ld;
} rfm_activation;

/// How a gradient that reaches a unit's input by another path joins it.
enum {
  RFM_RESIDUAL_NONE = 0,
  RFM_RESIDUAL_DENSE = 1,           // added to every pixel, after the ReLU's mask
  RFM_RESIDUAL_STRIDED = 2,         // added at even rows and columns, after the mask
  RFM_RESIDUAL_STRIDED_MASKED = 3,  // added at even rows and columns, before the mask
};

/// One element type's kernels. Pointers that may be null say so.
typedef struct {
  /// Depthwise 3×3, stride 1, padding 1, of rows [r0, r1) of one image:
  /// out(r, x, c) = Σ w(ky, kx, c)·a(r+ky-1, x+kx-1, c). weights (9, ld); out ((r1-r0)·W, ld).
  /// bits, if not null, receives one bit an element, a's ReLU mask, (H·W, ld/16) uint16.
  void (*depthwise_forward)(const rfm_activation *in, const float *weights, void *out,
                            uint16_t *_Nullable bits, int H, int W, int r0, int r1);
  /// The training backward of the same: from dd, the gradient of the depthwise output, rows
  /// [dd_row, …) of the image present,
  ///   da = Σ w(ky,kx)·dd(r-ky+1, x-kx+1), dz = da·[z > floor] (+ residual),
  ///   dw(ky,kx) += Σ a·dd(r-ky+1, x-kx+1), sums += (Σ dz, Σ dz·y).
  /// dz rows [r0, r1) written at their place in the image; sums (2, ld) double, may be null;
  /// dw (9, ld).
  void (*depthwise_backward)(const rfm_activation *in, const float *weights, const void *dd,
                             int dd_row, const void *_Nullable residual, int residual_kind,
                             void *dz, double *_Nullable sums, float *dw, int H, int W, int r0, int r1);
  /// The gradient to the input only, with the ReLU's mask as bits (null: there is no ReLU):
  /// out = scale·(da·mask + …).
  void (*depthwise_backward_input)(const void *dd, int dd_row, const float *weights,
                                   const uint16_t *_Nullable bits, const float *scale,
                                   const void *_Nullable residual,
                                   int residual_kind, void *out, int ld, int H, int W, int r0,
                                   int r1);
  /// sums (2, ld) += (Σ y, Σ y²) over `rows` pixels.
  void (*statistics)(const void *y, int rows, int ld, double *sums);
  /// sums (2, ld) += (Σ dz, Σ dz·y).
  void (*gradient_sums)(const void *dz, const void *y, int rows, int ld, double *sums);
  /// Batch norm's backward as an affine map: out = a·dz + b·y + c, coefficients (3, ld). y may be
  /// null: out = a·dz.
  void (*affine_gradient)(const void *dz, const void *_Nullable y, const float *coefficients, void *out,
                          int rows, int ld);
  /// 3×3 max pooling, stride 2, padding 1, of the normalised y, plus the normalised shortcut:
  /// out(o) = max z(window) + skip(o); winner (Ho·Wo, ld) is the window position, first of equals;
  /// kept (Ho·Wo, ld), if not null, receives y there.
  void (*pool_forward)(const rfm_activation *y, const rfm_activation *skip, void *out,
                       uint8_t *winner, void *_Nullable kept, int H, int W);
  /// Through the pooling and its batch norm: rows [r0, r1) of
  /// out = a·dz + b·y + c with dz(p) = Σ of dx over the windows that p won. y may be null.
  void (*pool_backward)(const void *dx, const uint8_t *winner, const void *_Nullable y,
                        const float *coefficients, void *out, int ld, int H, int W, int r0, int r1);
  /// out (Ho·Wo, ld) = a at even rows and columns: a strided 1×1 shortcut's input.
  void (*gather_strided)(const rfm_activation *in, void *out, int H, int W);
  /// float32 to elements and back, `count` a multiple of 16.
  void (*from_float)(const float *in, void *out, size_t count);
  void (*to_float)(const void *in, float *out, size_t count);
} rfm_kernel_table;

typedef struct {
  const char *name;  // "avx512bf16", "avx512", "avx2" or "generic"; "neonbf16" or "neon"; "plain"
  const rfm_kernel_table *f32;
  const rfm_kernel_table *bf16;
  /// Those of any size, stride and padding.
  const rfm_layer_kernels *f32_layers;
  const rfm_layer_kernels *bf16_layers;
} rfm_kernels_t;

/// The kernels for this processor, or those that the environment variable RFM_KERNELS names;
/// null if it names some that this processor can't run.
const rfm_kernels_t *_Nullable rfm_kernels(void);
/// The path with that name if this processor runs it, else null.
const rfm_kernels_t *_Nullable rfm_kernels_named(const char *name);

/// out += in.
void rfm_accumulate(float *out, const float *in, size_t count);
void rfm_accumulate_double(double *out, const float *in, size_t count);
/// From now on denormals count as zero in this thread: they carry nothing and cost a hundred cycles
/// each. Nothing on processors other than x86-64 and 64-bit Arm. Returns what `rfm_restore_denormals` takes.
uint32_t rfm_flush_denormals(void);
void rfm_restore_denormals(uint32_t state);
/// A hint that this thread spins.
void rfm_pause(void);
/// This processor runs bfloat16 dot products.
int rfm_has_bfloat16(void);
/// This processor multiplies whole bfloat16 tiles (AMX).
int rfm_has_matrix_tiles(void);

#pragma clang assume_nonnull end
