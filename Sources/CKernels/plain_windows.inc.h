// The kernels of layer_kernels.h by their formulas, as plain.inc.h has those of CKernels.h; included after it.

// z(p, c).
static double NAME(affine)(const rfm_view *in, ptrdiff_t p, ptrdiff_t c) {
  return in->scale[c] * NAME(get)(in->data, p * in->ld + c) + in->shift[c];
}

// act(z), before the gate.
static double NAME(active)(const rfm_view *in, ptrdiff_t p, ptrdiff_t c) {
  return activated(NAME(affine)(in, p, c), in->activation, in->slope);
}

static double NAME(seen)(const rfm_view *in, ptrdiff_t p, ptrdiff_t c) {
  return NAME(active)(in, p, c) * (in->gate ? in->gate[c] : 1);
}

static void NAME(view_load)(const rfm_view *in, void *out, int pixels) {
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < in->ld; c++) NAME(put)(out, p * in->ld + c, NAME(seen)(in, p, c));
}

static void NAME(view_load_sum)(const rfm_view *a, const rfm_view *b, void *out, int pixels) {
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < a->ld; c++)
      NAME(put)(out, p * a->ld + c, NAME(seen)(a, p, c) + NAME(seen)(b, p, c));
}

static void NAME(view_mask)(const rfm_view *in, uint16_t *bits, int pixels) {
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < in->ld; c++) {
      const double z = NAME(affine)(in, p, c);
      set_bit(bits, p * in->ld + c, z > 0 && z < (in->activation == RFM_RELU6 ? 6 : INFINITY));
    }
}

static void NAME(view_mean)(const rfm_view *in, float *mean, int pixels) {
  for (ptrdiff_t c = 0; c < in->ld; c++) {
    double sum = 0;
    for (ptrdiff_t p = 0; p < pixels; p++) sum += NAME(seen)(in, p, c);
    mean[c] = (float)(sum / pixels);
  }
}

static void NAME(view_unload)(const rfm_view *in, const uint16_t *bits, const void *da,
                              const float *uniform, const void *existing, int defers, void *out,
                              double *sums, int pixels) {
  const double below = in->activation == RFM_LEAKY_RELU ? in->slope : 0;
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < in->ld; c++) {
      const ptrdiff_t at = p * in->ld + c;
      const double other = existing ? NAME(get)(existing, at) : 0;
      double d = (da ? NAME(get)(da, at) : 0) + (uniform ? uniform[c] : 0) + (defers ? other : 0);
      if (bits) d *= bit_at(bits, at) ? 1 : below;
      else if (in->activation != RFM_IDENTITY)
        d *= slope_at(NAME(affine)(in, p, c), in->activation, in->slope);
      if (!defers) d += other;
      NAME(put)(out, at, d);
      if (sums && !bits) {
        sums[c] += d;
        sums[in->ld + c] += d * NAME(get)(in->data, at);
      }
    }
}

static void NAME(view_unload_gate)(const rfm_view *in, const void *da, const void *existing, void *out,
                                   float *gate_gradient, int pixels) {
  for (ptrdiff_t c = 0; c < in->ld; c++) {
    double sum = 0;
    for (ptrdiff_t p = 0; p < pixels; p++) {
      const ptrdiff_t at = p * in->ld + c;
      const double d = NAME(get)(da, at);
      sum += d * NAME(active)(in, p, c);
      NAME(put)(out, at, d * in->gate[c] + (existing ? NAME(get)(existing, at) : 0));
    }
    gate_gradient[c] += (float)sum;
  }
}

// A pixel of the row under tap row ky, which the caller has seen to be there.
#define ROW(ky, pixel) NAME(get)(rows[ky], (pixel) * ld + c)
#define TAP(ky, kx) ((ptrdiff_t)(ky) * size + (kx))
// Each element of a row of `width` pixels, with `sum` at zero.
#define FOR_ELEMENTS(width)                \
  const ptrdiff_t ld = ld_, size = w->size; \
  for (ptrdiff_t x = 0; x < (width); x++)  \
    for (ptrdiff_t c = 0; c < ld; c++)
// Each tap of a row that is inside of the map.
#define FOR_TAPS                          \
  for (ptrdiff_t ky = 0; ky < size; ky++) \
    for (ptrdiff_t kx = 0; rows[ky] && kx < size; kx++)

static void NAME(window_depthwise)(const void *const *rows, const float *weights, void *out,
                                   const rfm_window *w, int ld_) {
  FOR_ELEMENTS(w->Wo) {
    double sum = 0;
    FOR_TAPS {
      const ptrdiff_t i = under(w, x, kx);
      if (i >= 0) sum += weights[TAP(ky, kx) * ld + c] * ROW(ky, i);
    }
    NAME(put)(out, x * ld + c, sum);
  }
}

static void NAME(window_depthwise_input)(const void *const *rows, const float *weights, void *out,
                                         const rfm_window *w, int ld_) {
  FOR_ELEMENTS(w->W) {
    double sum = 0;
    FOR_TAPS {
      const ptrdiff_t q = over(w, x, kx);
      if (q >= 0) sum += weights[TAP(ky, kx) * ld + c] * ROW(ky, q);
    }
    NAME(put)(out, x * ld + c, sum);
  }
}

static void NAME(window_depthwise_weight)(const void *const *rows, const void *dy, float *dw,
                                          const rfm_window *w, int ld_) {
  const ptrdiff_t ld = ld_, size = w->size;
  for (ptrdiff_t c = 0; c < ld; c++)
    FOR_TAPS {
      double sum = 0;
      for (ptrdiff_t x = 0; x < w->Wo; x++) {
        const ptrdiff_t i = under(w, x, kx);
        if (i >= 0) sum += ROW(ky, i) * NAME(get)(dy, x * ld + c);
      }
      dw[TAP(ky, kx) * ld + c] += (float)sum;
    }
}

