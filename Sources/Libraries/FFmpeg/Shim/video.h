#pragma once
#include "CFFmpeg.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/avutil.h>
#include <libavutil/display.h>
#include <libavutil/dovi_meta.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

/// What a converter of pixels is made for.
typedef struct {
  int width, height, source, target, is_full, matrix, chroma;
} scaling;

struct rfm_video {
  rfm_video_settings settings;

  // The file.
  int descriptor;
  int64_t size, position;
  int64_t bytes_read;     // since the last opening
  int is_cut;             // something was looked for behind the file's end
  double last_progress;   // seconds of the monotonic clock
  int error_number;
  rfm_video_status stopped;  // why the callbacks ended a call: cancelled, stalled or a failed read

  // Opened anew by a rewind.
  AVIOContext *io;
  AVFormatContext *container;
  AVCodecContext *decoder;
  int stream, video_streams;
  int64_t next_packet;  // the one that is read next, in the order of decoding
  int is_drained;
  int64_t refused_packets;
  char refusal[128];

  AVPacket *packet;
  AVFrame *frame;
  rfm_video_packet *packets;
  int64_t packet_count, packet_capacity;

  struct SwsContext *scaler;
  scaling scaling;
  uint8_t *scaled;  // rows with a margin, since libswscale writes whole vectors
  size_t scaled_size;
};

// log.c

/// Keeps FFmpeg's messages from standard error, and the last error of each thread for `rfm_last_log`.
void rfm_quiet_log(void);
void rfm_clear_log(void);
const char *rfm_last_log(void);
/// The size of frames that were larger than allowed, in words; empty if there were none.
const char *rfm_refused_size(void);

// container.c

/// What ended a call: the video's own reason, else what FFmpeg's error means, with words in `message`.
rfm_video_status rfm_video_failure(
    rfm_video *video, int error, const char *what, char message[RFM_VIDEO_MESSAGE_SIZE]);
void rfm_video_progress(rfm_video *video);
int rfm_video_interrupted(void *video);

/// Opens container and decoder at the file's beginning, after closing what was open.
rfm_video_status rfm_video_start(rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]);

/// A stream's side data of a kind; NULL if it has none or less than `size` bytes of it.
const uint8_t *rfm_stream_side_data(
    const AVStream *stream, enum AVPacketSideDataType kind, size_t size);
void rfm_display_of(const uint8_t *matrix, int32_t display[4]);
rfm_video_transfer rfm_transfer_of(enum AVColorTransferCharacteristic transfer);

/// Whether packets that are marked as keys of this codec need nothing before them.
int rfm_video_begins_at_keys(const rfm_video *video);
