// The kernels compiled for generic: see target.inc.h.
#include "CKernels.h"
#include "vector.h"
#include "tables.h"

#define TARGET generic
#include "target.inc.h"
const rfm_kernels_t rfm_kernels_generic = {"generic", &table_f32_generic, &table_bf16_generic,
    &layers_f32_generic, &layers_bf16_generic};
