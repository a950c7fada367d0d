// The detector, compiled for one kind of processor; included once a unit with
//   RFM_DLIB_NAMESPACE  what dlib is called there, so that its templates, compiled another way in each
//                       unit, never become one at linking,
//   RFM_DLIB_DETECTOR   the name of the function that makes it.
// Neither BLAS nor LAPACK is used, whatever dlib was configured for: its headers have what is needed. (The
// first two headers are those that read its configuration.)
#define dlib RFM_DLIB_NAMESPACE
#include <dlib/assert.h>
#include <dlib/test_for_odr_violations.h>
#undef DLIB_USE_BLAS
#undef DLIB_USE_LAPACK
#include <dlib/array2d.h>
#include <dlib/image_processing/object_detector.h>
#include <dlib/image_processing/scan_fhog_pyramid.h>
#include <dlib/image_transforms.h>

#include "detector.h"

namespace {

// What dlib calls its frontal face detector.
using Scanner = dlib::scan_fhog_pyramid<dlib::pyramid_down<6>>;

class HistogramDetector final : public rfm_faces::Detector {
 public:
  explicit HistogramDetector(const std::string &filters) {
    std::istringstream stream(filters);
    deserialize(detector, stream);
  }

  explicit HistogramDetector(const HistogramDetector &other)
      : rfm_faces::Detector(), detector(other.detector) {}

  std::unique_ptr<rfm_faces::Detector> copy() const override {
    return std::make_unique<HistogramDetector>(*this);
  }

  void detect(const uint8_t *pixels, long width, long height, int channels, int upsamplings,
              std::vector<rfm_dlib_box> &boxes) override {
    if (channels == 3)
      run<dlib::rgb_pixel>(pixels, width, height, upsamplings, boxes);
    else
      run<unsigned char>(pixels, width, height, upsamplings, boxes);
  }

 private:
  dlib::object_detector<Scanner> detector;

  template <typename Pixel>
  void run(const uint8_t *pixels, long width, long height, int upsamplings,
           std::vector<rfm_dlib_box> &boxes) {
    static_assert(sizeof(Pixel) == 1 || sizeof(Pixel) == 3, "pixels are bytes without gaps");
    dlib::array2d<Pixel> image(height, width);
    for (long y = 0; y < height; y++)
      std::memcpy(&image[y][0], pixels + y * width * sizeof(Pixel), width * sizeof(Pixel));
    const dlib::pyramid_down<2> half;
    for (int i = 0; i < upsamplings; i++) dlib::pyramid_up(image, half);
    std::vector<dlib::rect_detection> found;
    detector(image, found);
    for (const auto &face : found) {
      const dlib::rectangle box = half.rect_down(dlib::drectangle(face.rect), upsamplings);
      boxes.push_back({box.left(), box.top(), box.right(), box.bottom(), face.detection_confidence});
    }
  }
};

}  // namespace

std::unique_ptr<rfm_faces::Detector> rfm_faces::RFM_DLIB_DETECTOR(const std::string &filters) {
  return std::make_unique<HistogramDetector>(filters);
}
