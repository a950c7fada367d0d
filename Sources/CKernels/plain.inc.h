// The kernels of CKernels.h by their formulas, an element at a time and in double precision, rounded once
// where it is stored: what the others are compared with, and what to read first. Included once an element
// type; needs ACT, IS_BF16 and NAME(x).

static double NAME(get)(const void *p, ptrdiff_t i) {
#if IS_BF16
  const uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
#else
  return ((const float *)p)[i];
#endif
}

// bfloat16 rounds to nearest, ties to even; a NaN stays one.
static void NAME(put)(void *p, ptrdiff_t i, double exact) {
  const float value = (float)exact;
#if IS_BF16
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = value != value ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
  ((uint16_t *)p)[i] = (uint16_t)(rounded >> 16);
#else
  ((float *)p)[i] = value;
#endif
}

// z(p, c), before the floor.
static double NAME(normalised)(const rfm_activation *in, ptrdiff_t p, ptrdiff_t c) {
  return in->scale[c] * NAME(get)(in->data, p * in->ld + c) + in->shift[c];
}

static void NAME(depthwise_forward)(const rfm_activation *in, const float *weights, void *out,
                                    uint16_t *bits, int H, int W, int r0, int r1) {
  const ptrdiff_t ld = in->ld;
  for (ptrdiff_t r = r0; r < r1; r++)
    for (ptrdiff_t x = 0; x < W; x++)
      for (ptrdiff_t c = 0; c < ld; c++) {
        double sum = 0;
        for (ptrdiff_t ky = 0; ky < 3; ky++)
          for (ptrdiff_t kx = 0; kx < 3; kx++) {
            const ptrdiff_t i = r + ky - 1, j = x + kx - 1;
            if (!is_inside(i, H) || !is_inside(j, W)) continue;
            sum += weights[(3 * ky + kx) * ld + c] *
                   rectified(NAME(normalised)(in, i * W + j, c), in->floor);
          }
        NAME(put)(out, ((r - r0) * W + x) * ld + c, sum);
        const ptrdiff_t p = r * W + x;
        if (bits) set_bit(bits, p * ld + c, NAME(normalised)(in, p, c) > in->floor);
      }
}

// The gradient of a(r, x, c), dd being that of the output, from row dd_row on.
static double NAME(turned)(const void *dd, int dd_row, const float *weights, ptrdiff_t ld, int H, int W,
                           ptrdiff_t r, ptrdiff_t x, ptrdiff_t c) {
  double sum = 0;
  for (ptrdiff_t ky = 0; ky < 3; ky++)
    for (ptrdiff_t kx = 0; kx < 3; kx++) {
      const ptrdiff_t i = r - ky + 1, j = x - kx + 1;
      if (!is_inside(i, H) || !is_inside(j, W)) continue;
      sum += weights[(3 * ky + kx) * ld + c] * NAME(get)(dd, ((i - dd_row) * W + j) * ld + c);
    }
  return sum;
}

// What joins the gradient at (r, x, c) by another path.
static double NAME(residual)(const void *residual, int kind, ptrdiff_t ld, int W, ptrdiff_t r,
                             ptrdiff_t x, ptrdiff_t c) {
  if (kind == RFM_RESIDUAL_DENSE) return NAME(get)(residual, (r * W + x) * ld + c);
  if (kind == RFM_RESIDUAL_NONE || r % 2 || x % 2) return 0;
  return NAME(get)(residual, (r / 2 * ((W - 1) / 2 + 1) + x / 2) * ld + c);
}

static void NAME(depthwise_backward)(const rfm_activation *in, const float *weights, const void *dd,
                                     int dd_row, const void *residual, int kind, void *dz,
                                     double *sums, float *dw, int H, int W, int r0, int r1) {
  const ptrdiff_t ld = in->ld;
  for (ptrdiff_t c = 0; c < ld; c++) {
    double gradient[9] = {0};
    for (ptrdiff_t r = r0; r < r1; r++)
      for (ptrdiff_t x = 0; x < W; x++) {
        const ptrdiff_t p = r * W + x;
        const double z = NAME(normalised)(in, p, c), a = rectified(z, in->floor);
        const double joins = NAME(residual)(residual, kind, ld, W, r, x, c);
        double d = NAME(turned)(dd, dd_row, weights, ld, H, W, r, x, c);
        if (kind == RFM_RESIDUAL_STRIDED_MASKED) d += joins;
        if (!(z > in->floor)) d = 0;
        if (kind != RFM_RESIDUAL_STRIDED_MASKED) d += joins;
        NAME(put)(dz, p * ld + c, d);
        if (sums) {
          sums[c] += d;
          sums[ld + c] += d * NAME(get)(in->data, p * ld + c);
        }
        for (ptrdiff_t ky = 0; ky < 3; ky++)
          for (ptrdiff_t kx = 0; kx < 3; kx++) {
            const ptrdiff_t i = r - ky + 1, j = x - kx + 1;
            if (!is_inside(i, H) || !is_inside(j, W)) continue;
            gradient[3 * ky + kx] += a * NAME(get)(dd, ((i - dd_row) * W + j) * ld + c);
          }
      }
    for (ptrdiff_t k = 0; k < 9; k++) dw[k * ld + c] += (float)gradient[k];
  }
}

