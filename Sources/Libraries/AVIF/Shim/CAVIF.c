#include "CAVIF.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <avif/avif.h>

struct rfm_avif_reader {
  avifDecoder *decoder;
  uint8_t *pixels;
};

static rfm_avif_status failed(
    const avifDecoder *decoder, avifResult result, char message[RFM_AVIF_MESSAGE_SIZE]) {
  const char *detail = decoder ? decoder->diag.error : "";
  snprintf(message, RFM_AVIF_MESSAGE_SIZE, "%s%s%.160s", avifResultToString(result),
           detail[0] ? ": " : "", detail);
  switch (result) {
    case AVIF_RESULT_OUT_OF_MEMORY: return RFM_AVIF_OUT_OF_MEMORY;
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
    case AVIF_RESULT_NOT_IMPLEMENTED:
    case AVIF_RESULT_UNSUPPORTED_DEPTH: return RFM_AVIF_UNSUPPORTED;
    default: return RFM_AVIF_DAMAGED;
  }
}

/// The turn (counter-clockwise by a quarter, `angle` times) and then the mirroring as one of EXIF's
/// numbers.
static int orientation(const avifImage *image) {
  int angle = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0;
  if (!(image->transformFlags & AVIF_TRANSFORM_IMIR)) {
    static const int turned[4] = {1, 8, 3, 6};
    return turned[angle];
  }
  // What is exchanged: 0: top and bottom; 1: left and right.
#if AVIF_VERSION >= 1000000
  int axis = image->imir.axis & 1;
#else
  int axis = image->imir.mode & 1;
#endif
  static const int mirrored[2][4] = {{4, 5, 2, 7}, {2, 7, 4, 5}};
  return mirrored[axis][angle];
}

rfm_avif_status rfm_avif_open(
    const uint8_t *bytes, size_t length, int64_t maximum_pixels, int64_t maximum_side,
    rfm_avif_reader **reader, rfm_avif_info *info, char message[RFM_AVIF_MESSAGE_SIZE]) {
  message[0] = 0;
  *reader = NULL;
  rfm_avif_reader *opened = calloc(1, sizeof *opened);
  if (!opened) return RFM_AVIF_OUT_OF_MEMORY;
  avifDecoder *decoder = opened->decoder = avifDecoderCreate();
  if (!decoder) {
    free(opened);
    return RFM_AVIF_OUT_OF_MEMORY;
  }
  decoder->maxThreads = 1;
  // As Pillow reads them: files of older encoders have faults in what isn't needed.
  decoder->strictFlags &= ~(avifStrictFlags)(AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED);
  // The library takes nothing above its own default.
  if (maximum_pixels < decoder->imageSizeLimit) decoder->imageSizeLimit = (uint32_t)maximum_pixels;
  if (maximum_side < decoder->imageDimensionLimit) {
    decoder->imageDimensionLimit = (uint32_t)maximum_side;
  }
  avifResult result = avifDecoderSetIOMemory(decoder, bytes, length);
  if (result == AVIF_RESULT_OK) result = avifDecoderParse(decoder);
  if (result != AVIF_RESULT_OK) {
    rfm_avif_status status = failed(decoder, result, message);
    if (strstr(decoder->diag.error, "too large")) status = RFM_AVIF_TOO_LARGE;
    rfm_avif_close(opened);
    return status;
  }
  const avifImage *image = decoder->image;
  info->width = image->width;
  info->height = image->height;
  info->depth = (int)image->depth;
  info->orientation = orientation(image);
  info->exif = image->exif.size ? image->exif.data : NULL;
  info->exif_length = image->exif.size;
  info->xmp = image->xmp.size ? image->xmp.data : NULL;
  info->xmp_length = image->xmp.size;
  *reader = opened;
  return RFM_AVIF_OK;
}

/// Whether libyuv converts this to RGB, for which 10 and 12 bits lose the lower ones first.
static int loses_bits_first(const avifImage *image) {
  if (image->depth <= 8 || image->yuvFormat == AVIF_PIXEL_FORMAT_YUV400) return 0;
  switch (image->matrixCoefficients) {
    case AVIF_MATRIX_COEFFICIENTS_BT709:
    case AVIF_MATRIX_COEFFICIENTS_UNSPECIFIED:
    case AVIF_MATRIX_COEFFICIENTS_BT470BG:
    case AVIF_MATRIX_COEFFICIENTS_BT601:
    case AVIF_MATRIX_COEFFICIENTS_BT2020_NCL: return 1;
    default: return 0;
  }
}

