#include "COpenBLAS.h"

#include <cblas.h>

void rfm_openblas_single_thread(void) { openblas_set_num_threads(1); }

void rfm_openblas_sgemm(int transpose_a, int transpose_b, int64_t m, int64_t n, int64_t k,
                        const float *a, int64_t lda, const float *b, int64_t ldb, int accumulate,
                        float *c, int64_t ldc) {
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
              transpose_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, a, (int)lda, b,
              (int)ldb, accumulate ? 1.0f : 0.0f, c, (int)ldc);
}

const char *rfm_openblas_configuration(void) { return openblas_get_config(); }
