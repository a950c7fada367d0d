#include "CHDF5.h"

#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

// One lock around every call: HDF5 keeps global state, and not every distribution builds it with
// thread safety.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int prepared = 0;

// MARK: Files that the library fails on

// Some damage makes the library itself crash (in 1.10, heaps of variable-length strings whose sizes
// are wrong). After that nothing of the process can be trusted; what is left to do is to name the
// file and end with the status of bad data (65), instead of leaving the user a core dump.
static _Thread_local char context[1024];
static _Thread_local volatile sig_atomic_t inside = 0;
static char rank_prefix[32];
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
enum { CRASH_SIGNALS = sizeof crash_signals / sizeof crash_signals[0] };
static struct sigaction previous[CRASH_SIGNALS];

static void say(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

// A file's name as a terminal may have it: whatever is not plain ASCII as \xNN. Of a signal handler
// nothing better can be asked.
static void say_name(const char *name) {
  static const char digits[] = "0123456789ABCDEF";
  for (const unsigned char *byte = (const unsigned char *)name; *byte; byte++) {
    char text[5] = {(char)*byte, 0};
    if (*byte < 0x20 || *byte >= 0x7f) {
      text[0] = '\\';
      text[1] = 'x';
      text[2] = digits[*byte >> 4];
      text[3] = digits[*byte & 15];
    }
    say(text);
  }
}

static void on_crash(int signal) {
  if (inside) {
    say("rfm: ");
    say(rank_prefix);
    say_name(context);
    say(": the file is damaged in a way that the HDF5 library fails on\n");
    _exit(65);
  }
  // Not ours: to whoever was responsible before, by failing again.
  for (int i = 0; i < CRASH_SIGNALS; i++)
    if (crash_signals[i] == signal) sigaction(signal, &previous[i], NULL);
  if (signal == SIGABRT) raise(signal);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RFM_H5_SANITIZED 1
#endif
#endif

static void watch_for_crashes(void) {
#ifdef RFM_H5_SANITIZED
  return;  // the sanitizer's own report says more
#endif
  const char *rank = getenv("OMPI_COMM_WORLD_RANK");
  if (rank == NULL && getenv("SLURM_STEP_NUM_TASKS") != NULL) rank = getenv("SLURM_PROCID");
  if (rank != NULL) snprintf(rank_prefix, sizeof rank_prefix, "rank %.12s: ", rank);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < CRASH_SIGNALS; i++) sigaction(crash_signals[i], &action, &previous[i]);
}

void rfm_h5_set_context(const char *path) { snprintf(context, sizeof context, "%s", path); }

// MARK: The lock

static void enter(void) {
  pthread_mutex_lock(&lock);
  if (!prepared) {
    watch_for_crashes();
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
  inside = 1;
}

static void leave(void) {
  inside = 0;
  pthread_mutex_unlock(&lock);
}

// Datasets without chunks that must be counted (see check_chunks): asked at every read, so remembered for
// a few.
static struct { hid_t dataset; int is_plain; } known_datasets[64];

static void forget_dataset(hid_t dataset) {
  known_datasets[(uint64_t)dataset % 64].dataset = -1;
}

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

static int fail(char *error, size_t size) {
  message m = {error, size};
  if (size > 0) snprintf(error, size, "unknown error");
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &m);
  H5Eclear2(H5E_DEFAULT);
  return -1;
}

static int fail_with(char *error, size_t size, const char *text) {
  if (size > 0) snprintf(error, size, "%s", text);
  H5Eclear2(H5E_DEFAULT);
  return -1;
}

static hid_t memory_type(int32_t element) {
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

// MARK: Files

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
  enter();
  hid_t access = access_properties(1);
  hid_t file = access < 0 ? -1 : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (file < 0) fail(error, size);
  if (access >= 0) H5Pclose(access);
  leave();
  return file;
}

int64_t rfm_h5_open_file(const char *path, char *error, size_t size) {
  enter();
  hid_t access = access_properties(0);
  hid_t file = access < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, access);
  if (file < 0) fail(error, size);
  if (access >= 0) H5Pclose(access);
  leave();
  return file;
}

int rfm_h5_flush_file(int64_t file, char *error, size_t size) {
  enter();
  int result = H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ? fail(error, size) : 0;
  leave();
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
  enter();
  int descriptor = copied_descriptor(file);
  int result = H5Fclose(file) < 0 ? fail(error, size) : 0;
  if (descriptor >= 0) {
    flock(descriptor, LOCK_UN);
    close(descriptor);
  }
  leave();
  return result;
}

