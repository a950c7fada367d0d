#include "video.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

// FFmpeg has one log for the process, and its default is standard error.
static _Thread_local char last[128];
// What libavutil says of frames that are larger than allowed: the decoder only says that it failed.
static _Thread_local char refused_size[64];

static void keep(void *context, int level, const char *format, va_list arguments) {
  (void)context;
  if (level > AV_LOG_ERROR) return;
  char line[sizeof last];
  vsnprintf(line, sizeof line, format, arguments);
  size_t length = strcspn(line, "\n");
  if (length == 0) return;
  memcpy(last, line, length);
  last[length] = 0;
  unsigned width, height;
  if (sscanf(last, "Picture size %ux%u is invalid", &width, &height) == 2) {
    snprintf(refused_size, sizeof refused_size, "frames of %u×%u pixels", width, height);
  }
}

static void quieten(void) { av_log_set_callback(keep); }

void rfm_quiet_log(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, quieten);
}

void rfm_clear_log(void) { last[0] = refused_size[0] = 0; }

const char *rfm_refused_size(void) { return refused_size; }

const char *rfm_last_log(void) { return last; }
