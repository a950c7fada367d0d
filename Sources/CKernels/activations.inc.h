// Activations, what a layer reads of a stored map, and the way back; included once a target and
// element type.

// act(z). `kind` is a constant where this is inlined. A NaN passes all of them.
AI vf NAME(act)(vf z, int kind, vf slope) {
  const vf zero = 0.0f, six = 6.0f;
  switch (kind) {
    case RFM_RELU: return z < zero ? zero : z;
    case RFM_RELU6: {
      const vf low = z < zero ? zero : z;
      return low > six ? six : low;
    }
    case RFM_LEAKY_RELU: return z < zero ? slope * z : z;
    case RFM_SILU: return z * vector_sigmoid(z);
    case RFM_GELU: {
      vf density;
      return z * vector_normal(z, &density);
    }
    case RFM_HARD_SWISH: {
      vf s = z + 3.0f;
      s = s < zero ? zero : s;
      s = s > six ? six : s;
      return z * s / 6.0f;
    }
    case RFM_SIGMOID: return vector_sigmoid(z);
    default: return z;
  }
}

// d·act'(z).
AI vf NAME(act_back)(vf z, vf d, int kind, vf slope) {
  const vf zero = 0.0f, six = 6.0f, three = 3.0f;
  switch (kind) {
    case RFM_RELU: return z > zero ? d : zero;
    case RFM_RELU6: return ((z > zero) & (z < six)) ? d : zero;
    case RFM_LEAKY_RELU: return z > zero ? d : slope * d;
    case RFM_SILU: {
      const vf s = vector_sigmoid(z);
      return d * (s * (1.0f + z * (1.0f - s)));
    }
    case RFM_GELU: {
      vf density;
      const vf normal = vector_normal(z, &density);
      return d * (normal + z * density);
    }
    case RFM_HARD_SWISH: {
      const vf inside = d * (2.0f * z + 3.0f) / 6.0f;
      const vf above = z < three ? inside : d;
      return z > -three ? above : zero;
    }
    case RFM_SIGMOID: {
      const vf s = vector_sigmoid(z);
      return d * (s * (1.0f - s));
    }
    default: return d;
  }
}

// One version of `BODY(kind)` for each activation.
#define FOR_ACTIVATION(kind, BODY)                   \
  switch (kind) {                                    \
    case RFM_RELU: BODY(RFM_RELU); break;             \
    case RFM_RELU6: BODY(RFM_RELU6); break;           \
    case RFM_LEAKY_RELU: BODY(RFM_LEAKY_RELU); break; \
    case RFM_SILU: BODY(RFM_SILU); break;             \
    case RFM_GELU: BODY(RFM_GELU); break;             \
    case RFM_HARD_SWISH: BODY(RFM_HARD_SWISH); break; \
    case RFM_SIGMOID: BODY(RFM_SIGMOID); break;       \
    default: BODY(RFM_IDENTITY); break;               \
  }

AI vf NAME(affine)(const rfm_view *in, ptrdiff_t p, ptrdiff_t c) {
  return NAME(load)((const ACT *)in->data + p * in->ld + c) * *(const vf_any *)(in->scale + c) +
         *(const vf_any *)(in->shift + c);
}

AI void NAME(load_kind)(const rfm_view *in, ACT *out, int pixels, int kind, int gated) {
  const ptrdiff_t ld = in->ld;
  const vf slope = in->slope;
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf a = NAME(act)(NAME(affine)(in, p, c), kind, slope);
      if (gated) a *= *(const vf_any *)(in->gate + c);
      NAME(store)(out + p * ld + c, a);
    }
}

static void NAME(view_load)(const rfm_view *in, void *out, int pixels) {
#define BODY(K)                                            \
  do {                                                     \
    if (in->gate) NAME(load_kind)(in, out, pixels, K, 1);  \
    else NAME(load_kind)(in, out, pixels, K, 0);           \
  } while (0)
  FOR_ACTIVATION(in->activation, BODY)
#undef BODY
}

