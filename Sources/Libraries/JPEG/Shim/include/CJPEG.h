#pragma once
#include <stddef.h>
#include <stdint.h>

/// JPEG in memory by libjpeg-turbo. The library reports errors by leaving through `longjmp`, which
/// must never cross a Swift frame: every call below catches them and returns a status and a text.

#define RFM_JPEG_MESSAGE_SIZE 256

typedef enum {
  RFM_JPEG_OK = 0,
  /// Not decodable, cut short, or corrupt; the message says how.
  RFM_JPEG_DAMAGED = 1,
  /// Would need more memory than allowed.
  RFM_JPEG_TOO_LARGE = 2,
  RFM_JPEG_OUT_OF_MEMORY = 3,
  /// A kind of JPEG that can't be decoded, though nothing is wrong with it; the message says which.
  RFM_JPEG_UNSUPPORTED = 4,
} rfm_jpeg_status;

typedef struct rfm_jpeg_reader rfm_jpeg_reader;

/// Reads the header of `bytes`, which must outlive the reader. `maximum_memory` bounds what the
/// library allocates. On success `*reader`, to be closed by `rfm_jpeg_close`, and the full size.
rfm_jpeg_status rfm_jpeg_open(
    const uint8_t *bytes, size_t length, size_t maximum_memory, rfm_jpeg_reader **reader,
    int64_t *width, int64_t *height, char message[RFM_JPEG_MESSAGE_SIZE]);

/// Starts decoding at `eighths`/8 of the full size (1 … 8); the size that results.
rfm_jpeg_status rfm_jpeg_start(
    rfm_jpeg_reader *reader, int eighths, int64_t *width, int64_t *height,
    char message[RFM_JPEG_MESSAGE_SIZE]);

/// The next row, width × 3 bytes of RGB whatever the colour space of the file. A file that only
/// lacks its end marker is whole; one that lacks a bit of the picture is damaged.
rfm_jpeg_status rfm_jpeg_read_row(
    rfm_jpeg_reader *reader, uint8_t *row, char message[RFM_JPEG_MESSAGE_SIZE]);

void rfm_jpeg_close(rfm_jpeg_reader *reader);

/// Encodes `pixels` [height, width, channels] (1: grey, 3: RGB) as baseline JPEG. `quality` 1 … 100;
/// chroma is halved in both directions if `subsample`, else kept whole. `*bytes` is to be freed by
/// `rfm_jpeg_free`.
rfm_jpeg_status rfm_jpeg_encode(
    const uint8_t *pixels, int64_t width, int64_t height, int channels, int quality, int subsample,
    uint8_t **bytes, size_t *length, char message[RFM_JPEG_MESSAGE_SIZE]);

void rfm_jpeg_free(uint8_t *bytes);
