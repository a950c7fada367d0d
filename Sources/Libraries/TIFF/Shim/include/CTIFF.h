#pragma once
#include <stddef.h>
#include <stdint.h>

/// TIFF and BigTIFF in memory by libtiff (4.5 and later).

#define RFM_TIFF_MESSAGE_SIZE 256

typedef enum {
  RFM_TIFF_OK = 0,
  /// Not decodable, cut short, or corrupt; the message says how.
  RFM_TIFF_DAMAGED = 1,
  RFM_TIFF_OUT_OF_MEMORY = 2,
} rfm_tiff_status;

typedef struct rfm_tiff_reader rfm_tiff_reader;

/// Tags of the first picture, by their numbers in TIFF 6.0; what is missing has its default.
typedef struct {
  int64_t width, height;
  /// Bits of a sample, and how many samples a pixel has.
  int bits, samples;
  /// 1: unsigned, 2: signed, 3: floating-point.
  int format;
  /// 1: interleaved, 2: each sample in a plane of its own.
  int planes;
  int photometric, compression;
  /// Samples beyond the colour, and what the first is (1: alpha that colours are multiplied by).
  int extra_samples, first_extra;
  /// Pixels that are stored together: tiles, or strips as wide as the picture.
  int tiled;
  int64_t block_width, block_height;
  /// Bytes of a row of the picture (of one plane), and of a block's row and the whole block.
  int64_t row_bytes, block_row_bytes, block_bytes;
  /// 1: the samples are RGB, whatever `photometric` says: JPEG's decoder converts them.
  /// 2: rows and blocks can't be had; see `rfm_tiff_read_colours`.
  int colours;
  /// The tag 274, or 0.
  int orientation;
  /// 1 << bits values of 16 bits each, or NULL. They live as long as the reader, as does XMP.
  const uint16_t *red, *green, *blue;
  const uint8_t *xmp;
  size_t xmp_length;
} rfm_tiff_info;

/// Reads the first directory of `bytes`, which must outlive the reader. No single piece of memory
/// that the library takes is larger than `maximum_memory`. On success `*reader`, to be closed by
/// `rfm_tiff_close`.
rfm_tiff_status rfm_tiff_open(
    const uint8_t *bytes, size_t length, size_t maximum_memory, rfm_tiff_reader **reader,
    rfm_tiff_info *info, char message[RFM_TIFF_MESSAGE_SIZE]);

/// Row `y` of a picture in strips, `row_bytes` bytes, 16-bit samples in the machine's order. Rows are
/// to be read from the first on.
rfm_tiff_status rfm_tiff_read_row(
    rfm_tiff_reader *reader, int64_t y, int plane, uint8_t *row,
    char message[RFM_TIFF_MESSAGE_SIZE]);

/// The block that pixel (x, y) lies in, `block_bytes` bytes at most; the last strip may be shorter.
rfm_tiff_status rfm_tiff_read_block(
    rfm_tiff_reader *reader, int64_t x, int64_t y, int plane, uint8_t *block,
    char message[RFM_TIFF_MESSAGE_SIZE]);

/// width × height pixels from (x, y), the corner of a block, on, 4 bytes each: R, G, B and one more.
rfm_tiff_status rfm_tiff_read_colours(
    rfm_tiff_reader *reader, int64_t x, int64_t y, int64_t width, int64_t height, uint8_t *pixels,
    char message[RFM_TIFF_MESSAGE_SIZE]);

void rfm_tiff_close(rfm_tiff_reader *reader);
