// The tables of the targets, for the dispatcher.
#pragma once
#include "CKernels.h"

extern const rfm_kernels_t rfm_kernels_plain;
#if defined(__aarch64__)
extern const rfm_kernels_t rfm_kernels_neon;
extern const rfm_kernels_t rfm_kernels_neonbf16;
#else
extern const rfm_kernels_t rfm_kernels_generic;
#endif
#if defined(__x86_64__)
extern const rfm_kernels_t rfm_kernels_avx2;
extern const rfm_kernels_t rfm_kernels_avx512;
extern const rfm_kernels_t rfm_kernels_avx512bf16;
#endif