AI void NAME(load_sum_kind)(const rfm_view *a, const rfm_view *b, ACT *out, int pixels, int kind_a,
                            int kind_b) {
  const ptrdiff_t ld = a->ld;
  const vf slope_a = a->slope, slope_b = b->slope;
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      vf va = NAME(act)(NAME(affine)(a, p, c), kind_a, slope_a);
      vf vb = NAME(act)(NAME(affine)(b, p, c), kind_b, slope_b);
      if (a->gate) va *= *(const vf_any *)(a->gate + c);
      if (b->gate) vb *= *(const vf_any *)(b->gate + c);
      NAME(store)(out + p * ld + c, va + vb);
    }
}

static void NAME(view_load_sum)(const rfm_view *a, const rfm_view *b, void *out, int pixels) {
  const int ka = a->activation, kb = b->activation;
  // Residual sums have no activation, or a ReLU, before them; others are rare.
  if (ka == RFM_IDENTITY && kb == RFM_IDENTITY)
    NAME(load_sum_kind)(a, b, out, pixels, RFM_IDENTITY, RFM_IDENTITY);
  else if (ka == RFM_IDENTITY && kb == RFM_RELU)
    NAME(load_sum_kind)(a, b, out, pixels, RFM_IDENTITY, RFM_RELU);
  else
    NAME(load_sum_kind)(a, b, out, pixels, ka, kb);
}

static void NAME(view_mask)(const rfm_view *in, uint16_t *words, int pixels) {
  lane_bits *bits = (lane_bits *)words;
  const ptrdiff_t ld = in->ld;
  const vf zero = 0.0f, most = in->activation == RFM_RELU6 ? 6.0f : INFINITY;
  for (ptrdiff_t p = 0; p < pixels; p++)
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      const vf z = NAME(affine)(in, p, c);
      *bits++ = NAME(bits)((z > zero) & (z < most));
    }
}

// Channels that are summed at a time. Pixels are walked in the order of memory, which processors foresee.
enum { NAME(row_vectors) = 2048 / LANES };

AI void NAME(mean_kind)(const rfm_view *in, float *mean, int pixels, int kind, int gated) {
  const ptrdiff_t ld = in->ld;
  const vf slope = in->slope;
  vf total[NAME(row_vectors)], sum[NAME(row_vectors)];
  for (ptrdiff_t first = 0; first < ld; first += NAME(row_vectors) * LANES) {
    const ptrdiff_t left = (ld - first) / LANES;
    const ptrdiff_t count = left < NAME(row_vectors) ? left : NAME(row_vectors);
    for (ptrdiff_t i = 0; i < count; i++) total[i] = 0.0f;
    // Blocks, so that rounding does not grow with the map.
    for (ptrdiff_t block = 0; block < pixels; block += 64) {
      const ptrdiff_t end = block + 64 < pixels ? block + 64 : pixels;
      for (ptrdiff_t i = 0; i < count; i++) sum[i] = 0.0f;
      for (ptrdiff_t p = block; p < end; p++)
        for (ptrdiff_t i = 0; i < count; i++)
          sum[i] += NAME(act)(NAME(affine)(in, p, first + i * LANES), kind, slope);
      for (ptrdiff_t i = 0; i < count; i++) total[i] += sum[i];
    }
    for (ptrdiff_t i = 0; i < count; i++) {
      const ptrdiff_t c = first + i * LANES;
      if (gated) total[i] *= *(const vf_any *)(in->gate + c);
      *(vf_any *)(mean + c) = total[i] / (float)pixels;
    }
  }
}

static void NAME(view_mean)(const rfm_view *in, float *mean, int pixels) {
#define BODY(K) NAME(mean_kind)(in, mean, pixels, K, in->gate != 0)
  FOR_ACTIVATION(in->activation, BODY)
#undef BODY
}

