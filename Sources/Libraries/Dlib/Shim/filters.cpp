// The only unit that calls code of libdlib.a (base64 and the entropy decoder).
#include <dlib/image_processing/frontal_face_detector.h>

#include "detector.h"

std::string rfm_faces::packed_filters() { return dlib::get_serialized_frontal_faces(); }