static void NAME(depthwise_backward_input)(const void *dd, int dd_row, const float *weights,
                                           const uint16_t *bits, const float *scale,
                                           const void *residual, int kind, void *out, int ld_, int H,
                                           int W, int r0, int r1) {
  const ptrdiff_t ld = ld_;
  for (ptrdiff_t r = r0; r < r1; r++)
    for (ptrdiff_t x = 0; x < W; x++)
      for (ptrdiff_t c = 0; c < ld; c++) {
        const ptrdiff_t at = (r * W + x) * ld + c;
        const double joins = NAME(residual)(residual, kind, ld, W, r, x, c);
        double d = NAME(turned)(dd, dd_row, weights, ld, H, W, r, x, c);
        if (kind == RFM_RESIDUAL_STRIDED_MASKED) d += joins;
        if (bits && !bit_at(bits, at)) d = 0;
        if (kind != RFM_RESIDUAL_STRIDED_MASKED) d += joins;
        NAME(put)(out, at, d * scale[c]);
      }
}

static void NAME(statistics)(const void *y, int rows, int ld, double *sums) {
  for (ptrdiff_t i = 0; i < (ptrdiff_t)rows * ld; i++) {
    const double value = NAME(get)(y, i);
    sums[i % ld] += value;
    sums[ld + i % ld] += value * value;
  }
}

static void NAME(gradient_sums)(const void *dz, const void *y, int rows, int ld, double *sums) {
  for (ptrdiff_t i = 0; i < (ptrdiff_t)rows * ld; i++) {
    sums[i % ld] += NAME(get)(dz, i);
    sums[ld + i % ld] += NAME(get)(dz, i) * NAME(get)(y, i);
  }
}

static void NAME(affine_gradient)(const void *dz, const void *y, const float *coefficients, void *out,
                                  int rows, int ld) {
  const float *a = coefficients, *b = coefficients + ld, *constant = coefficients + 2 * (ptrdiff_t)ld;
  for (ptrdiff_t i = 0; i < (ptrdiff_t)rows * ld; i++) {
    double d = a[i % ld] * NAME(get)(dz, i);
    if (y) d += b[i % ld] * NAME(get)(y, i) + constant[i % ld];
    NAME(put)(out, i, d);
  }
}

static void NAME(pool_forward)(const rfm_activation *in, const rfm_activation *skip, void *out,
                               uint8_t *winner, void *kept, int H, int W) {
  const ptrdiff_t ld = in->ld, Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  for (ptrdiff_t o = 0; o < Ho; o++)
    for (ptrdiff_t q = 0; q < Wo; q++)
      for (ptrdiff_t c = 0; c < ld; c++) {
        double best = -INFINITY;
        ptrdiff_t won = -1;  // the first place of the window, until one is larger than nothing
        for (ptrdiff_t k = 0; k < 9; k++) {
          const ptrdiff_t r = 2 * o + k / 3 - 1, x = 2 * q + k % 3 - 1;
          if (!is_inside(r, H) || !is_inside(x, W)) continue;
          const double z = NAME(normalised)(in, r * W + x, c);
          if (won < 0 || z > best || z != z) best = z, won = k;  // a NaN wins, as in PyTorch
        }
        const ptrdiff_t p = o * Wo + q, at = p * ld + c;
        NAME(put)(out, at, best + NAME(normalised)(skip, p, c));
        winner[at] = (uint8_t)won;
        const ptrdiff_t from = (2 * o + won / 3 - 1) * W + 2 * q + won % 3 - 1;
        if (kept) NAME(put)(kept, at, NAME(get)(in->data, from * ld + c));
      }
}

static void NAME(pool_backward)(const void *dx, const uint8_t *winner, const void *y,
                                const float *coefficients, void *out, int ld_, int H, int W, int r0,
                                int r1) {
  const ptrdiff_t ld = ld_, Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  const float *a = coefficients, *b = coefficients + ld, *constant = coefficients + 2 * ld;
  for (ptrdiff_t r = r0; r < r1; r++)
    for (ptrdiff_t x = 0; x < W; x++)
      for (ptrdiff_t c = 0; c < ld; c++) {
        double dz = 0;
        for (ptrdiff_t k = 0; k < 9; k++) {
          // Twice the window that has this pixel at its place k.
          const ptrdiff_t o = r + 1 - k / 3, q = x + 1 - k % 3;
          if (o % 2 || q % 2 || !is_inside(o, 2 * Ho) || !is_inside(q, 2 * Wo)) continue;
          const ptrdiff_t at = (o / 2 * Wo + q / 2) * ld + c;
          if (winner[at] == k) dz += NAME(get)(dx, at);
        }
        double d = a[c] * dz;
        if (y) d += b[c] * NAME(get)(y, (r * W + x) * ld + c) + constant[c];
        NAME(put)(out, ((r - r0) * W + x) * ld + c, d);
      }
}

static void NAME(gather_strided)(const rfm_activation *in, void *out, int H, int W) {
  const ptrdiff_t ld = in->ld, Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  for (ptrdiff_t p = 0; p < Ho * Wo; p++)
    for (ptrdiff_t c = 0; c < ld; c++) {
      const double z = NAME(normalised)(in, p / Wo * 2 * W + p % Wo * 2, c);
      NAME(put)(out, p * ld + c, rectified(z, in->floor));
    }
}

static void NAME(from_float)(const float *in, void *out, size_t count) {
  for (size_t i = 0; i < count; i++) NAME(put)(out, (ptrdiff_t)i, in[i]);
}

static void NAME(to_float)(const void *in, float *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = (float)NAME(get)(in, (ptrdiff_t)i);
}
