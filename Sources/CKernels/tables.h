// The tables of the targets, for the dispatcher.
#pragma once
#include "CKernels.h"

extern const rfm_kernels_t rfm_kernels_generic;
#if defined(__x86_64__)
extern const rfm_kernels_t rfm_kernels_avx2;
extern const rfm_kernels_t rfm_kernels_avx512;
extern const rfm_kernels_t rfm_kernels_avx512bf16;
#endif
