#include "CWebP.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

struct rfm_webp_reader {
  WebPDemuxer *container;
  WebPIterator frame;
};

static rfm_webp_status damaged(char *message, const char *text) {
  snprintf(message, RFM_WEBP_MESSAGE_SIZE, "%s", text);
  return RFM_WEBP_DAMAGED;
}

static rfm_webp_status failed(VP8StatusCode code, char *message) {
  switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY: return RFM_WEBP_OUT_OF_MEMORY;
    case VP8_STATUS_NOT_ENOUGH_DATA: return damaged(message, "the file ends too early");
    case VP8_STATUS_UNSUPPORTED_FEATURE: return damaged(message, "a feature that libwebp lacks");
    default: return damaged(message, "the picture's data make no sense");
  }
}

rfm_webp_status rfm_webp_open(
    const uint8_t *bytes, size_t length, rfm_webp_reader **reader, rfm_webp_frame *frame,
    char message[RFM_WEBP_MESSAGE_SIZE]) {
  message[0] = 0;
  *reader = NULL;
  rfm_webp_reader *opened = calloc(1, sizeof *opened);
  if (!opened) return RFM_WEBP_OUT_OF_MEMORY;
  WebPData data = {bytes, length};
  WebPDemuxState state;
  opened->container = WebPDemuxPartial(&data, &state);
  if (!opened->container || state != WEBP_DEMUX_DONE) {
    rfm_webp_close(opened);
    return damaged(message, state == WEBP_DEMUX_PARSE_ERROR ? "its chunks make no sense"
                                                            : "the file ends too early");
  }
  WebPBitstreamFeatures features;
  if (!WebPDemuxGetFrame(opened->container, 1, &opened->frame) || !opened->frame.complete) {
    rfm_webp_close(opened);
    return damaged(message, "it has no picture");
  }
  VP8StatusCode code = WebPGetFeatures(
      opened->frame.fragment.bytes, opened->frame.fragment.size, &features);
  if (code != VP8_STATUS_OK) {
    rfm_webp_close(opened);
    return failed(code, message);
  }
  frame->width = WebPDemuxGetI(opened->container, WEBP_FF_CANVAS_WIDTH);
  frame->height = WebPDemuxGetI(opened->container, WEBP_FF_CANVAS_HEIGHT);
  frame->left = opened->frame.x_offset;
  frame->top = opened->frame.y_offset;
  frame->frame_width = opened->frame.width;
  frame->frame_height = opened->frame.height;
  frame->lossless = features.format == 2;
  if (frame->left < 0 || frame->top < 0 || frame->frame_width != features.width ||
      frame->frame_height != features.height ||
      frame->left + frame->frame_width > frame->width ||
      frame->top + frame->frame_height > frame->height) {
    rfm_webp_close(opened);
    return damaged(message, "a frame does not lie within the picture");
  }
  *reader = opened;
  return RFM_WEBP_OK;
}

const uint8_t *rfm_webp_chunk(const rfm_webp_reader *reader, const char kind[4], size_t *length) {
  WebPChunkIterator chunk;
  *length = 0;
  if (!WebPDemuxGetChunk(reader->container, kind, 1, &chunk)) return NULL;
  const uint8_t *bytes = chunk.chunk.bytes;
  *length = chunk.chunk.size;
  WebPDemuxReleaseChunkIterator(&chunk);
  return bytes;
}

rfm_webp_status rfm_webp_decode(
    const rfm_webp_reader *reader, int64_t width, int64_t height, uint8_t *pixels, size_t stride,
    char message[RFM_WEBP_MESSAGE_SIZE]) {
  message[0] = 0;
  WebPDecoderConfig configuration;
  if (!WebPInitDecoderConfig(&configuration)) {
    return damaged(message, "libwebp has another version than its header");
  }
  if (width != reader->frame.width || height != reader->frame.height) {
    configuration.options.use_scaling = 1;
    configuration.options.scaled_width = (int)width;
    configuration.options.scaled_height = (int)height;
  }
  configuration.output.colorspace = MODE_RGB;
  configuration.output.is_external_memory = 1;
  configuration.output.u.RGBA.rgba = pixels;
  configuration.output.u.RGBA.stride = (int)stride;
  configuration.output.u.RGBA.size = stride * (size_t)(height - 1) + 3 * (size_t)width;
  VP8StatusCode code = WebPDecode(
      reader->frame.fragment.bytes, reader->frame.fragment.size, &configuration);
  WebPFreeDecBuffer(&configuration.output);
  return code == VP8_STATUS_OK ? RFM_WEBP_OK : failed(code, message);
}

void rfm_webp_close(rfm_webp_reader *reader) {
  if (!reader) return;
  WebPDemuxReleaseIterator(&reader->frame);
  WebPDemuxDelete(reader->container);
  free(reader);
}
