// oneDNN's matrix multiplies behind plain C: matrices are row-major.
#pragma once
#include <stdint.h>

/// Keeps oneDNN to the calling thread. Call once in every thread that multiplies.
void rfm_onednn_single_thread(void);
/// c (m, n) = op(a)·op(b) (+ c if accumulate) in float32; leading dimensions in elements. Returns
/// 0, or oneDNN's status.
int rfm_onednn_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                     const float *a, int64_t lda, const float *b, int64_t ldb, int accumulate,
                     float *c, int64_t ldc);
/// The same with bfloat16 a and b and float32 accumulation; c is bfloat16, or float32 if
/// c_is_float. A shape's kernel is made at its first use and kept for the thread.
int rfm_onednn_bgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                     const uint16_t *a, int64_t lda, const uint16_t *b, int64_t ldb, int accumulate,
                     void *c, int c_is_float, int64_t ldc);
/// "2.6.3".
const char *rfm_onednn_version(void);
