// Depthwise 3×3 convolution, stride 1, padding 1, forward beside backward; included once a target
// and element type.
//
// A vector of channels slides along a row. Each new column of inputs is loaded and normalised
// once and added, times its three weights, to the three outputs it reaches; the accumulators stay
// in registers. Two output rows go together, so that four loads serve two outputs.

// The sums of a row of outputs that the columns of inputs up to here reach: those of the output before
// this column, at it and after it.
typedef struct {
  vf left, centre, right;
} NAME(outputs);

// Adds v, an element of this column, times a row of three weights.
AI void NAME(add)(NAME(outputs) *sum, const vf *w, vf v) {
  sum->left += w[2] * v;
  sum->centre += w[1] * v;
  sum->right += w[0] * v;
}

// The same for the first element of a column: nothing has reached the right output yet.
AI void NAME(begin)(NAME(outputs) *sum, const vf *w, vf v) {
  sum->left += w[2] * v;
  sum->centre += w[1] * v;
  sum->right = w[0] * v;
}

// To the next column.
AI void NAME(move)(NAME(outputs) *sum) {
  sum->left = sum->centre;
  sum->centre = sum->right;
}

// Adds a column of inputs to the outputs of the rows of v1 and, if `two`, of v2; w (3, 3). `top`,
// `bottom`: whether the row above, v0, and the one below lie inside the image.
AI void NAME(add_column)(NAME(outputs) *sum, const vf *w, vf v0, vf v1, vf v2, vf v3, int top,
                         int bottom, int two) {
  NAME(begin)(&sum[0], w + 3, v1);
  if (two) NAME(begin)(&sum[1], w, v1);
  if (top) NAME(add)(&sum[0], w, v0);
  if (two) {
    NAME(add)(&sum[0], w + 6, v2);
    NAME(add)(&sum[1], w + 3, v2);
  }
  if (bottom && two) NAME(add)(&sum[1], w + 6, v3);
  if (bottom && !two) NAME(add)(&sum[0], w + 6, v2);
}

// SLIDE(top, bottom, two) with constants in place of the variables of these names.
#define FOR_ROWS(SLIDE)                \
  if (two) {                           \
    if (top && bottom) SLIDE(1, 1, 1); \
    else if (top) SLIDE(1, 0, 1);      \
    else if (bottom) SLIDE(0, 1, 1);   \
    else SLIDE(0, 0, 1);               \
  } else {                             \
    if (top && bottom) SLIDE(1, 1, 0); \
    else if (top) SLIDE(1, 0, 0);      \
    else if (bottom) SLIDE(0, 1, 0);   \
    else SLIDE(0, 0, 0);               \
  }

#define WEIGHT(k) (*(const vf_any *)(weights + (k) * ld))

// Rows p0..p3 of the input at one vector of channels; two: two output rows or one. What is int is a
// constant where this is inlined.
AI void NAME(slide_forward)(const ACT *p0, const ACT *p1, const ACT *p2, const ACT *p3, int top,
                            int bottom, int two, int want_bits, vf scale, vf shift, vf floor,
                            const float *weights, ACT *out0, ACT *out1, lane_bits *bits0,
                            lane_bits *bits1, ptrdiff_t ld, ptrdiff_t bits_ld, ptrdiff_t W) {
  const vf w[9] = {WEIGHT(0), WEIGHT(1), WEIGHT(2), WEIGHT(3), WEIGHT(4),
                   WEIGHT(5), WEIGHT(6), WEIGHT(7), WEIGHT(8)};
  NAME(outputs) sum[2] = {{0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f}};
#define INPUT(p) (NAME(load)((p) + at) * scale + shift)
  for (ptrdiff_t x = 0; x < W; x++) {
    const ptrdiff_t at = x * ld;
    // What the next two rows of outputs will need.
    prefetch(p3 + W * ld + at);
    if (two) prefetch(p3 + 2 * W * ld + at);
    vf z0 = 0.0f, z1 = INPUT(p1), z2 = 0.0f, z3 = 0.0f;
    if (top) z0 = INPUT(p0);
    if (two || bottom) z2 = INPUT(p2);
    if (two && bottom) z3 = INPUT(p3);
    if (want_bits) bits0[x * bits_ld] = NAME(bits)(z1 > floor);
    if (want_bits && two) bits1[x * bits_ld] = NAME(bits)(z2 > floor);
    NAME(add_column)(sum, w, NAME(rectify)(z0, floor), NAME(rectify)(z1, floor),
                     NAME(rectify)(z2, floor), NAME(rectify)(z3, floor), top, bottom, two);
    if (x > 0) {
      NAME(store)(out0 + at - ld, sum[0].left);
      if (two) NAME(store)(out1 + at - ld, sum[1].left);
    }
    NAME(move)(&sum[0]);
    NAME(move)(&sum[1]);
  }
#undef INPUT
  NAME(store)(out0 + (W - 1) * ld, sum[0].left);
  if (two) NAME(store)(out1 + (W - 1) * ld, sum[1].left);
}