static void NAME(window_patch)(const void *const *rows, void *out, const rfm_window *w, int ld_) {
  const ptrdiff_t ld = ld_, size = w->size;
  for (ptrdiff_t x = 0; x < w->Wo; x++)
    for (ptrdiff_t k = 0; k < size * size; k++)
      for (ptrdiff_t c = 0; c < ld; c++) {
        const ptrdiff_t i = rows[k / size] ? under(w, x, k % size) : -1;
        NAME(put)(out, (x * size * size + k) * ld + c, i >= 0 ? ROW(k / size, i) : 0);
      }
}

static void NAME(window_unpatch)(const void *const *rows, void *out, const rfm_window *w, int ld_) {
  FOR_ELEMENTS(w->W) {
    double sum = 0;
    FOR_TAPS {
      const ptrdiff_t q = over(w, x, kx);
      if (q >= 0) sum += ROW(ky, q * size * size + TAP(ky, kx));
    }
    NAME(put)(out, x * ld + c, sum);
  }
}

static void NAME(window_max_pool)(const void *const *rows, void *out, uint8_t *winner,
                                  const rfm_window *w, int ld_) {
  FOR_ELEMENTS(w->Wo) {
    double best = -INFINITY;
    ptrdiff_t won = 255;
    FOR_TAPS {
      const ptrdiff_t i = under(w, x, kx);
      if (i < 0) continue;
      const double value = ROW(ky, i);
      if (won == 255 || value > best || value != value) best = value, won = TAP(ky, kx);
    }
    NAME(put)(out, x * ld + c, best);
    winner[x * ld + c] = (uint8_t)won;
  }
}

static void NAME(window_max_unpool)(const void *const *rows, const uint8_t *const *winners, void *out,
                                    const rfm_window *w, int ld_) {
  FOR_ELEMENTS(w->W) {
    double sum = 0;
    FOR_TAPS {
      const ptrdiff_t q = over(w, x, kx);
      if (q >= 0 && winners[ky][q * ld + c] == TAP(ky, kx)) sum += ROW(ky, q);
    }
    NAME(put)(out, x * ld + c, sum);
  }
}

static void NAME(window_average_pool)(const void *const *rows, void *out, const rfm_window *w,
                                      int counts_padding, int ld_) {
  FOR_ELEMENTS(w->Wo) {
    double sum = 0;
    int count = 0;
    FOR_TAPS {
      const ptrdiff_t i = under(w, x, kx);
      if (i >= 0) sum += ROW(ky, i), count++;
    }
    NAME(put)(out, x * ld + c, sum * share_of(counts_padding ? (int)(size * size) : count));
  }
}

static void NAME(window_average_unpool)(const void *const *rows, const int32_t *heights, void *out,
                                        const rfm_window *w, int counts_padding, int ld_) {
  FOR_ELEMENTS(w->W) {
    double sum = 0;
    FOR_TAPS {
      const ptrdiff_t q = over(w, x, kx);
      if (q < 0) continue;
      const int count = counts_padding ? (int)(size * size) : heights[ky] * taps_inside(w, q);
      sum += ROW(ky, q) * share_of(count);
    }
    NAME(put)(out, x * ld + c, sum);
  }
}
#undef FOR_TAPS
#undef FOR_ELEMENTS
#undef TAP
#undef ROW

// Mean and 1/√(σ² + ε) of a pixel.
static void NAME(moments)(const void *x, ptrdiff_t first, int channels, float epsilon, double *mean,
                          double *inverse) {
  double sum = 0, squares = 0;
  for (ptrdiff_t c = 0; c < channels; c++) sum += NAME(get)(x, first + c);
  *mean = sum / channels;
  for (ptrdiff_t c = 0; c < channels; c++) {
    const double d = NAME(get)(x, first + c) - *mean;
    squares += d * d;
  }
  *inverse = 1 / sqrt(squares / channels + epsilon);
}

static void NAME(layer_norm_forward)(const void *x, const float *weight, const float *bias,
                                     float epsilon, void *out, int pixels, int channels, int ld) {
  for (ptrdiff_t p = 0; p < pixels; p++) {
    double mean, inverse;
    NAME(moments)(x, p * ld, channels, epsilon, &mean, &inverse);
    for (ptrdiff_t c = 0; c < ld; c++) {
      const double unit = (NAME(get)(x, p * ld + c) - mean) * inverse;
      NAME(put)(out, p * ld + c, unit * weight[c] + bias[c]);
    }
  }
}

static void NAME(layer_norm_back)(const void *x, const void *dy, const float *weight, float epsilon,
                                  void *dx, double *sums, int pixels, int channels, int ld) {
  for (ptrdiff_t p = 0; p < pixels; p++) {
    double mean, inverse, total = 0, with_unit = 0;
    NAME(moments)(x, p * ld, channels, epsilon, &mean, &inverse);
#define UNIT(c) ((NAME(get)(x, p * ld + (c)) - mean) * inverse)
    for (ptrdiff_t c = 0; c < channels; c++) {
      const double d = NAME(get)(dy, p * ld + c);
      total += d * weight[c];
      with_unit += d * weight[c] * UNIT(c);
      if (sums) {
        sums[c] += d;
        sums[ld + c] += d * UNIT(c);
      }
    }
    for (ptrdiff_t c = 0; c < ld; c++) {
      const double g = c < channels ? NAME(get)(dy, p * ld + c) * weight[c] : 0;
      const double d = (g - total / channels - UNIT(c) * with_unit / channels) * inverse;
      NAME(put)(dx, p * ld + c, c < channels ? d : 0);
    }
#undef UNIT
  }
}
