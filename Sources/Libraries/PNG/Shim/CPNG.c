#include "CPNG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

enum {
  MAXIMUM_SIDE = 1000000,
  MAXIMUM_CHUNK = 16 << 20,  // bytes that one chunk beside the image may unpack to
};

typedef struct {
  char *message;
  rfm_png_status status;
} report;

struct rfm_png_reader {
  png_structp png;
  png_infop info;
  report report;
  const uint8_t *bytes;
  size_t length, position;
};

static void on_error(png_structp png, png_const_charp text) {
  report *report = png_get_error_ptr(png);
  if (report->message) snprintf(report->message, RFM_PNG_MESSAGE_SIZE, "%s", text);
  if (report->status == RFM_PNG_OK) report->status = RFM_PNG_DAMAGED;
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t count) {
  rfm_png_reader *reader = png_get_io_ptr(png);
  if (count > reader->length - reader->position) png_error(png, "the file ends too early");
  memcpy(out, reader->bytes + reader->position, count);
  reader->position += count;
}

rfm_png_status rfm_png_open(
    const uint8_t *bytes, size_t length, rfm_png_reader **reader, int64_t *width, int64_t *height,
    int *interlaced, char message[RFM_PNG_MESSAGE_SIZE]) {
  message[0] = 0;
  *reader = NULL;
  rfm_png_reader *opened = calloc(1, sizeof *opened);
  if (!opened) return RFM_PNG_OUT_OF_MEMORY;
  opened->bytes = bytes;
  opened->length = length;
  opened->report.message = message;
  opened->png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &opened->report, on_error, on_warning);
  if (opened->png) opened->info = png_create_info_struct(opened->png);
  if (!opened->info) {
    rfm_png_close(opened);
    return RFM_PNG_OUT_OF_MEMORY;
  }
  if (setjmp(png_jmpbuf(opened->png))) {
    rfm_png_status status = opened->report.status;
    rfm_png_close(opened);
    return status;
  }
  png_structp png = opened->png;
  png_set_read_fn(png, opened, read_bytes);
  png_set_user_limits(png, MAXIMUM_SIDE, MAXIMUM_SIDE);
  png_set_chunk_malloc_max(png, MAXIMUM_CHUNK);
#ifdef PNG_READ_UNKNOWN_CHUNKS_SUPPORTED
  // Texts and profiles can unpack to anything and change no pixel: skip them.
  static const png_byte skipped[] = "iCCP\0iTXt\0tEXt\0zTXt\0sPLT\0hIST\0eXIf\0tIME";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, 8);
#endif
  png_read_info(png, opened->info);
  png_uint_32 columns, rows;
  int depth, colour, interlace;
  png_get_IHDR(png, opened->info, &columns, &rows, &depth, &colour, &interlace, NULL, NULL);
  if (depth == 16) png_set_strip_16(png);
  if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA) {
    png_set_gray_to_rgb(png);
  }
  png_set_strip_alpha(png);
  if (interlace != PNG_INTERLACE_NONE) png_set_interlace_handling(png);
  png_read_update_info(png, opened->info);
  if (png_get_rowbytes(png, opened->info) != (size_t)columns * 3) {
    png_error(png, "samples that can't be made 8-bit RGB");
  }
  *width = columns;
  *height = rows;
  *interlaced = interlace != PNG_INTERLACE_NONE;
  *reader = opened;
  return RFM_PNG_OK;
}

rfm_png_status rfm_png_read_row(
    rfm_png_reader *reader, uint8_t *row, char message[RFM_PNG_MESSAGE_SIZE]) {
  reader->report.message = message;
  if (setjmp(png_jmpbuf(reader->png))) return reader->report.status;
  png_read_row(reader->png, row, NULL);
  return RFM_PNG_OK;
}

rfm_png_status rfm_png_read_image(
    rfm_png_reader *reader, uint8_t *pixels, char message[RFM_PNG_MESSAGE_SIZE]) {
  reader->report.message = message;
  if (setjmp(png_jmpbuf(reader->png))) return reader->report.status;
  size_t width = png_get_image_width(reader->png, reader->info);
  size_t height = png_get_image_height(reader->png, reader->info);
  int passes =
      png_get_interlace_type(reader->png, reader->info) == PNG_INTERLACE_NONE
          ? 1 : PNG_INTERLACE_ADAM7_PASSES;
  for (int pass = 0; pass < passes; pass++) {
    for (size_t y = 0; y < height; y++) png_read_row(reader->png, pixels + y * width * 3, NULL);
  }
  return RFM_PNG_OK;
}

