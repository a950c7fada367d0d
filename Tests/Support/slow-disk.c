// A disk that is slow to flush: loaded before the C library, it lets fsync of files whose path contains
// RFM_SLOW_FILE take RFM_SLOW_SECONDS more.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fsync(int descriptor) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(link, path, sizeof path - 1);
  const char *file = getenv("RFM_SLOW_FILE"), *seconds = getenv("RFM_SLOW_SECONDS");
  if (count > 0 && file && seconds) {
    path[count] = '\0';
    // A file that another replaces has the name of its place and more.
    if (strstr(path, file)) sleep((unsigned)atoi(seconds));
  }
  int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return flush(descriptor);
}
