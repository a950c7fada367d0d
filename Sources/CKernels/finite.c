#include "finite.h"

#include <string.h>

#include "clones.h"

// An infinity or a NaN has every bit of its exponent set. So adding one to the lowest of them, with
// the sign taken off, carries into the sign's place: or-ed together, one bit tells of all elements.

RFM_CLONES
int rfm_all_finite(const float *values, size_t count) {
  uint32_t carried = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, values + i, sizeof bits);
    carried |= (bits & 0x7fffffffu) + 0x00800000u;
  }
  return (carried & 0x80000000u) == 0;
}

RFM_CLONES
int rfm_all_finite_bf16(const uint16_t *values, size_t count) {
  uint32_t carried = 0;
  for (size_t i = 0; i < count; i++) carried |= (values[i] & 0x7fffu) + 0x0080u;
  return (carried & 0x8000u) == 0;
}

RFM_CLONES
int rfm_all_finite_double(const double *values, size_t count) {
  uint64_t carried = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t bits;
    memcpy(&bits, values + i, sizeof bits);
    carried |= (bits & 0x7fffffffffffffffu) + 0x0010000000000000u;
  }
  return (carried & 0x8000000000000000u) == 0;
}
