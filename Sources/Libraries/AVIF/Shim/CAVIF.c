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
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, decoder->image);
  rgb.depth = 8;
  // Without room for alpha the library would blend black in.
  rgb.format = decoder->alphaPresent ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  *channels = decoder->alphaPresent ? 4 : 3;
  rgb.rowBytes = width * (uint32_t)*channels;
  free(reader->pixels);
  reader->pixels = rgb.pixels = malloc((size_t)rgb.rowBytes * height);
  if (!rgb.pixels) return RFM_AVIF_OUT_OF_MEMORY;
  result = avifImageYUVToRGB(decoder->image, &rgb);
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
