#include "CTIFF.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

struct rfm_tiff_reader {
  TIFF *tiff;
  const uint8_t *bytes;
  uint64_t length, position;
  char message[RFM_TIFF_MESSAGE_SIZE];
  int decoding;  // Warnings now mean pixels that are lost.
  int warned;
};

// MARK: What the library says

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list values) {
  (void)tiff;
  (void)module;
  rfm_tiff_reader *reader = user;
  // The first error is the cause.
  if (!reader->message[0]) vsnprintf(reader->message, sizeof reader->message, format, values);
  return 1;
}

/// In a directory a warning is about a tag that nobody needs, and the library goes on. While pixels
/// are decoded it means that some were made up.
static int on_warning(
    TIFF *tiff, void *user, const char *module, const char *format, va_list values) {
  rfm_tiff_reader *reader = user;
  if (!reader->decoding) return 1;
  reader->warned = 1;
  return on_error(tiff, user, module, format, values);
}

static rfm_tiff_status damaged(
    const rfm_tiff_reader *reader, const char *otherwise, char message[RFM_TIFF_MESSAGE_SIZE]) {
  snprintf(message, RFM_TIFF_MESSAGE_SIZE, "%s",
           reader->message[0] ? reader->message : otherwise);
  return RFM_TIFF_DAMAGED;
}

// MARK: The file in memory

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t count) {
  rfm_tiff_reader *reader = (rfm_tiff_reader *)handle;
  if (count < 0 || reader->position >= reader->length) return 0;
  uint64_t left = reader->length - reader->position;
  if ((uint64_t)count < left) left = (uint64_t)count;
  memcpy(out, reader->bytes + reader->position, (size_t)left);
  reader->position += left;
  return (tmsize_t)left;
}

static tmsize_t write_nothing(thandle_t handle, void *bytes, tmsize_t count) {
  (void)handle;
  (void)bytes;
  (void)count;
  return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
  rfm_tiff_reader *reader = (rfm_tiff_reader *)handle;
  if (whence == SEEK_CUR) offset += reader->position;
  if (whence == SEEK_END) offset += reader->length;
  reader->position = offset;
  return offset;
}

static int close_nothing(thandle_t handle) {
  (void)handle;
  return 0;
}

static toff_t size(thandle_t handle) { return ((rfm_tiff_reader *)handle)->length; }

// MARK: Reading

static void describe(TIFF *tiff, rfm_tiff_info *info) {
  uint32_t width = 0, height = 0, block_width = 0, block_height = 0, xmp_length = 0;
  uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT, planes = PLANARCONFIG_CONTIG;
  uint16_t photometric = PHOTOMETRIC_MINISWHITE, compression = COMPRESSION_NONE;
  uint16_t extra_samples = 0, orientation = 0, *extras = NULL;
  uint16_t *red = NULL, *green = NULL, *blue = NULL;
  void *xmp = NULL;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planes);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &compression);
  TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
  TIFFGetField(tiff, TIFFTAG_ORIENTATION, &orientation);
  if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra_samples, &extras)) {
    info->extra_samples = extra_samples;
    info->first_extra = extra_samples > 0 && extras ? extras[0] : 0;
  }
  if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue)) {
    info->red = red;
    info->green = green;
    info->blue = blue;
  }
  if (TIFFGetField(tiff, TIFFTAG_XMLPACKET, &xmp_length, &xmp)) {
    info->xmp = xmp;
    info->xmp_length = xmp_length;
  }
  info->tiled = TIFFIsTiled(tiff);
  if (info->tiled) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &block_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &block_height);
  } else {
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &block_height);
    block_width = width;
    if (block_height > height) block_height = height;
  }
  info->width = width;
  info->height = height;
  info->bits = bits;
  info->samples = samples;
  info->format = format == SAMPLEFORMAT_VOID ? SAMPLEFORMAT_UINT : format;
  info->planes = samples == 1 ? PLANARCONFIG_CONTIG : planes;
  info->photometric = photometric;
  info->compression = compression;
  info->orientation = orientation;
  info->block_width = block_width;
  info->block_height = block_height;
}

