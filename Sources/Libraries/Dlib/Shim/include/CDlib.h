#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Faces in pixels by dlib's frontal detector: histograms of oriented gradients, five linear filters, a
/// pyramid of sizes. No exception of dlib's ever leaves these functions, and they keep no state.

#define RFM_DLIB_MESSAGE_SIZE 256

typedef enum {
  RFM_DLIB_OK = 0,
  RFM_DLIB_OUT_OF_MEMORY = 1,
  RFM_DLIB_FAILED = 2,
} rfm_dlib_status;

/// The detector's filters with memory to work in. Any thread may use it, one at a time.
typedef struct rfm_dlib_detector rfm_dlib_detector;

/// A face as dlib tells it: corners that both belong to it, so `right − left + 1` pixels wide; they may
/// lie outside the image. `score` is the distance from the threshold, always above 0.
typedef struct {
  int64_t left, top, right, bottom;
  double score;
} rfm_dlib_box;

/// Unpacks the detector that is part of dlib, which takes a good part of a second. `kernels` is "avx2",
/// "generic", or NULL for the best that this processor has; `RFM_DLIB_FAILED` if it has them not.
rfm_dlib_status rfm_dlib_detector_create(
    const char *kernels, rfm_dlib_detector **detector, char message[RFM_DLIB_MESSAGE_SIZE]);

/// Another one of the same filters, quickly; `model` may be copied by several threads at once.
rfm_dlib_status rfm_dlib_detector_copy(
    const rfm_dlib_detector *model, rfm_dlib_detector **detector,
    char message[RFM_DLIB_MESSAGE_SIZE]);

void rfm_dlib_detector_destroy(rfm_dlib_detector *detector);

/// Finds the faces of `pixels` [height, width, channels] (1: grey, 3: RGB), best score first, after
/// doubling the image's sides `upsamplings` times; boxes are in pixels of the image as given. `*count`
/// boxes, at most `capacity`, are stored in `boxes`.
rfm_dlib_status rfm_dlib_detect(
    rfm_dlib_detector *detector, const uint8_t *pixels, int64_t width, int64_t height, int channels,
    int upsamplings, rfm_dlib_box *boxes, size_t capacity, size_t *count,
    char message[RFM_DLIB_MESSAGE_SIZE]);

/// The kernels that a detector uses, "avx2" or "generic".
const char *rfm_dlib_kernels(const rfm_dlib_detector *detector);

/// As in "19.24.0": of the headers that this was compiled with, since the detector's code is theirs.
const char *rfm_dlib_version(void);

#ifdef __cplusplus
}
#endif
