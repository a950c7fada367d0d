#include "bfloat16_rows.h"

#include "gradient_compression.h"

// What gradients become while they travel is the same. Rows that follow one another are one.
void rfm_bf16_widen(const uint16_t *in, int64_t rows, int64_t columns, int64_t ld, float *out) {
  if (ld == columns) {
    rfm_gradients_unpack(in, out, (size_t)(rows * columns));
    return;
  }
  for (int64_t r = 0; r < rows; r++)
    rfm_gradients_unpack(in + r * ld, out + r * columns, (size_t)columns);
}

void rfm_bf16_narrow(const float *in, int64_t rows, int64_t columns, uint16_t *out, int64_t ld) {
  if (ld == columns) {
    rfm_gradients_pack(in, out, (size_t)(rows * columns));
    return;
  }
  for (int64_t r = 0; r < rows; r++)
    rfm_gradients_pack(in + r * columns, out + r * ld, (size_t)columns);
}