rfm_tiff_status rfm_tiff_open(
    const uint8_t *bytes, size_t length, size_t maximum_memory, rfm_tiff_reader **reader,
    rfm_tiff_info *info, char message[RFM_TIFF_MESSAGE_SIZE]) {
  message[0] = 0;
  *reader = NULL;
  memset(info, 0, sizeof *info);
  rfm_tiff_reader *opened = calloc(1, sizeof *opened);
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!opened || !options) {
    free(opened);
    if (options) TIFFOpenOptionsFree(options);
    return RFM_TIFF_OUT_OF_MEMORY;
  }
  opened->bytes = bytes;
  opened->length = length;
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, opened);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, opened);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)maximum_memory);
  // m: read and seek, no memory map.
  opened->tiff = TIFFClientOpenExt(
      "TIFF", "rm", opened, read_bytes, write_nothing, seek, close_nothing, size, NULL, NULL,
      options);
  TIFFOpenOptionsFree(options);
  if (!opened->tiff) {
    rfm_tiff_status status = damaged(opened, "its directory can't be read", message);
    rfm_tiff_close(opened);
    return status;
  }
  describe(opened->tiff, info);
  if (info->width < 1 || info->height < 1 || info->block_width < 1 || info->block_height < 1) {
    rfm_tiff_status status = damaged(opened, "its header says a height or width of 0", message);
    rfm_tiff_close(opened);
    return status;
  }
  if (info->photometric == PHOTOMETRIC_YCBCR && info->samples > 1) {
    if (info->compression == COMPRESSION_JPEG && info->planes == PLANARCONFIG_CONTIG) {
      TIFFSetField(opened->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      info->colours = 1;
    } else {
      info->colours = 2;
    }
  }
  info->row_bytes = (int64_t)TIFFScanlineSize64(opened->tiff);
  info->block_row_bytes =
      info->tiled ? (int64_t)TIFFTileRowSize64(opened->tiff) : info->row_bytes;
  info->block_bytes =
      (int64_t)(info->tiled ? TIFFTileSize64(opened->tiff)
                            : TIFFVStripSize64(opened->tiff, (uint32_t)info->block_height));
  opened->message[0] = 0;
  *reader = opened;
  return RFM_TIFF_OK;
}

static void begin(rfm_tiff_reader *reader, char *message) {
  message[0] = 0;
  reader->message[0] = 0;
  reader->decoding = 1;
  reader->warned = 0;
}

static rfm_tiff_status end(rfm_tiff_reader *reader, int succeeded, char *message) {
  reader->decoding = 0;
  if (succeeded && !reader->warned) return RFM_TIFF_OK;
  return damaged(reader, "the picture's data make no sense", message);
}

rfm_tiff_status rfm_tiff_read_row(
    rfm_tiff_reader *reader, int64_t y, int plane, uint8_t *row,
    char message[RFM_TIFF_MESSAGE_SIZE]) {
  begin(reader, message);
  return end(
      reader, TIFFReadScanline(reader->tiff, row, (uint32_t)y, (uint16_t)plane) == 1, message);
}

rfm_tiff_status rfm_tiff_read_block(
    rfm_tiff_reader *reader, int64_t x, int64_t y, int plane, uint8_t *block,
    char message[RFM_TIFF_MESSAGE_SIZE]) {
  begin(reader, message);
  tmsize_t count;
  if (TIFFIsTiled(reader->tiff)) {
    uint32_t tile =
        TIFFComputeTile(reader->tiff, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane);
    count = TIFFReadEncodedTile(reader->tiff, tile, block, (tmsize_t)-1);
  } else {
    uint32_t strip = TIFFComputeStrip(reader->tiff, (uint32_t)y, (uint16_t)plane);
    count = TIFFReadEncodedStrip(reader->tiff, strip, block, (tmsize_t)-1);
  }
  return end(reader, count > 0, message);
}

rfm_tiff_status rfm_tiff_read_colours(
    rfm_tiff_reader *reader, int64_t x, int64_t y, int64_t width, int64_t height, uint8_t *pixels,
    char message[RFM_TIFF_MESSAGE_SIZE]) {
  begin(reader, message);
  TIFFRGBAImage image;
  char text[1024] = "";
  // 1: an error ends it, no pixels are made up.
  if (!TIFFRGBAImageOK(reader->tiff, text) ||
      !TIFFRGBAImageBegin(&image, reader->tiff, 1, text)) {
    if (!reader->message[0]) snprintf(reader->message, sizeof reader->message, "%.200s", text);
    return end(reader, 0, message);
  }
  // Rows stay in the file's order.
  image.req_orientation = image.orientation;
  image.col_offset = (int)x;
  image.row_offset = (int)y;
  uint32_t *words = (uint32_t *)(void *)pixels;
  int succeeded = TIFFRGBAImageGet(&image, words, (uint32_t)width, (uint32_t)height);
  TIFFRGBAImageEnd(&image);
  for (int64_t i = 0; succeeded && i < width * height; i++) {
    uint32_t word = words[i];
    pixels[4 * i] = (uint8_t)TIFFGetR(word);
    pixels[4 * i + 1] = (uint8_t)TIFFGetG(word);
    pixels[4 * i + 2] = (uint8_t)TIFFGetB(word);
    pixels[4 * i + 3] = (uint8_t)TIFFGetA(word);
  }
  return end(reader, succeeded, message);
}

void rfm_tiff_close(rfm_tiff_reader *reader) {
  if (!reader) return;
  reader->decoding = 0;
  if (reader->tiff) TIFFClose(reader->tiff);
  free(reader);
}
