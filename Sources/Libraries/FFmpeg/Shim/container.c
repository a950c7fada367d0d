#include "video.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if LIBAVFORMAT_VERSION_MAJOR >= 59
typedef const AVInputFormat *input_format;
typedef const AVCodec *codec_pointer;
#else
typedef AVInputFormat *input_format;
typedef AVCodec *codec_pointer;
#endif

enum { BUFFER = 1 << 16, PROBED = 1 << 20 };

// Demuxers that read a video out of one file. Missing on purpose: whatever follows names or addresses
// to other files (hls, dash, concat, imf, image2, sdp, vobsub, mlv …), devices, single pictures, and
// the formats of old games.
static const char *const formats =
    "apng,asf,asf_o,av1,avi,avs2,avs3,cavsvideo,dirac,dnxhd,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,"
    "ivr,kux,live_flv,lxf,m4v,matroska,mjpeg,mjpeg_2000,mov,mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,"
    "ogg,pva,rm,swf,vc1,vc1test,vvc,webm,wtv,yuv4mpegpipe";

// Codecs whose marked packets need nothing before them. H.264's need a look inside.
static int begins_at_keys(enum AVCodecID codec) {
  switch (codec) {
    case AV_CODEC_ID_H264: case AV_CODEC_ID_HEVC: case AV_CODEC_ID_VP8: case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1: case AV_CODEC_ID_MPEG1VIDEO: case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4: case AV_CODEC_ID_MJPEG: case AV_CODEC_ID_PRORES: case AV_CODEC_ID_DNXHD:
    case AV_CODEC_ID_FFV1: case AV_CODEC_ID_THEORA:
      return 1;
    default:
      return 0;
  }
}

// MARK: Progress

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void rfm_video_progress(rfm_video *video) { video->last_progress = now(); }

int rfm_video_interrupted(void *context) {
  rfm_video *video = context;
  if (video->stopped != RFM_VIDEO_OK) return 1;
  const rfm_video_settings *settings = &video->settings;
  if (settings->is_cancelled && settings->is_cancelled(settings->context)) {
    video->stopped = RFM_VIDEO_CANCELLED;
  } else if (
      video->bytes_read > settings->maximum_read
      || now() - video->last_progress > settings->seconds_without_progress) {
    video->stopped = RFM_VIDEO_STALLED;
  }
  return video->stopped != RFM_VIDEO_OK;
}

rfm_video_status rfm_video_failure(
    rfm_video *video, int error, const char *what, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  if (video->stopped != RFM_VIDEO_OK) return video->stopped;
  if (error == AVERROR(ENOMEM)) return RFM_VIDEO_OUT_OF_MEMORY;
  char words[AV_ERROR_MAX_STRING_SIZE];
  av_strerror(error, words, sizeof words);
  const char *log = rfm_last_log();
  snprintf(
      message, RFM_VIDEO_MESSAGE_SIZE, "%s: %s%s%s%s", what, words, log[0] ? " (" : "", log,
      log[0] ? ")" : "");
  return RFM_VIDEO_DAMAGED;
}

// MARK: The file

static int read_bytes(void *context, uint8_t *out, int count) {
  rfm_video *video = context;
  if (rfm_video_interrupted(video)) return AVERROR_EXIT;
  // What is appended later is not seen: a file that grows has an end.
  int64_t left = video->size - video->position;
  if (left < 0) video->is_cut = 1;
  if (left <= 0) return AVERROR_EOF;
  if (count > left) count = (int)left;
  ssize_t got;
  do got = pread(video->descriptor, out, (size_t)count, video->position);
  while (got < 0 && errno == EINTR);
  if (got < 0) {
    video->error_number = errno;
    video->stopped = RFM_VIDEO_INPUT_OUTPUT;
    return AVERROR(errno);
  }
  if (got == 0) return AVERROR_EOF;
  video->position += got;
  video->bytes_read += got;
  return (int)got;
}

static int64_t move(void *context, int64_t offset, int whence) {
  rfm_video *video = context;
  if (whence & AVSEEK_SIZE) return video->size;
  whence &= ~AVSEEK_FORCE;
  int64_t base = whence == SEEK_CUR ? video->position : whence == SEEK_END ? video->size : 0;
  int64_t to;
  if (__builtin_add_overflow(base, offset, &to) || to < 0) return AVERROR(EINVAL);
  return video->position = to;
}