AI void NAME(depthwise_rows)(const rfm_activation *in, const float *weights, ACT *out,
                             lane_bits *bits, int want_bits, int H, int W, int r0, int r1) {
  const ptrdiff_t ld = in->ld, row = W * ld, bits_ld = ld / LANES;
  const ACT *data = in->data;
  const vf floor = in->floor;
  for (int r = r0; r < r1; r += 2) {
    const int two = r + 1 < r1;
    const int last = two ? r + 1 : r;
    const int top = r > 0, bottom = last + 1 < H;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      const ACT *p = data + r * row + c;
      ACT *o = out + (r - r0) * row + c;
      lane_bits *b = want_bits ? bits + (ptrdiff_t)r * W * bits_ld + c / LANES : 0;
      lane_bits *b1 = want_bits ? b + W * bits_ld : 0;
      const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
#define SLIDE(TOP, BOTTOM, TWO)                                                                  \
  NAME(slide_forward)(p - row, p, p + row, p + 2 * row, TOP, BOTTOM, TWO, want_bits, scale,      \
                      shift, floor, weights + c, o, o + row, b, b1, ld, bits_ld, W)
      FOR_ROWS(SLIDE)
#undef SLIDE
    }
  }
}

static void NAME(depthwise_forward)(const rfm_activation *in, const float *weights, void *out,
                                    uint16_t *bits, int H, int W, int r0, int r1) {
  if (bits) NAME(depthwise_rows)(in, weights, out, (lane_bits *)bits, 1, H, W, r0, r1);
  else NAME(depthwise_rows)(in, weights, out, 0, 0, H, W, r0, r1);
}

