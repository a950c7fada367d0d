#include "CHEIF.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

struct rfm_heif_reader {
  struct heif_context *context;
  struct heif_image_handle *picture;
  struct heif_image *decoded;
};

static rfm_heif_status failed(struct heif_error error, char message[RFM_HEIF_MESSAGE_SIZE]) {
  snprintf(message, RFM_HEIF_MESSAGE_SIZE, "%s", error.message ? error.message : "unknown error");
  switch (error.code) {
    case heif_error_Unsupported_filetype:
    case heif_error_Unsupported_feature: return RFM_HEIF_UNSUPPORTED;
    case heif_error_Memory_allocation_error:
      return error.subcode == heif_suberror_Security_limit_exceeded ? RFM_HEIF_TOO_LARGE
                                                                    : RFM_HEIF_OUT_OF_MEMORY;
    default: return RFM_HEIF_DAMAGED;
  }
}

rfm_heif_status rfm_heif_open(
    const uint8_t *bytes, size_t length, rfm_heif_reader **reader, int64_t *width, int64_t *height,
    char message[RFM_HEIF_MESSAGE_SIZE]) {
  message[0] = 0;
  *reader = NULL;
  rfm_heif_reader *opened = calloc(1, sizeof *opened);
  if (!opened) return RFM_HEIF_OUT_OF_MEMORY;
  opened->context = heif_context_alloc();
  if (!opened->context) {
    free(opened);
    return RFM_HEIF_OUT_OF_MEMORY;
  }
  // In the calling thread: there are ranks and threads enough.
  heif_context_set_max_decoding_threads(opened->context, 0);
  struct heif_error error =
      heif_context_read_from_memory_without_copy(opened->context, bytes, length, NULL);
  if (error.code == heif_error_Ok) {
    error = heif_context_get_primary_image_handle(opened->context, &opened->picture);
  }
  if (error.code != heif_error_Ok) {
    rfm_heif_status status = failed(error, message);
    rfm_heif_close(opened);
    return status;
  }
  *width = heif_image_handle_get_width(opened->picture);
  *height = heif_image_handle_get_height(opened->picture);
  *reader = opened;
  return RFM_HEIF_OK;
}

rfm_heif_status rfm_heif_decode(
    rfm_heif_reader *reader, const uint8_t **pixels, int64_t *stride, int64_t *width,
    int64_t *height, char message[RFM_HEIF_MESSAGE_SIZE]) {
  message[0] = 0;
  struct heif_decoding_options *options = heif_decoding_options_alloc();
  if (!options) return RFM_HEIF_OUT_OF_MEMORY;
  options->convert_hdr_to_8bit = 1;
  // A tile that can't be decoded is an error, not a grey square.
  options->strict_decoding = 1;
  struct heif_error error = heif_decode_image(
      reader->picture, &reader->decoded, heif_colorspace_RGB, heif_chroma_interleaved_RGB, options);
  heif_decoding_options_free(options);
  if (error.code != heif_error_Ok) return failed(error, message);
  // What an error in a coded picture leaves behind.
  if (heif_image_get_decoding_warnings(reader->decoded, 0, &error, 1) > 0) {
    return failed(error, message);
  }
  int row = 0;
  *pixels = heif_image_get_plane_readonly(reader->decoded, heif_channel_interleaved, &row);
  *stride = row;
  *width = heif_image_get_width(reader->decoded, heif_channel_interleaved);
  *height = heif_image_get_height(reader->decoded, heif_channel_interleaved);
  if (!*pixels || *width < 1 || *height < 1 || row < *width * 3) {
    snprintf(message, RFM_HEIF_MESSAGE_SIZE, "the decoder gave no pixels");
    return RFM_HEIF_DAMAGED;
  }
  return RFM_HEIF_OK;
}

void rfm_heif_close(rfm_heif_reader *reader) {
  if (!reader) return;
  if (reader->decoded) heif_image_release(reader->decoded);
  if (reader->picture) heif_image_handle_release(reader->picture);
  heif_context_free(reader->context);
  free(reader);
}
