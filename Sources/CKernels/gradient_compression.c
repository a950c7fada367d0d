#include "gradient_compression.h"

#include <string.h>

#include "clones.h"

static inline uint16_t packed_from(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  uint32_t nan = bits >> 16 | 0x40;  // rounding could turn a NaN into infinity
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

static inline float unpacked_from(uint16_t packed) {
  uint32_t bits = (uint32_t)packed << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

RFM_CLONES
void rfm_gradients_pack(
    const float *restrict gradients, uint16_t *restrict packed, size_t count) {
  for (size_t i = 0; i < count; i++) packed[i] = packed_from(gradients[i]);
}

RFM_CLONES
void rfm_gradients_unpack(
    const uint16_t *restrict packed, float *restrict gradients, size_t count) {
  for (size_t i = 0; i < count; i++) gradients[i] = unpacked_from(packed[i]);
}

RFM_CLONES
void rfm_gradients_sum(
    const uint16_t *restrict parts, size_t ranks, size_t stride, uint16_t *restrict sum,
    size_t count) {
  // Pieces that stay in the first-level cache, so that the parts are walked one after another.
  enum { piece = 1024 };
  float total[piece];
  for (size_t start = 0; start < count; start += piece) {
    size_t n = count - start < piece ? count - start : piece;
    for (size_t i = 0; i < n; i++) total[i] = unpacked_from(parts[start + i]);
    for (size_t r = 1; r < ranks; r++) {
      const uint16_t *part = parts + r * stride + start;
      for (size_t i = 0; i < n; i++) total[i] += unpacked_from(part[i]);
    }
    for (size_t i = 0; i < n; i++) sum[start + i] = packed_from(total[i]);
  }
}
