// Depthwise 3×3 convolution, stride 1, padding 1, forward beside backward; included once a target
// and element type.
//
// A vector of 16 channels slides along a row. Each new column of inputs is loaded and normalised
// once and added, times its three weights, to the three outputs it reaches; the accumulators stay
// in registers. Two output rows go together, so that four loads serve two outputs.

// Rows p0..p3 of the input at one vector of channels; `top`, `bottom`: whether p0 and the last row
// lie inside the image; two: two output rows or one. All are constants where this is inlined.
AI void NAME(slide_forward)(const ACT *p0, const ACT *p1, const ACT *p2, const ACT *p3, int top,
                            int bottom, int two, int want_bits, vf scale, vf shift, vf floor,
                            const float *weights, ACT *out0, ACT *out1, uint16_t *bits0,
                            uint16_t *bits1, ptrdiff_t ld, ptrdiff_t bits_ld, int W) {
  const vf w00 = *(const vf_any *)(weights + 0 * ld), w01 = *(const vf_any *)(weights + 1 * ld),
           w02 = *(const vf_any *)(weights + 2 * ld), w10 = *(const vf_any *)(weights + 3 * ld),
           w11 = *(const vf_any *)(weights + 4 * ld), w12 = *(const vf_any *)(weights + 5 * ld),
           w20 = *(const vf_any *)(weights + 6 * ld), w21 = *(const vf_any *)(weights + 7 * ld),
           w22 = *(const vf_any *)(weights + 8 * ld);
  // left, centre, right accumulators of output row 0 and 1.
  vf l0 = 0.0f, c0 = 0.0f, r0, l1 = 0.0f, c1 = 0.0f, r1 = 0.0f;
  for (ptrdiff_t x = 0; x < W; x++) {
    const ptrdiff_t at = x * ld;
    // What the next two rows of outputs will need.
    prefetch(p3 + W * ld + at);
    if (two) prefetch(p3 + 2 * W * ld + at);
    vf z1 = NAME(load)(p1 + at) * scale + shift;
    vf v1 = NAME(rectify)(z1, floor);
    if (want_bits) bits0[x * bits_ld] = NAME(bits)(z1 > floor);
    l0 += w12 * v1;
    c0 += w11 * v1;
    r0 = w10 * v1;
    if (two) {
      l1 += w02 * v1;
      c1 += w01 * v1;
      r1 = w00 * v1;
    }
    if (top) {
      vf v = NAME(rectify)(NAME(load)(p0 + at) * scale + shift, floor);
      l0 += w02 * v;
      c0 += w01 * v;
      r0 += w00 * v;
    }
    if (two) {
      vf z2 = NAME(load)(p2 + at) * scale + shift;
      vf v2 = NAME(rectify)(z2, floor);
      if (want_bits) bits1[x * bits_ld] = NAME(bits)(z2 > floor);
      l0 += w22 * v2;
      c0 += w21 * v2;
      r0 += w20 * v2;
      l1 += w12 * v2;
      c1 += w11 * v2;
      r1 += w10 * v2;
    }
    if (bottom) {
      vf v = NAME(rectify)(NAME(load)((two ? p3 : p2) + at) * scale + shift, floor);
      if (two) {
        l1 += w22 * v;
        c1 += w21 * v;
        r1 += w20 * v;
      } else {
        l0 += w22 * v;
        c0 += w21 * v;
        r0 += w20 * v;
      }
    }
    if (x > 0) {
      NAME(store)(out0 + at - ld, l0);
      if (two) NAME(store)(out1 + at - ld, l1);
    }
    l0 = c0;
    c0 = r0;
    l1 = c1;
    c1 = r1;
  }
  NAME(store)(out0 + (W - 1) * ld, l0);
  if (two) NAME(store)(out1 + (W - 1) * ld, l1);
}

AI void NAME(depthwise_rows)(const rfm_activation *in, const float *weights, ACT *out,
                             uint16_t *bits, int want_bits, int H, int W, int r0, int r1) {
  const ptrdiff_t ld = in->ld, row = W * ld, bits_ld = ld / RFM_VECTOR;
  const ACT *data = in->data;
  const vf floor = in->floor;
  for (int r = r0; r < r1; r += 2) {
    const int two = r + 1 < r1;
    const int last = two ? r + 1 : r;
    const int top = r > 0, bottom = last + 1 < H;
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      const ACT *p = data + r * row + c;
      ACT *o = out + (r - r0) * row + c;
      uint16_t *b = want_bits ? bits + (ptrdiff_t)r * W * bits_ld + c / RFM_VECTOR : 0;
      uint16_t *b1 = want_bits ? b + W * bits_ld : 0;
      const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
#define SLIDE(TOP, BOTTOM, TWO)                                                                  \
  NAME(slide_forward)(p - row, p, p + row, p + 2 * row, TOP, BOTTOM, TWO, want_bits, scale,      \
                      shift, floor, weights + c, o, o + row, b, b1, ld, bits_ld, W)
      if (two) {
        if (top && bottom) SLIDE(1, 1, 1);
        else if (top) SLIDE(1, 0, 1);
        else if (bottom) SLIDE(0, 1, 1);
        else SLIDE(0, 0, 1);
      } else {
        if (top && bottom) SLIDE(1, 1, 0);
        else if (top) SLIDE(1, 0, 0);
        else if (bottom) SLIDE(0, 1, 0);
        else SLIDE(0, 0, 0);
      }
#undef SLIDE
    }
  }
}

