// Padding, channels and the patches of an image with three channels.
#include <string.h>

#include "CKernels.h"

void rfm_clear_padding(void *map, int pixels, int channels, int ld, int element) {
  const size_t from = (size_t)channels * element, size = (size_t)(ld - channels) * element;
  if (size == 0) return;
  char *pixel = (char *)map + from;
  for (ptrdiff_t p = 0; p < pixels; p++) memset(pixel + p * (ptrdiff_t)ld * element, 0, size);
}

void rfm_copy_channels(const void *in, int in_ld, int from, void *out, int out_ld, int to, int channels,
                       int pixels, int element) {
  const char *source = (const char *)in + (ptrdiff_t)from * element;
  char *target = (char *)out + (ptrdiff_t)to * element;
  for (ptrdiff_t p = 0; p < pixels; p++)
    memcpy(target + p * (ptrdiff_t)out_ld * element, source + p * (ptrdiff_t)in_ld * element,
           (size_t)channels * element);
}

// A copy of a few floats, without a call where there are as many as usual.
static inline void copy_floats(const float *in, float *out, ptrdiff_t count) {
  if (count == 4) memcpy(out, in, 4 * sizeof(float));
  else if (count == 8) memcpy(out, in, 8 * sizeof(float));
  else memcpy(out, in, (size_t)count * sizeof(float));
}

void rfm_group_patches(const float *in, float *out, int pixels, int taps, int ld, int groups, int each) {
  const ptrdiff_t K = (ptrdiff_t)taps * each;
  for (ptrdiff_t p = 0; p < pixels; p++, out += groups * K)
    for (ptrdiff_t t = 0; t < taps; t++, in += ld)
      for (ptrdiff_t g = 0; g < groups; g++) copy_floats(in + g * each, out + g * K + t * each, each);
}

void rfm_ungroup_patches(const float *in, float *out, int pixels, int taps, int ld, int groups,
                         int each) {
  const ptrdiff_t K = (ptrdiff_t)taps * each, used = (ptrdiff_t)groups * each;
  for (ptrdiff_t p = 0; p < pixels; p++, in += groups * K)
    for (ptrdiff_t t = 0; t < taps; t++, out += ld) {
      for (ptrdiff_t g = 0; g < groups; g++) copy_floats(in + g * K + t * each, out + g * each, each);
      memset(out + used, 0, (size_t)(ld - used) * sizeof(float));
    }
}

void rfm_image_patches(const float *image, float *out, const rfm_window *w, int top, int H, int r0,
                       int r1) {
  const ptrdiff_t size = w->size, K = size * size * 3;
  for (ptrdiff_t r = r0; r < r1; r++)
    for (ptrdiff_t ky = 0; ky < size; ky++) {
      const ptrdiff_t y = r * w->stride + ky * w->dilation - top;
      float *to = out + (r - r0) * w->Wo * K + ky * size * 3;
      if (y < 0 || y >= H) {
        for (ptrdiff_t x = 0; x < w->Wo; x++) memset(to + x * K, 0, (size_t)size * 3 * sizeof(float));
        continue;
      }
      const float *row = image + y * w->W * 3;
      for (ptrdiff_t x = 0; x < w->Wo; x++) {
        const ptrdiff_t first = x * w->stride - w->pad;
        if (w->dilation == 1 && first >= 0 && first + size <= w->W) {
          for (ptrdiff_t k = 0; k < 3 * size; k++) to[x * K + k] = row[3 * first + k];
          continue;
        }
        for (ptrdiff_t kx = 0; kx < size; kx++) {
          const ptrdiff_t i = first + kx * w->dilation;
          for (int c = 0; c < 3; c++)
            to[x * K + 3 * kx + c] = i >= 0 && i < w->W ? row[3 * i + c] : 0;
        }
      }
    }
}

void rfm_image_unpatches(const float *patches, float *dx, const rfm_window *w, int top, int H, int r0,
                         int r1) {
  const ptrdiff_t size = w->size, K = size * size * 3;
  for (ptrdiff_t r = r0; r < r1; r++)
    for (ptrdiff_t ky = 0; ky < size; ky++) {
      const ptrdiff_t y = r * w->stride + ky * w->dilation - top;
      if (y < 0 || y >= H) continue;
      float *row = dx + y * w->W * 3;
      const float *from = patches + (r - r0) * w->Wo * K + ky * size * 3;
      for (ptrdiff_t x = 0; x < w->Wo; x++)
        for (ptrdiff_t kx = 0; kx < size; kx++) {
          const ptrdiff_t i = x * w->stride + kx * w->dilation - w->pad;
          if (i < 0 || i >= w->W) continue;
          for (int c = 0; c < 3; c++) row[3 * i + c] += from[x * K + 3 * kx + c];
        }
    }
}
