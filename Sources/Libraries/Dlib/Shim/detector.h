// What the units of this shim know of each other: the detector compiled several times, once a kind of
// processor, and its filters, which are the same for all.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "CDlib.h"

namespace rfm_faces {

struct Detector {
  virtual ~Detector() = default;
  virtual std::unique_ptr<Detector> copy() const = 0;
  // As rfm_dlib_detect; throws what dlib throws.
  virtual void detect(const uint8_t *pixels, long width, long height, int channels, int upsamplings,
                      std::vector<rfm_dlib_box> &boxes) = 0;
};

// The filters as dlib packs them into a stream.
std::string packed_filters();

std::unique_ptr<Detector> generic_detector(const std::string &filters);
#if defined(__x86_64__)
std::unique_ptr<Detector> avx2_detector(const std::string &filters);
#endif

}  // namespace rfm_faces
