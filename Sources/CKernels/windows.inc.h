// Depthwise convolutions, patches, maxima and averages over windows of any size, a row at a time; included once a
// target and element type.
//
// A vector of channels goes along a row, four pixels at once where the window lies inside: a weight is loaded
// once for four products. Rows are in the first cache, or soon will be.

enum { NAME(widest_window) = 16 };

// The windows that pixel x lies in: for each kx with a whole q = (x + pad − kx·dilation)/stride inside.
#define FOR_TAPS(x)                                                     \
  for (int kx = 0; kx < size; kx++) {                                   \
    const ptrdiff_t from = (x) + w->pad - (ptrdiff_t)kx * w->dilation;   \
    if (from < 0 || from % stride || from / stride >= w->Wo) continue;   \
    const ptrdiff_t q = from / stride;

// Outputs x of a row whose whole window lies inside: [first, end).
AI void NAME(inside)(const rfm_window *w, ptrdiff_t *first, ptrdiff_t *end) {
  const ptrdiff_t reach = (ptrdiff_t)(w->size - 1) * w->dilation;
  ptrdiff_t f = (w->pad + w->stride - 1) / w->stride;
  ptrdiff_t last = w->W - 1 - reach + w->pad;  // x·stride ≤ last
  ptrdiff_t e = last < 0 ? 0 : last / w->stride + 1;
  if (f > w->Wo) f = w->Wo;
  if (e > w->Wo) e = w->Wo;
  if (e < f) e = f;
  *first = f;
  *end = e;
}

// Outputs [x0, x1) one by one, with the row's ends looked after.
AI void NAME(depthwise_edge)(const void *const *rows, const float *weights, ACT *out,
                             const rfm_window *w, int size, int dilation, ptrdiff_t ld,
                             ptrdiff_t c, ptrdiff_t x0, ptrdiff_t x1) {
  for (ptrdiff_t x = x0; x < x1; x++) {
    vf sum = 0.0f;
    for (int ky = 0; ky < size; ky++) {
      const ACT *row = rows[ky];
      if (!row) continue;
      for (int kx = 0; kx < size; kx++) {
        const ptrdiff_t i = x * w->stride + kx * dilation - w->pad;
        if (i < 0 || i >= w->W) continue;
        sum += *(const vf_any *)(weights + (ky * size + kx) * ld + c) * NAME(load)(row + i * ld + c);
      }
    }
    NAME(store)(out + x * ld + c, sum);
  }
}

AI void NAME(depthwise_size)(const void *const *rows, const float *weights, ACT *out,
                             const rfm_window *w, ptrdiff_t ld, int size, int stride,
                             int dilation) {
  ptrdiff_t first, end;
  NAME(inside)(w, &first, &end);
  const ptrdiff_t step = stride * ld;
  for (ptrdiff_t c = 0; c < ld; c += LANES) {
    NAME(depthwise_edge)(rows, weights, out, w, size, dilation, ld, c, 0, first);
    ptrdiff_t x = first;
    for (; x + 4 <= end; x += 4) {
      vf s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
      for (int ky = 0; ky < size; ky++) {
        if (!rows[ky]) continue;
        const ACT *p = (const ACT *)rows[ky] + (x * stride - w->pad) * ld + c;
        for (int kx = 0; kx < size; kx++) {
          const vf k = *(const vf_any *)(weights + (ky * size + kx) * ld + c);
          const ACT *q = p + kx * dilation * ld;
          s0 += k * NAME(load)(q);
          s1 += k * NAME(load)(q + step);
          s2 += k * NAME(load)(q + 2 * step);
          s3 += k * NAME(load)(q + 3 * step);
        }
      }
      NAME(store)(out + x * ld + c, s0);
      NAME(store)(out + (x + 1) * ld + c, s1);
      NAME(store)(out + (x + 2) * ld + c, s2);
      NAME(store)(out + (x + 3) * ld + c, s3);
    }
    NAME(depthwise_edge)(rows, weights, out, w, size, dilation, ld, c, x, w->Wo);
  }
}

// One version for each usual size and stride.
#define FOR_WINDOW(w, BODY)                                     \
  if (w->size == 3 && w->stride == 1) BODY(3, 1);               \
  else if (w->size == 3 && w->stride == 2) BODY(3, 2);          \
  else if (w->size == 5 && w->stride == 1) BODY(5, 1);          \
  else if (w->size == 5 && w->stride == 2) BODY(5, 2);          \
  else if (w->size == 7 && w->stride == 1) BODY(7, 1);          \
  else BODY(w->size, w->stride);

static void NAME(window_depthwise)(const void *const *rows, const float *weights, void *out,
                                   const rfm_window *w, int ld) {
#define BODY(K, S) NAME(depthwise_size)(rows, weights, out, w, ld, K, S, 1)
  if (w->dilation != 1) NAME(depthwise_size)(rows, weights, out, w, ld, w->size, w->stride, w->dilation);
  else FOR_WINDOW(w, BODY)
#undef BODY
}

// Pixels x ≡ phase (mod stride) of the input meet the same taps: kx ≡ phase + pad, and output
// q = (x + pad − kx)/stride.
AI void NAME(depthwise_input_size)(const void *const *rows, const float *weights, ACT *out,
                                   const rfm_window *w, ptrdiff_t ld, int size, int stride) {
  const ptrdiff_t Wo = w->Wo;
  for (ptrdiff_t c = 0; c < ld; c += LANES)
    for (int phase = 0; phase < stride; phase++) {
      const int tap = (phase + w->pad) % stride;
      const ptrdiff_t lead = (phase + w->pad - tap) / stride;  // q of x = phase and kx = tap
      // Taps kx = tap + stride·t pair x = phase + stride·j with q = j + lead − t, t < taps.
      const int taps = size > tap ? (size - tap + stride - 1) / stride : 0;
      const ptrdiff_t count = w->W > phase ? (w->W - phase + stride - 1) / stride : 0;
      ptrdiff_t first = taps - 1 - lead, end = Wo - lead;  // all taps inside
      if (first < 0) first = 0;
      if (first > count) first = count;
      if (end > count) end = count;
      if (end < first) end = first;
      for (ptrdiff_t j = 0; j < count;) {
        if (j >= first && j + 4 <= end) {
          vf s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
          for (int ky = 0; ky < size; ky++) {
            if (!rows[ky]) continue;
            const ACT *p = (const ACT *)rows[ky] + (j + lead) * ld + c;
            for (int t = 0; t < taps; t++) {
              const vf k = *(const vf_any *)(weights + (ky * size + tap + stride * t) * ld + c);
              const ACT *q = p - t * ld;
              s0 += k * NAME(load)(q);
              s1 += k * NAME(load)(q + ld);
              s2 += k * NAME(load)(q + 2 * ld);
              s3 += k * NAME(load)(q + 3 * ld);
            }
          }
          ACT *o = out + (phase + stride * j) * ld + c;
          NAME(store)(o, s0);
          NAME(store)(o + stride * ld, s1);
          NAME(store)(o + 2 * stride * ld, s2);
          NAME(store)(o + 3 * stride * ld, s3);
          j += 4;
        } else {
          vf sum = 0.0f;
          for (int ky = 0; ky < size; ky++) {
            if (!rows[ky]) continue;
            for (int t = 0; t < taps; t++) {
              const ptrdiff_t q = j + lead - t;
              if (q < 0 || q >= Wo) continue;
              sum += *(const vf_any *)(weights + (ky * size + tap + stride * t) * ld + c) *
                     NAME(load)((const ACT *)rows[ky] + q * ld + c);
            }
          }
          NAME(store)(out + (phase + stride * j) * ld + c, sum);
          j++;
        }
      }
    }
}

// The same for taps that are apart.
static void NAME(depthwise_input_dilated)(const void *const *rows, const float *weights, ACT *out,
                                          const rfm_window *w, ptrdiff_t ld) {
  const int size = w->size, stride = w->stride;
  for (ptrdiff_t x = 0; x < w->W; x++) {
    ptrdiff_t places[NAME(widest_window)], taps[NAME(widest_window)];
    int count = 0;
    FOR_TAPS(x)
      places[count] = q * ld;
      taps[count++] = kx * ld;
    }
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf sum = 0.0f;
      for (int ky = 0; ky < size; ky++) {
        if (!rows[ky]) continue;
        const float *k = weights + (ptrdiff_t)ky * size * ld + c;
        for (int t = 0; t < count; t++)
          sum += *(const vf_any *)(k + taps[t]) * NAME(load)((const ACT *)rows[ky] + places[t] + c);
      }
      NAME(store)(out + x * ld + c, sum);
    }
  }
}

