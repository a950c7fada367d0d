// Sixteen-lane vectors. The compiler splits them into what the target has (one AVX-512 register,
// two AVX, four SSE or NEON), so that kernels are written once.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vf __attribute__((ext_vector_type(16)));
typedef float vf_any __attribute__((ext_vector_type(16), aligned(4)));
typedef double vd8 __attribute__((ext_vector_type(8)));
typedef double vd8_any __attribute__((ext_vector_type(8), aligned(8)));
typedef int32_t vi __attribute__((ext_vector_type(16)));
typedef uint32_t vu __attribute__((ext_vector_type(16)));
typedef uint16_t vh __attribute__((ext_vector_type(16)));
typedef uint16_t vh_any __attribute__((ext_vector_type(16), aligned(2)));
typedef uint8_t vb __attribute__((ext_vector_type(16)));
typedef uint8_t vb_any __attribute__((ext_vector_type(16), aligned(1)));
typedef _Bool vm __attribute__((ext_vector_type(16)));

// Every function that takes a vector is inlined into one that doesn't, so no vector crosses a call
// and the calling convention that the compiler warns of is never used.
#pragma clang diagnostic ignored "-Wpsabi"
#define AI static inline __attribute__((always_inline))

// Asks for the cache line at p, which may lie outside of any object, some thousand cycles before it is
// read or written. Channels of a map are visited in strides of whole pixels, which no processor
// foresees beyond a page.
AI void prefetch(const void *p) { __builtin_prefetch(p, 0, 2); }
AI void prefetch_to_write(const void *p) { __builtin_prefetch(p, 1, 2); }
