#include "internal.h"

#include <stdlib.h>
#include <string.h>

int64_t rfm_h5_create_dataset(
    int64_t file, const char *name, const rfm_h5_creation *c, char *error, size_t size) {
  h5_enter();
  hid_t dataset = -1;
  hid_t type = h5_creation_type(c);
  hid_t space = h5_creation_space(c);
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  // The same content makes the same bytes, whenever it is written.
  int good = type >= 0 && space >= 0 && properties >= 0 &&
      H5Pset_obj_track_times(properties, 0) >= 0;
  if (good && c->chunked) {
    hsize_t chunk[RFM_H5_MAX_RANK];
    for (int i = 0; i < c->rank; i++) chunk[i] = c->chunk[i];
    good = H5Pset_chunk(properties, c->rank, chunk) >= 0 &&
        (!c->shuffle || H5Pset_shuffle(properties) >= 0) &&
        (c->deflate_level < 0 || H5Pset_deflate(properties, (unsigned)c->deflate_level) >= 0) &&
        (!c->fletcher32 || H5Pset_fletcher32(properties) >= 0);
  }
  if (good) {
    dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    good = dataset >= 0;
    if (good) h5_forget_dataset(dataset);
  }
  if (!good) h5_fail(error, size);
  if (properties >= 0) H5Pclose(properties);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  h5_leave();
  return dataset;
}

// Whether a dataset's data lie in other files (1) or in its own (0): as external storage, which may
// name any file of the machine, or as a virtual dataset.
static int lies_elsewhere(hid_t dataset) {
  hid_t properties = H5Dget_create_plist(dataset);
  if (properties < 0) return -1;
  H5D_layout_t layout = H5Pget_layout(properties);
  int files = layout == H5D_CONTIGUOUS ? H5Pget_external_count(properties) : 0;
  H5Pclose(properties);
  return layout < 0 || files < 0 ? -1 : layout == H5D_VIRTUAL || files > 0;
}

// Properties with another room for decoded chunks; the default ones where it stays as it is.
static hid_t dataset_access(uint64_t chunk_cache) {
  if (chunk_cache == UINT64_MAX) return H5P_DEFAULT;
  hid_t properties = H5Pcreate(H5P_DATASET_ACCESS);
  if (properties >= 0 &&
      H5Pset_chunk_cache(properties, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, chunk_cache, 1.0) < 0) {
    H5Pclose(properties);
    return H5I_INVALID_HID;
  }
  return properties;
}

int64_t rfm_h5_open_dataset(
    int64_t file, const char *name, uint64_t chunk_cache, char *error, size_t size) {
  h5_enter();
  hid_t dataset = -1;
  H5L_info_t link;
  hid_t access = dataset_access(chunk_cache);
  if (access < 0) {
    h5_fail(error, size);
  } else if (H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_EXTERNAL) {
    h5_fail_with(error, size, "it is a link to another file, which is not followed");
  } else {
    dataset = H5Dopen2(file, name, access);
    if (dataset >= 0) h5_forget_dataset(dataset);
    int elsewhere = dataset < 0 ? -1 : lies_elsewhere(dataset);
    if (elsewhere < 0) {
      h5_fail(error, size);
    } else if (elsewhere > 0) {
      h5_fail_with(error, size, "its data lie in other files, which are not read");
    }
    if (dataset >= 0 && elsewhere != 0) {
      H5Dclose(dataset);
      dataset = -1;
    }
  }
  if (access > 0) H5Pclose(access);
  h5_leave();
  return dataset;
}

int rfm_h5_close_dataset(int64_t dataset, char *error, size_t size) {
  h5_enter();
  int result = H5Dclose(dataset) < 0 ? h5_fail(error, size) : 0;
  h5_leave();
  return result;
}

int rfm_h5_describe_dataset(
    int64_t dataset, rfm_h5_description *description, char *error, size_t size) {
  h5_enter();
  hid_t type = H5Dget_type(dataset);
  hid_t space = H5Dget_space(dataset);
  int result = 0;
  if (type < 0 || space < 0 || h5_describe(type, space, description) < 0) result = h5_fail(error, size);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  h5_leave();
  return result;
}

// The number that member `index` of an enumeration of `base` stands for.
static int member_value(hid_t type, hid_t base, unsigned index, int64_t *value) {
  // Conversion takes place where the value lies, in the wider of both types.
  size_t width = H5Tget_size(type);
  if (width == 0 || width > 64) return -1;
  union {
    char bytes[64];
    int64_t number;
  } room;
  memset(&room, 0, sizeof room);
  if (H5Tget_member_value(type, index, room.bytes) < 0 ||
      H5Tconvert(base, H5T_NATIVE_INT64, 1, room.bytes, NULL, H5P_DEFAULT) < 0)
    return -1;
  *value = room.number;
  return 0;
}

