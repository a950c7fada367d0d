// s(i) ← s(i)·x + y, for as many independent sums as hide the time that one multiply-add takes: nothing but
// multiply-adds, on registers. The vectors are the processor's widest.
#include "processor_limits.h"

#include <stdint.h>

#define SUMS(NAME, TARGET, LANES, COUNT)                                                       \
  TARGET static double NAME(int64_t turns) {                                                   \
    typedef float vector __attribute__((ext_vector_type(LANES)));                              \
    vector sums[COUNT];                                                                        \
    for (int i = 0; i < COUNT; i++) sums[i] = (vector)(float)i;                                \
    /* Unknown to the compiler, which could else say what it comes to. */                      \
    volatile float half = 0.5f;                                                                \
    const vector x = (vector)half;                                                             \
    for (int64_t turn = 0; turn < turns; turn++) {                                             \
      for (int i = 0; i < COUNT; i++) sums[i] = __builtin_elementwise_fma(sums[i], x, x);      \
    }                                                                                          \
    for (int i = 1; i < COUNT; i++) sums[0] += sums[i];                                        \
    half = sums[0][0];                                                                         \
    return 2.0 * LANES * COUNT * (double)turns;                                                \
  }

#if defined(__x86_64__)
SUMS(widest, __attribute__((target("avx512f"))), 16, 24)
SUMS(wide, __attribute__((target("avx2,fma"))), 8, 12)

double rfm_multiply_adds(int64_t turns) {
  if (__builtin_cpu_supports("avx512f")) return widest(turns);
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? wide(turns) : 0;
}
#else
SUMS(wide, , 4, 24)

double rfm_multiply_adds(int64_t turns) { return wide(turns); }
#endif
