#include "gradient_sum.h"

#include <string.h>

#include "clones.h"
#include "finite.h"

// Pieces of which a few levels stay in the first-level cache.
enum { PIECE = 1024 };

RFM_CLONES
static void add(float *restrict sum, const float *restrict other, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] += other[i];
}

int rfm_gradients_share(
    float *const *arenas, size_t ranks, size_t start, size_t count, size_t receivers) {
  size_t leaves = 1;
  while (2 * leaves <= ranks) leaves *= 2;
  size_t pairs = ranks - leaves;
  int finite = 1;
  float sums[RFM_SUM_LEVELS][PIECE];
  for (size_t end = start + count; start < end; start += PIECE) {
    size_t n = end - start < PIECE ? end - start : PIECE;
    // Sums of 1, 2, 4, … leaves that wait for a neighbour of the same size, the largest first.
    size_t waiting = 0;
    for (size_t leaf = 0; leaf < leaves; leaf++) {
      float *sum = sums[waiting++];
      size_t rank = leaf < pairs ? 2 * leaf : leaf + pairs;
      memcpy(sum, arenas[rank] + start, n * sizeof *sum);
      if (leaf < pairs) add(sum, arenas[rank + 1] + start, n);
      for (size_t done = leaf + 1; done % 2 == 0; done /= 2, waiting--) {
        add(sums[waiting - 2], sums[waiting - 1], n);
      }
    }
    finite &= rfm_all_finite(sums[0], n);
    for (size_t r = 0; r < receivers; r++) memcpy(arenas[r] + start, sums[0], n * sizeof(float));
  }
  return finite;
}
