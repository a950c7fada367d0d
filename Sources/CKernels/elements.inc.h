// Loads and stores of one element type; included once a target and type. Needs ACT (the element),
// IS_BF16 and NAME(x).

AI vf NAME(load)(const ACT *p) {
#if IS_BF16
  vu w = __builtin_convertvector(*(const vh_any *)p, vu) << 16;
  vf v;
  memcpy(&v, &w, sizeof v);
  return v;
#else
  return *(const vf_any *)p;
#endif
}

// bfloat16 rounds to nearest, ties to even; a NaN stays one.
AI void NAME(store)(ACT *p, vf v) {
#if IS_BF16 && defined(HAS_BF16_ROUNDING)
  store_rounded(p, v);
#elif IS_BF16
  vu w;
  memcpy(&w, &v, sizeof w);
  vu rounded = (w + 0x7fffu + ((w >> 16) & 1u)) >> 16;
  vu quiet = (w >> 16) | 0x40u;
  vi is_nan = v != v;
  vu bits = is_nan ? quiet : rounded;
  *(vh_any *)p = __builtin_convertvector(bits, vh);
#else
  *(vf_any *)p = v;
#endif
}

// a = max(z, floor); a NaN passes, so that it reaches the loss and is seen.
AI vf NAME(rectify)(vf z, vf floor) { return z < floor ? floor : z; }

AI lane_bits NAME(bits)(vi mask) {
  vm b = __builtin_convertvector(mask, vm);
  lane_bits bits;
  memcpy(&bits, &b, sizeof bits);
  return bits;
}

AI vf NAME(where)(lane_bits bits, vf v) {
  vm b;
  memcpy(&b, &bits, sizeof b);
  vi m = -__builtin_convertvector(b, vi);
  vf zero = 0.0f;
  return m ? v : zero;
}

// sums[0..<LANES] += v, in double.
AI void NAME(add_double)(double *sums, vf v) {
  vd8_any *s = (vd8_any *)sums;
#if LANES == 8
  *s += __builtin_convertvector(v, vd8);
#else
  s[0] += __builtin_convertvector(v.lo, vd8);
  s[1] += __builtin_convertvector(v.hi, vd8);
#endif
}
