#include "video.h"

#include <stdio.h>
#include <string.h>

rfm_video_transfer rfm_video_frame_transfer(const rfm_video *video) {
  return rfm_transfer_of(video->frame->color_trc);
}

rfm_video_primaries rfm_video_frame_primaries(const rfm_video *video) {
  switch (video->frame->color_primaries) {
    // What is not said is what BT.2100 knows alone.
    case AVCOL_PRI_BT2020: case AVCOL_PRI_UNSPECIFIED: return RFM_VIDEO_BT2020;
    case AVCOL_PRI_BT709: return RFM_VIDEO_BT709;
    default: return RFM_VIDEO_OTHER_PRIMARIES;
  }
}

/// libswscale's number of a matrix; −1 where it has none. What is not said is BT.601, whatever the
/// size, as in every program built on this library that is not told otherwise.
static int matrix_of(const AVFrame *frame) {
  switch (frame->colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL: return SWS_CS_BT2020;
    case AVCOL_SPC_BT470BG: case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    case AVCOL_SPC_UNSPECIFIED: case AVCOL_SPC_RESERVED: case AVCOL_SPC_RGB: return SWS_CS_DEFAULT;
    default: return -1;
  }
}

/// The format with the range taken out of it, which is told beside it: these names are deprecated.
static enum AVPixelFormat format_of(const AVFrame *frame, int *is_full) {
  *is_full = frame->color_range == AVCOL_RANGE_JPEG;
  switch (frame->format) {
    case AV_PIX_FMT_YUVJ420P: *is_full = 1; return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ411P: *is_full = 1; return AV_PIX_FMT_YUV411P;
    case AV_PIX_FMT_YUVJ422P: *is_full = 1; return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ440P: *is_full = 1; return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ444P: *is_full = 1; return AV_PIX_FMT_YUV444P;
    default: return frame->format;
  }
}

/// Where chroma lies between luma, in 1/256 of a pixel of luma; the middle where it is not said.
static void set_chroma_place(struct SwsContext *scaler, const scaling *wanted) {
  const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(wanted->source);
  int x = 1, y = 1;  // in halves
  switch (wanted->chroma) {
    case AVCHROMA_LOC_LEFT: x = 0; break;
    case AVCHROMA_LOC_TOPLEFT: x = y = 0; break;
    case AVCHROMA_LOC_TOP: y = 0; break;
    case AVCHROMA_LOC_BOTTOMLEFT: x = 0; y = 2; break;
    case AVCHROMA_LOC_BOTTOM: y = 2; break;
    default: break;
  }
  if (format->log2_chroma_w) {
    av_opt_set_int(scaler, "src_h_chr_pos", 128 * x * ((1 << format->log2_chroma_w) - 1), 0);
  }
  if (format->log2_chroma_h) {
    av_opt_set_int(scaler, "src_v_chr_pos", 128 * y * ((1 << format->log2_chroma_h) - 1), 0);
  }
}

