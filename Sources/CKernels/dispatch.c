// Which kernels this processor runs.
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"
#include "tables.h"

static int always(void) { return 1; }

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
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

// The best first. The plain ones are for comparison: whatever the processor, others come before.
static const struct {
  const rfm_kernels_t *kernels;
  int (*runs)(void);
} sets[] = {
#if defined(__x86_64__)
    {&rfm_kernels_avx512bf16, rfm_has_bfloat16},
    {&rfm_kernels_avx512, runs_avx512},
    {&rfm_kernels_avx2, runs_avx2},
#endif
#if defined(__aarch64__)
    {&rfm_kernels_neonbf16, rfm_has_bfloat16},
    {&rfm_kernels_neon, always},
#else
    {&rfm_kernels_generic, always},
#endif
    {&rfm_kernels_plain, always},
};
enum { SETS = sizeof sets / sizeof sets[0] };

const rfm_kernels_t *rfm_kernels_named(const char *name) {
  for (int i = 0; i < SETS; i++)
    if (!strcmp(name, sets[i].kernels->name)) return sets[i].runs() ? sets[i].kernels : 0;
  return 0;
}

const rfm_kernels_t *rfm_kernels(void) {
  const char *wanted = getenv("RFM_KERNELS");
  if (wanted && *wanted) return rfm_kernels_named(wanted);
  int best = 0;
  while (!sets[best].runs()) best++;
  return sets[best].kernels;
}

int rfm_has_bfloat16(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return runs_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
#elif defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP2) >> 14 & 1);  // HWCAP2_BF16
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
#elif defined(__aarch64__)
  uint64_t state;
  __asm__ volatile("mrs %0, fpcr" : "=r"(state));
  __asm__ volatile("msr fpcr, %0" : : "r"(state | 1u << 24));  // FZ: of operands and results
  return (uint32_t)state;
#else
  return 0;
#endif
}

void rfm_restore_denormals(uint32_t state) {
#if defined(__x86_64__)
  _mm_setcsr(state);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)state));
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