int64_t rfm_h5_link_name(
    int64_t file, uint64_t index, char *name, size_t capacity, char *error, size_t size) {
  enter();
  int64_t length = -1;
  H5G_info_t info;
  if (H5Gget_info(file, &info) < 0) {
    fail(error, size);
  } else if (index >= info.nlinks) {
    length = 0;
  } else {
    length = H5Lget_name_by_idx(
        file, ".", H5_INDEX_NAME, H5_ITER_INC, index, name, capacity, H5P_DEFAULT);
    if (length < 0) fail(error, size);
  }
  leave();
  return length;
}

int rfm_h5_link_kind(
    int64_t file, const char *name, char *target, size_t capacity, char *error, size_t size) {
  enter();
  int kind = RFM_H5_OTHER_LINK;
  H5L_info_t link;
  if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0) {
    kind = fail(error, size);
  } else if (link.type == H5L_TYPE_HARD) {
    kind = RFM_H5_HARD_LINK;
  } else if (link.type == H5L_TYPE_EXTERNAL) {
    kind = RFM_H5_EXTERNAL_LINK;
  } else if (link.type == H5L_TYPE_SOFT) {
    kind = RFM_H5_SOFT_LINK;
    if (H5Lget_val(file, name, target, capacity, H5P_DEFAULT) < 0) kind = fail(error, size);
  }
  leave();
  return kind;
}

int rfm_h5_has_dataset(int64_t file, const char *name, char *error, size_t size) {
  enter();
  int result = 0;
  htri_t exists = H5Lexists(file, name, H5P_DEFAULT);
  if (exists < 0) {
    result = fail(error, size);
  } else if (exists > 0) {
    H5L_info_t link;
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_EXTERNAL) {
      leave();
      return 0;
    }
    hid_t object = H5Oopen(file, name, H5P_DEFAULT);
    if (object < 0) {
      result = fail(error, size);
    } else {
      result = H5Iget_type(object) == H5I_DATASET;
      H5Oclose(object);
    }
  }
  leave();
  return result;
}

// MARK: Types and shapes

static int describe(hid_t type, hid_t space, rfm_h5_description *d) {
  memset(d, 0, sizeof *d);
  H5T_class_t class = H5Tget_class(type);
  if (class < 0) return -1;
  d->type_size = H5Tget_size(type);
  if (d->type_size == 0) return -1;
  d->type_class = RFM_H5_OTHER;
  if (class == H5T_INTEGER) {
    d->type_class = RFM_H5_INTEGER;
    d->is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
  } else if (class == H5T_FLOAT) {
    d->type_class = RFM_H5_FLOATING;
  } else if (class == H5T_STRING) {
    d->type_class = RFM_H5_STRING;
    htri_t variable = H5Tis_variable_str(type);
    if (variable < 0) return -1;
    d->is_variable = variable > 0;
    d->is_utf8 = H5Tget_cset(type) == H5T_CSET_UTF8;
    H5T_str_t padding = H5Tget_strpad(type);
    d->padding = padding == H5T_STR_SPACEPAD ? RFM_H5_SPACE_PADDED
        : padding == H5T_STR_NULLPAD         ? RFM_H5_NULL_PADDED
                                             : RFM_H5_NULL_TERMINATED;
  } else if (class == H5T_ENUM) {
    d->type_class = RFM_H5_ENUMERATION;
    hid_t base = H5Tget_super(type);
    if (base < 0) return -1;
    d->is_signed = H5Tget_sign(base) != H5T_SGN_NONE;
    H5Tclose(base);
  } else {
    d->type_class = class == H5T_BITFIELD ? RFM_H5_BIT_FIELD
        : class == H5T_COMPOUND           ? RFM_H5_COMPOUND
        : class == H5T_ARRAY              ? RFM_H5_ARRAY
        : class == H5T_VLEN               ? RFM_H5_VARIABLE_LISTS
        : class == H5T_OPAQUE             ? RFM_H5_OPAQUE
        : class == H5T_REFERENCE          ? RFM_H5_REFERENCE
                                          : RFM_H5_OTHER;
  }
  H5S_class_t extent = H5Sget_simple_extent_type(space);
  if (extent == H5S_NULL) {
    d->rank = -1;
    return 0;
  }
  hsize_t shape[H5S_MAX_RANK], maximum[H5S_MAX_RANK];
  int rank = H5Sget_simple_extent_dims(space, shape, maximum);
  if (rank < 0 || rank > RFM_H5_MAX_RANK) return -1;
  d->rank = rank;
  for (int i = 0; i < rank; i++) {
    d->shape[i] = shape[i];
    d->maximum[i] = maximum[i] == H5S_UNLIMITED ? UINT64_MAX : maximum[i];
  }
  return 0;
}

