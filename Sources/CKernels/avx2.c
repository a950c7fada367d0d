// The kernels compiled for avx2: see target.inc.h.
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#define TARGET avx2
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_avx2 = {"avx2", &table_f32_avx2, &table_bf16_avx2,
    &layers_f32_avx2, &layers_bf16_avx2};
#pragma clang attribute pop
#endif