// One row of dz: dd's rows above, at and below it (null outside the image); r, x even places take
// a strided residual, whose row is `residual`.
AI void NAME(slide_backward)(const ACT *above, const ACT *at, const ACT *below, int top, int bottom,
                             const ACT *y, vf scale, vf shift, vf floor, const float *weights,
                             const ACT *residual, int kind, ACT *dz, vf *sum, vf *sum_y, vf *dw,
                             ptrdiff_t ld, int W) {
  // dw accumulators, tap (ky, kx) pairs a(r, x) with dd(r-ky+1, x-kx+1).
  vf g00 = dw[0], g01 = dw[1], g02 = dw[2], g10 = dw[3], g11 = dw[4], g12 = dw[5], g20 = dw[6],
     g21 = dw[7], g22 = dw[8];
  vf s = *sum, sy = *sum_y;
  const vf zero = 0.0f;
  // Three columns of dd: a (above), m (at), b (below) at x-1, x, x+1.
  vf a0 = zero, m0 = zero, b0 = zero;
  vf a1 = top ? NAME(load)(above) : zero, m1 = NAME(load)(at), b1 = bottom ? NAME(load)(below) : zero;
  for (ptrdiff_t x = 0; x < W; x++) {
    const ptrdiff_t p = x * ld;
    vf a2 = zero, m2 = zero, b2 = zero;
    if (x + 1 < W) {
      if (top) a2 = NAME(load)(above + p + ld);
      m2 = NAME(load)(at + p + ld);
      if (bottom) b2 = NAME(load)(below + p + ld);
    }
    prefetch(y + p + W * ld);  // the next row's
    prefetch_to_write(dz + p + W * ld);
    const vf value = NAME(load)(y + p);
    const vf z = value * scale + shift;
    const vf a = NAME(rectify)(z, floor);
    vf da = WEIGHT(3) * m2 + WEIGHT(4) * m1;
    da += WEIGHT(5) * m0;
    g10 += a * m2;
    g11 += a * m1;
    g12 += a * m0;
    if (top) {
      da += WEIGHT(6) * a2;
      da += WEIGHT(7) * a1;
      da += WEIGHT(8) * a0;
      g20 += a * a2;
      g21 += a * a1;
      g22 += a * a0;
    }
    if (bottom) {
      da += WEIGHT(0) * b2;
      da += WEIGHT(1) * b1;
      da += WEIGHT(2) * b0;
      g00 += a * b2;
      g01 += a * b1;
      g02 += a * b0;
    }
    if (kind == RFM_RESIDUAL_STRIDED_MASKED && !(x & 1)) da += NAME(load)(residual + (x >> 1) * ld);
    vf d = z > floor ? da : zero;
    if (kind == RFM_RESIDUAL_DENSE) d += NAME(load)(residual + p);
    if (kind == RFM_RESIDUAL_STRIDED && !(x & 1)) d += NAME(load)(residual + (x >> 1) * ld);
    NAME(store)(dz + p, d);
    s += d;
    sy += d * value;
    a0 = a1;
    a1 = a2;
    m0 = m1;
    m1 = m2;
    b0 = b1;
    b1 = b2;
  }
  dw[0] = g00, dw[1] = g01, dw[2] = g02, dw[3] = g10, dw[4] = g11, dw[5] = g12, dw[6] = g20,
  dw[7] = g21, dw[8] = g22;
  *sum = s;
  *sum_y = sy;
}

AI void NAME(depthwise_backward_kind)(const rfm_activation *in, const float *weights, const ACT *dd,
                                      int dd_row, const ACT *residual, int kind, ACT *dz,
                                      double *sums, float *dw, int H, int W, int r0, int r1) {
  const ptrdiff_t ld = in->ld, row = W * ld;
  const ptrdiff_t half = (ptrdiff_t)((W - 1) / 2 + 1) * ld;
  const ACT *y = in->data;
  const vf floor = in->floor;
  for (ptrdiff_t c = 0; c < ld; c += LANES) {
    const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
    vf g[9], sum = 0.0f, sum_y = 0.0f;
    for (int k = 0; k < 9; k++) g[k] = 0.0f;
    for (int r = r0; r < r1; r++) {
      const ACT *at = dd + (r - dd_row) * row + c;
      const ACT *res = 0;
      int here = RFM_RESIDUAL_NONE;
      if (kind == RFM_RESIDUAL_DENSE) res = residual + r * row + c, here = kind;
      else if (kind != RFM_RESIDUAL_NONE && !(r & 1)) res = residual + (r >> 1) * half + c, here = kind;
#define SLIDE(TOP, BOTTOM, KIND)                                                                  \
  NAME(slide_backward)(at - row, at, at + row, TOP, BOTTOM, y + r * row + c, scale, shift, floor, \
                       weights + c, res, KIND, dz + r * row + c, &sum, &sum_y, g, ld, W)
#define SLIDES(KIND)                          \
  do {                                        \
    if (r > 0 && r + 1 < H) SLIDE(1, 1, KIND); \
    else if (r > 0) SLIDE(1, 0, KIND);         \
    else if (r + 1 < H) SLIDE(0, 1, KIND);     \
    else SLIDE(0, 0, KIND);                    \
  } while (0)
      if (here == RFM_RESIDUAL_NONE) SLIDES(RFM_RESIDUAL_NONE);
      else SLIDES(kind);
#undef SLIDES
#undef SLIDE
    }
    for (int k = 0; k < 9; k++) *(vf_any *)(dw + k * ld + c) += g[k];
    if (sums) {
      NAME(add_double)(sums + c, sum);
      NAME(add_double)(sums + ld + c, sum_y);
    }
  }
}