static hid_t string_type(uint64_t string_size, int is_ascii, int32_t padding) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  H5T_str_t pad = padding == RFM_H5_SPACE_PADDED ? H5T_STR_SPACEPAD
      : padding == RFM_H5_NULL_PADDED            ? H5T_STR_NULLPAD
                                                 : H5T_STR_NULLTERM;
  if (H5Tset_size(type, string_size == 0 ? H5T_VARIABLE : string_size) < 0 ||
      H5Tset_cset(type, is_ascii ? H5T_CSET_ASCII : H5T_CSET_UTF8) < 0 ||
      H5Tset_strpad(type, pad) < 0) {
    H5Tclose(type);
    return H5I_INVALID_HID;
  }
  return type;
}

static hid_t creation_type(const rfm_h5_creation *c) {
  return c->is_string ? string_type(c->string_size, c->is_ascii, c->padding)
                      : H5Tcopy(memory_type(c->element));
}

static hid_t creation_space(const rfm_h5_creation *c) {
  if (c->rank == 0) return H5Screate(H5S_SCALAR);
  hsize_t shape[RFM_H5_MAX_RANK], maximum[RFM_H5_MAX_RANK];
  for (int i = 0; i < c->rank; i++) {
    shape[i] = c->shape[i];
    maximum[i] = i == 0 && c->extendible ? H5S_UNLIMITED : c->shape[i];
  }
  return H5Screate_simple(c->rank, shape, maximum);
}

// MARK: Datasets

int64_t rfm_h5_create_dataset(
    int64_t file, const char *name, const rfm_h5_creation *c, char *error, size_t size) {
  enter();
  hid_t dataset = -1;
  hid_t type = creation_type(c);
  hid_t space = creation_space(c);
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
    if (good) forget_dataset(dataset);
  }
  if (!good) fail(error, size);
  if (properties >= 0) H5Pclose(properties);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  leave();
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
  enter();
  hid_t dataset = -1;
  H5L_info_t link;
  hid_t access = dataset_access(chunk_cache);
  if (access < 0) {
    fail(error, size);
  } else if (H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_EXTERNAL) {
    fail_with(error, size, "it is a link to another file, which is not followed");
  } else {
    dataset = H5Dopen2(file, name, access);
    if (dataset >= 0) forget_dataset(dataset);
    int elsewhere = dataset < 0 ? -1 : lies_elsewhere(dataset);
    if (elsewhere < 0) {
      fail(error, size);
    } else if (elsewhere > 0) {
      fail_with(error, size, "its data lie in other files, which are not read");
    }
    if (dataset >= 0 && elsewhere != 0) {
      H5Dclose(dataset);
      dataset = -1;
    }
  }
  if (access > 0) H5Pclose(access);
  leave();
  return dataset;
}

int rfm_h5_close_dataset(int64_t dataset, char *error, size_t size) {
  enter();
  int result = H5Dclose(dataset) < 0 ? fail(error, size) : 0;
  leave();
  return result;
}

int rfm_h5_describe_dataset(
    int64_t dataset, rfm_h5_description *description, char *error, size_t size) {
  enter();
  hid_t type = H5Dget_type(dataset);
  hid_t space = H5Dget_space(dataset);
  int result = 0;
  if (type < 0 || space < 0 || describe(type, space, description) < 0) result = fail(error, size);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  leave();
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
  enter();
  int result = 0;
  hid_t type = H5Dget_type(dataset);
  int names = type < 0 ? -1 : H5Tget_nmembers(type);
  hid_t base = names < 0 ? -1 : H5Tget_super(type);
  if (base < 0) result = fail(error, size);
  *count = names < 0 ? 0 : (uint64_t)names;
  for (unsigned i = 0; result == 0 && i < *count && i < capacity; i++) {
    char *name = H5Tget_member_name(type, i);
    if (name == NULL || member_value(type, base, i, &members[i].value) < 0)
      result = fail(error, size);
    else
      snprintf(members[i].name, sizeof members[i].name, "%s", name);
    H5free_memory(name);
  }
  if (base >= 0) H5Tclose(base);
  if (type >= 0) H5Tclose(type);
  leave();
  return result;
}

