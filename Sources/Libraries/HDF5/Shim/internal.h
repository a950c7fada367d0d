// What the files of this shim share: the lock around every call, errors, and types. Not for others.
#pragma once

#include <hdf5.h>
#include <signal.h>

#include "CHDF5.h"

#pragma GCC visibility push(hidden)

// library.c
// Takes the one lock around every call of the library; clears its errors.
void h5_enter(void);
void h5_leave(void);
// Puts the cause of the last failure into `error`. Returns -1.
int h5_fail(char *error, size_t size);
int h5_fail_with(char *error, size_t size, const char *text);
// HDF5's type in memory of an element of CHDF5.h.
hid_t h5_memory_type(int32_t element);

// crashes.c
// Notes in which thread the library works, so that a crash there is told as a damaged file.
void h5_watch_for_crashes(void);
extern _Thread_local volatile sig_atomic_t h5_inside;

// types.c
// What Swift is told of a type and its space.
int h5_describe(hid_t type, hid_t space, rfm_h5_description *d);
// Of a dataset or an attribute that is made.
hid_t h5_creation_type(const rfm_h5_creation *c);
hid_t h5_creation_space(const rfm_h5_creation *c);

// datasets.c
// Reads or writes a box of a dataset; see datasets.c.
int h5_transfer(
    int writing, hid_t dataset, int rows, hid_t type, const uint64_t *start, const uint64_t *count,
    void *buffer, uint64_t capacity, hid_t properties, char *error, size_t size);

// chunks.c
// A dataset was opened or closed under this number.
void h5_forget_dataset(hid_t dataset);
// Refuses chunks of a box that inflate to less than they must; see chunks.c.
int h5_check_chunks(
    hid_t dataset, int rank, const hsize_t *from, const hsize_t *length, char *error, size_t size);

#pragma GCC visibility pop
