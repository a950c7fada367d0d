#pragma once
#include <stddef.h>
#include <stdint.h>

/// AVIF in memory by libavif (0.11 and later).

#define RFM_AVIF_MESSAGE_SIZE 256

typedef enum {
  RFM_AVIF_OK = 0,
  /// Not decodable, cut short, or corrupt; the message says how.
  RFM_AVIF_DAMAGED = 1,
  RFM_AVIF_TOO_LARGE = 2,
  RFM_AVIF_OUT_OF_MEMORY = 3,
  /// Nothing is wrong with it, but this libavif can't decode it; the message says why.
  RFM_AVIF_UNSUPPORTED = 4,
} rfm_avif_status;

typedef struct rfm_avif_reader rfm_avif_reader;

typedef struct {
  int64_t width, height;
  /// Bits a sample: 8, 10 or 12.
  int depth;
  /// How the picture is to be turned, in EXIF's numbers (1 … 8), by the properties `irot` and `imir`,
  /// which are not applied to the pixels.
  int orientation;
  /// NULL where there are none; they live as long as the reader.
  const uint8_t *exif, *xmp;
  size_t exif_length, xmp_length;
} rfm_avif_info;

/// Reads the container of `bytes`, which must outlive the reader. Pictures of more pixels, or longer
/// sides, are refused, before and while they are decoded. On success `*reader`, to be closed by
/// `rfm_avif_close`.
rfm_avif_status rfm_avif_open(
    const uint8_t *bytes, size_t length, int64_t maximum_pixels, int64_t maximum_side,
    rfm_avif_reader **reader, rfm_avif_info *info, char message[RFM_AVIF_MESSAGE_SIZE]);

/// Decodes the picture, of a sequence the first, to 8 bits. `*pixels` has `*channels` (3: RGB, or 4:
/// RGBA, alpha not blended, premultiplied colours divided by it) bytes a pixel and no gaps between
/// rows; it lives as long as the reader.
rfm_avif_status rfm_avif_decode(
    rfm_avif_reader *reader, const uint8_t **pixels, int *channels,
    char message[RFM_AVIF_MESSAGE_SIZE]);

void rfm_avif_close(rfm_avif_reader *reader);