static void NAME(window_depthwise_input)(const void *const *rows, const float *weights, void *out,
                                         const rfm_window *w, int ld) {
#define BODY(K, S) NAME(depthwise_input_size)(rows, weights, out, w, ld, K, S)
  if (w->dilation != 1) NAME(depthwise_input_dilated)(rows, weights, out, w, ld);
  else FOR_WINDOW(w, BODY)
#undef BODY
}

AI void NAME(depthwise_weight_size)(const void *const *rows, const ACT *dy, float *dw,
                                    const rfm_window *w, ptrdiff_t ld, int size, int stride,
                                    int dilation) {
  ptrdiff_t first, end;
  NAME(inside)(w, &first, &end);
  for (ptrdiff_t c = 0; c < ld; c += LANES)
    for (int ky = 0; ky < size; ky++) {
      const ACT *row = rows[ky];
      if (!row) continue;
      vf sums[NAME(widest_window)];
      for (int kx = 0; kx < size; kx++) sums[kx] = 0.0f;
      for (ptrdiff_t x = 0; x < w->Wo; x++) {
        if (x == first && end > first) {
          for (; x < end; x++) {
            const vf d = NAME(load)(dy + x * ld + c);
            const ACT *p = row + (x * stride - w->pad) * ld + c;
            for (int kx = 0; kx < size; kx++) sums[kx] += d * NAME(load)(p + kx * dilation * ld);
          }
          x--;
          continue;
        }
        const vf d = NAME(load)(dy + x * ld + c);
        for (int kx = 0; kx < size; kx++) {
          const ptrdiff_t i = x * stride + kx * dilation - w->pad;
          if (i >= 0 && i < w->W) sums[kx] += d * NAME(load)(row + i * ld + c);
        }
      }
      for (int kx = 0; kx < size; kx++)
        *(vf_any *)(dw + (ky * size + kx) * ld + c) += sums[kx];
    }
}

