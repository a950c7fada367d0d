#include "video.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

// FFmpeg has one log for the process, and its default is standard error.
static _Thread_local char last[128];

static void keep(void *context, int level, const char *format, va_list arguments) {
  (void)context;
  if (level > AV_LOG_ERROR) return;
  char line[sizeof last];
  vsnprintf(line, sizeof line, format, arguments);
  size_t length = strcspn(line, "\n");
  if (length == 0) return;
  memcpy(last, line, length);
  last[length] = 0;
}

static void quieten(void) { av_log_set_callback(keep); }

void rfm_quiet_log(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, quieten);
}

void rfm_clear_log(void) { last[0] = 0; }

const char *rfm_last_log(void) { return last; }
