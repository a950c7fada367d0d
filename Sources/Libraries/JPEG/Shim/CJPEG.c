#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/// A progressive file may repeat scans without end; no encoder writes more than a dozen or two.
enum { MAXIMUM_SCANS = 200 };

typedef struct {
  struct jpeg_error_mgr base;  // First, so that the library's pointer is also ours.
  jmp_buf escape;
  rfm_jpeg_status status;
  char *message;
} error_manager;

struct rfm_jpeg_reader {
  struct jpeg_decompress_struct decompressor;
  struct jpeg_progress_mgr progress;
  error_manager errors;
  uint8_t *cmyk_row;  // width × 4, for files of four components only
};

static void leave(j_common_ptr library, rfm_jpeg_status status) {
  error_manager *errors = (error_manager *)library->err;
  char text[JMSG_LENGTH_MAX];
  errors->base.format_message(library, text);
  if (errors->message) snprintf(errors->message, RFM_JPEG_MESSAGE_SIZE, "%s", text);
  errors->status = status;
  longjmp(errors->escape, 1);
}

static void on_error(j_common_ptr library) {
  switch (library->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE:
    case JERR_WIDTH_OVERFLOW:
    case JERR_IMAGE_TOO_BIG:
      leave(library, RFM_JPEG_TOO_LARGE);
      break;
    default: leave(library, RFM_JPEG_DAMAGED);
  }
}

/// The library warns and goes on with grey where data are missing. A face with a grey half is worse
/// than none, so whatever means lost pixels is an error; the rest is harmless and ignored.
static void on_message(j_common_ptr library, int level) {
  if (level >= 0) return;
  switch (library->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC: leave(library, RFM_JPEG_DAMAGED); break;
    default: library->err->num_warnings++;
  }
}

static void be_silent(j_common_ptr library) { (void)library; }

static void on_progress(j_common_ptr library) {
  j_decompress_ptr decompressor = (j_decompress_ptr)library;
  if (library->is_decompressor && decompressor->input_scan_number > MAXIMUM_SCANS) {
    ERREXIT(library, JERR_BAD_PROG_SCRIPT);
  }
}

static void install(error_manager *errors, char *message) {
  jpeg_std_error(&errors->base);
  errors->base.error_exit = on_error;
  errors->base.emit_message = on_message;
  errors->base.output_message = be_silent;
  errors->status = RFM_JPEG_OK;
  errors->message = message;
  if (message) message[0] = 0;
}

rfm_jpeg_status rfm_jpeg_open(
    const uint8_t *bytes, size_t length, size_t maximum_memory, rfm_jpeg_reader **reader,
    int64_t *width, int64_t *height, char message[RFM_JPEG_MESSAGE_SIZE]) {
  rfm_jpeg_reader *opened = calloc(1, sizeof *opened);
  *reader = NULL;
  if (!opened) return RFM_JPEG_OUT_OF_MEMORY;
  install(&opened->errors, message);
  opened->decompressor.err = &opened->errors.base;
  if (setjmp(opened->errors.escape)) {
    rfm_jpeg_status status = opened->errors.status;
    rfm_jpeg_close(opened);
    return status;
  }
  jpeg_create_decompress(&opened->decompressor);
  opened->progress.progress_monitor = on_progress;
  opened->decompressor.progress = &opened->progress;
  opened->decompressor.mem->max_memory_to_use = (long)maximum_memory;
  jpeg_mem_src(&opened->decompressor, bytes, (unsigned long)length);
  jpeg_read_header(&opened->decompressor, TRUE);
  *width = opened->decompressor.image_width;
  *height = opened->decompressor.image_height;
  *reader = opened;
  return RFM_JPEG_OK;
}

rfm_jpeg_status rfm_jpeg_start(
    rfm_jpeg_reader *reader, int eighths, int64_t *width, int64_t *height,
    char message[RFM_JPEG_MESSAGE_SIZE]) {
  j_decompress_ptr decompressor = &reader->decompressor;
  reader->errors.message = message;
  if (setjmp(reader->errors.escape)) return reader->errors.status;
  int four = decompressor->jpeg_color_space == JCS_CMYK ||
             decompressor->jpeg_color_space == JCS_YCCK;
  decompressor->out_color_space = four ? JCS_CMYK : JCS_RGB;
  decompressor->scale_num = (unsigned)eighths;
  decompressor->scale_denom = 8;
  decompressor->dct_method = JDCT_ISLOW;
  jpeg_start_decompress(decompressor);
  if (four) {
    reader->cmyk_row = malloc((size_t)decompressor->output_width * 4);
    if (!reader->cmyk_row) return RFM_JPEG_OUT_OF_MEMORY;
  }
  *width = decompressor->output_width;
  *height = decompressor->output_height;
  return RFM_JPEG_OK;
}