static void NAME(window_depthwise_weight)(const void *const *rows, const void *dy, float *dw,
                                          const rfm_window *w, int ld) {
#define BODY(K, S) NAME(depthwise_weight_size)(rows, dy, dw, w, ld, K, S, 1)
  if (w->dilation != 1)
    NAME(depthwise_weight_size)(rows, dy, dw, w, ld, w->size, w->stride, w->dilation);
  else FOR_WINDOW(w, BODY)
#undef BODY
}

static void NAME(window_patch)(const void *const *rows, void *out_, const rfm_window *w, int ld_) {
  const ptrdiff_t ld = ld_, size = w->size, K = size * size * ld;
  ACT *out = out_;
  ptrdiff_t first, end;
  NAME(inside)(w, &first, &end);
  for (ptrdiff_t ky = 0; ky < size; ky++) {
    const ACT *row = rows[ky];
    for (ptrdiff_t x = 0; x < w->Wo; x++) {
      ACT *to = out + x * K + ky * size * ld;
      if (!row) {
        memset(to, 0, (size_t)(size * ld) * sizeof(ACT));
        continue;
      }
      const ptrdiff_t i = x * w->stride - w->pad;
      if (x >= first && x < end && w->dilation == 1) {
        memcpy(to, row + i * ld, (size_t)(size * ld) * sizeof(ACT));
        continue;
      }
      for (ptrdiff_t kx = 0; kx < size; kx++) {
        const ptrdiff_t j = i + kx * w->dilation;
        if (j < 0 || j >= w->W) memset(to + kx * ld, 0, (size_t)ld * sizeof(ACT));
        else memcpy(to + kx * ld, row + j * ld, (size_t)ld * sizeof(ACT));
      }
    }
  }
}

AI void NAME(unpatch_size)(const void *const *rows, ACT *out, const rfm_window *w, ptrdiff_t ld,
                           int size, int stride) {
  const ptrdiff_t K = (ptrdiff_t)size * size * ld;
  for (ptrdiff_t x = 0; x < w->W; x++) {
    // Which taps, once for all channels.
    ptrdiff_t places[NAME(widest_window)];
    int count = 0;
    FOR_TAPS(x)
      places[count++] = q * K + kx * ld;
    }
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf sum = 0.0f;
      for (int ky = 0; ky < size; ky++) {
        if (!rows[ky]) continue;
        const ACT *row = (const ACT *)rows[ky] + (ptrdiff_t)ky * size * ld + c;
        for (int t = 0; t < count; t++) sum += NAME(load)(row + places[t]);
      }
      NAME(store)(out + x * ld + c, sum);
    }
  }
}

static void NAME(window_unpatch)(const void *const *rows, void *out, const rfm_window *w, int ld) {
#define BODY(K, S) NAME(unpatch_size)(rows, out, w, ld, K, S)
  FOR_WINDOW(w, BODY)
#undef BODY
}

