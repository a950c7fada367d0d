// Statistics, affine gradients, residual sums and pooling; included once a target and element type.

// Float32 partial sums of at most this many pixels go into the double sums, so that rounding does
// not grow with the map.
enum { NAME(sum_block) = 256 };

static void NAME(statistics)(const void *y_, int rows, int ld, double *sums) {
  const ACT *y = y_;
  for (int block = 0; block < rows; block += NAME(sum_block)) {
    const int end = block + NAME(sum_block) < rows ? block + NAME(sum_block) : rows;
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      vf s0 = 0.0f, q0 = 0.0f, s1 = 0.0f, q1 = 0.0f;
      ptrdiff_t p = block;
      for (; p + 1 < end; p += 2) {
        vf a = NAME(load)(y + p * ld + c), b = NAME(load)(y + (p + 1) * ld + c);
        s0 += a;
        q0 += a * a;
        s1 += b;
        q1 += b * b;
      }
      if (p < end) {
        vf a = NAME(load)(y + p * ld + c);
        s0 += a;
        q0 += a * a;
      }
      NAME(add_double)(sums + c, s0 + s1);
      NAME(add_double)(sums + ld + c, q0 + q1);
    }
  }
}

static void NAME(gradient_sums)(const void *dz_, const void *y_, int rows, int ld, double *sums) {
  const ACT *dz = dz_, *y = y_;
  for (int block = 0; block < rows; block += NAME(sum_block)) {
    const int end = block + NAME(sum_block) < rows ? block + NAME(sum_block) : rows;
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      vf s = 0.0f, sy = 0.0f;
      for (ptrdiff_t p = block; p < end; p++) {
        vf d = NAME(load)(dz + p * ld + c);
        s += d;
        sy += d * NAME(load)(y + p * ld + c);
      }
      NAME(add_double)(sums + c, s);
      NAME(add_double)(sums + ld + c, sy);
    }
  }
}

static void NAME(affine_gradient)(const void *dz_, const void *y_, const float *coefficients,
                                  void *out_, int rows, int ld) {
  const ACT *dz = dz_, *y = y_;
  ACT *out = out_;
  const float *ca = coefficients, *cb = coefficients + ld, *cc = coefficients + 2 * ld;
  if (!y) {
    for (ptrdiff_t p = 0; p < rows; p++)
      for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR)
        NAME(store)(out + p * ld + c, *(const vf_any *)(ca + c) * NAME(load)(dz + p * ld + c));
    return;
  }
  for (ptrdiff_t p = 0; p < rows; p++)
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      vf v = *(const vf_any *)(cb + c) * NAME(load)(y + p * ld + c) + *(const vf_any *)(cc + c);
      v += *(const vf_any *)(ca + c) * NAME(load)(dz + p * ld + c);
      NAME(store)(out + p * ld + c, v);
    }
}

static void NAME(residual_sum)(const rfm_activation *in, const void *x_, void *out_, int rows) {
  const ACT *y = in->data, *x = x_;
  ACT *out = out_;
  const ptrdiff_t ld = in->ld;
  for (ptrdiff_t p = 0; p < rows; p++)
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      vf v = NAME(load)(y + p * ld + c) * *(const vf_any *)(in->scale + c) +
             *(const vf_any *)(in->shift + c);
      NAME(store)(out + p * ld + c, v + NAME(load)(x + p * ld + c));
    }
}

static void NAME(pool_forward)(const rfm_activation *in, const rfm_activation *skip, void *out_,
                               uint8_t *winner, int H, int W) {
  const ACT *y = in->data, *ys = skip->data;
  ACT *out = out_;
  const ptrdiff_t ld = in->ld;
  const int Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  for (int o = 0; o < Ho; o++) {
    const int ky0 = o == 0, ky1 = 2 * o + 1 < H ? 3 : 2;
    for (int q = 0; q < Wo; q++) {
      const int kx0 = q == 0, kx1 = 2 * q + 1 < W ? 3 : 2;
      const ptrdiff_t at = ((ptrdiff_t)o * Wo + q) * ld;
      for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
        const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
        vf best = -INFINITY;
        vi which = ky0 * 3 + kx0;
        for (int ky = ky0; ky < ky1; ky++)
          for (int kx = kx0; kx < kx1; kx++) {
            const ptrdiff_t p = ((ptrdiff_t)(2 * o + ky - 1) * W + (2 * q + kx - 1)) * ld + c;
            vf z = NAME(load)(y + p) * scale + shift;
            vi better = (z > best) | (z != z);  // a NaN wins and stays, as in PyTorch
            best = better ? z : best;
            vi k = ky * 3 + kx;
            which = better ? k : which;
          }
        vf s = NAME(load)(ys + at + c) * *(const vf_any *)(skip->scale + c) +
               *(const vf_any *)(skip->shift + c);
        NAME(store)(out + at + c, best + s);
        *(vb_any *)(winner + at + c) = __builtin_convertvector(which, vb);
      }
    }
  }
}

// dz at pixel (r, x): the windows that hold it are o = r/2 (r even) or (r±1)/2 (r odd).
AI vf NAME(unpool)(const ACT *dx, const uint8_t *winner, ptrdiff_t ld, int Ho, int Wo, int r, int x,
                   ptrdiff_t c) {
  vf sum = 0.0f;
  const vf zero = 0.0f;
  const int o0 = r >> 1, o1 = (r + 1) >> 1, q0 = x >> 1, q1 = (x + 1) >> 1;
  for (int o = o0; o <= o1 && o < Ho; o++)
    for (int q = q0; q <= q1 && q < Wo; q++) {
      const int k = (r - 2 * o + 1) * 3 + (x - 2 * q + 1);
      const ptrdiff_t at = ((ptrdiff_t)o * Wo + q) * ld + c;
      vi w = __builtin_convertvector(*(const vb_any *)(winner + at), vi);
      sum += w == k ? NAME(load)(dx + at) : zero;
    }
  return sum;
}

