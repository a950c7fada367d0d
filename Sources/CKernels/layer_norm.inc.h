// Layer normalisation (Ba et al. 2016) over the channels of each pixel; included once a target and
// element type.

AI float NAME(total)(vf v) {
#if LANES == 8
  const vd8 d = __builtin_convertvector(v, vd8);
#else
  const vd8 d = __builtin_convertvector(v.lo, vd8) + __builtin_convertvector(v.hi, vd8);
#endif
  double sum = 0;
  for (int i = 0; i < 8; i++) sum += d[i];
  return (float)sum;
}

// Mean and 1/√(σ² + ε) of a pixel; channels beyond the last hold zero.
AI void NAME(moments)(const ACT *x, float epsilon, int channels, ptrdiff_t ld, float *mean,
                      float *inverse) {
  vf s = 0.0f;
  for (ptrdiff_t c = 0; c < ld; c += LANES) s += NAME(load)(x + c);
  const float mu = NAME(total)(s) / (float)channels;
  vf q = 0.0f;
  for (ptrdiff_t c = 0; c < ld; c += LANES) {
    const vf d = NAME(load)(x + c) - mu;
    q += d * d;
  }
  const float squares = NAME(total)(q) - (float)(ld - channels) * mu * mu;
  *mean = mu;
  *inverse = 1.0f / sqrtf(squares / (float)channels + epsilon);
}

static void NAME(layer_norm_forward)(const void *x_, const float *weight, const float *bias,
                                     float epsilon, void *out_, int pixels, int channels, int ld) {
  for (ptrdiff_t p = 0; p < pixels; p++) {
    const ACT *x = (const ACT *)x_ + p * ld;
    ACT *out = (ACT *)out_ + p * ld;
    float mean, inverse;
    NAME(moments)(x, epsilon, channels, ld, &mean, &inverse);
    for (ptrdiff_t c = 0; c < ld; c += LANES)
      NAME(store)(out + c, (NAME(load)(x + c) - mean) * inverse * *(const vf_any *)(weight + c) +
                               *(const vf_any *)(bias + c));
  }
}

static void NAME(layer_norm_back)(const void *x_, const void *dy_, const float *weight, float epsilon,
                                  void *dx_, double *sums, int pixels, int channels, int ld) {
  for (ptrdiff_t p = 0; p < pixels; p++) {
    const ACT *x = (const ACT *)x_ + p * ld, *dy = (const ACT *)dy_ + p * ld;
    ACT *dx = (ACT *)dx_ + p * ld;
    float mean, inverse;
    NAME(moments)(x, epsilon, channels, ld, &mean, &inverse);
    vf s = 0.0f, sx = 0.0f;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      const vf d = NAME(load)(dy + c), g = d * *(const vf_any *)(weight + c);
      const vf unit = (NAME(load)(x + c) - mean) * inverse;
      s += g;
      sx += g * unit;
      if (sums) {
        NAME(add_double)(sums + c, d);
        NAME(add_double)(sums + ld + c, d * unit);
      }
    }
    const float m = NAME(total)(s) / (float)channels, mx = NAME(total)(sx) / (float)channels;
    for (ptrdiff_t c = 0; c < ld; c += LANES) {
      const vf g = NAME(load)(dy + c) * *(const vf_any *)(weight + c);
      const vf unit = (NAME(load)(x + c) - mean) * inverse;
      NAME(store)(dx + c, (g - m - unit * mx) * inverse);
    }
  }
  // Channels beyond the last have no gradient.
  if (ld != channels) rfm_clear_padding(dx_, pixels, channels, ld, (int)sizeof(ACT));
}
