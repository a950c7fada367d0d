#include "CStandardStreams.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

void rfm_wait_until_read(int fd) {
  struct stat kind;
  if (fstat(fd, &kind) != 0 || !S_ISFIFO(kind.st_mode)) return;
  int left = 0;
  for (int waits = 0; waits < 1000 && ioctl(fd, FIONREAD, &left) == 0 && left > 0; waits++) usleep(1000);
}

void rfm_write_error(const char *text, size_t size) {
  const int is_passed_on = getenv("PMIX_RANK") != NULL;
  // Not where nobody reads, nor what another thread is in the middle of: that may last.
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  if (is_passed_on && poll(&out, 1, 0) == 1 && ftrylockfile(stdout) == 0) {
    fflush(stdout);
    funlockfile(stdout);
    rfm_wait_until_read(STDOUT_FILENO);
    // Of a pseudo terminal, which Open MPI makes for it, nothing tells whether it was read: a moment then, if
    // anything was ever printed (it has a buffer from then on). On a busy machine 50 ms were too short for 1 of
    // some 100 messages, 200 ms for none of 200.
    const char *version = getenv("PMIX_VERSION");
    const int has_printed = __fbufsize(stdout) > 0;
    if (version && atoi(version) >= 5 && isatty(STDOUT_FILENO) && has_printed) usleep(200000);
  }
  while (size > 0) {
    const ssize_t written = write(STDERR_FILENO, text, size);
    if (written < 0 && errno == EAGAIN) {
      struct pollfd error = {.fd = STDERR_FILENO, .events = POLLOUT};
      if (poll(&error, 1, 1000) == 1) continue;
      return;
    }
    if (written < 0 && errno != EINTR) return;
    if (written > 0) {
      text += written;
      size -= (size_t)written;
    }
  }
  if (is_passed_on) rfm_wait_until_read(STDERR_FILENO);
}