int rfm_h5_enumeration(
    int64_t dataset, rfm_h5_member *members, uint64_t capacity, uint64_t *count, char *error,
    size_t size) {
  h5_enter();
  int result = 0;
  hid_t type = H5Dget_type(dataset);
  int names = type < 0 ? -1 : H5Tget_nmembers(type);
  hid_t base = names < 0 ? -1 : H5Tget_super(type);
  if (base < 0) result = h5_fail(error, size);
  *count = names < 0 ? 0 : (uint64_t)names;
  for (unsigned i = 0; result == 0 && i < *count && i < capacity; i++) {
    char *name = H5Tget_member_name(type, i);
    if (name == NULL || member_value(type, base, i, &members[i].value) < 0)
      result = h5_fail(error, size);
    else
      snprintf(members[i].name, sizeof members[i].name, "%s", name);
    H5free_memory(name);
  }
  if (base >= 0) H5Tclose(base);
  if (type >= 0) H5Tclose(type);
  h5_leave();
  return result;
}

int rfm_h5_dataset_storage(
    int64_t dataset, int measure, rfm_h5_storage *s, char *error, size_t size) {
  h5_enter();
  memset(s, 0, sizeof *s);
  s->deflate_level = -1;
  int result = 0;
  hid_t properties = H5Dget_create_plist(dataset);
  H5D_layout_t layout = properties < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(properties);
  if (layout < 0) {
    result = h5_fail(error, size);
  } else {
    s->layout = layout == H5D_COMPACT ? 0
        : layout == H5D_CONTIGUOUS    ? 1
        : layout == H5D_CHUNKED       ? 2
                                      : 3;
    if (layout == H5D_CHUNKED) {
      hsize_t chunk[RFM_H5_MAX_RANK];
      int rank = H5Pget_chunk(properties, RFM_H5_MAX_RANK, chunk);
      if (rank < 0) result = h5_fail(error, size);
      for (int i = 0; i < rank && i < RFM_H5_MAX_RANK; i++) s->chunk[i] = chunk[i];
    }
    int filters = H5Pget_nfilters(properties);
    if (filters < 0 && result == 0) result = h5_fail(error, size);
    for (int i = 0; i < filters && i < RFM_H5_MAX_FILTERS; i++) {
      unsigned flags, values[8] = {0}, config;
      size_t count = 8;
      H5Z_filter_t filter =
          H5Pget_filter2(properties, (unsigned)i, &flags, &count, values, 0, NULL, &config);
      s->filters[s->filter_count++] = (int32_t)filter;
      if (filter == H5Z_FILTER_DEFLATE && count > 0) s->deflate_level = (int32_t)values[0];
    }
    if (measure) s->stored_bytes = H5Dget_storage_size(dataset);
  }
  if (properties >= 0) H5Pclose(properties);
  h5_leave();
  return result;
}

int rfm_h5_count_chunks(int64_t dataset, uint64_t *count, char *error, size_t size) {
  h5_enter();
  int result = 0;
#if H5_VERSION_GE(1, 10, 5)
  hsize_t chunks = 0;
  hid_t space = H5Dget_space(dataset);
  if (space < 0 || H5Dget_num_chunks(dataset, space, &chunks) < 0) result = h5_fail(error, size);
  if (space >= 0) H5Sclose(space);
  *count = chunks;
#else
  (void)dataset;
  *count = 0;
  result = h5_fail_with(error, size, "this HDF5 library cannot count chunks; 1.10.5 can");
#endif
  h5_leave();
  return result;
}

int rfm_h5_has_filter(int32_t filter) {
  h5_enter();
  // Looking for a plugin in a folder that isn't there fails: then there is none.
  int result = H5Zfilter_avail((H5Z_filter_t)filter) > 0;
  H5Eclear2(H5E_DEFAULT);
  h5_leave();
  return result;
}

int rfm_h5_extend_dataset(int64_t dataset, uint64_t rows, char *error, size_t size) {
  h5_enter();
  int result = 0;
  hsize_t shape[H5S_MAX_RANK];
  hid_t space = H5Dget_space(dataset);
  if (space < 0 || H5Sget_simple_extent_dims(space, shape, NULL) < 1) {
    result = h5_fail(error, size);
  } else {
    shape[0] = rows;
    if (H5Dset_extent(dataset, shape) < 0) result = h5_fail(error, size);
  }
  if (space >= 0) H5Sclose(space);
  h5_leave();
  return result;
}

// MARK: Boxes

typedef struct {
  hid_t file;
  hid_t memory;
  uint64_t elements;
} selection;

