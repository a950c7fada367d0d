#include "CDlib.h"

#include <dlib/revision.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "detector.h"

struct rfm_dlib_detector {
  const char *kernels;
  std::unique_ptr<rfm_faces::Detector> detector;
};

namespace {

bool runs_avx2() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

// Runs `body`; what it throws becomes a status and a message of one line.
template <typename Body>
rfm_dlib_status guarded(char message[RFM_DLIB_MESSAGE_SIZE], Body body) {
  message[0] = 0;
  try {
    return body();
  } catch (const std::bad_alloc &) {
    std::snprintf(message, RFM_DLIB_MESSAGE_SIZE, "no memory");
    return RFM_DLIB_OUT_OF_MEMORY;
  } catch (const std::exception &error) {
    std::snprintf(message, RFM_DLIB_MESSAGE_SIZE, "%s", error.what());
  } catch (...) {
    std::snprintf(message, RFM_DLIB_MESSAGE_SIZE, "unknown exception");
  }
  for (char *c = message; *c; c++)
    if (static_cast<unsigned char>(*c) < ' ') *c = ' ';
  return RFM_DLIB_FAILED;
}

}  // namespace

rfm_dlib_status rfm_dlib_detector_create(const char *kernels, rfm_dlib_detector **detector,
                                         char message[RFM_DLIB_MESSAGE_SIZE]) {
  *detector = nullptr;
  return guarded(message, [&] {
    const bool generic = kernels ? !std::strcmp(kernels, "generic") : !runs_avx2();
    if (kernels && !generic && (std::strcmp(kernels, "avx2") || !runs_avx2())) {
      std::snprintf(message, RFM_DLIB_MESSAGE_SIZE, "this processor has no kernels \"%s\"", kernels);
      return RFM_DLIB_FAILED;
    }
    auto made = std::make_unique<rfm_dlib_detector>();
    const std::string filters = rfm_faces::packed_filters();
    made->kernels = generic ? "generic" : "avx2";
#if defined(__x86_64__)
    if (!generic) made->detector = rfm_faces::avx2_detector(filters);
#endif
    if (generic) made->detector = rfm_faces::generic_detector(filters);
    *detector = made.release();
    return RFM_DLIB_OK;
  });
}

rfm_dlib_status rfm_dlib_detector_copy(const rfm_dlib_detector *model, rfm_dlib_detector **detector,
                                       char message[RFM_DLIB_MESSAGE_SIZE]) {
  *detector = nullptr;
  return guarded(message, [&] {
    auto made = std::make_unique<rfm_dlib_detector>();
    made->kernels = model->kernels;
    made->detector = model->detector->copy();
    *detector = made.release();
    return RFM_DLIB_OK;
  });
}

void rfm_dlib_detector_destroy(rfm_dlib_detector *detector) { delete detector; }

rfm_dlib_status rfm_dlib_detect(rfm_dlib_detector *detector, const uint8_t *pixels, int64_t width,
                                int64_t height, int channels, int upsamplings, rfm_dlib_box *boxes,
                                size_t capacity, size_t *count,
                                char message[RFM_DLIB_MESSAGE_SIZE]) {
  *count = 0;
  return guarded(message, [&] {
    std::vector<rfm_dlib_box> found;
    detector->detector->detect(pixels, width, height, channels, upsamplings, found);
    *count = found.size() < capacity ? found.size() : capacity;
    if (*count) std::memcpy(boxes, found.data(), *count * sizeof(rfm_dlib_box));
    return RFM_DLIB_OK;
  });
}

const char *rfm_dlib_kernels(const rfm_dlib_detector *detector) { return detector->kernels; }

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *rfm_dlib_version(void) {
  return TEXT(DLIB_MAJOR_VERSION) "." TEXT(DLIB_MINOR_VERSION) "." TEXT(DLIB_PATCH_VERSION);
}
