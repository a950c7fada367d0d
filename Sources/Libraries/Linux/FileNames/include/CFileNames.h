#pragma once

// Calls of the operating system that Swift can't import.

/// Exchanges the names of two files or folders at once. Returns 0, or -1 with errno set; ENOSYS or
/// EINVAL where the kernel or the file system can't.
int rfm_exchange_names(const char *a, const char *b);