/// a·b / 255, rounded to nearest, for a, b in 0 … 255.
static unsigned multiply_255(unsigned a, unsigned b) {
  unsigned product = a * b + 128;
  return (product + (product >> 8)) >> 8;
}

rfm_jpeg_status rfm_jpeg_read_row(
    rfm_jpeg_reader *reader, uint8_t *row, char message[RFM_JPEG_MESSAGE_SIZE]) {
  j_decompress_ptr decompressor = &reader->decompressor;
  reader->errors.message = message;
  if (setjmp(reader->errors.escape)) return reader->errors.status;
  JSAMPROW rows[1] = {reader->cmyk_row ? reader->cmyk_row : row};
  if (jpeg_read_scanlines(decompressor, rows, 1) != 1) {
    snprintf(message, RFM_JPEG_MESSAGE_SIZE, "fewer rows than the header says");
    return RFM_JPEG_DAMAGED;
  }
  if (reader->cmyk_row) {
    // Files with Adobe's marker hold ink the wrong way round: 255 is none.
    int inverted = decompressor->saw_Adobe_marker;
    for (unsigned x = 0; x < decompressor->output_width; x++) {
      const uint8_t *ink = reader->cmyk_row + 4 * (size_t)x;
      unsigned light = inverted ? ink[3] : 255u - ink[3];
      for (int c = 0; c < 3; c++) {
        unsigned amount = inverted ? 255u - ink[c] : ink[c];
        row[3 * (size_t)x + c] = (uint8_t)(light - multiply_255(amount, light));
      }
    }
  }
  return RFM_JPEG_OK;
}

void rfm_jpeg_close(rfm_jpeg_reader *reader) {
  if (!reader) return;
  reader->errors.message = NULL;
  if (!setjmp(reader->errors.escape)) jpeg_destroy_decompress(&reader->decompressor);
  free(reader->cmyk_row);
  free(reader);
}

typedef struct {
  struct jpeg_compress_struct compressor;
  error_manager errors;
  unsigned char *bytes;
  unsigned long length;
} writer;

rfm_jpeg_status rfm_jpeg_encode(
    const uint8_t *pixels, int64_t width, int64_t height, int channels, int quality, int subsample,
    uint8_t **bytes, size_t *length, char message[RFM_JPEG_MESSAGE_SIZE]) {
  *bytes = NULL;
  *length = 0;
  if (width < 1 || height < 1 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION) {
    snprintf(message, RFM_JPEG_MESSAGE_SIZE, "JPEG allows sides of 1 to %ld pixels",
             (long)JPEG_MAX_DIMENSION);
    return RFM_JPEG_TOO_LARGE;
  }
  writer *out = calloc(1, sizeof *out);
  if (!out) return RFM_JPEG_OUT_OF_MEMORY;
  install(&out->errors, message);
  out->compressor.err = &out->errors.base;
  if (setjmp(out->errors.escape)) {
    rfm_jpeg_status status = out->errors.status;
    jpeg_destroy_compress(&out->compressor);
    free(out->bytes);
    free(out);
    return status;
  }
  jpeg_create_compress(&out->compressor);
  jpeg_mem_dest(&out->compressor, &out->bytes, &out->length);
  out->compressor.image_width = (JDIMENSION)width;
  out->compressor.image_height = (JDIMENSION)height;
  out->compressor.input_components = channels;
  out->compressor.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&out->compressor);
  out->compressor.dct_method = JDCT_ISLOW;
  jpeg_set_quality(&out->compressor, quality, TRUE);
  if (channels == 3) {
    out->compressor.comp_info[0].h_samp_factor = subsample ? 2 : 1;
    out->compressor.comp_info[0].v_samp_factor = subsample ? 2 : 1;
  }
  jpeg_start_compress(&out->compressor, TRUE);
  while (out->compressor.next_scanline < out->compressor.image_height) {
    size_t offset = (size_t)out->compressor.next_scanline * (size_t)width * (size_t)channels;
    JSAMPROW rows[1] = {(JSAMPROW)(pixels + offset)};
    jpeg_write_scanlines(&out->compressor, rows, 1);
  }
  jpeg_finish_compress(&out->compressor);
  jpeg_destroy_compress(&out->compressor);
  *bytes = out->bytes;
  *length = out->length;
  free(out);
  return RFM_JPEG_OK;
}

void rfm_jpeg_free(uint8_t *bytes) { free(bytes); }