int rfm_h5_dataset_storage(int64_t dataset, rfm_h5_storage *s, char *error, size_t size) {
  enter();
  memset(s, 0, sizeof *s);
  s->deflate_level = -1;
  int result = 0;
  hid_t properties = H5Dget_create_plist(dataset);
  H5D_layout_t layout = properties < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(properties);
  if (layout < 0) {
    result = fail(error, size);
  } else {
    s->layout = layout == H5D_COMPACT ? 0
        : layout == H5D_CONTIGUOUS    ? 1
        : layout == H5D_CHUNKED       ? 2
                                      : 3;
    if (layout == H5D_CHUNKED) {
      hsize_t chunk[RFM_H5_MAX_RANK];
      int rank = H5Pget_chunk(properties, RFM_H5_MAX_RANK, chunk);
      if (rank < 0) result = fail(error, size);
      for (int i = 0; i < rank && i < RFM_H5_MAX_RANK; i++) s->chunk[i] = chunk[i];
    }
    int filters = H5Pget_nfilters(properties);
    if (filters < 0 && result == 0) result = fail(error, size);
    for (int i = 0; i < filters && i < RFM_H5_MAX_FILTERS; i++) {
      unsigned flags, values[8] = {0}, config;
      size_t count = 8;
      H5Z_filter_t filter =
          H5Pget_filter2(properties, (unsigned)i, &flags, &count, values, 0, NULL, &config);
      s->filters[s->filter_count++] = (int32_t)filter;
      if (filter == H5Z_FILTER_DEFLATE && count > 0) s->deflate_level = (int32_t)values[0];
    }
    s->stored_bytes = H5Dget_storage_size(dataset);
  }
  if (properties >= 0) H5Pclose(properties);
  leave();
  return result;
}

int rfm_h5_count_chunks(int64_t dataset, uint64_t *count, char *error, size_t size) {
  enter();
  int result = 0;
#if H5_VERSION_GE(1, 10, 5)
  hsize_t chunks = 0;
  hid_t space = H5Dget_space(dataset);
  if (space < 0 || H5Dget_num_chunks(dataset, space, &chunks) < 0) result = fail(error, size);
  if (space >= 0) H5Sclose(space);
  *count = chunks;
#else
  (void)dataset;
  *count = 0;
  result = fail_with(error, size, "this HDF5 library cannot count chunks; 1.10.5 can");
#endif
  leave();
  return result;
}

int rfm_h5_has_filter(int32_t filter) {
  enter();
  // Looking for a plugin in a folder that isn't there fails: then there is none.
  int result = H5Zfilter_avail((H5Z_filter_t)filter) > 0;
  H5Eclear2(H5E_DEFAULT);
  leave();
  return result;
}

int rfm_h5_extend_dataset(int64_t dataset, uint64_t rows, char *error, size_t size) {
  enter();
  int result = 0;
  hsize_t shape[H5S_MAX_RANK];
  hid_t space = H5Dget_space(dataset);
  if (space < 0 || H5Sget_simple_extent_dims(space, shape, NULL) < 1) {
    result = fail(error, size);
  } else {
    shape[0] = rows;
    if (H5Dset_extent(dataset, shape) < 0) result = fail(error, size);
  }
  if (space >= 0) H5Sclose(space);
  leave();
  return result;
}

// MARK: Chunks that inflate to less than they must

// The library takes it on trust that a chunk which it inflates fills its place, and reads on behind what
// there is. So chunks that were compressed are inflated once before it does, to count them: half the
// speed of such shards, for files that nobody has vouched for.

typedef struct {
  int filters;
  int ids[H5Z_MAX_NFILTERS];
  int rank;
  hsize_t chunk[H5S_MAX_RANK];
  uint64_t bytes;  // of a chunk
} compressed_chunks;