static void lose_bits(
    const uint8_t *from, uint32_t from_bytes, uint8_t *to, uint32_t to_bytes, uint32_t width,
    uint32_t height, unsigned shift) {
  for (uint32_t y = 0; y < height; y++) {
    const uint16_t *source = (const uint16_t *)(const void *)(from + (size_t)y * from_bytes);
    uint8_t *target = to + (size_t)y * to_bytes;
    for (uint32_t x = 0; x < width; x++) {
      unsigned value = source[x] >> shift;
      target[x] = (uint8_t)(value > 255 ? 255 : value);
    }
  }
}

/// The picture with the upper 8 bits of its samples: what versions of the library with a newer libyuv
/// make RGB of, so that all versions give the same. NULL where memory is short.
static avifImage *with_8_bits(const avifImage *image) {
  avifImage *copy = avifImageCreate(image->width, image->height, 8, image->yuvFormat);
  if (!copy) return NULL;
  copy->yuvRange = image->yuvRange;
  copy->colorPrimaries = image->colorPrimaries;
  copy->transferCharacteristics = image->transferCharacteristics;
  copy->matrixCoefficients = image->matrixCoefficients;
  copy->yuvChromaSamplePosition = image->yuvChromaSamplePosition;
  copy->alphaPremultiplied = image->alphaPremultiplied;
  if (avifImageAllocatePlanes(copy, image->alphaPlane ? AVIF_PLANES_ALL : AVIF_PLANES_YUV) !=
      AVIF_RESULT_OK) {
    avifImageDestroy(copy);
    return NULL;
  }
  avifPixelFormatInfo format;
  avifGetPixelFormatInfo(image->yuvFormat, &format);
  unsigned shift = image->depth - 8;
  for (int plane = 0; plane < 3; plane++) {
    if (!image->yuvPlanes[plane] || !copy->yuvPlanes[plane]) continue;
    uint32_t across = plane ? (uint32_t)format.chromaShiftX : 0;
    uint32_t down = plane ? (uint32_t)format.chromaShiftY : 0;
    lose_bits(image->yuvPlanes[plane], image->yuvRowBytes[plane], copy->yuvPlanes[plane],
              copy->yuvRowBytes[plane], (image->width + across) >> across,
              (image->height + down) >> down, shift);
  }
  if (image->alphaPlane) {
    lose_bits(image->alphaPlane, image->alphaRowBytes, copy->alphaPlane, copy->alphaRowBytes,
              image->width, image->height, shift);
  }
  return copy;
}

rfm_avif_status rfm_avif_decode(
    rfm_avif_reader *reader, const uint8_t **pixels, int *channels,
    char message[RFM_AVIF_MESSAGE_SIZE]) {
  message[0] = 0;
  avifDecoder *decoder = reader->decoder;
  uint32_t width = decoder->image->width, height = decoder->image->height;
  avifResult result = avifDecoderNextImage(decoder);
  if (result != AVIF_RESULT_OK) return failed(decoder, result, message);
  if (decoder->image->width != width || decoder->image->height != height) {
    snprintf(message, RFM_AVIF_MESSAGE_SIZE, "the picture has another size than its header says");
    return RFM_AVIF_DAMAGED;
  }
  // Without room for alpha the library would blend black in.
  *channels = decoder->alphaPresent ? 4 : 3;
  free(reader->pixels);
  reader->pixels = malloc((size_t)width * (size_t)*channels * height);
  if (!reader->pixels) return RFM_AVIF_OUT_OF_MEMORY;
  avifImage *image = decoder->image;
  if (loses_bits_first(image) && !(image = with_8_bits(image))) return RFM_AVIF_OUT_OF_MEMORY;
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, image);
  rgb.depth = 8;
  rgb.format = decoder->alphaPresent ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  rgb.rowBytes = width * (uint32_t)*channels;
  rgb.pixels = reader->pixels;
  result = avifImageYUVToRGB(image, &rgb);
  if (image != decoder->image) avifImageDestroy(image);
  if (result != AVIF_RESULT_OK) return failed(decoder, result, message);
  *pixels = reader->pixels;
  return RFM_AVIF_OK;
}

void rfm_avif_close(rfm_avif_reader *reader) {
  if (!reader) return;
  avifDecoderDestroy(reader->decoder);
  free(reader->pixels);
  free(reader);
}
