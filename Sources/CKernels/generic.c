// The kernels compiled for any processor of this architecture: see target.inc.h. (Each of 64-bit Arm has
// vectors: neon.c.)
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#if !defined(__aarch64__)
#define TARGET generic
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_generic = {"generic", &table_f32_generic, &table_bf16_generic,
    &layers_f32_generic, &layers_bf16_generic};
#endif
