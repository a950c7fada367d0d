#pragma once
#include <stddef.h>
#include <stdint.h>

/// Frames of one video by FFmpeg's libraries, 4.4 to 7.1.
///
/// The file is an open descriptor: FFmpeg is given its bytes and no means to open anything else, so no
/// playlist, no reference to another file and no network address is ever followed. Formats are told by
/// content, and only those that hold a video by themselves are read. Nothing is written to standard
/// error.

#define RFM_VIDEO_MESSAGE_SIZE 384

/// In place of a time where there is none; FFmpeg's own.
static const int64_t RFM_VIDEO_NO_TIME = INT64_MIN;

typedef enum {
  RFM_VIDEO_OK = 0,
  RFM_VIDEO_END = 1,            // no further frame
  RFM_VIDEO_UNKNOWN = 2,        // the content is of no format that FFmpeg knows
  RFM_VIDEO_REFUSED = 3,        // a format that is not read, named in the message
  RFM_VIDEO_NO_STREAM = 4,      // a container without pictures
  RFM_VIDEO_DAMAGED = 5,
  RFM_VIDEO_UNSUPPORTED = 6,    // no decoder, encrypted, or colours that can't be converted
  RFM_VIDEO_TOO_LARGE = 7,
  RFM_VIDEO_STALLED = 8,        // no progress within the time, or within the bytes that may be read
  RFM_VIDEO_CANCELLED = 9,
  RFM_VIDEO_INPUT_OUTPUT = 10,  // `rfm_video_error_number` says why
  RFM_VIDEO_OUT_OF_MEMORY = 11,
  RFM_VIDEO_LOST = 12,          // after a seek the stream is not where it must be
} rfm_video_status;

typedef struct {
  int64_t maximum_pixels;           // of a frame
  int64_t maximum_packets;          // of the video stream
  int64_t maximum_read;             // bytes between two openings or rewinds
  double seconds_without_progress;  // between two packets or frames
  int threads;                      // of the decoder
  /// Asked now and then; anything but 0 ends the call with `RFM_VIDEO_CANCELLED`. May be NULL.
  int (*is_cancelled)(void *context);
  void *context;
} rfm_video_settings;

typedef enum {
  RFM_VIDEO_SDR = 0,
  RFM_VIDEO_PQ = 1,   // SMPTE ST 2084
  RFM_VIDEO_HLG = 2,  // ARIB STD-B67
} rfm_video_transfer;

/// What the container and the first pictures say. Texts are empty where nothing is said.
typedef struct {
  char container[64], codec[32], pixel_format[32];
  char matrix[32], primaries[32], transfer[32], range[32];
  int64_t width, height;  // as stored
  int64_t frames;         // as the container says, 0 if it doesn't
  double duration;        // seconds, negative if unknown
  double frame_rate;      // frames a second, 0 if unknown
  double pixel_aspect;    // width over height of a pixel, 1 if unknown
  int32_t display[4];     // a, b, c, d of the display matrix in 1/65536; the identity if there is none
  int video_streams;      // without pictures of covers
  rfm_video_transfer dynamic_range;
} rfm_video_info;

/// A packet of the video stream, in the order of decoding.
typedef struct {
  int64_t time;         // of presentation, in units of the stream; RFM_VIDEO_NO_TIME if it has none
  int64_t decode_time;  // likewise
  uint8_t is_shown;     // 0: decoded only because later frames need it (an edit list starts later)
  uint8_t is_entry;     // decoding may begin here: what is shown from here on needs nothing before it
} rfm_video_packet;

typedef struct {
  int64_t time;  // as in the packet, or a guess of it; RFM_VIDEO_NO_TIME if there is none
  int64_t width, height;  // as stored
  int32_t display[4];     // of the frame itself; the identity if there is none
  uint8_t is_damaged;     // parts were missing and were made up
  uint8_t is_key;         // later frames need nothing before it
  int delay;              // frames that the decoder may hold back
} rfm_video_frame;

typedef struct rfm_video rfm_video;

/// Opens the video in `descriptor`, a regular file, which stays the caller's to close, after the video.
/// The first video stream that FFmpeg thinks best is taken. No pixel of it is decoded yet but what the
/// library looks at to know the format.
rfm_video_status rfm_video_open(
    int descriptor, const rfm_video_settings *settings, rfm_video **video,
    char message[RFM_VIDEO_MESSAGE_SIZE]);

void rfm_video_close(rfm_video *video);

void rfm_video_describe(const rfm_video *video, rfm_video_info *info);

/// Seconds of one unit of time.
double rfm_video_time_unit(const rfm_video *video);

/// The system's error number that reading failed with, 0 if it didn't.
int rfm_video_error_number(const rfm_video *video);

/// Whether the container led behind the file's end, or a packet was not whole.
int rfm_video_is_cut(const rfm_video *video);

/// Reads all packets, from the beginning, without decoding. `*packets` is the video's, until it is
/// closed. Where reading fails for damage the packets before are returned, `RFM_VIDEO_OK`, with
/// the reason in `message`, which is empty otherwise. `rfm_video_rewind` must follow.
rfm_video_status rfm_video_index(
    rfm_video *video, const rfm_video_packet **packets, int64_t *count,
    char message[RFM_VIDEO_MESSAGE_SIZE]);

/// Opens container and decoder anew: the next frame is the first.
rfm_video_status rfm_video_rewind(rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]);

/// Goes on with packet `entry` of the index, of which `is_entry`. `RFM_VIDEO_LOST` if the container
/// leads elsewhere: rewind then.
rfm_video_status rfm_video_seek(
    rfm_video *video, int64_t entry, char message[RFM_VIDEO_MESSAGE_SIZE]);

/// Decodes the next frame, which stays until the next call. Packets that don't decode are passed over.
/// `RFM_VIDEO_END` after the last.
rfm_video_status rfm_video_next(
    rfm_video *video, rfm_video_frame *frame, char message[RFM_VIDEO_MESSAGE_SIZE]);

/// Packets that the decoder refused since the last opening or rewind, and what it said of the last.
int64_t rfm_video_refused_packets(const rfm_video *video, char message[RFM_VIDEO_MESSAGE_SIZE]);

/// How the light of the present frame is encoded.
rfm_video_transfer rfm_video_frame_transfer(const rfm_video *video);

typedef enum {
  RFM_VIDEO_BT2020 = 0,
  RFM_VIDEO_BT709 = 1,
  RFM_VIDEO_OTHER_PRIMARIES = 2,
} rfm_video_primaries;

/// The primary colours of the present frame, of which `rfm_video_frame_transfer` is not SDR.
rfm_video_primaries rfm_video_frame_primaries(const rfm_video *video);

/// The present frame as RGB, [height, width, 3], rows without gaps, by its own matrix and range (where
/// no matrix is said BT.601's, where no range is said the limited one; full range is 0 … 255).
rfm_video_status rfm_video_rgb(
    rfm_video *video, uint8_t *pixels, size_t size, char message[RFM_VIDEO_MESSAGE_SIZE]);

/// The same with 16 bits a value.
rfm_video_status rfm_video_rgb16(
    rfm_video *video, uint16_t *pixels, size_t size, char message[RFM_VIDEO_MESSAGE_SIZE]);