/// No demuxer opens anything but what it was given.
static int open_nothing(
    AVFormatContext *container, AVIOContext **io, const char *address, int flags,
    AVDictionary **options) {
  (void)container; (void)io; (void)address; (void)flags; (void)options;
  return AVERROR(EPERM);
}

// MARK: Opening

static void stop(rfm_video *video) {
  avcodec_free_context(&video->decoder);
  avformat_close_input(&video->container);
  if (video->io) {
    av_freep(&video->io->buffer);
    avio_context_free(&video->io);
  }
}

/// Has the library look at the first pictures, which may be as large as ours may.
static rfm_video_status look_at_streams(
    rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  // It may find further streams, which have no options.
  unsigned count = video->container->nb_streams;
  AVDictionary **options = calloc(count ? count : 1, sizeof *options);
  if (!options) return RFM_VIDEO_OUT_OF_MEMORY;
  for (unsigned i = 0; i < count; i++) {
    av_dict_set_int(&options[i], "max_pixels", video->settings.maximum_pixels, 0);
    av_dict_set_int(&options[i], "threads", 1, 0);
  }
  int error = avformat_find_stream_info(video->container, count ? options : NULL);
  for (unsigned i = 0; i < count; i++) av_dict_free(&options[i]);
  free(options);
  if (error < 0) return rfm_video_failure(video, error, "its streams can't be read", message);
  return RFM_VIDEO_OK;
}

static rfm_video_status open_container(
    rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  video->position = video->bytes_read = 0;
  uint8_t *buffer = av_malloc(BUFFER);
  if (!buffer) return RFM_VIDEO_OUT_OF_MEMORY;
  video->io = avio_alloc_context(buffer, BUFFER, 0, video, read_bytes, NULL, move);
  if (!video->io) {
    av_free(buffer);
    return RFM_VIDEO_OUT_OF_MEMORY;
  }
  input_format format = NULL;
  // No name: what it ends in would count as evidence.
  int found = av_probe_input_buffer2(video->io, &format, "", NULL, 0, PROBED);
  if (found < 0 || !format) {
    rfm_video_status status = rfm_video_failure(video, found, "", message);
    if (status == RFM_VIDEO_DAMAGED) message[0] = 0;
    return status == RFM_VIDEO_DAMAGED ? RFM_VIDEO_UNKNOWN : status;
  }
  if (av_match_list(format->name, formats, ',') <= 0) {
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "%s", format->long_name ? format->long_name : format->name);
    return RFM_VIDEO_REFUSED;
  }
  video->container = avformat_alloc_context();
  if (!video->container) return RFM_VIDEO_OUT_OF_MEMORY;
  video->container->pb = video->io;
  video->container->io_open = open_nothing;
  video->container->interrupt_callback = (AVIOInterruptCB){rfm_video_interrupted, video};
  AVDictionary *options = NULL;
  av_dict_set(&options, "protocol_whitelist", "file", 0);
  av_dict_set(&options, "format_whitelist", formats, 0);
  int error = avformat_open_input(&video->container, "", format, &options);
  av_dict_free(&options);
  if (error < 0) return rfm_video_failure(video, error, "its header can't be read", message);
  return look_at_streams(video, message);
}

static rfm_video_status choose_stream(rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  AVFormatContext *container = video->container;
  video->video_streams = 0;
  for (unsigned i = 0; i < container->nb_streams; i++) {
    const AVStream *stream = container->streams[i];
    video->video_streams += stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO
        && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC);
  }
  int best = av_find_best_stream(container, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
  // The picture on the cover of a song is a video stream to FFmpeg.
  if (best < 0 || container->streams[best]->disposition & AV_DISPOSITION_ATTACHED_PIC) {
    snprintf(message, RFM_VIDEO_MESSAGE_SIZE, "%s", container->iformat->name);
    return RFM_VIDEO_NO_STREAM;
  }
  video->stream = best;
  for (unsigned i = 0; i < container->nb_streams; i++) {
    if ((int)i != best) container->streams[i]->discard = AVDISCARD_ALL;
  }
  return RFM_VIDEO_OK;
}

