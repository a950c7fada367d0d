// The kernels compiled for avx512bf16: AVX-512 that also rounds to bfloat16 in one instruction; see
// target.inc.h.
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16"))), apply_to = function)

// Sixteen elements, to nearest, ties to even; a NaN stays one.
AI void store_rounded(uint16_t *p, vf v) {
  __m512 all;
  memcpy(&all, &v, sizeof all);
  const __m256bh rounded = _mm512_cvtneps_pbh(all);
  memcpy(p, &rounded, sizeof rounded);
}

#define TARGET avx512bf16
#define HAS_BF16_ROUNDING 1
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_avx512bf16 = {"avx512bf16", &table_f32_avx512bf16, &table_bf16_avx512bf16,
    &layers_f32_avx512bf16, &layers_bf16_avx512bf16};
#pragma clang attribute pop
#endif
