// The program's own malloc family: glibc's, with a counter in front that looks at one thread-local
// flag. Linked into the program, it also sees what the libraries ask for on the threads counted.
#include "CAllocations.h"

#include <stdatomic.h>
#include <stddef.h>

static _Thread_local int counting;
static _Atomic int64_t counted;

void rfm_count_allocations(int on) { counting = on; }

int64_t rfm_counted_allocations(void) {
  return atomic_load_explicit(&counted, memory_order_relaxed);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define RFM_SANITIZED 1
#endif
#endif

#include <features.h>
#if defined(__GLIBC__) && !defined(RFM_SANITIZED)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static inline void note(void) {
  if (__builtin_expect(counting, 0))
    atomic_fetch_add_explicit(&counted, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
  note();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note();
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  note();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  note();
  return __libc_memalign(alignment, size);
}

int rfm_allocations_can_be_counted(void) { return 1; }

#else

int rfm_allocations_can_be_counted(void) { return 0; }

#endif