static rfm_video_status open_decoder(rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  const AVStream *stream = video->container->streams[video->stream];
  const AVCodecParameters *parameters = stream->codecpar;
  const char *name = avcodec_get_name(parameters->codec_id);
  codec_pointer codec = avcodec_find_decoder(parameters->codec_id);
  if (!codec) {
    snprintf(message, RFM_VIDEO_MESSAGE_SIZE, "this FFmpeg has no decoder for its codec, %s", name);
    return RFM_VIDEO_UNSUPPORTED;
  }
  // Of profile 5 the plain picture is in colours of its own.
  const AVDOVIDecoderConfigurationRecord *dolby = (const void *)rfm_stream_side_data(
      stream, AV_PKT_DATA_DOVI_CONF, sizeof(AVDOVIDecoderConfigurationRecord));
  if (dolby && dolby->dv_profile == 5) {
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "Dolby Vision profile 5, whose colours can't be converted");
    return RFM_VIDEO_UNSUPPORTED;
  }
  if (parameters->width <= 0 && rfm_refused_size()[0]) {
    snprintf(message, RFM_VIDEO_MESSAGE_SIZE, "%s", rfm_refused_size());
    return RFM_VIDEO_TOO_LARGE;
  }
  int64_t width = parameters->width, height = parameters->height;
  if (width > 0 && height > 0 && width > video->settings.maximum_pixels / height) {
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "frames of %lld×%lld pixels", (long long)width,
        (long long)height);
    return RFM_VIDEO_TOO_LARGE;
  }
  video->decoder = avcodec_alloc_context3(codec);
  if (!video->decoder) return RFM_VIDEO_OUT_OF_MEMORY;
  int error = avcodec_parameters_to_context(video->decoder, parameters);
  if (error < 0) return rfm_video_failure(video, error, "its codec can't be set up", message);
  video->decoder->pkt_timebase = stream->time_base;
  video->decoder->thread_count = video->settings.threads;
  AVDictionary *options = NULL;
  av_dict_set_int(&options, "max_pixels", video->settings.maximum_pixels, 0);
  error = avcodec_open2(video->decoder, codec, &options);
  av_dict_free(&options);
  if (error < 0) return rfm_video_failure(video, error, "its decoder can't be opened", message);
  return RFM_VIDEO_OK;
}

rfm_video_status rfm_video_start(rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  stop(video);
  rfm_clear_log();
  message[0] = 0;
  video->next_packet = video->refused_packets = 0;
  video->is_drained = 0;
  video->refusal[0] = 0;
  rfm_video_progress(video);
  rfm_video_status status = open_container(video, message);
  if (status == RFM_VIDEO_OK) status = choose_stream(video, message);
  if (status == RFM_VIDEO_OK) status = open_decoder(video, message);
  rfm_video_progress(video);
  return status;
}

rfm_video_status rfm_video_open(
    int descriptor, const rfm_video_settings *settings, rfm_video **opened,
    char message[RFM_VIDEO_MESSAGE_SIZE]) {
  message[0] = 0;
  *opened = NULL;
  rfm_quiet_log();
  rfm_video *video = calloc(1, sizeof *video);
  if (!video) return RFM_VIDEO_OUT_OF_MEMORY;
  *opened = video;  // so that an error number can be asked for
  video->settings = *settings;
  video->descriptor = descriptor;
  struct stat status;
  if (fstat(descriptor, &status) != 0) {
    video->error_number = errno;
    return RFM_VIDEO_INPUT_OUTPUT;
  }
  video->size = status.st_size;
  video->packet = av_packet_alloc();
  video->frame = av_frame_alloc();
  if (!video->packet || !video->frame) return RFM_VIDEO_OUT_OF_MEMORY;
  return rfm_video_start(video, message);
}

void rfm_video_close(rfm_video *video) {
  if (!video) return;
  stop(video);
  av_packet_free(&video->packet);
  av_frame_free(&video->frame);
  sws_freeContext(video->scaler);
  av_free(video->scaled);
  free(video->packets);
  free(video);
}

rfm_video_status rfm_video_rewind(rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  return rfm_video_start(video, message);
}

