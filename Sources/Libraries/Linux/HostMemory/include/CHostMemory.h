// Memory without a name that other processes can map, and counts in it: what Swift cannot import from
// sys/mman.h, and atomic access to raw memory.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// A file descriptor of `bytes` of zeroed memory, all of it there already, or -1 with `errno` set.
/// The memory ends with its last descriptor and mapping, however the processes end.
int rfm_host_memory_create(size_t bytes);

/// Counts in shared memory. What a process wrote before it stored, raised or claimed is seen by whoever
/// has loaded the result.
static inline uint64_t rfm_host_load(const uint64_t *count) {
  return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}
static inline void rfm_host_store(uint64_t *count, uint64_t value) {
  __atomic_store_n(count, value, __ATOMIC_RELEASE);
}
static inline void rfm_host_raise(uint64_t *count) {
  __atomic_fetch_add(count, 1, __ATOMIC_ACQ_REL);
}
/// Raises a count that is below `limit` and returns what it was; else returns `limit` or more.
static inline uint64_t rfm_host_claim(uint64_t *count, uint64_t limit) {
  uint64_t seen = __atomic_load_n(count, __ATOMIC_ACQUIRE);
  while (seen < limit && !__atomic_compare_exchange_n(
                             count, &seen, seen + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  return seen;
}
