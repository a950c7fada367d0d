// Counts the heap allocations of chosen threads, to show that a training step makes none.
#pragma once
#include <stdint.h>

/// Whether allocations can be counted in this build: with glibc and without a sanitizer.
int rfm_allocations_can_be_counted(void);
/// Begins or ends counting in the calling thread.
void rfm_count_allocations(int on);
/// Allocations counted so far, in all threads.
int64_t rfm_counted_allocations(void);
