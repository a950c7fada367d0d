#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The configuration that comes with it decides which codes jerror.h has.
#include <jpeglib.h>

#include <jerror.h>

/// A progressive file may repeat scans without end; no encoder writes more than a dozen or two.
enum { MAXIMUM_SCANS = 200 };

typedef struct {
  struct jpeg_error_mgr base;  // First, so that the library's pointer is also ours.
  jmp_buf escape;
  rfm_jpeg_status status;
  char *message;
  int ended;  // The bytes ran out, and the library goes on with an end marker that it made up.
} error_manager;

struct rfm_jpeg_reader {
  struct jpeg_decompress_struct decompressor;
  struct jpeg_progress_mgr progress;
  error_manager errors;
  uint8_t *cmyk_row;  // width × 4, for files of four components only
};

static void leave_saying(j_common_ptr library, rfm_jpeg_status status, const char *text) {
  error_manager *errors = (error_manager *)library->err;
  if (errors->message) snprintf(errors->message, RFM_JPEG_MESSAGE_SIZE, "%s", text);
  errors->status = status;
  longjmp(errors->escape, 1);
}

/// Leaves with the library's own words; where the bytes ran out before, that is what is wrong.
static void leave(j_common_ptr library, rfm_jpeg_status status) {
  error_manager *errors = (error_manager *)library->err;
  char text[JMSG_LENGTH_MAX];
  if (errors->ended && status == RFM_JPEG_DAMAGED) errors->base.msg_code = JWRN_JPEG_EOF;
  errors->base.format_message(library, text);
  leave_saying(library, status, text);
}

/// Leaves a sound file of a kind that the library can't decode.
static void leave_unsupported(j_common_ptr library) {
  char text[RFM_JPEG_MESSAGE_SIZE];
  j_decompress_ptr decompressor = (j_decompress_ptr)library;
  int parameter = library->err->msg_parm.i[0];
  switch (library->err->msg_code) {
    case JERR_BAD_PRECISION:
      snprintf(text, sizeof text, "its samples have %d bits, only 8 are supported", parameter);
      break;
    case JERR_SOF_UNSUPPORTED:
      snprintf(text, sizeof text,
               "its process (frame marker 0x%02X: lossless, hierarchical or reserved) is not supported",
               parameter);
      break;
    case JERR_EMPTY_IMAGE:
      snprintf(text, sizeof text, "its header says a height or width of 0 (DNL is not supported)");
      break;
    case JERR_ARITH_NOTIMPL:
      snprintf(text, sizeof text, "this libjpeg was built without arithmetic coding");
      break;
    default:
      snprintf(text, sizeof text, "its %d components are no known colour space",
               library->is_decompressor ? decompressor->num_components : 0);
  }
  leave_saying(library, RFM_JPEG_UNSUPPORTED, text);
}

static void on_error(j_common_ptr library) {
  switch (library->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE:
    case JERR_WIDTH_OVERFLOW:
    case JERR_IMAGE_TOO_BIG:
      leave(library, RFM_JPEG_TOO_LARGE);
      break;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_EMPTY_IMAGE:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL: leave_unsupported(library); break;
    default: leave(library, RFM_JPEG_DAMAGED);
  }
}

/// The library warns and goes on with grey where data are missing. A face with a grey half is worse
/// than none, so whatever means lost pixels is an error; the rest is harmless and ignored.
///
/// That the bytes ran out is harmless by itself: the decoder reads ahead, and perhaps only the end
/// marker is missing. Bits that were needed and weren't there give JWRN_HIT_MARKER, and whole scans
/// are missed by `require_every_scan`. An arithmetic decoder makes up bits without a word, so there
/// nobody can tell.
static void on_message(j_common_ptr library, int level) {
  if (level >= 0) return;
  error_manager *errors = (error_manager *)library->err;
  switch (library->err->msg_code) {
    case JWRN_JPEG_EOF:
      errors->ended = 1;
      if (library->is_decompressor && ((j_decompress_ptr)library)->arith_code) {
        leave(library, RFM_JPEG_DAMAGED);
      }
      break;
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
#ifdef D_ARITH_CODING_SUPPORTED
    case JWRN_ARITH_BAD_CODE:
#endif
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

/// Of a file in several scans that has no end marker: refuses it unless what was read leaves nothing
/// that another scan could add.
static void require_every_scan(j_decompress_ptr decompressor) {
  error_manager *errors = (error_manager *)decompressor->err;
  if (!errors->ended || !jpeg_has_multiple_scans(decompressor)) return;
  for (int c = 0; c < decompressor->num_components; c++) {
    int whole = decompressor->comp_info[c].quant_table != NULL;  // Kept from its first scan.
    if (decompressor->progressive_mode) {
      // Bits of every coefficient that are still to come; -1: all.
      for (int k = 0; k < DCTSIZE2; k++) whole = whole && decompressor->coef_bits[c][k] == 0;
    }
    if (!whole) leave((j_common_ptr)decompressor, RFM_JPEG_DAMAGED);
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
  require_every_scan(decompressor);
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
    // Ink is stored the wrong way round, 255 is none. Adobe's marker says so, and files without it
    // are taken to be the same, as by Pillow and OpenCV: hardly any program writes others.
    for (unsigned x = 0; x < decompressor->output_width; x++) {
      const uint8_t *ink = reader->cmyk_row + 4 * (size_t)x;
      unsigned light = ink[3];
      for (int c = 0; c < 3; c++) {
        row[3 * (size_t)x + c] = (uint8_t)(light - multiply_255(255u - ink[c], light));
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