AI void NAME(unload_kind)(const rfm_view *in, const lane_bits *bits, const ACT *da,
                          const float *uniform, const ACT *existing, int defers, ACT *out,
                          double *sums, int pixels, int kind, int masked) {
  const ptrdiff_t ld = in->ld, bits_ld = ld / LANES;
  const ACT *y = in->data;
  const vf zero = 0.0f, slope = in->slope;
  const vf below = in->activation == RFM_LEAKY_RELU ? slope : zero;
  vf s[NAME(row_vectors)], sy[NAME(row_vectors)];
  for (ptrdiff_t first = 0; first < ld; first += NAME(row_vectors) * LANES) {
    const ptrdiff_t left = (ld - first) / LANES;
    const ptrdiff_t count = left < NAME(row_vectors) ? left : NAME(row_vectors);
    for (ptrdiff_t block = 0; block < pixels; block += NAME(sum_block)) {
      const ptrdiff_t end = block + NAME(sum_block) < pixels ? block + NAME(sum_block) : pixels;
      if (sums)
        for (ptrdiff_t i = 0; i < count; i++) s[i] = sy[i] = 0.0f;
      for (ptrdiff_t p = block; p < end; p++)
        for (ptrdiff_t i = 0; i < count; i++) {
          const ptrdiff_t c = first + i * LANES, at = p * ld + c;
          vf d = uniform ? *(const vf_any *)(uniform + c) : zero;
          if (da) d += NAME(load)(da + at);
          if (existing && defers) d += NAME(load)(existing + at);
          vf value = 0.0f;
          if (masked) {
            const lane_bits b = bits[p * bits_ld + c / LANES];
            const vf on = NAME(where)(b, d);
            d = in->activation == RFM_LEAKY_RELU ? on + NAME(where)((lane_bits)~b, d * below) : on;
          } else if (kind != RFM_IDENTITY || sums) {
            value = NAME(load)(y + at);
            const vf z = value * *(const vf_any *)(in->scale + c) + *(const vf_any *)(in->shift + c);
            d = NAME(act_back)(z, d, kind, slope);
          }
          if (existing && !defers) d += NAME(load)(existing + at);
          NAME(store)(out + at, d);
          if (sums) {
            s[i] += d;
            sy[i] += d * value;
          }
        }
      if (sums)
        for (ptrdiff_t i = 0; i < count; i++) {
          NAME(add_double)(sums + first + i * LANES, s[i]);
          NAME(add_double)(sums + ld + first + i * LANES, sy[i]);
        }
    }
  }
}

static void NAME(view_unload)(const rfm_view *in, const uint16_t *bits, const void *da,
                              const float *uniform, const void *existing, int defers, void *out,
                              double *sums, int pixels) {
  if (bits) {
    NAME(unload_kind)(in, (const lane_bits *)bits, da, uniform, existing, defers, out, 0, pixels,
                      RFM_RELU, 1);
    return;
  }
#define BODY(K)                                                                                 \
  do {                                                                                          \
    if (sums && existing)                                                                       \
      NAME(unload_kind)(in, 0, da, uniform, existing, defers, out, sums, pixels, K, 0);         \
    else if (sums)                                                                              \
      NAME(unload_kind)(in, 0, da, uniform, 0, 1, out, sums, pixels, K, 0);                     \
    else                                                                                        \
      NAME(unload_kind)(in, 0, da, uniform, existing, defers, out, 0, pixels, K, 0);            \
  } while (0)
  FOR_ACTIVATION(in->activation, BODY)
#undef BODY
}

AI void NAME(unload_gate_kind)(const rfm_view *in, const ACT *da, const ACT *existing, ACT *out,
                               float *gate_gradient, int pixels, int kind) {
  const ptrdiff_t ld = in->ld;
  const vf slope = in->slope;
  vf total[NAME(row_vectors)];
  for (ptrdiff_t first = 0; first < ld; first += NAME(row_vectors) * LANES) {
    const ptrdiff_t left = (ld - first) / LANES;
    const ptrdiff_t count = left < NAME(row_vectors) ? left : NAME(row_vectors);
    for (ptrdiff_t i = 0; i < count; i++) total[i] = 0.0f;
    for (ptrdiff_t p = 0; p < pixels; p++)
      for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t c = first + i * LANES, at = p * ld + c;
        const vf d = NAME(load)(da + at);
        total[i] += d * NAME(act)(NAME(affine)(in, p, c), kind, slope);
        vf passed = d * *(const vf_any *)(in->gate + c);
        if (existing) passed += NAME(load)(existing + at);
        NAME(store)(out + at, passed);
      }
    for (ptrdiff_t i = 0; i < count; i++) *(vf_any *)(gate_gradient + first + i * LANES) += total[i];
  }
}

static void NAME(view_unload_gate)(const rfm_view *in, const void *da, const void *existing,
                                   void *out, float *gate_gradient, int pixels) {
#define BODY(K) NAME(unload_gate_kind)(in, da, existing, out, gate_gradient, pixels, K)
  FOR_ACTIVATION(in->activation, BODY)
#undef BODY
}