// Returns 1 and fills `c` where chunks are deflated and nothing but shuffled and checksummed besides, 0
// where they are not, -1 on failure.
static int find_compressed_chunks(hid_t dataset, compressed_chunks *c) {
  int place = (uint64_t)dataset % 64, result = -1, deflated = 0, others = 0;
  if (known_datasets[place].dataset == dataset && known_datasets[place].is_plain) return 0;
  hid_t properties = H5Dget_create_plist(dataset);
  hid_t type = H5Dget_type(dataset);
  if (properties >= 0 && type >= 0) {
    result = 0;
    c->filters = H5Pget_layout(properties) == H5D_CHUNKED ? H5Pget_nfilters(properties) : 0;
    if (c->filters > H5Z_MAX_NFILTERS) c->filters = 0;
    for (int i = 0; i < c->filters; i++) {
      unsigned flags, configuration;
      size_t values = 0;
      c->ids[i] = H5Pget_filter2(properties, i, &flags, &values, NULL, 0, NULL, &configuration);
      deflated |= c->ids[i] == H5Z_FILTER_DEFLATE;
      others |= c->ids[i] != H5Z_FILTER_DEFLATE && c->ids[i] != H5Z_FILTER_SHUFFLE &&
          c->ids[i] != H5Z_FILTER_FLETCHER32;
    }
    if (deflated && !others) {
      c->rank = H5Pget_chunk(properties, H5S_MAX_RANK, c->chunk);
      // Stored are 16 bytes for a text of any length, whatever it has in memory.
      c->bytes = H5Tget_class(type) == H5T_VLEN || H5Tis_variable_str(type) > 0 ? 16
                                                                              : H5Tget_size(type);
      result = c->rank > 0 && c->bytes > 0 ? 1 : -1;
      for (int i = 0; i < c->rank; i++)
        if (__builtin_mul_overflow(c->bytes, (uint64_t)c->chunk[i], &c->bytes)) result = -1;
    }
  }
  if (type >= 0) H5Tclose(type);
  if (properties >= 0) H5Pclose(properties);
  known_datasets[place].dataset = dataset;
  known_datasets[place].is_plain = result == 0;
  return result;
}

// The number of bytes that `in` inflates to; `limit + 1` if it is more than `limit`, -1 if it is damaged.
static int64_t inflated_size(const unsigned char *in, size_t length, uint64_t limit) {
  static unsigned char out[1 << 16];  // under the lock
  z_stream stream = {.next_in = (unsigned char *)in, .avail_in = (uInt)length};
  if (length > UINT32_MAX || inflateInit(&stream) != Z_OK) return -1;
  uint64_t total = 0;
  int status = Z_OK;
  while (status == Z_OK && total <= limit) {
    stream.next_out = out;
    stream.avail_out = sizeof out;
    status = inflate(&stream, Z_SYNC_FLUSH);
    total += sizeof out - stream.avail_out;
    if (status == Z_OK && stream.avail_in == 0 && stream.avail_out > 0) break;  // cut off
  }
  inflateEnd(&stream);
  if (total > limit) return (int64_t)limit + 1;
  return status == Z_STREAM_END ? (int64_t)total : -1;
}

// Undoes the filters of a chunk as far as its size is concerned. Returns whether what comes out fills it.
static int fills_chunk(
    const compressed_chunks *c, uint32_t left_out, const unsigned char *stored, uint64_t length) {
  int is_inflated = 0;
  for (int i = c->filters - 1; i >= 0; i--) {
    if (left_out >> i & 1) continue;
    if (c->ids[i] == H5Z_FILTER_FLETCHER32) {
      if (length < 4) return 0;
      length -= 4;
    } else if (c->ids[i] == H5Z_FILTER_DEFLATE) {
      if (is_inflated) return 0;  // twice: nobody writes that
      int64_t inflated = inflated_size(stored, length, c->bytes + 4 * H5Z_MAX_NFILTERS);
      if (inflated < 0) return 0;
      length = inflated;
      is_inflated = 1;
    }
  }
  return length == c->bytes;
}

// Counts the chunks that a box lies in.
static int check_chunks(
    hid_t dataset, int rank, const hsize_t *from, const hsize_t *length, char *error, size_t size) {
  compressed_chunks c;
  int found = find_compressed_chunks(dataset, &c);
  if (found < 0) return fail(error, size);
  if (found == 0) return 0;
  if (c.rank != rank) return fail_with(error, size, "its chunks have another number of axes");
  hsize_t offset[H5S_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    if (length[i] == 0) return 0;
    offset[i] = from[i] / c.chunk[i] * c.chunk[i];
  }
  int result = 0;
  unsigned char *stored = NULL;
  uint64_t room = 0;
  while (result == 0) {
    hsize_t bytes = 0;
    // One that was never written takes no place, and reads as the fill value.
    if (H5Dget_chunk_storage_size(dataset, offset, &bytes) >= 0 && bytes > 0) {
      if (bytes > room) {
        free(stored);
        stored = malloc(bytes);
        room = stored ? bytes : 0;
      }
      uint32_t left_out = 0;
      if (!stored) {
        result = fail_with(error, size, "there is no memory for a chunk");
      } else if (H5Dread_chunk(dataset, H5P_DEFAULT, offset, &left_out, stored) < 0) {
        result = fail(error, size);
      } else if (!fills_chunk(&c, left_out, stored, bytes)) {
        result = fail_with(error, size, "a compressed chunk is damaged");
      }
    }
    int axis = rank - 1;
    while (axis >= 0 && (offset[axis] += c.chunk[axis]) >= from[axis] + length[axis]) {
      offset[axis] = from[axis] / c.chunk[axis] * c.chunk[axis];
      axis--;
    }
    if (axis < 0) break;
  }
  H5Eclear2(H5E_DEFAULT);
  free(stored);
  return result;
}

