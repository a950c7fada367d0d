// Statistics, affine gradients and the pooling with a shortcut; included once a target and element type.

// Float32 partial sums of at most this many pixels go into the double sums, so that rounding does
// not grow with the map.
enum { NAME(sum_block) = 256 };

static void NAME(statistics)(const void *y_, int rows, int ld, double *sums) {
  const ACT *y = y_;
  for (int block = 0; block < rows; block += NAME(sum_block)) {
    const int end = block + NAME(sum_block) < rows ? block + NAME(sum_block) : rows;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
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
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
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
      for (ptrdiff_t c = 0; c < ld; c += LANES)
        NAME(store)(out + p * ld + c, *(const vf_any *)(ca + c) * NAME(load)(dz + p * ld + c));
    return;
  }
  for (ptrdiff_t p = 0; p < rows; p++)
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf v = *(const vf_any *)(cb + c) * NAME(load)(y + p * ld + c) + *(const vf_any *)(cc + c);
      v += *(const vf_any *)(ca + c) * NAME(load)(dz + p * ld + c);
      NAME(store)(out + p * ld + c, v);
    }
}

// The maximum over part of a window at p, its first place, and the raw value there. The bounds of kx
// are constants where this is inlined into the inside of a row.
AI void NAME(window_maximum)(const ACT *p, ptrdiff_t row, ptrdiff_t ld, int ky0, int ky1, int kx0,
                             int kx1, vf scale, vf shift, vf *best, vi *which, vf *value) {
  *best = -INFINITY;
  *which = ky0 * 3 + kx0;
  *value = NAME(load)(p + ky0 * row + kx0 * ld);
  for (int ky = ky0; ky < ky1; ky++)
    for (int kx = kx0; kx < kx1; kx++) {
      const vf y = NAME(load)(p + ky * row + kx * ld);
      const vf z = y * scale + shift;
      const vi better = (z > *best) | (z != z);  // a NaN wins and stays, as in PyTorch
      const vi k = ky * 3 + kx;
      *best = better ? z : *best;
      *which = better ? k : *which;
      *value = better ? y : *value;
    }
}

// Outputs [q0, q1) of row o.
AI void NAME(pool_row)(const rfm_activation *in, const rfm_activation *skip, ACT *out,
                       uint8_t *winner, ACT *kept, int keeps, int W, int Wo, int o, int q0, int q1,
                       int ky0, int ky1, int kx0, int kx1) {
  const ptrdiff_t ld = in->ld, row = W * ld;
  for (ptrdiff_t q = q0; q < q1; q++) {
    const ptrdiff_t at = (o * (ptrdiff_t)Wo + q) * ld;
    // The window's first pixel, which may lie outside; what lies outside is not read.
    const ACT *p = (const ACT *)in->data + (2 * o - 1) * row + (2 * q - 1) * ld;
    const ACT *s = (const ACT *)skip->data + at;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf best, value;
      vi which;
      NAME(window_maximum)(p + c, row, ld, ky0, ky1, kx0, kx1, *(const vf_any *)(in->scale + c),
                           *(const vf_any *)(in->shift + c), &best, &which, &value);
      const vf z = NAME(load)(s + c) * *(const vf_any *)(skip->scale + c) +
                   *(const vf_any *)(skip->shift + c);
      NAME(store)(out + at + c, best + z);
      *(vb_any *)(winner + at + c) = __builtin_convertvector(which, vb);
      if (keeps) NAME(store)(kept + at + c, value);
    }
  }
}

AI void NAME(pool_rows)(const rfm_activation *in, const rfm_activation *skip, ACT *out,
                        uint8_t *winner, ACT *kept, int keeps, int H, int W) {
  const int Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  // Inside, a window has three columns; the first lacks its left one, and the last its right one
  // where W is odd.
  const int inside = W / 2 > 1 ? W / 2 : 1;
  for (int o = 0; o < Ho; o++) {
    const int ky0 = o == 0, ky1 = 2 * o + 1 < H ? 3 : 2;
    NAME(pool_row)(in, skip, out, winner, kept, keeps, W, Wo, o, 0, 1, ky0, ky1, 1, W > 1 ? 3 : 2);
    if (ky1 - ky0 == 3)
      NAME(pool_row)(in, skip, out, winner, kept, keeps, W, Wo, o, 1, inside, 0, 3, 0, 3);
    else
      NAME(pool_row)(in, skip, out, winner, kept, keeps, W, Wo, o, 1, inside, ky0, ky1, 0, 3);
    NAME(pool_row)(in, skip, out, winner, kept, keeps, W, Wo, o, inside, Wo, ky0, ky1, 0, 2);
  }
}