static void NAME(window_max_pool)(const void *const *rows, void *out_, uint8_t *winner,
                                  const rfm_window *w, int ld_) {
  const ptrdiff_t ld = ld_;
  const int size = w->size;
  ACT *out = out_;
  for (ptrdiff_t x = 0; x < w->Wo; x++) {
    const ptrdiff_t i = x * w->stride - w->pad;
    const int kx0 = i < 0 ? (int)-i : 0;
    const int kx1 = w->W - i < size ? (int)(w->W - i) : size;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf best = -INFINITY;
      vi which = 255;
      for (int ky = 0; ky < size; ky++) {
        const ACT *row = rows[ky];
        if (!row) continue;
        for (int kx = kx0; kx < kx1; kx++) {
          const vf v = NAME(load)(row + (i + kx) * ld + c);
          const vi k = ky * size + kx;
          // A NaN wins and stays, as in PyTorch; of values at −∞ the first.
          const vi better = (v > best) | (v != v) | (which == 255);
          best = better ? v : best;
          which = better ? k : which;
        }
      }
      NAME(store)(out + x * ld + c, best);
      *(vb_any *)(winner + x * ld + c) = __builtin_convertvector(which, vb);
    }
  }
}

static void NAME(window_max_unpool)(const void *const *rows, const uint8_t *const *winners, void *out_,
                                    const rfm_window *w, int ld_) {
  const ptrdiff_t ld = ld_;
  const int size = w->size, stride = w->stride;
  const vf zero = 0.0f;
  ACT *out = out_;
  for (ptrdiff_t x = 0; x < w->W; x++)
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf sum = 0.0f;
      for (int ky = 0; ky < size; ky++) {
        if (!rows[ky]) continue;
        FOR_TAPS(x)
          const vi won = bytes_equal(winners[ky] + q * ld + c, ky * size + kx);
          sum += won ? NAME(load)((const ACT *)rows[ky] + q * ld + c) : zero;
        }
      }
      NAME(store)(out + x * ld + c, sum);
    }
}

// Taps of the window at output x that lie inside of the row: [first, end).
AI void NAME(taps_inside)(const rfm_window *w, ptrdiff_t x, ptrdiff_t *first, ptrdiff_t *end) {
  const ptrdiff_t i = x * w->stride - w->pad;
  *first = i < 0 ? -i : 0;
  *end = w->W - i < w->size ? w->W - i : w->size;
}

static void NAME(window_average_pool)(const void *const *rows, void *out_, const rfm_window *w,
                                      int counts_padding, int ld_) {
  const ptrdiff_t ld = ld_;
  const int size = w->size;
  ACT *out = out_;
  int height = 0;
  for (int ky = 0; ky < size; ky++) height += rows[ky] != NULL;
  for (ptrdiff_t x = 0; x < w->Wo; x++) {
    ptrdiff_t kx0, kx1;
    NAME(taps_inside)(w, x, &kx0, &kx1);
    const ptrdiff_t i = x * w->stride - w->pad;
    const vf share = 1.0f / (float)(counts_padding ? size * size : height * (kx1 - kx0));
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf sum = 0.0f;
      for (int ky = 0; ky < size; ky++) {
        if (!rows[ky]) continue;
        for (ptrdiff_t kx = kx0; kx < kx1; kx++)
          sum += NAME(load)((const ACT *)rows[ky] + (i + kx) * ld + c);
      }
      NAME(store)(out + x * ld + c, sum * share);
    }
  }
}

static void NAME(window_average_unpool)(const void *const *rows, const int32_t *heights, void *out_,
                                        const rfm_window *w, int counts_padding, int ld_) {
  const ptrdiff_t ld = ld_;
  const int size = w->size, stride = w->stride;
  ACT *out = out_;
  for (ptrdiff_t x = 0; x < w->W; x++) {
    ptrdiff_t places[NAME(widest_window)], widths[NAME(widest_window)];
    int count = 0;
    FOR_TAPS(x)
      ptrdiff_t kx0, kx1;
      NAME(taps_inside)(w, q, &kx0, &kx1);
      widths[count] = kx1 - kx0;
      places[count++] = q * ld;
    }
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf sum = 0.0f;
      for (int ky = 0; ky < size; ky++) {
        if (!rows[ky]) continue;
        for (int t = 0; t < count; t++) {
          const float share = 1.0f / (float)(counts_padding ? size * size : heights[ky] * widths[t]);
          sum += share * NAME(load)((const ACT *)rows[ky] + places[t] + c);
        }
      }
      NAME(store)(out + x * ld + c, sum);
    }
  }
}
#undef FOR_TAPS
#undef FOR_WINDOW
