#pragma once
#include <stddef.h>
#include <stdint.h>

/// HEIF, mostly with HEVC in it (HEIC), in memory by libheif (1.15 and later).

#define RFM_HEIF_MESSAGE_SIZE 256

typedef enum {
  RFM_HEIF_OK = 0,
  /// Not decodable, cut short, or corrupt; the message says how.
  RFM_HEIF_DAMAGED = 1,
  RFM_HEIF_TOO_LARGE = 2,
  RFM_HEIF_OUT_OF_MEMORY = 3,
  /// Nothing is wrong with it, but this libheif can't decode it; the message says why.
  RFM_HEIF_UNSUPPORTED = 4,
} rfm_heif_status;

typedef struct rfm_heif_reader rfm_heif_reader;

/// Reads the container of `bytes`, which must outlive the reader, as far as its primary picture. On
/// success `*reader`, to be closed by `rfm_heif_close`, and the size, turned as the file says.
rfm_heif_status rfm_heif_open(
    const uint8_t *bytes, size_t length, rfm_heif_reader **reader, int64_t *width, int64_t *height,
    char message[RFM_HEIF_MESSAGE_SIZE]);

/// Decodes the primary picture to 8-bit RGB, turned, mirrored and cropped as its properties say; alpha
/// is dropped, not blended. `*pixels` has rows `*stride` bytes apart and lives as long as the reader;
/// its size may be another than that in the header.
rfm_heif_status rfm_heif_decode(
    rfm_heif_reader *reader, const uint8_t **pixels, int64_t *stride, int64_t *width,
    int64_t *height, char message[RFM_HEIF_MESSAGE_SIZE]);

void rfm_heif_close(rfm_heif_reader *reader);