static void close_selection(selection *s) {
  if (s->file >= 0) H5Sclose(s->file);
  if (s->memory >= 0) H5Sclose(s->memory);
}

// Selects a box of the dataset and makes the dense memory space of the same size. With `rows`, the
// box is `start[0]` and `count[0]` of the first axis and whole along all others. If it `reads`, the
// box's chunks are looked at first.
static int select_box(
    hid_t dataset, int reads, int rows, const uint64_t *start, const uint64_t *count, selection *s,
    char *error, size_t size) {
  s->file = H5Dget_space(dataset);
  s->memory = -1;
  s->elements = 1;
  if (s->file < 0) return h5_fail(error, size);
  hsize_t shape[H5S_MAX_RANK], from[H5S_MAX_RANK], length[H5S_MAX_RANK];
  int rank = H5Sget_simple_extent_dims(s->file, shape, NULL);
  if (rank < 0) return h5_fail(error, size);
  if (H5Sget_simple_extent_type(s->file) == H5S_NULL)
    return h5_fail_with(error, size, "the dataspace is empty (null)");
  for (int i = 0; i < rank; i++) {
    int whole = start == NULL || (rows && i > 0);
    from[i] = whole ? 0 : start[i];
    length[i] = whole ? shape[i] : count[i];
    if (from[i] > shape[i] || length[i] > shape[i] - from[i])
      return h5_fail_with(error, size, "the part asked for lies outside the dataset");
    if (__builtin_mul_overflow(s->elements, (uint64_t)length[i], &s->elements))
      return h5_fail_with(error, size, "the declared size overflows 64 bits");
  }
  if (rows && rank == 0) return h5_fail_with(error, size, "the dataset is a scalar and has no rows");
  if (rank == 0) {
    s->memory = H5Screate(H5S_SCALAR);
  } else {
    s->memory = H5Screate_simple(rank, length, NULL);
    if (s->memory >= 0 && s->elements > 0 &&
        H5Sselect_hyperslab(s->file, H5S_SELECT_SET, from, NULL, length, NULL) < 0)
      return h5_fail(error, size);
    if (reads && s->memory >= 0 && s->elements > 0 &&
        h5_check_chunks(dataset, rank, from, length, error, size) < 0)
      return -1;
  }
  return s->memory < 0 ? h5_fail(error, size) : 0;
}

int h5_transfer(
    int writing, hid_t dataset, int rows, hid_t type, const uint64_t *start, const uint64_t *count,
    void *buffer, uint64_t capacity, hid_t properties, char *error, size_t size) {
  selection s;
  int result = select_box(dataset, !writing, rows, start, count, &s, error, size);
  if (result == 0 && s.elements > capacity)
    result = h5_fail_with(error, size, "the buffer is smaller than the part asked for");
  if (result == 0 && s.elements > 0) {
    herr_t status = writing ? H5Dwrite(dataset, type, s.memory, s.file, properties, buffer)
                            : H5Dread(dataset, type, s.memory, s.file, properties, buffer);
    if (status < 0) result = h5_fail(error, size);
  }
  close_selection(&s);
  return result;
}

int rfm_h5_read(
    int64_t dataset, int32_t element, const uint64_t *start, const uint64_t *count, void *buffer,
    uint64_t capacity, char *error, size_t size) {
  h5_enter();
  int result = h5_transfer(
      0, dataset, 0, h5_memory_type(element), start, count, buffer, capacity, H5P_DEFAULT, error, size);
  h5_leave();
  return result;
}

int rfm_h5_write(
    int64_t dataset, int32_t element, const uint64_t *start, const uint64_t *count,
    const void *buffer, uint64_t capacity, char *error, size_t size) {
  h5_enter();
  int result = h5_transfer(
      1, dataset, 0, h5_memory_type(element), start, count, (void *)buffer, capacity, H5P_DEFAULT,
      error, size);
  h5_leave();
  return result;
}

int rfm_h5_read_rows(
    int64_t dataset, int32_t element, uint64_t first, uint64_t count, void *buffer,
    uint64_t capacity, char *error, size_t size) {
  h5_enter();
  int result = h5_transfer(
      0, dataset, 1, h5_memory_type(element), &first, &count, buffer, capacity, H5P_DEFAULT, error,
      size);
  h5_leave();
  return result;
}

int rfm_h5_write_rows(
    int64_t dataset, int32_t element, uint64_t first, uint64_t count, const void *buffer,
    uint64_t capacity, char *error, size_t size) {
  h5_enter();
  int result = h5_transfer(
      1, dataset, 1, h5_memory_type(element), &first, &count, (void *)buffer, capacity, H5P_DEFAULT,
      error, size);
  h5_leave();
  return result;
}
