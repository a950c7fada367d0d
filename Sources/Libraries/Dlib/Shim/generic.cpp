// The detector with the vectors that every processor of the kind has (SSE2, NEON).
#include "standard_headers.h"

#define RFM_DLIB_NAMESPACE rfm_dlib_generic
#define RFM_DLIB_DETECTOR generic_detector
#include "detector.inc.h"
