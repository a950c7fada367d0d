#pragma once
#include <stddef.h>

#pragma clang assume_nonnull begin

// Standard output and error where a launcher passes them on.

/// Writes to standard error in one piece. A signal that comes meanwhile does not swallow it.
///
/// Where a launcher passes streams on (PMIX_RANK is set), what was printed before is let out first, and this before
/// anything else is printed, each within a second: PMIx 5.0 (pmix_iof.c), which Open MPI 5 uses, keeps the beginning of
/// a line that it has read in two pieces and puts it before what the rank says next, on either stream, so that a piece
/// of a table or of a JSON line goes to standard error.
void rfm_write_error(const char *text, size_t size);

/// Waits, for a second at most, until whoever is at the other end of the pipe `fd` has read it.
void rfm_wait_until_read(int fd);

#pragma clang assume_nonnull end
