// Patches of a 3×3 convolution without padding (im2col of a band of rows, while it is in cache) and
// their inverse; included once a target and element type.

static void NAME(patches)(const rfm_activation *in, int C, void *out_, int W, int Wo, int r0, int r1) {
  const ACT *y = in->data;
  ACT *out = out_;
  const ptrdiff_t ld = in->ld, K = 9 * (ptrdiff_t)C;
  const vf floor = in->floor;
  for (ptrdiff_t c = 0; c < C; c += RFM_VECTOR) {
    const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
    for (int r = r0; r < r1; r++)
      for (int ky = 0; ky < 3; ky++) {
        const ACT *row = y + (ptrdiff_t)(r + ky) * W * ld + c;
        ACT *to = out + (ptrdiff_t)(r - r0) * Wo * K + 3 * ky * (ptrdiff_t)C + c;
        // Each normalised input goes to the up to three patches of this row that hold it.
        vf v0 = NAME(rectify)(NAME(load)(row) * scale + shift, floor);
        vf v1 = NAME(rectify)(NAME(load)(row + ld) * scale + shift, floor);
        for (ptrdiff_t x = 0; x < Wo; x++) {
          vf v2 = NAME(rectify)(NAME(load)(row + (x + 2) * ld) * scale + shift, floor);
          NAME(store)(to + x * K, v0);
          NAME(store)(to + x * K + C, v1);
          NAME(store)(to + x * K + 2 * C, v2);
          v0 = v1;
          v1 = v2;
        }
      }
  }
}

// da(r, x, c) = Σ patches(r-ky, x-kx)(ky, kx, c) over the patches inside the output.
AI vf NAME(gather_patches)(const ACT *patches, ptrdiff_t C, int patch_row, int Ho, int Wo, int r,
                           int x, ptrdiff_t c) {
  const ptrdiff_t K = 9 * C;
  vf da = 0.0f;
  for (int ky = 0; ky < 3; ky++) {
    const int o = r - ky;
    if (o < 0 || o >= Ho) continue;
    for (int kx = 0; kx < 3; kx++) {
      const int q = x - kx;
      if (q < 0 || q >= Wo) continue;
      da += NAME(load)(patches + ((ptrdiff_t)(o - patch_row) * Wo + q) * K + (ky * 3 + kx) * C + c);
    }
  }
  return da;
}

static void NAME(unpatch)(const rfm_activation *in, int C, const void *patches, int patch_row,
                          void *dz_, double *sums, int W, int Ho, int Wo, int r0, int r1) {
  const ACT *y = in->data;
  ACT *dz = dz_;
  const ptrdiff_t ld = in->ld;
  const vf floor = in->floor, zero = 0.0f;
  for (ptrdiff_t c = 0; c < C; c += RFM_VECTOR) {
    const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
    vf s = 0.0f, sy = 0.0f;
    for (int r = r0; r < r1; r++)
      for (int x = 0; x < W; x++) {
        const ptrdiff_t p = ((ptrdiff_t)r * W + x) * ld + c;
        const vf da = NAME(gather_patches)(patches, C, patch_row, Ho, Wo, r, x, c);
        const vf value = NAME(load)(y + p);
        const vf d = value * scale + shift > floor ? da : zero;
        NAME(store)(dz + p, d);
        s += d;
        sy += d * value;
      }
    NAME(add_double)(sums + c, s);
    NAME(add_double)(sums + ld + c, sy);
  }
}

static void NAME(unpatch_input)(const rfm_activation *in, int C, const void *patches, int patch_row,
                                const float *factor, void *out_, int W, int Ho, int Wo, int r0,
                                int r1) {
  const ACT *y = in->data;
  ACT *out = out_;
  const ptrdiff_t ld = in->ld;
  const vf floor = in->floor, zero = 0.0f;
  for (ptrdiff_t c = 0; c < C; c += RFM_VECTOR) {
    const vf scale = *(const vf_any *)(in->scale + c), shift = *(const vf_any *)(in->shift + c);
    const vf f = *(const vf_any *)(factor + c);
    for (int r = r0; r < r1; r++)
      for (int x = 0; x < W; x++) {
        const ptrdiff_t p = ((ptrdiff_t)r * W + x) * ld + c;
        const vf da = NAME(gather_patches)(patches, C, patch_row, Ho, Wo, r, x, c);
        const vf d = NAME(load)(y + p) * scale + shift > floor ? da : zero;
        NAME(store)(out + p, d * f);
      }
  }
}
