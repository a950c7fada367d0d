// Vectors of LANES elements. The compiler splits them into what the target has (one AVX-512 register,
// two AVX, four SSE; two NEON), so that kernels are written once.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

// As many lanes as keep a kernel's sums and weights in the registers that there are: 64-bit Arm has 32 of
// four lanes. A divisor of RFM_VECTOR, so that a pixel is whole vectors.
#if defined(__aarch64__)
#define LANES 8
typedef uint8_t lane_bits;
#else
#define LANES 16
typedef uint16_t lane_bits;
#endif
// A mask of bits, one a lane. They are stored as 16-bit words for 16 channels; both kinds of processor have
// the lower byte of a word first, so that a word is one mask or two.
_Static_assert(8 * sizeof(lane_bits) == LANES, "a bit a lane");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "masks of bits are read by bytes");

typedef float vf __attribute__((ext_vector_type(LANES)));
typedef float vf_any __attribute__((ext_vector_type(LANES), aligned(4)));
typedef double vd8 __attribute__((ext_vector_type(8)));
typedef double vd8_any __attribute__((ext_vector_type(8), aligned(8)));
typedef int32_t vi __attribute__((ext_vector_type(LANES)));
typedef uint32_t vu __attribute__((ext_vector_type(LANES)));
typedef uint16_t vh __attribute__((ext_vector_type(LANES)));
typedef uint16_t vh_any __attribute__((ext_vector_type(LANES), aligned(2)));
typedef uint8_t vb __attribute__((ext_vector_type(LANES)));
typedef uint8_t vb_any __attribute__((ext_vector_type(LANES), aligned(1)));
typedef _Bool vm __attribute__((ext_vector_type(LANES)));

// Every function that takes a vector is inlined into one that doesn't, so no vector crosses a call
// and the calling convention that the compiler warns of is never used.
#pragma clang diagnostic ignored "-Wpsabi"
#define AI static inline __attribute__((always_inline))

// Asks for the cache line at p, which may lie outside of any object, some thousand cycles before it is
// read or written. Channels of a map are visited in strides of whole pixels, which no processor
// foresees beyond a page.
AI void prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }
AI void prefetch_to_write(const void *p) { __builtin_prefetch(p, 1, 2); }
