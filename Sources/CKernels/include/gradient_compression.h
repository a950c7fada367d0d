#pragma once

#include <stddef.h>
#include <stdint.h>

// Gradients as bfloat16 while they travel between ranks: the upper half of a float32, with 8 bits of
// precision and the whole range. Rounding is to the nearest, ties to even; NaN stays NaN.

/// packed[i] ← gradients[i], rounded: an error of at most 2⁻⁸ of the value.
void rfm_gradients_pack(const float *gradients, uint16_t *packed, size_t count);

/// gradients[i] ← packed[i], exact.
void rfm_gradients_unpack(const uint16_t *packed, float *gradients, size_t count);

/// sum[i] ← Σ parts[r · stride + i] over r = 0 … ranks − 1, added in float32 in that order, rounded
/// once. `sum` must not overlap `parts`.
void rfm_gradients_sum(
    const uint16_t *parts, size_t ranks, size_t stride, uint16_t *sum, size_t count);