static void NAME(pool_forward)(const rfm_activation *in, const rfm_activation *skip, void *out,
                               uint8_t *winner, void *kept, int H, int W) {
  if (kept) NAME(pool_rows)(in, skip, out, winner, kept, 1, H, W);
  else NAME(pool_rows)(in, skip, out, winner, 0, 0, H, W);
}

// What a window at `at` hands to its place k.
AI vf NAME(handed)(const ACT *dx, const uint8_t *winner, ptrdiff_t at, uint8_t k) {
  const vf zero = 0.0f;
  return bytes_equal(winner + at, k) ? NAME(load)(dx + at) : zero;
}

// Row r of the way back through the pooling. An even row lies in the middle of one row of windows,
// an odd one below the middle of one and above that of the next (`below` is 0 at the image's end);
// columns likewise.
AI void NAME(unpool_row)(const ACT *dx, const uint8_t *winner, const ACT *y,
                         const float *coefficients, ACT *out, ptrdiff_t ld, int W, int Wo, int ky,
                         int below) {
  const float *ca = coefficients, *cb = coefficients + ld, *cc = coefficients + 2 * ld;
  const ptrdiff_t next = Wo * ld;
  for (ptrdiff_t x = 0; x < W; x++) {
    const ptrdiff_t q = (x >> 1) * ld, p = x * ld;
    const int odd = x & 1, right = odd && (x >> 1) + 1 < Wo;
#define UNPOOL(KX, RIGHT)                                                                   \
  for (ptrdiff_t c = 0; c < ld; c += LANES) {                                          \
    vf dz = NAME(handed)(dx, winner, q + c, (uint8_t)(ky * 3 + KX));                        \
    if (RIGHT) dz += NAME(handed)(dx, winner, q + ld + c, (uint8_t)(ky * 3));               \
    if (below) dz += NAME(handed)(dx, winner, q + next + c, KX);                            \
    if (below && RIGHT) dz += NAME(handed)(dx, winner, q + next + ld + c, 0);               \
    vf v = *(const vf_any *)(ca + c) * dz;                                                  \
    if (y) v += *(const vf_any *)(cb + c) * NAME(load)(y + p + c) + *(const vf_any *)(cc + c); \
    NAME(store)(out + p + c, v);                                                            \
  }
    if (!odd) UNPOOL(1, 0)
    else if (right) UNPOOL(2, 1)
    else UNPOOL(2, 0)
#undef UNPOOL
  }
}

static void NAME(pool_backward)(const void *dx_, const uint8_t *winner, const void *y_,
                                const float *coefficients, void *out_, int ld_, int H, int W, int r0,
                                int r1) {
  const ptrdiff_t ld = ld_;
  const int Ho = (H - 1) / 2 + 1, Wo = (W - 1) / 2 + 1;
  for (int r = r0; r < r1; r++) {
    const ptrdiff_t first = (r >> 1) * (ptrdiff_t)Wo * ld;
    const ACT *dx = (const ACT *)dx_ + first;
    const uint8_t *won = winner + first;
    const ACT *y = y_ ? (const ACT *)y_ + (ptrdiff_t)r * W * ld : 0;
    ACT *out = (ACT *)out_ + (ptrdiff_t)(r - r0) * W * ld;
    const int below = (r & 1) && (r >> 1) + 1 < Ho;
#define ROW(Y, KY, BELOW) NAME(unpool_row)(dx, won, Y, coefficients, out, ld, W, Wo, KY, BELOW)
    if (y) {
      if (!(r & 1)) ROW(y, 1, 0);
      else if (below) ROW(y, 2, 1);
      else ROW(y, 2, 0);
    } else {
      if (!(r & 1)) ROW(0, 1, 0);
      else if (below) ROW(0, 2, 1);
      else ROW(0, 2, 0);
    }
#undef ROW
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
      for (ptrdiff_t c = 0; c < ld; c += LANES)
        NAME(store)(to + c, NAME(rectify)(NAME(load)(p + c) * *(const vf_any *)(in->scale + c) +
                                              *(const vf_any *)(in->shift + c),
                                          floor));
    }
}

static void NAME(from_float)(const float *in, void *out_, size_t count) {
  ACT *out = out_;
  for (size_t i = 0; i < count; i += LANES) NAME(store)(out + i, *(const vf_any *)(in + i));
}

static void NAME(to_float)(const void *in_, float *out, size_t count) {
  const ACT *in = in_;
  for (size_t i = 0; i < count; i += LANES) *(vf_any *)(out + i) = NAME(load)(in + i);
}