// MARK: Boxes of datasets

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
  if (s->file < 0) return fail(error, size);
  hsize_t shape[H5S_MAX_RANK], from[H5S_MAX_RANK], length[H5S_MAX_RANK];
  int rank = H5Sget_simple_extent_dims(s->file, shape, NULL);
  if (rank < 0) return fail(error, size);
  if (H5Sget_simple_extent_type(s->file) == H5S_NULL)
    return fail_with(error, size, "the dataspace is empty (null)");
  for (int i = 0; i < rank; i++) {
    int whole = start == NULL || (rows && i > 0);
    from[i] = whole ? 0 : start[i];
    length[i] = whole ? shape[i] : count[i];
    if (from[i] > shape[i] || length[i] > shape[i] - from[i])
      return fail_with(error, size, "the part asked for lies outside the dataset");
    if (__builtin_mul_overflow(s->elements, (uint64_t)length[i], &s->elements))
      return fail_with(error, size, "the declared size overflows 64 bits");
  }
  if (rows && rank == 0) return fail_with(error, size, "the dataset is a scalar and has no rows");
  if (rank == 0) {
    s->memory = H5Screate(H5S_SCALAR);
  } else {
    s->memory = H5Screate_simple(rank, length, NULL);
    if (s->memory >= 0 && s->elements > 0 &&
        H5Sselect_hyperslab(s->file, H5S_SELECT_SET, from, NULL, length, NULL) < 0)
      return fail(error, size);
    if (reads && s->memory >= 0 && s->elements > 0 &&
        check_chunks(dataset, rank, from, length, error, size) < 0)
      return -1;
  }
  return s->memory < 0 ? fail(error, size) : 0;
}

static int transfer(
    int writing, hid_t dataset, int rows, hid_t type, const uint64_t *start, const uint64_t *count,
    void *buffer, uint64_t capacity, hid_t properties, char *error, size_t size) {
  selection s;
  int result = select_box(dataset, !writing, rows, start, count, &s, error, size);
  if (result == 0 && s.elements > capacity)
    result = fail_with(error, size, "the buffer is smaller than the part asked for");
  if (result == 0 && s.elements > 0) {
    herr_t status = writing ? H5Dwrite(dataset, type, s.memory, s.file, properties, buffer)
                            : H5Dread(dataset, type, s.memory, s.file, properties, buffer);
    if (status < 0) result = fail(error, size);
  }
  close_selection(&s);
  return result;
}

int rfm_h5_read(
    int64_t dataset, int32_t element, const uint64_t *start, const uint64_t *count, void *buffer,
    uint64_t capacity, char *error, size_t size) {
  enter();
  int result = transfer(
      0, dataset, 0, memory_type(element), start, count, buffer, capacity, H5P_DEFAULT, error, size);
  leave();
  return result;
}

int rfm_h5_write(
    int64_t dataset, int32_t element, const uint64_t *start, const uint64_t *count,
    const void *buffer, uint64_t capacity, char *error, size_t size) {
  enter();
  int result = transfer(
      1, dataset, 0, memory_type(element), start, count, (void *)buffer, capacity, H5P_DEFAULT,
      error, size);
  leave();
  return result;
}

int rfm_h5_read_rows(
    int64_t dataset, int32_t element, uint64_t first, uint64_t count, void *buffer,
    uint64_t capacity, char *error, size_t size) {
  enter();
  int result = transfer(
      0, dataset, 1, memory_type(element), &first, &count, buffer, capacity, H5P_DEFAULT, error,
      size);
  leave();
  return result;
}

