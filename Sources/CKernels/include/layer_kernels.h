#pragma once
#include <stddef.h>
#include <stdint.h>

// Kernels for each thing that a layer may do, of any size, stride and padding.
//
// As in CKernels.h, maps are NHWC, a pixel's channels padded to 16, and what is stored is a layer's raw
// output y. Its consumer loads a row of a(p, c) = act(scale[c]·y + shift[c])·gate[c] into memory that
// stays in its cache, once, and computes from there: so a kernel for a convolution need not know what
// stood before it. Kernels with `rows` take one address for each row of the window, from the top; a null
// row lies outside of the map and counts as zero. What is added to channels beyond the last is zero.

#pragma clang assume_nonnull begin

/// What an activation does with z.
enum {
  RFM_IDENTITY = 0,
  RFM_RELU = 1,
  RFM_RELU6 = 2,
  RFM_LEAKY_RELU = 3,  // slope·z below 0
  RFM_SILU = 4,        // z·σ(z)
  RFM_GELU = 5,        // z·Φ(z), by the error function
  RFM_HARD_SWISH = 6,  // z·min(max(z + 3, 0), 6)/6
  RFM_SIGMOID = 7,
};

/// What a layer reads of a stored map: a(p, c) = act(scale[c]·data[p·ld + c] + shift[c])·gate[c].
typedef struct {
  const void *data;             // (pixels, ld)
  const float *scale;           // (ld)
  const float *shift;           // (ld)
  const float *_Nullable gate;  // (ld), or null: none
  float slope;                  // of RFM_LEAKY_RELU
  int32_t activation;
  int32_t ld;
} rfm_view;

/// A window that slides over a row: `size` taps, `dilation` apart, the first `pad` to the left of the
/// row's first pixel, moving by `stride`; W pixels go in, Wo come out.
typedef struct {
  int32_t size, stride, pad, dilation, W, Wo;
} rfm_window;

/// A row of a map, or of the winners of a pooling; null outside of the map.
typedef const void *_Nullable rfm_row;
typedef const uint8_t *_Nullable rfm_winners;

