// Rows of bfloat16 as float32 and back, for multiplies whose operands are stored as bfloat16 and whose arithmetic
// is float32.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

/// out (rows, columns) ← in (rows, ld), exact.
void rfm_bf16_widen(const uint16_t *in, int64_t rows, int64_t columns, int64_t ld, float *out);
/// out (rows, ld) ← in (rows, columns), to the nearest, ties to even; a NaN stays one. Columns beyond are left alone.
void rfm_bf16_narrow(const float *in, int64_t rows, int64_t columns, uint16_t *out, int64_t ld);

#pragma clang assume_nonnull end
