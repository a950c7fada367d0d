#define _GNU_SOURCE
#include "CFileNames.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

int rfm_exchange_names(const char *a, const char *b) {
#ifdef SYS_renameat2
  const unsigned exchange = 2;  // RENAME_EXCHANGE
  return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, exchange);
#else
  errno = ENOSYS;
  return -1;
#endif
}
