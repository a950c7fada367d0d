#include "internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Some damage makes the library itself crash (in 1.10, heaps of variable-length strings whose sizes
// are wrong). After that nothing of the process can be trusted; what is left to do is to name the
// file and end with the status of bad data (65), instead of leaving the user a core dump.
static _Thread_local char context[1024];
_Thread_local volatile sig_atomic_t h5_inside = 0;
static char rank_prefix[32];
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof crash_signals[0] };
static struct sigaction previous[CRASH_SIGNALS];

static void say(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

// A file's name as a terminal may have it: whatever is not plain ASCII as \xNN. Of a signal handler
// nothing better can be asked.
static void say_name(const char *name) {
  static const char digits[] = "0123456789ABCDEF";
  for (const unsigned char *byte = (const unsigned char *)name; *byte; byte++) {
    char text[5] = {(char)*byte, 0};
    if (*byte < 0x20 || *byte >= 0x7f) {
      text[0] = '\\';
      text[1] = 'x';
      text[2] = digits[*byte >> 4];
      text[3] = digits[*byte & 15];
    }
    say(text);
  }
}

static void on_crash(int signal) {
  if (h5_inside) {
    say("rfm: ");
    say(rank_prefix);
    say_name(context);
    say(": the file is damaged in a way that the HDF5 library fails on\n");
    _exit(65);
  }
  // Not ours: to whoever was responsible before, by failing again.
  for (int i = 0; i < CRASH_SIGNALS; i++)
    if (crash_signals[i] == signal) sigaction(signal, &previous[i], NULL);
  if (signal == SIGABRT) raise(signal);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RFM_H5_SANITIZED 1
#endif
#endif

void h5_watch_for_crashes(void) {
#ifdef RFM_H5_SANITIZED
  return;  // the sanitizer's own report says more
#endif
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  if (rank == NULL && getenv("SLURM_STEP_NUM_TASKS") != NULL) rank = getenv("SLURM_PROCID");
  if (rank != NULL) snprintf(rank_prefix, sizeof rank_prefix, "rank %.12s: ", rank);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < CRASH_SIGNALS; i++) sigaction(crash_signals[i], &action, &previous[i]);
}

void rfm_h5_set_context(const char *path) { snprintf(context, sizeof context, "%s", path); }
