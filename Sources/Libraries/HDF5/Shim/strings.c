#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Fixed-length strings move in the file's own type, so that nothing is cut or padded on the way;
// variable-length ones in a type of the same character set.
static int transfer_strings(
    int writing, hid_t dataset, uint64_t first, uint64_t count, void *buffer, uint64_t capacity,
    int variable, hid_t properties, char *error, size_t size) {
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return h5_fail(error, size);
  int result = 0;
  if (H5Tget_class(type) != H5T_STRING || (H5Tis_variable_str(type) > 0) != (variable != 0)) {
    result = h5_fail_with(error, size, "the dataset holds no strings of the kind asked for");
  } else {
    uint64_t elements = variable ? capacity : capacity / H5Tget_size(type);
    hid_t space = H5Dget_space(dataset);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (space >= 0) H5Sclose(space);
    result = h5_transfer(
        writing, dataset, rank > 0, type, rank > 0 ? &first : NULL, rank > 0 ? &count : NULL,
        buffer, elements, properties, error, size);
  }
  H5Tclose(type);
  return result;
}

int rfm_h5_read_fixed_strings(
    int64_t dataset, uint64_t first, uint64_t count, char *bytes, uint64_t capacity, char *error,
    size_t size) {
  h5_enter();
  int result = transfer_strings(
      0, dataset, first, count, bytes, capacity, 0, H5P_DEFAULT, error, size);
  h5_leave();
  return result;
}

int rfm_h5_write_fixed_strings(
    int64_t dataset, uint64_t first, uint64_t count, const char *bytes, uint64_t capacity,
    char *error, size_t size) {
  h5_enter();
  int result = transfer_strings(
      1, dataset, first, count, (void *)bytes, capacity, 0, H5P_DEFAULT, error, size);
  h5_leave();
  return result;
}

// An allocator with a limit, so that a file that declares monstrous strings can't take the memory.
static void *limited_allocate(size_t bytes, void *data) {
  uint64_t *left = data;
  if (bytes > *left) return NULL;
  *left -= bytes;
  return malloc(bytes);
}

static void limited_free(void *memory, void *data) {
  (void)data;
  free(memory);
}

int rfm_h5_read_variable_strings(
    int64_t dataset, uint64_t first, uint64_t count, char **strings, uint64_t limit, char *error,
    size_t size) {
  h5_enter();
  uint64_t left = limit;
  memset(strings, 0, count * sizeof *strings);
  int result = 0;
  hid_t properties = H5Pcreate(H5P_DATASET_XFER);
  if (properties < 0 ||
      H5Pset_vlen_mem_manager(properties, limited_allocate, &left, limited_free, NULL) < 0)
    result = h5_fail(error, size);
  else
    result = transfer_strings(
        0, dataset, first, count, strings, count, 1, properties, error, size);
  if (properties >= 0) H5Pclose(properties);
  // After a failure nobody knows which entries are pointers: forget them rather than free garbage.
  if (result < 0) memset(strings, 0, count * sizeof *strings);
  h5_leave();
  return result;
}

int rfm_h5_string_references(
    int64_t dataset, int32_t *is_plain, uint64_t *offset, char *error, size_t size) {
  h5_enter();
  int result = 0;
  *is_plain = 0;
  *offset = UINT64_MAX;
  hid_t file = H5Iget_file_id(dataset);
  hid_t properties = H5Dget_create_plist(dataset);
  unsigned intent;
  if (file < 0 || properties < 0 || H5Fget_intent(file, &intent) < 0) {
    result = h5_fail(error, size);
  } else if (
      intent == H5F_ACC_RDONLY && H5Pget_layout(properties) == H5D_CONTIGUOUS &&
      H5Pget_external_count(properties) == 0) {
    *is_plain = 1;
    haddr_t address = H5Dget_offset(dataset);
    if (address != HADDR_UNDEF) *offset = address;
  }
  if (properties >= 0) H5Pclose(properties);
  if (file >= 0) H5Fclose(file);
  h5_leave();
  return result;
}

int64_t rfm_h5_read_bytes(
    int64_t dataset, uint64_t offset, void *buffer, uint64_t count, char *error, size_t size) {
  h5_enter();
  int64_t done = -1;
  void *descriptor = NULL;
  hid_t file = H5Iget_file_id(dataset);
  if (file < 0 || H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor) < 0) {
    h5_fail(error, size);
  } else {
    done = 0;
    while ((uint64_t)done < count) {
      ssize_t got = pread(
          *(int *)descriptor, (char *)buffer + done, count - (uint64_t)done,
          (off_t)(offset + (uint64_t)done));
      if (got <= 0) break;
      done += got;
    }
  }
  if (file >= 0) H5Fclose(file);
  h5_leave();
  return done;
}

void rfm_h5_free_strings(char **strings, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    free(strings[i]);
    strings[i] = NULL;
  }
}

int rfm_h5_write_variable_strings(
    int64_t dataset, uint64_t first, uint64_t count, const char *const *strings, char *error,
    size_t size) {
  h5_enter();
  int result = transfer_strings(
      1, dataset, first, count, (void *)strings, count, 1, H5P_DEFAULT, error, size);
  h5_leave();
  return result;
}
