#pragma once

#include <stddef.h>
#include <stdint.h>

// Matrix multiplies of bfloat16 operands that were packed beforehand, for processors with bfloat16
// dot products (AVX512-BF16; BFDOT of 64-bit Arm).
//
// A library's multiply packs its right operand anew in every call, which a tile of some 200 rows
// can't hide. Here weights are packed once a step and serve every tile of every image; the left
// operand of the forward and the input gradient is read where the depthwise kernel left it.
//
// The dot product takes pairs along the summed dimension k, so operands are stored in pairs, an odd
// end filled with zero: `pairs` = (k + 1) / 2.
//
// Panels (a right operand, k × n): groups of up to three vectors of 16 columns, group after group;
// within one [pair][column][2]. A group that starts at column 16·v starts at element 32·v·pairs.
// Blocks (a left operand, m × k): groups of 8 rows, group after group; within one [pair][row][2].

#pragma clang assume_nonnull begin

enum { RFM_BF16_BLOCK = 8 };

/// What a multiply does with its result.
enum {
  RFM_BF16_STORE = 0,        // c is bfloat16
  RFM_BF16_STORE_FLOAT = 1,  // c is float32
  RFM_BF16_ADD_FLOAT = 2,    // added to c, float32
};

/// The multiplies below run on this processor.
int rfm_bf16_multiplies(void);
/// Elements of an operand of n columns in panels, or of n rows in blocks.
size_t rfm_bf16_packed_size(int64_t pairs, int64_t n);
/// Panels of n columns, to cut the packing of a matrix into parts.
int64_t rfm_bf16_panel_count(int64_t n);

/// Panels [first, last) of wᵀ, the forward's right operand: k = inputs, n = outputs.
/// w (outputs, inputs) float32.
void rfm_bf16_pack_transposed(const float *w, int64_t outputs, int64_t inputs, int64_t first,
                              int64_t last, uint16_t *panels);
/// Panels [first, last) of w, the input gradient's right operand: k = outputs, n = inputs.
void rfm_bf16_pack(const float *w, int64_t outputs, int64_t inputs, int64_t first, int64_t last,
                   uint16_t *panels);
/// `rows` pixels of x (rows, ld) as pairs [pair, pair + (rows + 1) / 2) of the right operand of a
/// weight gradient, `pairs` in all: k = pixels, n = columns. ld is a multiple of 16.
void rfm_bf16_pack_pixels(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                          int64_t pair, int64_t pairs, uint16_t *panels);
/// The same as its left operand, in blocks: m = columns, k = pixels.
void rfm_bf16_pack_pixels_transposed(const uint16_t *x, int64_t rows, int64_t columns, int64_t ld,
                                     int64_t pair, int64_t pairs, uint16_t *blocks);

/// c (m, n) = a·b. a (m, lda) by rows, lda even and at least 2·pairs, zero beyond k; b in panels.
/// Columns of c from n on are left as they are.
void rfm_bf16_multiply(int64_t m, int64_t n, int64_t pairs, const uint16_t *a, int64_t lda,
                       const uint16_t *panels, void *c, int64_t ldc, int result);
/// The same with a in blocks.
void rfm_bf16_multiply_blocks(int64_t m, int64_t n, int64_t pairs, const uint16_t *blocks,
                              const uint16_t *panels, void *c, int64_t ldc, int result);

#pragma clang assume_nonnull end
