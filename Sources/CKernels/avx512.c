// The kernels compiled for avx512: see target.inc.h.
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#define TARGET avx512
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_avx512 = {"avx512", &table_f32_avx512, &table_bf16_avx512,
    &layers_f32_avx512, &layers_bf16_avx512};
#pragma clang attribute pop
#endif
