#pragma once
#include <stddef.h>
#include <stdint.h>

/// WebP in memory by libwebp and its reader of containers, libwebpdemux.

#define RFM_WEBP_MESSAGE_SIZE 256

typedef enum {
  RFM_WEBP_OK = 0,
  /// Not decodable, cut short, or corrupt; the message says how.
  RFM_WEBP_DAMAGED = 1,
  RFM_WEBP_OUT_OF_MEMORY = 2,
} rfm_webp_status;

typedef struct rfm_webp_reader rfm_webp_reader;

/// The first frame of a file; of a still picture its only one.
typedef struct {
  /// Pixels of the canvas, which is the picture's size.
  int64_t width, height;
  /// Where on the canvas the frame stands; what it leaves free is black.
  int64_t left, top, frame_width, frame_height;
  /// Lossless frames are held whole, 4 bytes a pixel, while they are decoded.
  int lossless;
} rfm_webp_frame;

/// Reads the container of `bytes`, which must outlive the reader. A file of which any chunk is cut
/// short is damaged. On success `*reader`, to be closed by `rfm_webp_close`.
rfm_webp_status rfm_webp_open(
    const uint8_t *bytes, size_t length, rfm_webp_reader **reader, rfm_webp_frame *frame,
    char message[RFM_WEBP_MESSAGE_SIZE]);

/// The first chunk of a kind ("EXIF" or "XMP "), a part of the file's bytes; NULL where there is none.
const uint8_t *rfm_webp_chunk(const rfm_webp_reader *reader, const char kind[4], size_t *length);

/// Decodes the first frame at width × height pixels (its own size, or less) to RGB; alpha is dropped,
/// not blended. Rows begin `stride` bytes apart.
rfm_webp_status rfm_webp_decode(
    const rfm_webp_reader *reader, int64_t width, int64_t height, uint8_t *pixels, size_t stride,
    char message[RFM_WEBP_MESSAGE_SIZE]);

void rfm_webp_close(rfm_webp_reader *reader);
