// The kernels compiled for neon, which every 64-bit Arm processor has: see target.inc.h.
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#if defined(__aarch64__)
#define TARGET neon
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_neon = {"neon", &table_f32_neon, &table_bf16_neon, &layers_f32_neon,
    &layers_bf16_neon};
#endif
