// How operands of bfloat16_multiply.h are cut into panels; the same for every processor.
#pragma once
#include "bfloat16_multiply.h"

enum { LANES = 16, PANEL = 3, BLOCK = RFM_BF16_BLOCK };

static inline int64_t vectors_of(int64_t n) { return (n + LANES - 1) / LANES; }

// Vectors of the panel that starts at vector v of `vectors`. Four left over make two panels of two:
// a lone vector would leave the processor waiting for its own results.
static inline int64_t panel_width(int64_t v, int64_t vectors) {
  const int64_t left = vectors - v;
  return left == PANEL + 1 ? 2 : left < PANEL ? left : PANEL;
}

// First vector of a panel: only the last two of a row of panels may be narrower.
static inline int64_t panel_start(int64_t panel, int64_t vectors) {
  int64_t v = 0;
  for (int64_t i = 0; i < panel; i++) v += panel_width(v, vectors);
  return v;
}
