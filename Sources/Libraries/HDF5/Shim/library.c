#define _GNU_SOURCE
#include "internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// One lock around every call: HDF5 keeps global state, and not every distribution builds it with
// thread safety. A thread that keeps it over several calls takes it again for each.
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int prepared = 0;

void h5_enter(void) {
  pthread_mutex_lock(&lock);
  if (!prepared) {
    h5_watch_for_crashes();
    // Without this, a process that ends while a loader thread reads would have the library taken
    // away under that thread. Files are closed by their owners.
    H5dont_atexit();
    // A link into another file would have that one opened, whatever it is.
    H5Lunregister(H5L_TYPE_EXTERNAL);
    prepared = 1;
  }
  // The error stack and its printing are a thread's own in a thread-safe library.
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  H5Eclear2(H5E_DEFAULT);
  h5_inside = 1;
}

void h5_leave(void) {
  h5_inside = 0;
  pthread_mutex_unlock(&lock);
}

void rfm_h5_hold(void) { pthread_mutex_lock(&lock); }

void rfm_h5_release(void) { pthread_mutex_unlock(&lock); }

typedef struct {
  char *text;
  size_t size;
} message;

// Called first for the innermost frame, where the cause is; later frames say who asked.
static herr_t innermost(unsigned n, const H5E_error2_t *frame, void *data) {
  message *m = data;
  if (n == 0 && frame->desc != NULL && m->size > 0) {
    snprintf(m->text, m->size, "%s", frame->desc);
    for (char *c = m->text; *c != 0; c++)
      if (*c == '\n' || *c == '\r' || *c == '\t') *c = ' ';
  }
  return 0;
}

int h5_fail(char *error, size_t size) {
  message m = {error, size};
  if (size > 0) snprintf(error, size, "unknown error");
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &m);
  H5Eclear2(H5E_DEFAULT);
  return -1;
}

int h5_fail_with(char *error, size_t size, const char *text) {
  if (size > 0) snprintf(error, size, "%s", text);
  H5Eclear2(H5E_DEFAULT);
  return -1;
}

hid_t h5_memory_type(int32_t element) {
  switch (element) {
    case RFM_H5_UINT8: return H5T_NATIVE_UINT8;
    case RFM_H5_INT32: return H5T_NATIVE_INT32;
    case RFM_H5_INT64: return H5T_NATIVE_INT64;
    case RFM_H5_FLOAT: return H5T_NATIVE_FLOAT;
    case RFM_H5_DOUBLE: return H5T_NATIVE_DOUBLE;
    case RFM_H5_BITS8: return H5T_NATIVE_B8;
    case RFM_H5_BITS64: return H5T_NATIVE_B64;
    default: return H5I_INVALID_HID;
  }
}