int rfm_video_is_cut(const rfm_video *video) { return video->is_cut; }

int rfm_video_error_number(const rfm_video *video) { return video ? video->error_number : 0; }

// MARK: Describing

const uint8_t *rfm_stream_side_data(
    const AVStream *stream, enum AVPacketSideDataType kind, size_t size) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
  const AVPacketSideData *data = av_packet_side_data_get(
      stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, kind);
  return data && data->size >= size ? data->data : NULL;
#else
  for (int i = 0; i < stream->nb_side_data; i++) {
    const AVPacketSideData *data = &stream->side_data[i];
    if (data->type == kind) return (size_t)data->size >= size ? data->data : NULL;
  }
  return NULL;
#endif
}

void rfm_display_of(const uint8_t *bytes, int32_t display[4]) {
  display[0] = display[3] = 1 << 16;
  display[1] = display[2] = 0;
  if (!bytes) return;
  int32_t matrix[9];
  memcpy(matrix, bytes, sizeof matrix);
  display[0] = matrix[0];
  display[1] = matrix[1];
  display[2] = matrix[3];
  display[3] = matrix[4];
}

static void set_text(char *text, size_t size, const char *value) {
  snprintf(text, size, "%s", value ? value : "");
}

rfm_video_transfer rfm_transfer_of(enum AVColorTransferCharacteristic transfer) {
  return transfer == AVCOL_TRC_SMPTE2084 ? RFM_VIDEO_PQ
      : transfer == AVCOL_TRC_ARIB_STD_B67 ? RFM_VIDEO_HLG
      : RFM_VIDEO_SDR;
}

void rfm_video_describe(const rfm_video *video, rfm_video_info *info) {
  memset(info, 0, sizeof *info);
  const AVStream *stream = video->container->streams[video->stream];
  const AVCodecParameters *parameters = stream->codecpar;
  set_text(info->container, sizeof info->container, video->container->iformat->name);
  set_text(info->codec, sizeof info->codec, avcodec_get_name(parameters->codec_id));
  set_text(info->pixel_format, sizeof info->pixel_format, av_get_pix_fmt_name(parameters->format));
  if (parameters->color_space != AVCOL_SPC_UNSPECIFIED) {
    set_text(info->matrix, sizeof info->matrix, av_color_space_name(parameters->color_space));
  }
  if (parameters->color_primaries != AVCOL_PRI_UNSPECIFIED) {
    set_text(
        info->primaries, sizeof info->primaries,
        av_color_primaries_name(parameters->color_primaries));
  }
  if (parameters->color_trc != AVCOL_TRC_UNSPECIFIED) {
    set_text(info->transfer, sizeof info->transfer, av_color_transfer_name(parameters->color_trc));
  }
  if (parameters->color_range != AVCOL_RANGE_UNSPECIFIED) {
    set_text(info->range, sizeof info->range, av_color_range_name(parameters->color_range));
  }
  info->dynamic_range = rfm_transfer_of(parameters->color_trc);
  info->width = parameters->width;
  info->height = parameters->height;
  info->frames = stream->nb_frames > 0 ? stream->nb_frames : 0;
  info->duration = -1;
  if (stream->duration != AV_NOPTS_VALUE && stream->duration >= 0) {
    info->duration = (double)stream->duration * av_q2d(stream->time_base);
  } else if (video->container->duration != AV_NOPTS_VALUE && video->container->duration >= 0) {
    info->duration = (double)video->container->duration / AV_TIME_BASE;
  }
  AVRational rate = stream->avg_frame_rate;
  info->frame_rate = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
  AVRational aspect = stream->sample_aspect_ratio;
  if (aspect.num <= 0 || aspect.den <= 0) aspect = parameters->sample_aspect_ratio;
  info->pixel_aspect = aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 1;
  rfm_display_of(
      rfm_stream_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t)), info->display);
  info->video_streams = video->video_streams;
}

double rfm_video_time_unit(const rfm_video *video) {
  return av_q2d(video->container->streams[video->stream]->time_base);
}

int rfm_video_begins_at_keys(const rfm_video *video) {
  return begins_at_keys(video->decoder->codec_id);
}