static void NAME(depthwise_backward)(const rfm_activation *in, const float *weights, const void *dd,
                                     int dd_row, const void *residual, int kind, void *dz,
                                     double *sums, float *dw, int H, int W, int r0, int r1) {
#define KIND(K)                                                                                    \
  case K:                                                                                          \
    NAME(depthwise_backward_kind)(in, weights, dd, dd_row, residual, K, dz, sums, dw, H, W, r0, r1); \
    break
  switch (kind) {
    KIND(RFM_RESIDUAL_NONE);
    KIND(RFM_RESIDUAL_DENSE);
    KIND(RFM_RESIDUAL_STRIDED);
    KIND(RFM_RESIDUAL_STRIDED_MASKED);
  }
#undef KIND
}

// Two rows of the input gradient at a time: the forward's sliding accumulators with the kernel
// turned round, da(r, x) = Σ w(2-ky, 2-kx)·dd(r+ky-1, x+kx-1).
AI vf NAME(join)(vf da, lane_bits bits, vf scale, const ACT *residual, int kind, ptrdiff_t x,
                 ptrdiff_t ld) {
  if (kind == RFM_RESIDUAL_STRIDED_MASKED && !(x & 1)) da += NAME(load)(residual + (x >> 1) * ld);
  vf d = NAME(where)(bits, da);
  if (kind == RFM_RESIDUAL_DENSE) d += NAME(load)(residual + x * ld);
  if (kind == RFM_RESIDUAL_STRIDED && !(x & 1)) d += NAME(load)(residual + (x >> 1) * ld);
  return d * scale;
}

AI void NAME(slide_input)(const ACT *p0, const ACT *p1, const ACT *p2, const ACT *p3, int top,
                          int bottom, int two, const float *weights, int masked,
                          const lane_bits *bits0, const lane_bits *bits1, vf scale, const ACT *res0,
                          int kind0, const ACT *res1, int kind1, ACT *out0, ACT *out1, ptrdiff_t ld,
                          ptrdiff_t bits_ld, ptrdiff_t W) {
  const vf w[9] = {WEIGHT(8), WEIGHT(7), WEIGHT(6), WEIGHT(5), WEIGHT(4),
                   WEIGHT(3), WEIGHT(2), WEIGHT(1), WEIGHT(0)};
  NAME(outputs) sum[2] = {{0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f}};
  for (ptrdiff_t x = 0; x <= W; x++) {
    const ptrdiff_t at = x * ld;
    if (x < W) {
      vf v0 = 0.0f, v1 = NAME(load)(p1 + at), v2 = 0.0f, v3 = 0.0f;
      if (top) v0 = NAME(load)(p0 + at);
      if (two || bottom) v2 = NAME(load)(p2 + at);
      if (two && bottom) v3 = NAME(load)(p3 + at);
      NAME(add_column)(sum, w, v0, v1, v2, v3, top, bottom, two);
    }
    if (x > 0) {
      const lane_bits b0 = masked ? bits0[(x - 1) * bits_ld] : (lane_bits)~0;
      NAME(store)(out0 + at - ld, NAME(join)(sum[0].left, b0, scale, res0, kind0, x - 1, ld));
      if (two) {
        const lane_bits b1 = masked ? bits1[(x - 1) * bits_ld] : (lane_bits)~0;
        NAME(store)(out1 + at - ld, NAME(join)(sum[1].left, b1, scale, res1, kind1, x - 1, ld));
      }
    }
    NAME(move)(&sum[0]);
    NAME(move)(&sum[1]);
  }
}