static void NAME(pool_backward)(const void *dx_, const uint8_t *winner, const void *y_,
                                const float *coefficients, void *out_, int ld_, int H, int W, int r0,
                                int r1) {
  const ACT *dx = dx_, *y = y_;
  ACT *out = out_;
  const ptrdiff_t ld = ld_;
  const int Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  const float *ca = coefficients, *cb = coefficients + ld, *cc = coefficients + 2 * ld;
  for (int r = r0; r < r1; r++)
    for (int x = 0; x < W; x++) {
      const ptrdiff_t p = ((ptrdiff_t)r * W + x) * ld, o = ((ptrdiff_t)(r - r0) * W + x) * ld;
      for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
        vf v = *(const vf_any *)(ca + c) * NAME(unpool)(dx, winner, ld, Ho, Wo, r, x, c);
        if (y) v += *(const vf_any *)(cb + c) * NAME(load)(y + p + c) + *(const vf_any *)(cc + c);
        NAME(store)(out + o + c, v);
      }
    }
}

static void NAME(pool_gradient_sums)(const void *dx_, const uint8_t *winner, const void *y_,
                                     double *sums, int ld_, int H, int W) {
  const ACT *dx = dx_, *y = y_;
  const ptrdiff_t ld = ld_;
  const int Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  for (int o = 0; o < Ho; o++)
    for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
      vf s = 0.0f, sy = 0.0f;
      for (int q = 0; q < Wo; q++) {
        const ptrdiff_t at = ((ptrdiff_t)o * Wo + q) * ld + c;
        const vf d = NAME(load)(dx + at);
        const vi w = __builtin_convertvector(*(const vb_any *)(winner + at), vi);
        vf value = 0.0f;
        for (int ky = o == 0; ky < 3 && 2 * o + ky - 1 < H; ky++)
          for (int kx = q == 0; kx < 3 && 2 * q + kx - 1 < W; kx++) {
            const ptrdiff_t p = ((ptrdiff_t)(2 * o + ky - 1) * W + (2 * q + kx - 1)) * ld + c;
            vi k = ky * 3 + kx;
            value = w == k ? NAME(load)(y + p) : value;
          }
        s += d;
        sy += d * value;
      }
      NAME(add_double)(sums + c, s);
      NAME(add_double)(sums + ld + c, sy);
    }
}

static void NAME(gather_strided)(const rfm_activation *in, void *out_, int H, int W) {
  const ACT *y = in->data;
  ACT *out = out_;
  const ptrdiff_t ld = in->ld;
  const int Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  const vf floor = in->floor;
  for (int o = 0; o < Ho; o++)
    for (int q = 0; q < Wo; q++) {
      const ACT *p = y + ((ptrdiff_t)(2 * o) * W + 2 * q) * ld;
      ACT *to = out + ((ptrdiff_t)o * Wo + q) * ld;
      for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR)
        NAME(store)(to + c, NAME(rectify)(NAME(load)(p + c) * *(const vf_any *)(in->scale + c) +
                                              *(const vf_any *)(in->shift + c),
                                          floor));
    }
}

static void NAME(average_pool)(const rfm_activation *in, float *mean, int rows) {
  const ACT *y = in->data;
  const ptrdiff_t ld = in->ld;
  const vf floor = in->floor;
  for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
    const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
    vf sum = 0.0f;
    for (ptrdiff_t p = 0; p < rows; p++)
      sum += NAME(rectify)(NAME(load)(y + p * ld + c) * scale + shift, floor);
    *(vf_any *)(mean + c) = sum / (float)rows;
  }
}

static void NAME(average_pool_backward)(const rfm_activation *in, const float *g,
                                        const float *factor, void *dz_, double *sums, int rows) {
  const ACT *y = in->data;
  ACT *dz = dz_;
  const ptrdiff_t ld = in->ld;
  const vf floor = in->floor, zero = 0.0f;
  for (ptrdiff_t c = 0; c < ld; c += RFM_VECTOR) {
    const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
    vf each = *(const vf_any *)(g + c) / (float)rows;
    if (factor) each *= *(const vf_any *)(factor + c);
    vf s = 0.0f, sy = 0.0f;
    for (ptrdiff_t p = 0; p < rows; p++) {
      const vf value = NAME(load)(y + p * ld + c);
      const vf z = value * scale + shift;
      const vf d = z > floor ? each : zero;
      NAME(store)(dz + p * ld + c, d);
      s += d;
      sy += d * value;
    }
    if (sums) {
      NAME(add_double)(sums + c, s);
      NAME(add_double)(sums + ld + c, sy);
    }
  }
}

static void NAME(from_float)(const float *in, void *out_, size_t count) {
  ACT *out = out_;
  for (size_t i = 0; i < count; i += RFM_VECTOR) NAME(store)(out + i, *(const vf_any *)(in + i));
}

static void NAME(to_float)(const void *in_, float *out, size_t count) {
  const ACT *in = in_;
  for (size_t i = 0; i < count; i += RFM_VECTOR) *(vf_any *)(out + i) = NAME(load)(in + i);
}
