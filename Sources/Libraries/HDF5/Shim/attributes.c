#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <stdio.h>

int rfm_h5_has_attribute(int64_t object, const char *name, char *error, size_t size) {
  h5_enter();
  htri_t exists = H5Aexists(object, name);
  int result = exists < 0 ? h5_fail(error, size) : exists > 0;
  h5_leave();
  return result;
}

int64_t rfm_h5_attribute_name(
    int64_t object, uint64_t index, char *name, size_t capacity, char *error, size_t size) {
  h5_enter();
  int64_t length = -1;
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  herr_t status = H5Oget_info3(object, &info, H5O_INFO_NUM_ATTRS);
#else
  H5O_info_t info;
  herr_t status = H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS);
#endif
  if (status < 0) {
    h5_fail(error, size);
  } else if (index >= info.num_attrs) {
    length = 0;
  } else {
    length = H5Aget_name_by_idx(
        object, ".", H5_INDEX_NAME, H5_ITER_INC, index, name, capacity, H5P_DEFAULT);
    if (length < 0) h5_fail(error, size);
  }
  h5_leave();
  return length;
}

int rfm_h5_describe_attribute(
    int64_t object, const char *name, rfm_h5_description *description, char *error, size_t size) {
  h5_enter();
  int result = 0;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
  hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
  if (type < 0 || space < 0 || h5_describe(type, space, description) < 0) result = h5_fail(error, size);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  if (attribute >= 0) H5Aclose(attribute);
  h5_leave();
  return result;
}

// Reads all of an attribute. `type` of H5I_INVALID_HID means the attribute's own type.
static int read_attribute(
    int64_t object, const char *name, hid_t type, int variable, void *buffer, uint64_t capacity,
    char *error, size_t size) {
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  if (attribute < 0) return h5_fail(error, size);
  int result = 0;
  hid_t own = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);
  hssize_t elements = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
  if (own < 0 || elements < 0) {
    result = h5_fail(error, size);
  } else if (
      type < 0 &&
      (H5Tget_class(own) != H5T_STRING || (H5Tis_variable_str(own) > 0) != (variable != 0))) {
    result = h5_fail_with(error, size, "the attribute holds no strings of the kind asked for");
  } else {
    uint64_t room = type < 0 && !variable ? capacity / H5Tget_size(own) : capacity;
    if ((uint64_t)elements > room)
      result = h5_fail_with(error, size, "the buffer is smaller than the attribute");
    else if (elements > 0 && H5Aread(attribute, type < 0 ? own : type, buffer) < 0)
      result = h5_fail(error, size);
  }
  if (space >= 0) H5Sclose(space);
  if (own >= 0) H5Tclose(own);
  H5Aclose(attribute);
  return result;
}

int rfm_h5_read_attribute(
    int64_t object, const char *name, int32_t element, void *buffer, uint64_t capacity,
    char *error, size_t size) {
  h5_enter();
  int result =
      read_attribute(object, name, h5_memory_type(element), 0, buffer, capacity, error, size);
  h5_leave();
  return result;
}

int rfm_h5_read_fixed_string_attribute(
    int64_t object, const char *name, char *bytes, uint64_t capacity, char *error, size_t size) {
  h5_enter();
  int result = read_attribute(object, name, H5I_INVALID_HID, 0, bytes, capacity, error, size);
  h5_leave();
  return result;
}

int rfm_h5_read_variable_string_attribute(
    int64_t object, const char *name, char **strings, uint64_t count, char *error, size_t size) {
  h5_enter();
  memset(strings, 0, count * sizeof *strings);
  int result = read_attribute(object, name, H5I_INVALID_HID, 1, strings, count, error, size);
  // After a failure nobody knows which entries are pointers: forget them rather than free garbage.
  if (result < 0) memset(strings, 0, count * sizeof *strings);
  h5_leave();
  return result;
}

int rfm_h5_write_attribute(
    int64_t object, const char *name, const rfm_h5_creation *creation, const void *data,
    char *error, size_t size) {
  h5_enter();
  int result = 0;
  hid_t type = h5_creation_type(creation);
  hid_t space = h5_creation_space(creation);
  hid_t attribute = -1;
  htri_t exists = H5Aexists(object, name);
  if (type < 0 || space < 0 || exists < 0 || (exists > 0 && H5Adelete(object, name) < 0) ||
      (attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
      H5Awrite(attribute, type, data == NULL ? "" : data) < 0)
    result = h5_fail(error, size);
  if (attribute >= 0 && H5Aclose(attribute) < 0 && result == 0) result = h5_fail(error, size);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  h5_leave();
  return result;
}

void rfm_h5_library_version(uint32_t *major, uint32_t *minor, uint32_t *release) {
  unsigned int numbers[3] = {0, 0, 0};
  h5_enter();
  H5get_libversion(&numbers[0], &numbers[1], &numbers[2]);
  h5_leave();
  *major = numbers[0];
  *minor = numbers[1];
  *release = numbers[2];
}
