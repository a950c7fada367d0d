// The first convolution's patches: three channels, stride 2, no padding; and plain sums.
#include <string.h>

#include "CKernels.h"

void rfm_image_patches_f32(const float *image, float *out, int W, int Wo, int r0, int r1) {
  for (int r = r0; r < r1; r++)
    for (int ky = 0; ky < 3; ky++) {
      const float *row = image + (ptrdiff_t)(2 * r + ky) * W * 3;
      float *to = out + (ptrdiff_t)(r - r0) * Wo * 27 + 9 * ky;
      for (ptrdiff_t x = 0; x < Wo; x++)
        for (int k = 0; k < 9; k++) to[x * 27 + k] = row[x * 6 + k];
    }
}

void rfm_image_unpatch_f32(const float *patches, float *dx, int W, int Wo, int r0, int r1) {
  for (int r = r0; r < r1; r++)
    for (int ky = 0; ky < 3; ky++) {
      float *row = dx + (ptrdiff_t)(2 * r + ky) * W * 3;
      const float *from = patches + (ptrdiff_t)(r - r0) * Wo * 27 + 9 * ky;
      for (ptrdiff_t x = 0; x < Wo; x++)
        for (int k = 0; k < 9; k++) row[x * 6 + k] += from[x * 27 + k];
    }
}

void rfm_accumulate_double(double *restrict out, const float *restrict in, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] += in[i];
}

void rfm_accumulate(float *restrict out, const float *restrict in, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] += in[i];
}
