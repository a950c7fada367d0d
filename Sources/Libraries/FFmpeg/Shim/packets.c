#include "video.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// MARK: Entries

/// Whether an H.264 access unit holds a slice of an IDR picture (ITU-T H.264, table 7-1: type 5). A
/// packet is marked as key as well where decoding recovers only some pictures later.
static int is_instantaneous(const AVCodecContext *decoder, const uint8_t *bytes, int size) {
  const uint8_t *extra = decoder->extradata;
  int is_framed = decoder->extradata_size >= 7 && extra[0] == 1;
  if (is_framed) {
    // Units with their length before them (ISO/IEC 14496-15).
    int width = (extra[4] & 3) + 1;
    for (int64_t at = 0; at + width < size;) {
      int64_t length = 0;
      for (int i = 0; i < width; i++) length = length << 8 | bytes[at + i];
      if ((bytes[at + width] & 31) == 5) return 1;
      at += width + length;
    }
    return 0;
  }
  // Units after start codes (annex B).
  for (int at = 0; at + 3 < size; at++) {
    if (bytes[at] == 0 && bytes[at + 1] == 0 && bytes[at + 2] == 1) {
      if ((bytes[at + 3] & 31) == 5) return 1;
      at += 2;
    }
  }
  return 0;
}

static int is_entry(const rfm_video *video, const AVPacket *packet) {
  if (!(packet->flags & AV_PKT_FLAG_KEY) || packet->flags & AV_PKT_FLAG_DISCARD) return 0;
  if (video->decoder->codec_id != AV_CODEC_ID_H264) return rfm_video_begins_at_keys(video);
  return is_instantaneous(video->decoder, packet->data, packet->size);
}

// MARK: Reading

/// The next packet of the stream, in `video->packet`; FFmpeg's error otherwise.
static int read_packet(rfm_video *video) {
  for (;;) {
    if (rfm_video_interrupted(video)) return AVERROR_EXIT;
    int error = av_read_frame(video->container, video->packet);
    if (error == AVERROR(EAGAIN)) continue;
    if (error < 0) return video->stopped != RFM_VIDEO_OK ? AVERROR_EXIT : error;
    if (video->packet->stream_index == video->stream) {
      rfm_video_progress(video);
      return 0;
    }
    av_packet_unref(video->packet);
  }
}

static int64_t time_of(int64_t time) {
  return time == AV_NOPTS_VALUE ? RFM_VIDEO_NO_TIME : time;
}

static int add_packet(rfm_video *video, const AVPacket *packet) {
  if (video->packet_count == video->packet_capacity) {
    int64_t capacity = video->packet_capacity ? 2 * video->packet_capacity : 1024;
    rfm_video_packet *grown = realloc(video->packets, (size_t)capacity * sizeof *grown);
    if (!grown) return 0;
    video->packets = grown;
    video->packet_capacity = capacity;
  }
  video->packets[video->packet_count++] = (rfm_video_packet){
      .time = time_of(packet->pts),
      .decode_time = time_of(packet->dts),
      .is_shown = !(packet->flags & AV_PKT_FLAG_DISCARD),
      .is_entry = (uint8_t)is_entry(video, packet),
  };
  return 1;
}

rfm_video_status rfm_video_index(
    rfm_video *video, const rfm_video_packet **packets, int64_t *count,
    char message[RFM_VIDEO_MESSAGE_SIZE]) {
  message[0] = 0;
  video->packet_count = 0;
  rfm_clear_log();
  for (;;) {
    int error = read_packet(video);
    if (error == AVERROR_EOF) break;
    if (error < 0) {
      rfm_video_status status = rfm_video_failure(video, error, "reading stops", message);
      if (status != RFM_VIDEO_DAMAGED) return status;
      break;
    }
    if (video->packet->flags & AV_PKT_FLAG_CORRUPT) video->is_cut = 1;
    int is_encrypted =
        av_packet_get_side_data(video->packet, AV_PKT_DATA_ENCRYPTION_INFO, NULL) != NULL;
    int is_full = video->packet_count >= video->settings.maximum_packets;
    int is_kept = !is_encrypted && !is_full && add_packet(video, video->packet);
    av_packet_unref(video->packet);
    if (is_encrypted) {
      snprintf(message, RFM_VIDEO_MESSAGE_SIZE, "it is encrypted");
      return RFM_VIDEO_UNSUPPORTED;
    }
    if (is_full) {
      snprintf(
          message, RFM_VIDEO_MESSAGE_SIZE, "%lld frames and further ones",
          (long long)video->settings.maximum_packets);
      return RFM_VIDEO_TOO_LARGE;
    }
    if (!is_kept) return RFM_VIDEO_OUT_OF_MEMORY;
  }
  *packets = video->packets;
  *count = video->packet_count;
  return RFM_VIDEO_OK;
}

// MARK: Decoding