rfm_png_status rfm_png_finish(rfm_png_reader *reader, char message[RFM_PNG_MESSAGE_SIZE]) {
  reader->report.message = message;
  if (setjmp(png_jmpbuf(reader->png))) return reader->report.status;
  png_read_end(reader->png, NULL);
  return RFM_PNG_OK;
}

rfm_png_status rfm_png_inflate(
    const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *written) {
  *written = 0;
  z_stream stream = {0};
  if (length > UINT32_MAX || capacity > UINT32_MAX) return RFM_PNG_TOO_LARGE;
  if (inflateInit(&stream) != Z_OK) return RFM_PNG_OUT_OF_MEMORY;
  stream.next_in = (Bytef *)bytes;
  stream.avail_in = (uInt)length;
  stream.next_out = out;
  stream.avail_out = (uInt)capacity;
  int status = inflate(&stream, Z_SYNC_FLUSH);
  *written = capacity - stream.avail_out;
  rfm_png_status result = RFM_PNG_OK;
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
    result = RFM_PNG_DAMAGED;
  } else if (status != Z_STREAM_END && stream.avail_out == 0) {
    result = RFM_PNG_TOO_LARGE;
  }
  inflateEnd(&stream);
  return result;
}

void rfm_png_close(rfm_png_reader *reader) {
  if (!reader) return;
  reader->report.message = NULL;
  if (reader->png) png_destroy_read_struct(&reader->png, &reader->info, NULL);
  free(reader);
}

typedef struct {
  report report;
  uint8_t *bytes;
  size_t length, capacity;
} sink;

static void write_bytes(png_structp png, png_bytep in, size_t count) {
  sink *out = png_get_io_ptr(png);
  if (count > out->capacity - out->length) {
    size_t capacity = out->capacity * 2 + count;
    uint8_t *grown = realloc(out->bytes, capacity);
    if (!grown) {
      out->report.status = RFM_PNG_OUT_OF_MEMORY;
      png_error(png, "out of memory");
    }
    out->bytes = grown;
    out->capacity = capacity;
  }
  memcpy(out->bytes + out->length, in, count);
  out->length += count;
}

static void flush_nothing(png_structp png) { (void)png; }

rfm_png_status rfm_png_encode(
    const uint8_t *pixels, int64_t width, int64_t height, int channels, int level, uint8_t **bytes,
    size_t *length, char message[RFM_PNG_MESSAGE_SIZE]) {
  message[0] = 0;
  *bytes = NULL;
  *length = 0;
  if (width < 1 || height < 1 || width > MAXIMUM_SIDE || height > MAXIMUM_SIDE) {
    snprintf(message, RFM_PNG_MESSAGE_SIZE, "sides must be 1 to %d pixels", MAXIMUM_SIDE);
    return RFM_PNG_TOO_LARGE;
  }
  sink *out = calloc(1, sizeof *out);
  if (!out) return RFM_PNG_OUT_OF_MEMORY;
  out->report.message = message;
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &out->report, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_write_struct(&png, NULL);
    free(out);
    return RFM_PNG_OUT_OF_MEMORY;
  }
  if (setjmp(png_jmpbuf(png))) {
    rfm_png_status status = out->report.status;
    png_destroy_write_struct(&png, &info);
    free(out->bytes);
    free(out);
    return status;
  }
  png_set_write_fn(png, out, write_bytes, flush_nothing);
  png_set_user_limits(png, MAXIMUM_SIDE, MAXIMUM_SIDE);
  png_set_compression_level(png, level);
  png_set_IHDR(
      png, info, (png_uint_32)width, (png_uint_32)height, 8,
      channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
      PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int64_t y = 0; y < height; y++) {
    png_write_row(png, pixels + (size_t)y * (size_t)width * (size_t)channels);
  }
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  *bytes = out->bytes;
  *length = out->length;
  free(out);
  return RFM_PNG_OK;
}

void rfm_png_free(uint8_t *bytes) { free(bytes); }