static void NAME(depthwise_forward)(const rfm_activation *in, const float *weights, void *out,
                                    uint16_t *bits, int H, int W, int r0, int r1) {
  if (bits) NAME(depthwise_rows)(in, weights, out, bits, 1, H, W, r0, r1);
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
#define WEIGHT(k) (*(const vf_any *)(weights + (k) * ld))
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
#undef WEIGHT
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
  for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
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
AI vf NAME(join)(vf da, uint16_t bits, vf scale, const ACT *residual, int kind, ptrdiff_t x,
                 ptrdiff_t ld) {
  if (kind == RFM_RESIDUAL_STRIDED_MASKED && !(x & 1)) da += NAME(load)(residual + (x >> 1) * ld);
  vf d = NAME(where)(bits, da);
  if (kind == RFM_RESIDUAL_DENSE) d += NAME(load)(residual + x * ld);
  if (kind == RFM_RESIDUAL_STRIDED && !(x & 1)) d += NAME(load)(residual + (x >> 1) * ld);
  return d * scale;
}

AI void NAME(slide_input)(const ACT *p0, const ACT *p1, const ACT *p2, const ACT *p3, int top,
                          int bottom, int two, const float *weights, int masked,
                          const uint16_t *bits0, const uint16_t *bits1, vf scale, const ACT *res0, int kind0,
                          const ACT *res1, int kind1, ACT *out0, ACT *out1, ptrdiff_t ld,
                          ptrdiff_t bits_ld, int W) {
  const vf w00 = *(const vf_any *)(weights + 8 * ld), w01 = *(const vf_any *)(weights + 7 * ld),
           w02 = *(const vf_any *)(weights + 6 * ld), w10 = *(const vf_any *)(weights + 5 * ld),
           w11 = *(const vf_any *)(weights + 4 * ld), w12 = *(const vf_any *)(weights + 3 * ld),
           w20 = *(const vf_any *)(weights + 2 * ld), w21 = *(const vf_any *)(weights + 1 * ld),
           w22 = *(const vf_any *)(weights + 0 * ld);
  vf l0 = 0.0f, c0 = 0.0f, r0 = 0.0f, l1 = 0.0f, c1 = 0.0f, r1 = 0.0f;
  for (ptrdiff_t x = 0; x <= W; x++) {
    const ptrdiff_t at = x * ld;
    if (x < W) {
      vf v1 = NAME(load)(p1 + at);
      l0 += w12 * v1;
      c0 += w11 * v1;
      r0 = w10 * v1;
      if (two) {
        l1 += w02 * v1;
        c1 += w01 * v1;
        r1 = w00 * v1;
      }
      if (top) {
        vf v = NAME(load)(p0 + at);
        l0 += w02 * v;
        c0 += w01 * v;
        r0 += w00 * v;
      }
      if (two) {
        vf v2 = NAME(load)(p2 + at);
        l0 += w22 * v2;
        c0 += w21 * v2;
        r0 += w20 * v2;
        l1 += w12 * v2;
        c1 += w11 * v2;
        r1 += w10 * v2;
      }
      if (bottom) {
        vf v = NAME(load)((two ? p3 : p2) + at);
        if (two) {
          l1 += w22 * v;
          c1 += w21 * v;
          r1 += w20 * v;
        } else {
          l0 += w22 * v;
          c0 += w21 * v;
          r0 += w20 * v;
        }
      }
    }
    if (x > 0) {
      const uint16_t b0 = masked ? bits0[(x - 1) * bits_ld] : 0xffff;
      NAME(store)(out0 + at - ld, NAME(join)(l0, b0, scale, res0, kind0, x - 1, ld));
      if (two) {
        const uint16_t b1 = masked ? bits1[(x - 1) * bits_ld] : 0xffff;
        NAME(store)(out1 + at - ld, NAME(join)(l1, b1, scale, res1, kind1, x - 1, ld));
      }
    }
    l0 = c0;
    c0 = r0;
    l1 = c1;
    c1 = r1;
  }
}

AI void NAME(depthwise_backward_input_kind)(const ACT *dd, int dd_row, const float *weights,
                                            const uint16_t *bits, int masked, const float *scale,
                                            const ACT *residual, int kind, ACT *out, ptrdiff_t ld,
                                            int H, int W, int r0, int r1) {
  const ptrdiff_t row = W * ld, bits_ld = ld / RFM_VECTOR;
  const ptrdiff_t half = (ptrdiff_t)((W - 1) / 2 + 1) * ld;
  for (int r = r0; r < r1; r += 2) {
    const int two = r + 1 < r1;
    const int last = two ? r + 1 : r;
    const int top = r > 0, bottom = last + 1 < H;
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      const ACT *p = dd + (r - dd_row) * row + c;
      ACT *o = out + r * row + c;
      const uint16_t *b = masked ? bits + (ptrdiff_t)r * W * bits_ld + c / RFM_VECTOR : 0;
      const uint16_t *b1 = masked ? b + W * bits_ld : 0;
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
      if (two) {
        if (top && bottom) SLIDE(1, 1, 1);
        else if (top) SLIDE(1, 0, 1);
        else if (bottom) SLIDE(0, 1, 1);
        else SLIDE(0, 0, 1);
      } else {
        if (top && bottom) SLIDE(1, 1, 0);
        else if (top) SLIDE(1, 0, 0);
        else if (bottom) SLIDE(0, 1, 0);
        else SLIDE(0, 0, 0);
      }
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
      NAME(depthwise_backward_input_kind)(dd, dd_row, weights, bits, 1, scale, residual, K, out,  \
                                          ld, H, W, r0, r1);                                      \
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
