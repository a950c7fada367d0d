// Which kernels this processor runs.
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"
#include "tables.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static int runs_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
static int runs_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#endif

const rfm_kernels_t *rfm_kernels_named(const char *name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!strcmp(name, "avx512bf16")) return rfm_has_bfloat16() ? &rfm_kernels_avx512bf16 : 0;
  if (!strcmp(name, "avx512")) return runs_avx512() ? &rfm_kernels_avx512 : 0;
  if (!strcmp(name, "avx2")) return runs_avx2() ? &rfm_kernels_avx2 : 0;
#endif
  return strcmp(name, "generic") ? 0 : &rfm_kernels_generic;
}

const rfm_kernels_t *rfm_kernels(void) {
  const char *wanted = getenv("RFM_KERNELS");
  if (wanted && *wanted) return rfm_kernels_named(wanted);
  const rfm_kernels_t *best = rfm_kernels_named("avx512bf16");
  if (!best) best = rfm_kernels_named("avx512");
  if (!best) best = rfm_kernels_named("avx2");
  return best ? best : &rfm_kernels_generic;
}

int rfm_has_bfloat16(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return runs_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
#else
  return 0;
#endif
}

int rfm_has_matrix_tiles(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
#else
  return 0;
#endif
}

uint32_t rfm_flush_denormals(void) {
#if defined(__x86_64__)
  const uint32_t state = _mm_getcsr();
  _mm_setcsr(state | 0x8040);  // flush to zero, denormals are zero
  return state;
#else
  return 0;
#endif
}

void rfm_restore_denormals(uint32_t state) {
#if defined(__x86_64__)
  _mm_setcsr(state);
#else
  (void)state;
#endif
}

void rfm_pause(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
