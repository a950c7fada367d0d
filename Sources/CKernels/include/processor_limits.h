// What a processor does at most, to hold against what it does.
#pragma once
#include <stdint.h>

/// Multiply-adds on registers, `turns` times some dozens of vectors; the calling thread alone.
///
/// Returns the floating-point operations that it took, two a multiply-add; 0 on an x86-64 processor without
/// such an instruction, where nothing was done.
double rfm_multiply_adds(int64_t turns);
