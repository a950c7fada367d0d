#pragma once
#include <stddef.h>
#include <stdint.h>

/// PNG in memory by libpng. As with JPEG, the library's `longjmp` never leaves these functions.

#define RFM_PNG_MESSAGE_SIZE 256

typedef enum {
  RFM_PNG_OK = 0,
  RFM_PNG_DAMAGED = 1,
  RFM_PNG_TOO_LARGE = 2,
  RFM_PNG_OUT_OF_MEMORY = 3,
} rfm_png_status;

typedef struct rfm_png_reader rfm_png_reader;

/// Reads the header of `bytes`, which must outlive the reader. `interlaced` is 1 if rows can't be
/// had one by one (use `rfm_png_read_image`). Every colour type and depth becomes 8-bit RGB: grey
/// is copied to three channels, palettes are looked up, the low byte of 16-bit samples and alpha
/// are dropped (no background is blended in).
rfm_png_status rfm_png_open(
    const uint8_t *bytes, size_t length, rfm_png_reader **reader, int64_t *width, int64_t *height,
    int *interlaced, char message[RFM_PNG_MESSAGE_SIZE]);

/// The next row of a file that isn't interlaced, width × 3 bytes.
rfm_png_status rfm_png_read_row(
    rfm_png_reader *reader, uint8_t *row, char message[RFM_PNG_MESSAGE_SIZE]);

/// All rows, height × width × 3 bytes, interlaced or not.
rfm_png_status rfm_png_read_image(
    rfm_png_reader *reader, uint8_t *pixels, char message[RFM_PNG_MESSAGE_SIZE]);

/// Reads what follows the last row, so that a file cut short or a wrong checksum is seen.
rfm_png_status rfm_png_finish(rfm_png_reader *reader, char message[RFM_PNG_MESSAGE_SIZE]);

void rfm_png_close(rfm_png_reader *reader);

/// Unpacks a compressed text of a chunk (zlib's format). `RFM_PNG_OK` with what there is where the
/// data are cut short; `RFM_PNG_TOO_LARGE` where it would be more than `capacity` bytes.
rfm_png_status rfm_png_inflate(
    const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *written);

/// Encodes `pixels` [height, width, channels] (1: grey, 3: RGB), 8 bits. `level` is zlib's, 0 … 9.
/// `*bytes` is to be freed by `rfm_png_free`.
rfm_png_status rfm_png_encode(
    const uint8_t *pixels, int64_t width, int64_t height, int channels, int level, uint8_t **bytes,
    size_t *length, char message[RFM_PNG_MESSAGE_SIZE]);

void rfm_png_free(uint8_t *bytes);
