// Plain sums.
#include "CKernels.h"

void rfm_accumulate_double(double *restrict out, const float *restrict in, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] += in[i];
}

void rfm_accumulate(float *restrict out, const float *restrict in, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] += in[i];
}
