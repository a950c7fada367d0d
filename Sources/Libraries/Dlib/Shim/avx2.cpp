// The detector with vectors of AVX2. What the standard library has inline stays as every processor runs
// it: its headers are read before.
#if defined(__x86_64__)
#include "standard_headers.h"

#include <immintrin.h>

#define DLIB_HAVE_SSE2
#define DLIB_HAVE_SSE3
#define DLIB_HAVE_SSE41
#define DLIB_HAVE_AVX
#define DLIB_HAVE_AVX2

#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)

#define RFM_DLIB_NAMESPACE rfm_dlib_avx2
#define RFM_DLIB_DETECTOR avx2_detector
#include "detector.inc.h"

#pragma clang attribute pop
#endif
