#pragma once

#include <stddef.h>

// Sums of gradients that several ranks of a host hold in memory which all of them see.

/// Most levels of sums of sums: ranks of a host up to 2¹⁵.
enum { RFM_SUM_LEVELS = 16 };

/// arenas[r][i] ← Σ arenas[s][i] over s = 0 … ranks − 1, for r < receivers and start ≤ i < start + count;
/// the arenas after those stay as they are.
///
/// Added in float32 in the order of Rabenseifner's algorithm, so that sums by messages have the same
/// bits: with p the largest power of two up to `ranks`, the first 2 (ranks − p) ranks are added in
/// pairs; then neighbours among the p that there are now, then neighbours among those sums, and on.
///
/// Returns 1 where every sum is finite, else 0.
int rfm_gradients_share(
    float *_Nonnull const *_Nonnull arenas, size_t ranks, size_t start, size_t count,
    size_t receivers);
