#define _GNU_SOURCE
#include "CHostMemory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int rfm_host_memory_create(size_t bytes) {
  int file = memfd_create("rfm", MFD_CLOEXEC);
  if (file < 0) return -1;
  // A page that can't be had when it is first touched would end the process by a signal.
  int status;
  do status = posix_fallocate(file, 0, (off_t)bytes);
  while (status == EINTR);
  if (status == 0) return file;
  close(file);
  errno = status;
  return -1;
}
