// OpenBLAS behind plain C: matrices are row-major.
#pragma once
#include <stdint.h>

/// Keeps OpenBLAS to the calling thread: its own workers spin when idle, and ours do the splitting.
void rfm_openblas_single_thread(void);
/// c (m, n) = op(a)·op(b) (+ c if accumulate); leading dimensions in elements.
void rfm_openblas_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                        const float *a, int64_t lda, const float *b, int64_t ldb, int accumulate,
                        float *c, int64_t ldc);
/// Version, threading and the processor kernels in use.
const char *rfm_openblas_configuration(void);