rfm_video_status rfm_video_seek(
    rfm_video *video, int64_t entry, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  message[0] = 0;
  const rfm_video_packet *wanted = &video->packets[entry];
  // Containers are ordered by one or the other time; the earlier leads to the packet or before it.
  int64_t time = wanted->decode_time != RFM_VIDEO_NO_TIME && wanted->decode_time < wanted->time
      ? wanted->decode_time : wanted->time;
  int error = av_seek_frame(video->container, video->stream, time, AVSEEK_FLAG_BACKWARD);
  if (video->stopped != RFM_VIDEO_OK) return video->stopped;
  if (error < 0) return RFM_VIDEO_LOST;
  avcodec_flush_buffers(video->decoder);
  video->is_drained = 0;
  // Which packet this is, its time says, which no other one has.
  error = read_packet(video);
  if (video->stopped != RFM_VIDEO_OK) return video->stopped;
  if (error < 0) return RFM_VIDEO_LOST;
  int64_t reached = entry;
  while (reached >= 0 && video->packets[reached].time != time_of(video->packet->pts)) reached--;
  if (reached < 0) {
    av_packet_unref(video->packet);
    return RFM_VIDEO_LOST;
  }
  for (; reached < entry; reached++) {
    av_packet_unref(video->packet);
    error = read_packet(video);
    if (video->stopped != RFM_VIDEO_OK) return video->stopped;
    if (error < 0) return RFM_VIDEO_LOST;
  }
  int is_there = time_of(video->packet->pts) == wanted->time;
  if (is_there) {
    error = avcodec_send_packet(video->decoder, video->packet);
    if (error < 0) video->refused_packets++;
  }
  av_packet_unref(video->packet);
  video->next_packet = entry + 1;
  return is_there ? RFM_VIDEO_OK : RFM_VIDEO_LOST;
}

/// Hands the decoder what comes next; 0, or an error that ends the video.
static int feed(rfm_video *video) {
  int error = AVERROR_EOF;
  if (video->next_packet < video->packet_count) error = read_packet(video);
  if (error == AVERROR_EXIT) return error;
  if (error < 0) {
    // The end, or damage, which the index has told: what the decoder still holds comes out.
    video->is_drained = 1;
    return avcodec_send_packet(video->decoder, NULL);
  }
  video->next_packet++;
  rfm_clear_log();
  error = avcodec_send_packet(video->decoder, video->packet);
  av_packet_unref(video->packet);
  if (error == AVERROR(ENOMEM)) return error;
  if (error < 0) {
    video->refused_packets++;
    snprintf(video->refusal, sizeof video->refusal, "%s", rfm_last_log());
  }
  return 0;
}

rfm_video_status rfm_video_next(
    rfm_video *video, rfm_video_frame *frame, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  message[0] = 0;
  for (;;) {
    if (rfm_video_interrupted(video)) return video->stopped;
    int error = avcodec_receive_frame(video->decoder, video->frame);
    if (error == 0) break;
    if (error == AVERROR_EOF) return RFM_VIDEO_END;
    if (error == AVERROR(EAGAIN)) {
      if (video->is_drained) return RFM_VIDEO_END;
      error = feed(video);
      if (error == 0 || error == AVERROR_EOF) continue;
      return rfm_video_failure(video, error, "decoding stops", message);
    }
    if (error == AVERROR(ENOMEM)) return RFM_VIDEO_OUT_OF_MEMORY;
    // A packet that does not decode.
    video->refused_packets++;
    snprintf(video->refusal, sizeof video->refusal, "%s", rfm_last_log());
    if (video->refused_packets > video->packet_count + 1024) return RFM_VIDEO_END;
  }
  rfm_video_progress(video);
  const AVFrame *decoded = video->frame;
  frame->time = time_of(decoded->best_effort_timestamp);
  frame->width = decoded->width;
  frame->height = decoded->height;
  frame->is_damaged = decoded->decode_error_flags != 0 || decoded->flags & AV_FRAME_FLAG_CORRUPT;
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 29, 100)
  frame->is_key = (decoded->flags & AV_FRAME_FLAG_KEY) != 0;
#else
  frame->is_key = decoded->key_frame != 0;
#endif
  frame->delay = video->decoder->has_b_frames;
  if (video->decoder->active_thread_type & FF_THREAD_FRAME) {
    frame->delay += video->decoder->thread_count - 1;
  }
  const AVFrameSideData *display = av_frame_get_side_data(decoded, AV_FRAME_DATA_DISPLAYMATRIX);
  int is_whole = display && display->size >= 9 * sizeof(int32_t);
  rfm_display_of(is_whole ? display->data : NULL, frame->display);
  if (frame->width <= 0 || frame->height <= 0
      || frame->width > video->settings.maximum_pixels / frame->height) {
    snprintf(
        message, RFM_VIDEO_MESSAGE_SIZE, "frames of %lld×%lld pixels", (long long)frame->width,
        (long long)frame->height);
    return RFM_VIDEO_TOO_LARGE;
  }
  return RFM_VIDEO_OK;
}

int64_t rfm_video_refused_packets(const rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]) {
  snprintf(message, RFM_VIDEO_MESSAGE_SIZE, "%s", video->refusal);
  return video->refused_packets;
}
