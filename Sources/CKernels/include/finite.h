#pragma once

#include <stddef.h>
#include <stdint.h>

// Whether numbers are finite. One pass over memory, without a branch an element: fast enough for every
// step of a training.

/// 1 where no element is an infinity or a NaN, else 0.
int rfm_all_finite(const float *values, size_t count);

/// The same of bfloat16, the upper half of a float32's bits.
int rfm_all_finite_bf16(const uint16_t *values, size_t count);

/// The same of double precision.
int rfm_all_finite_double(const double *values, size_t count);