int rfm_h5_write_rows(
    int64_t dataset, int32_t element, uint64_t first, uint64_t count, const void *buffer,
    uint64_t capacity, char *error, size_t size) {
  enter();
  int result = transfer(
      1, dataset, 1, memory_type(element), &first, &count, (void *)buffer, capacity, H5P_DEFAULT,
      error, size);
  leave();
  return result;
}

// MARK: Strings of datasets

// Fixed-length strings move in the file's own type, so that nothing is cut or padded on the way;
// variable-length ones in a type of the same character set.
static int transfer_strings(
    int writing, hid_t dataset, uint64_t first, uint64_t count, void *buffer, uint64_t capacity,
    int variable, hid_t properties, char *error, size_t size) {
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return fail(error, size);
  int result = 0;
  if (H5Tget_class(type) != H5T_STRING || (H5Tis_variable_str(type) > 0) != (variable != 0)) {
    result = fail_with(error, size, "the dataset holds no strings of the kind asked for");
  } else {
    uint64_t elements = variable ? capacity : capacity / H5Tget_size(type);
    hid_t space = H5Dget_space(dataset);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (space >= 0) H5Sclose(space);
    result = transfer(
        writing, dataset, rank > 0, type, rank > 0 ? &first : NULL, rank > 0 ? &count : NULL,
        buffer, elements, properties, error, size);
  }
  H5Tclose(type);
  return result;
}

int rfm_h5_read_fixed_strings(
    int64_t dataset, uint64_t first, uint64_t count, char *bytes, uint64_t capacity, char *error,
    size_t size) {
  enter();
  int result = transfer_strings(
      0, dataset, first, count, bytes, capacity, 0, H5P_DEFAULT, error, size);
  leave();
  return result;
}

int rfm_h5_write_fixed_strings(
    int64_t dataset, uint64_t first, uint64_t count, const char *bytes, uint64_t capacity,
    char *error, size_t size) {
  enter();
  int result = transfer_strings(
      1, dataset, first, count, (void *)bytes, capacity, 0, H5P_DEFAULT, error, size);
  leave();
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
  enter();
  uint64_t left = limit;
  memset(strings, 0, count * sizeof *strings);
  int result = 0;
  hid_t properties = H5Pcreate(H5P_DATASET_XFER);
  if (properties < 0 ||
      H5Pset_vlen_mem_manager(properties, limited_allocate, &left, limited_free, NULL) < 0)
    result = fail(error, size);
  else
    result = transfer_strings(
        0, dataset, first, count, strings, count, 1, properties, error, size);
  if (properties >= 0) H5Pclose(properties);
  // After a failure nobody knows which entries are pointers: forget them rather than free garbage.
  if (result < 0) memset(strings, 0, count * sizeof *strings);
  leave();
  return result;
}

int rfm_h5_string_references(
    int64_t dataset, int32_t *is_plain, uint64_t *offset, char *error, size_t size) {
  enter();
  int result = 0;
  *is_plain = 0;
  *offset = UINT64_MAX;
  hid_t file = H5Iget_file_id(dataset);
  hid_t properties = H5Dget_create_plist(dataset);
  unsigned intent;
  if (file < 0 || properties < 0 || H5Fget_intent(file, &intent) < 0) {
    result = fail(error, size);
  } else if (
      intent == H5F_ACC_RDONLY && H5Pget_layout(properties) == H5D_CONTIGUOUS &&
      H5Pget_external_count(properties) == 0) {
    *is_plain = 1;
    haddr_t address = H5Dget_offset(dataset);
    if (address != HADDR_UNDEF) *offset = address;
  }
  if (properties >= 0) H5Pclose(properties);
  if (file >= 0) H5Fclose(file);
  leave();
  return result;
}

int64_t rfm_h5_read_bytes(
    int64_t dataset, uint64_t offset, void *buffer, uint64_t count, char *error, size_t size) {
  enter();
  int64_t done = -1;
  void *descriptor = NULL;
  hid_t file = H5Iget_file_id(dataset);
  if (file < 0 || H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor) < 0) {
    fail(error, size);
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
  leave();
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
  enter();
  int result = transfer_strings(
      1, dataset, first, count, (void *)strings, count, 1, H5P_DEFAULT, error, size);
  leave();
  return result;
}

// MARK: Attributes

int rfm_h5_has_attribute(int64_t object, const char *name, char *error, size_t size) {
  enter();
  htri_t exists = H5Aexists(object, name);
  int result = exists < 0 ? fail(error, size) : exists > 0;
  leave();
  return result;
}