AI void NAME(depthwise_backward_input_kind)(const ACT *dd, int dd_row, const float *weights,
                                            const lane_bits *bits, int masked, const float *scale,
                                            const ACT *residual, int kind, ACT *out, ptrdiff_t ld,
                                            int H, int W, int r0, int r1) {
  const ptrdiff_t row = W * ld, bits_ld = ld / LANES;
  const ptrdiff_t half = (ptrdiff_t)((W - 1) / 2 + 1) * ld;
  for (int r = r0; r < r1; r += 2) {
    const int two = r + 1 < r1;
    const int last = two ? r + 1 : r;
    const int top = r > 0, bottom = last + 1 < H;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      const ACT *p = dd + (r - dd_row) * row + c;
      ACT *o = out + r * row + c;
      const lane_bits *b = masked ? bits + (ptrdiff_t)r * W * bits_ld + c / LANES : 0;
      const lane_bits *b1 = masked ? b + W * bits_ld : 0;
      const vf s = *(const vf_any *)(scale + c);
      // A strided residual has a row for every even row: one of the two here, or none.
      const ACT *res0 = 0, *res1 = 0;
      int k0 = kind, k1 = kind;
      if (kind == RFM_RESIDUAL_DENSE) res0 = residual + r * row + c, res1 = res0 + row;
      else if (kind != RFM_RESIDUAL_NONE) {
        if (r & 1) k0 = RFM_RESIDUAL_NONE, res1 = residual + ((r + 1) >> 1) * half + c;
        else k1 = RFM_RESIDUAL_NONE, res0 = residual + (r >> 1) * half + c;
      }
#define SLIDE(TOP, BOTTOM, TWO)                                                                    \
  do {                                                                                             \
    if (k0 == k1)                                                                                  \
      NAME(slide_input)(p - row, p, p + row, p + 2 * row, TOP, BOTTOM, TWO, weights + c,           \
                        masked, b, b1, s, res0, kind, res1, kind, o, o + row, ld, bits_ld, W);     \
    else if (k1 == RFM_RESIDUAL_NONE)                                                              \
      NAME(slide_input)(p - row, p, p + row, p + 2 * row, TOP, BOTTOM, TWO, weights + c,           \
                        masked, b, b1, s, res0, kind, 0, 0, o, o + row, ld, bits_ld, W);           \
    else                                                                                           \
      NAME(slide_input)(p - row, p, p + row, p + 2 * row, TOP, BOTTOM, TWO, weights + c,           \
                        masked, b, b1, s, 0, 0, res1, kind, o, o + row, ld, bits_ld, W);           \
  } while (0)
      FOR_ROWS(SLIDE)
#undef SLIDE
    }
  }
}

static void NAME(depthwise_backward_input)(const void *dd, int dd_row, const float *weights,
                                           const uint16_t *bits, const float *scale,
                                           const void *residual, int kind, void *out, int ld, int H,
                                           int W, int r0, int r1) {
#define KIND(K)                                                                                   \
  case K:                                                                                         \
    if (bits)                                                                                     \
      NAME(depthwise_backward_input_kind)(dd, dd_row, weights, (const lane_bits *)bits, 1, scale, \
                                          residual, K, out, ld, H, W, r0, r1);                    \
    else                                                                                          \
      NAME(depthwise_backward_input_kind)(dd, dd_row, weights, 0, 0, scale, residual, K, out, ld, \
                                          H, W, r0, r1);                                          \
    break
  switch (kind) {
    KIND(RFM_RESIDUAL_NONE);
    KIND(RFM_RESIDUAL_DENSE);
    KIND(RFM_RESIDUAL_STRIDED);
    KIND(RFM_RESIDUAL_STRIDED_MASKED);
  }
#undef KIND
}
#undef FOR_ROWS
#undef WEIGHT
