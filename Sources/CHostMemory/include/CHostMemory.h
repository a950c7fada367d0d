// Memory without a name that other processes can map, and counts in it: what Swift cannot import from
// sys/mman.h, and atomic access to raw memory.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// A file descriptor of `bytes` of zeroed memory, all of it there already, or -1 with `errno` set.
/// The memory ends with its last descriptor and mapping, however the processes end.
int rfm_host_memory_create(size_t bytes);

/// Counts that one process raises and others wait for. What was written before a count was raised is
/// seen by whoever has read it.
static inline void rfm_host_raise(uint64_t *count) {
  __atomic_fetch_add(count, 1, __ATOMIC_RELEASE);
}
static inline uint64_t rfm_host_count(const uint64_t *count) {
  return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}