int64_t rfm_h5_attribute_name(
    int64_t object, uint64_t index, char *name, size_t capacity, char *error, size_t size) {
  enter();
  int64_t length = -1;
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  herr_t status = H5Oget_info3(object, &info, H5O_INFO_NUM_ATTRS);
#else
  H5O_info_t info;
  herr_t status = H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS);
#endif
  if (status < 0) {
    fail(error, size);
  } else if (index >= info.num_attrs) {
    length = 0;
  } else {
    length = H5Aget_name_by_idx(
        object, ".", H5_INDEX_NAME, H5_ITER_INC, index, name, capacity, H5P_DEFAULT);
    if (length < 0) fail(error, size);
  }
  leave();
  return length;
}

int rfm_h5_describe_attribute(
    int64_t object, const char *name, rfm_h5_description *description, char *error, size_t size) {
  enter();
  int result = 0;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
  hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
  if (type < 0 || space < 0 || describe(type, space, description) < 0) result = fail(error, size);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  if (attribute >= 0) H5Aclose(attribute);
  leave();
  return result;
}

// Reads all of an attribute. `type` of H5I_INVALID_HID means the attribute's own type.
static int read_attribute(
    int64_t object, const char *name, hid_t type, int variable, void *buffer, uint64_t capacity,
    char *error, size_t size) {
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  if (attribute < 0) return fail(error, size);
  int result = 0;
  hid_t own = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);
  hssize_t elements = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
  if (own < 0 || elements < 0) {
    result = fail(error, size);
  } else if (
      type < 0 &&
      (H5Tget_class(own) != H5T_STRING || (H5Tis_variable_str(own) > 0) != (variable != 0))) {
    result = fail_with(error, size, "the attribute holds no strings of the kind asked for");
  } else {
    uint64_t room = type < 0 && !variable ? capacity / H5Tget_size(own) : capacity;
    if ((uint64_t)elements > room)
      result = fail_with(error, size, "the buffer is smaller than the attribute");
    else if (elements > 0 && H5Aread(attribute, type < 0 ? own : type, buffer) < 0)
      result = fail(error, size);
  }
  if (space >= 0) H5Sclose(space);
  if (own >= 0) H5Tclose(own);
  H5Aclose(attribute);
  return result;
}

int rfm_h5_read_attribute(
    int64_t object, const char *name, int32_t element, void *buffer, uint64_t capacity,
    char *error, size_t size) {
  enter();
  int result =
      read_attribute(object, name, memory_type(element), 0, buffer, capacity, error, size);
  leave();
  return result;
}

int rfm_h5_read_fixed_string_attribute(
    int64_t object, const char *name, char *bytes, uint64_t capacity, char *error, size_t size) {
  enter();
  int result = read_attribute(object, name, H5I_INVALID_HID, 0, bytes, capacity, error, size);
  leave();
  return result;
}

int rfm_h5_read_variable_string_attribute(
    int64_t object, const char *name, char **strings, uint64_t count, char *error, size_t size) {
  enter();
  memset(strings, 0, count * sizeof *strings);
  int result = read_attribute(object, name, H5I_INVALID_HID, 1, strings, count, error, size);
  // After a failure nobody knows which entries are pointers: forget them rather than free garbage.
  if (result < 0) memset(strings, 0, count * sizeof *strings);
  leave();
  return result;
}

int rfm_h5_write_attribute(
    int64_t object, const char *name, const rfm_h5_creation *creation, const void *data,
    char *error, size_t size) {
  enter();
  int result = 0;
  hid_t type = creation_type(creation);
  hid_t space = creation_space(creation);
  hid_t attribute = -1;
  htri_t exists = H5Aexists(object, name);
  if (type < 0 || space < 0 || exists < 0 || (exists > 0 && H5Adelete(object, name) < 0) ||
      (attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
      H5Awrite(attribute, type, data == NULL ? "" : data) < 0)
    result = fail(error, size);
  if (attribute >= 0 && H5Aclose(attribute) < 0 && result == 0) result = fail(error, size);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  leave();
  return result;
}

void rfm_h5_library_version(uint32_t *major, uint32_t *minor, uint32_t *release) {
  unsigned int numbers[3] = {0, 0, 0};
  enter();
  H5get_libversion(&numbers[0], &numbers[1], &numbers[2]);
  leave();
  *major = numbers[0];
  *minor = numbers[1];
  *release = numbers[2];
}