/// A converter for `wanted`: the one at hand, or a new one; NULL if there can be none.
static struct SwsContext *scaler_for(rfm_video *video, scaling wanted) {
  if (video->scaler && memcmp(&video->scaling, &wanted, sizeof wanted) == 0) return video->scaler;
  sws_freeContext(video->scaler);
  struct SwsContext *scaler = video->scaler = sws_alloc_context();
  if (!scaler) return NULL;
  video->scaling = wanted;
  // To 8 bits as PyAV 18 has it. Chroma of 4:2:0 and 4:2:2 in 8 bits is repeated, not interpolated, by
  // a way of its own that most other flags shut. All else is interpolated; the bilinear filter is a
  // half pixel off before FFmpeg 8, and the Gaussian is the one nearest to what it was meant to be.
  // To 16 bits chroma is repeated, and sums are rounded.
  int flags = wanted.target == AV_PIX_FMT_RGB24
      ? SWS_GAUSS | SWS_BITEXACT : SWS_POINT | SWS_ACCURATE_RND | SWS_BITEXACT;
  av_opt_set_int(scaler, "sws_flags", flags, 0);
  av_opt_set_int(scaler, "srcw", wanted.width, 0);
  av_opt_set_int(scaler, "srch", wanted.height, 0);
  av_opt_set_int(scaler, "dstw", wanted.width, 0);
  av_opt_set_int(scaler, "dsth", wanted.height, 0);
  av_opt_set_int(scaler, "src_format", wanted.source, 0);
  av_opt_set_int(scaler, "dst_format", wanted.target, 0);
  set_chroma_place(scaler, &wanted);
  if (sws_init_context(scaler, NULL, NULL) < 0) {
    sws_freeContext(scaler);
    return video->scaler = NULL;
  }
  // After the beginning, which sets the range of grey by itself. Of RGB there is nothing to set, which is
  // an error to the library and none here.
  sws_setColorspaceDetails(
      scaler, sws_getCoefficients(wanted.matrix), wanted.is_full,
      sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
  return scaler;
}

/// Converts into `video->scaled`, rows of `*stride` bytes.
static rfm_video_status convert(
    rfm_video *video, enum AVPixelFormat target, int bytes_per_pixel, size_t *stride,
    char message[RFM_VIDEO_MESSAGE_SIZE]) {
  message[0] = 0;
  const AVFrame *frame = video->frame;
  int is_full;
  enum AVPixelFormat format = format_of(frame, &is_full);
  const AVPixFmtDescriptor *description = av_pix_fmt_desc_get(format);
  if (!description || !sws_isSupportedInput(format)) {
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "pixels of the format %s can't be converted",
        description ? description->name : "unknown");
    return RFM_VIDEO_UNSUPPORTED;
  }
  int is_rgb = (description->flags & AV_PIX_FMT_FLAG_RGB) != 0;
  int matrix = is_rgb ? SWS_CS_DEFAULT : matrix_of(frame);
  if (matrix < 0) {
    const char *name = av_color_space_name(frame->colorspace);
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "colours by the matrix %s can't be converted",
        name ? name : "unknown");
    return RFM_VIDEO_UNSUPPORTED;
  }
  *stride = (((size_t)frame->width * (size_t)bytes_per_pixel + 63) & ~(size_t)63) + 64;
  size_t size = *stride * (size_t)frame->height;
  if (size > video->scaled_size) {
    av_freep(&video->scaled);
    video->scaled_size = 0;
    video->scaled = av_malloc(size);
    if (!video->scaled) return RFM_VIDEO_OUT_OF_MEMORY;
    video->scaled_size = size;
  }
  struct SwsContext *scaler = scaler_for(
      video, (scaling){
          frame->width, frame->height, format, target, is_full, matrix, frame->chroma_location});
  if (!scaler) {
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "pixels of the format %s can't be converted",
        description->name);
    return RFM_VIDEO_UNSUPPORTED;
  }
  uint8_t *planes[4] = {video->scaled};
  int strides[4] = {(int)*stride};
  int rows = sws_scale(
      scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes,
      strides);
  if (rows != frame->height) {
    snprintf(message, RFM_VIDEO_MESSAGE_SIZE, "its pixels can't be converted");
    return RFM_VIDEO_DAMAGED;
  }
  return RFM_VIDEO_OK;
}

static rfm_video_status copy(
    rfm_video *video, enum AVPixelFormat target, int bytes_per_pixel, uint8_t *pixels, size_t size,
    char message[RFM_VIDEO_MESSAGE_SIZE]) {
  size_t stride;
  rfm_video_status status = convert(video, target, bytes_per_pixel, &stride, message);
  if (status != RFM_VIDEO_OK) return status;
  size_t row = (size_t)video->frame->width * (size_t)bytes_per_pixel;
  if (size != row * (size_t)video->frame->height) return RFM_VIDEO_TOO_LARGE;
  for (int y = 0; y < video->frame->height; y++) {
    memcpy(pixels + (size_t)y * row, video->scaled + (size_t)y * stride, row);
  }
  return RFM_VIDEO_OK;
}

rfm_video_status rfm_video_rgb(
    rfm_video *video, uint8_t *pixels, size_t size, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  return copy(video, AV_PIX_FMT_RGB24, 3, pixels, size, message);
}

rfm_video_status rfm_video_rgb16(
    rfm_video *video, uint16_t *pixels, size_t size, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  return copy(video, AV_PIX_FMT_RGB48, 6, (uint8_t *)pixels, 2 * size, message);
}
