#include "internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

// Readers take no file lock: shards appear under their names only when they are complete, and many
// network file systems have no locks.
static hid_t access_properties(int locking) {
  hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
  if (properties < 0) return properties;
#if H5_VERSION_GE(1, 10, 7)
  H5Pset_file_locking(properties, (hbool_t)locking, 1);
#else
  (void)locking;
#endif
  return properties;
}

int64_t rfm_h5_create_file(const char *path, char *error, size_t size) {
  h5_enter();
  hid_t access = access_properties(1);
  hid_t file = access < 0 ? -1 : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (file < 0) h5_fail(error, size);
  if (access >= 0) H5Pclose(access);
  h5_leave();
  return file;
}

int64_t rfm_h5_open_file(const char *path, char *error, size_t size) {
  h5_enter();
  hid_t access = access_properties(0);
  hid_t file = access < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, access);
  if (file < 0) h5_fail(error, size);
  if (access >= 0) H5Pclose(access);
  h5_leave();
  return file;
}

int rfm_h5_flush_file(int64_t file, char *error, size_t size) {
  h5_enter();
  int result = H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ? h5_fail(error, size) : 0;
  h5_leave();
  return result;
}

// A process that was started while the file was open may hold a copy of its descriptor, and with it
// HDF5's lock, for as long as it runs: closing ours would not end the lock, so it is taken off.
static int copied_descriptor(hid_t file) {
  void *handle = NULL;
  unsigned intent = H5F_ACC_RDONLY;
  if (H5Fget_intent(file, &intent) < 0 || intent == H5F_ACC_RDONLY) return -1;
  if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0 || handle == NULL) return -1;
  return fcntl(*(int *)handle, F_DUPFD_CLOEXEC, 0);
}

int rfm_h5_close_file(int64_t file, char *error, size_t size) {
  h5_enter();
  int descriptor = copied_descriptor(file);
  int result = H5Fclose(file) < 0 ? h5_fail(error, size) : 0;
  if (descriptor >= 0) {
    flock(descriptor, LOCK_UN);
    close(descriptor);
  }
  h5_leave();
  return result;
}

int64_t rfm_h5_link_name(
    int64_t file, uint64_t index, char *name, size_t capacity, char *error, size_t size) {
  h5_enter();
  int64_t length = -1;
  H5G_info_t info;
  if (H5Gget_info(file, &info) < 0) {
    h5_fail(error, size);
  } else if (index >= info.nlinks) {
    length = 0;
  } else {
    length = H5Lget_name_by_idx(
        file, ".", H5_INDEX_NAME, H5_ITER_INC, index, name, capacity, H5P_DEFAULT);
    if (length < 0) h5_fail(error, size);
  }
  h5_leave();
  return length;
}

int rfm_h5_link_kind(
    int64_t file, const char *name, char *target, size_t capacity, char *error, size_t size) {
  h5_enter();
  int kind = RFM_H5_OTHER_LINK;
  H5L_info_t link;
  if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0) {
    kind = h5_fail(error, size);
  } else if (link.type == H5L_TYPE_HARD) {
    kind = RFM_H5_HARD_LINK;
  } else if (link.type == H5L_TYPE_EXTERNAL) {
    kind = RFM_H5_EXTERNAL_LINK;
  } else if (link.type == H5L_TYPE_SOFT) {
    kind = RFM_H5_SOFT_LINK;
    if (H5Lget_val(file, name, target, capacity, H5P_DEFAULT) < 0) kind = h5_fail(error, size);
  }
  h5_leave();
  return kind;
}

int rfm_h5_has_dataset(int64_t file, const char *name, char *error, size_t size) {
  h5_enter();
  int result = 0;
  htri_t exists = H5Lexists(file, name, H5P_DEFAULT);
  if (exists < 0) {
    result = h5_fail(error, size);
  } else if (exists > 0) {
    H5L_info_t link;
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_EXTERNAL) {
      h5_leave();
      return 0;
    }
    hid_t object = H5Oopen(file, name, H5P_DEFAULT);
    if (object < 0) {
      result = h5_fail(error, size);
    } else {
      result = H5Iget_type(object) == H5I_DATASET;
      H5Oclose(object);
    }
  }
  h5_leave();
  return result;
}
