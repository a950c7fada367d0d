// Functions of a vector; those of numbers are right to some units in the last place of float32 for any
// argument. Included once a target.

// Where bytes are `value`: all bits of a lane, or none. The compiler gives the comparison as plain char, which
// has no sign on Arm.
AI vi bytes_equal(const uint8_t *bytes, int value) {
  typedef int8_t signed_bytes __attribute__((ext_vector_type(LANES)));
  const vb wanted = (uint8_t)value;
  return __builtin_convertvector((signed_bytes)(*(const vb_any *)bytes == wanted), vi);
}

// eˣ = 2ⁿ·eʳ with |r| ≤ ln 2/2 and a Taylor polynomial for eʳ. What would leave the range of normal
// numbers is held at its ends; a NaN stays one.
AI vf vector_exp(vf x) {
  const vf least = -87.0f, most = 88.0f;
  x = x < least ? least : x;
  x = x > most ? most : x;
  const vf magic = 12582912.0f;  // 1.5·2²³: adding it rounds to a whole number
  const vf n = (x * 1.44269504088896341f + magic) - magic;
  vf r = x - n * 0.693145751953125f;
  r -= n * 1.42860682030941723e-6f;
  vf p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const vi exponent = (__builtin_convertvector(n, vi) + 127) << 23;
  vf power;
  memcpy(&power, &exponent, sizeof power);
  return p * power;
}

AI vf vector_sigmoid(vf x) { return 1.0f / (1.0f + vector_exp(-x)); }

// The distribution function of the normal distribution, Φ(x), and its density φ(x).
//
// For t = |x|: 1 − Φ(t) = φ(t)·m(t) with m Mills's ratio, here by the rational function of Hart (1968)
// that West (2005) gives; right to the last places of float32 in the tail too.
AI vf vector_normal(vf x, vf *density) {
  const vf t = x < 0.0f ? -x : x;
  const vf e = vector_exp(-0.5f * t * t);
  vf a = 3.52624965998911e-02f;
  a = a * t + 0.700383064443688f;
  a = a * t + 6.37396220353165f;
  a = a * t + 33.912866078383f;
  a = a * t + 112.079291497871f;
  a = a * t + 221.213596169931f;
  a = a * t + 220.206867912376f;
  vf b = 8.83883476483184e-02f;
  b = b * t + 1.75566716318264f;
  b = b * t + 16.064177579207f;
  b = b * t + 86.7807322029461f;
  b = b * t + 296.564248779674f;
  b = b * t + 637.333633378831f;
  b = b * t + 793.826512519948f;
  b = b * t + 440.413735824752f;
  const vf far = 13.1f, zero = 0.0f;
  const vf tail = t > far ? zero : e * a / b;
  *density = 0.398942280401432678f * e;
  return x < 0.0f ? tail : 1.0f - tail;
}
