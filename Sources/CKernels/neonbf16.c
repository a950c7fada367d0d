// The kernels compiled for neonbf16: 64-bit Arm that also rounds to bfloat16 in one instruction; see
// target.inc.h.
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#pragma clang attribute push(__attribute__((target("bf16"))), apply_to = function)

// Eight elements, to nearest, ties to even; a NaN stays one.
AI void store_rounded(uint16_t *p, vf v) {
  float32x4_t low, high;
  memcpy(&low, &v, sizeof low);
  memcpy(&high, (const char *)&v + sizeof low, sizeof high);
  const bfloat16x8_t rounded = vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(low), high);
  memcpy(p, &rounded, sizeof rounded);
}

#define TARGET neonbf16
#define HAS_BF16_ROUNDING 1
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_neonbf16 = {"neonbf16", &table_f32_neonbf16, &table_bf16_neonbf16,
    &layers_f32_neonbf16, &layers_bf16_neonbf16};
#pragma clang attribute pop
#endif