/// One element type's kernels.
typedef struct {
  /// out(p, c) = a(p, c).
  void (*load)(const rfm_view *in, void *out, int pixels);
  /// out = a + b.
  void (*load_sum)(const rfm_view *a, const rfm_view *b, void *out, int pixels);
  /// One bit an element, (pixels, ld/16): z lies where the activation's slope is 1 (ReLU and its
  /// relatives).
  void (*mask)(const rfm_view *in, uint16_t *bits, int pixels);
  /// mean(c) = (1/pixels) Σ a.
  void (*mean)(const rfm_view *in, float *mean, int pixels);
  /// The way back through a view without its gate. With g = da + uniform, each of which may be null:
  /// d = act'(z)·(g + existing) if `defers`, else act'(z)·g + existing; sums += (Σ d, Σ d·y).
  /// The slope is taken from `bits` if they are not null (then `in->data` is not read, and there are
  /// no sums).
  void (*unload)(const rfm_view *in, const uint16_t *_Nullable bits, const void *_Nullable da,
                 const float *_Nullable uniform, const void *_Nullable existing, int defers, void *out,
                 double *_Nullable sums, int pixels);
  /// The way back through a view's gate: out = da·gate (+ existing), gate_gradient(c) += Σ da·act(z).
  void (*unload_gate)(const rfm_view *in, const void *da, const void *_Nullable existing, void *out,
                      float *gate_gradient, int pixels);

  /// A row of a depthwise convolution: out(x, c) = Σ w(ky, kx, c)·rows[ky](x·stride +
  /// kx·dilation − pad, c). weights (size, size, ld).
  void (*depthwise)(const rfm_row *_Nonnull rows, const float *weights, void *out,
                    const rfm_window *window, int ld);
  /// A row of its input's gradient: out(x, c) = Σ w(ky, kx, c)·rows[ky](q, c) over q·stride +
  /// kx·dilation − pad = x, rows[ky] the row of the output's gradient that tap row ky pairs with this row.
  void (*depthwise_input)(const rfm_row *_Nonnull rows, const float *weights, void *out,
                          const rfm_window *window, int ld);
  /// Its weights' gradient by one row of the output's: dw(ky, kx, c) += Σ rows[ky](x·stride +
  /// kx·dilation − pad, c)·dy(x, c).
  void (*depthwise_weight)(const rfm_row *_Nonnull rows, const void *dy, float *dw,
                           const rfm_window *window, int ld);

  /// A row of patches: out (Wo, size, size, ld).
  void (*patch)(const rfm_row *_Nonnull rows, void *out, const rfm_window *window, int ld);
  /// The inverse: out(x, c) = Σ rows[ky](q, ky, kx, c) over q·stride + kx·dilation − pad = x, in rows of
  /// patch gradients.
  void (*unpatch)(const rfm_row *_Nonnull rows, void *out, const rfm_window *window, int ld);

  /// A row of maxima, and the place ky·size + kx of the first of the largest in its window. What lies
  /// outside of the map is never the largest; a NaN is.
  void (*max_pool)(const rfm_row *_Nonnull rows, void *out, uint8_t *winner,
                   const rfm_window *window, int ld);
  /// The inverse: out(x, c) = Σ rows[ky](q, c) over the windows q that x has won.
  void (*max_unpool)(const rfm_row *_Nonnull rows, const rfm_winners *_Nonnull winners,
                     void *out, const rfm_window *window, int ld);

  /// A row of means over windows: of the pixels inside of the map, or with `counts_padding` over all
  /// places of the window, those outside as zeros.
  void (*average_pool)(const rfm_row *_Nonnull rows, void *out, const rfm_window *window,
                       int counts_padding, int ld);
  /// The inverse: out(x, c) = Σ rows[ky](q, c)/count over the windows q that x lies in. heights[ky]: rows
  /// of that window inside of the map.
  void (*average_unpool)(const rfm_row *_Nonnull rows, const int32_t *heights, void *out,
                         const rfm_window *window, int counts_padding, int ld);

  /// Over the channels of each pixel: out = γ·(x − μ)/√(σ² + ε) + β. weight, bias (ld), zero beyond
  /// `channels`.
  void (*layer_norm)(const void *x, const float *weight, const float *bias, float epsilon, void *out,
                     int pixels, int channels, int ld);
  /// Its input's gradient, and sums (2, ld) += (Σ dy, Σ dy·x̂) if not null. With ŷ = γ·dy:
  /// dx = (ŷ − mean(ŷ) − x̂·mean(ŷ·x̂))/√(σ² + ε).
  void (*layer_norm_backward)(const void *x, const void *dy, const float *weight, float epsilon,
                              void *dx, double *_Nullable sums, int pixels, int channels, int ld);
} rfm_layer_kernels;

/// Zeroes the channels from `channels` on of every pixel. Elements of 2 or 4 bytes.
void rfm_clear_padding(void *map, int pixels, int channels, int ld, int element);
/// Copies `channels` channels of every pixel from channel `from` of one map to channel `to` of another.
void rfm_copy_channels(const void *in, int in_ld, int from, void *out, int out_ld, int to, int channels,
                       int pixels, int element);
/// Patches by groups of channels: out (pixels, groups, taps, each) of in (pixels, taps, ld).
void rfm_group_patches(const float *in, float *out, int pixels, int taps, int ld, int groups, int each);
/// The inverse; channels beyond the last become zero.
void rfm_ungroup_patches(const float *in, float *out, int pixels, int taps, int ld, int groups,
                         int each);
/// Rows [r0, r1) of the patches of a 3-channel image: out ((r1−r0)·Wo, size·size·3), columns ordered
/// (ky, kx, c), zero outside of the image. `top`: rows of padding above; H rows in the image.
void rfm_image_patches(const float *image, float *out, const rfm_window *window, int top, int H, int r0,
                       int r1);
/// Adds the patch gradients of output rows [r0, r1) to dx (H, W, 3).
void rfm_image_unpatches(const float *patches, float *dx, const rfm_window *window, int top, int H,
                         int r0, int r1);

#pragma clang assume_nonnull end
