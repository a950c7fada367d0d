// What Swift can't import of HDF5: handles hidden behind macros, property lists, the error stack.
// Everything that decides anything (limits, names, formats) is Swift's; these functions each do
// one thing with the library and report in the library's own words when it fails.
//
// Conventions
// - A handle is an int64_t, negative when the call failed.
// - Functions that return int give 0 on success and -1 on failure.
// - `error` (capacity `size`) receives one line on failure: HDF5's innermost message. Ends in NUL.
// - All calls are serialised by a lock of their own, so a library built without thread safety is
//   safe too.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RFM_H5_MAX_RANK = 32, RFM_H5_MAX_FILTERS = 16, RFM_H5_MEMBER_NAME = 256 };

/// Element types in memory, and of what is created in files (native byte order, which the file
/// records).
enum rfm_h5_element {
  RFM_H5_UINT8 = 0,
  RFM_H5_INT32 = 1,
  RFM_H5_INT64 = 2,
  RFM_H5_FLOAT = 3,
  RFM_H5_DOUBLE = 4,
  // Of bit fields, which the library converts into nothing else; only to read.
  RFM_H5_BITS8 = 5,
  RFM_H5_BITS64 = 6,
};

/// Classes of types found in files.
enum rfm_h5_class {
  RFM_H5_INTEGER = 0,
  RFM_H5_FLOATING = 1,
  RFM_H5_STRING = 2,
  RFM_H5_OTHER = 3,
  RFM_H5_ENUMERATION = 4,
  RFM_H5_BIT_FIELD = 5,
  RFM_H5_COMPOUND = 6,
  RFM_H5_ARRAY = 7,
  RFM_H5_VARIABLE_LISTS = 8,
  RFM_H5_OPAQUE = 9,
  RFM_H5_REFERENCE = 10,
};

/// How a group leads to an object.
enum rfm_h5_link {
  RFM_H5_HARD_LINK,
  RFM_H5_SOFT_LINK,
  RFM_H5_EXTERNAL_LINK,
  RFM_H5_OTHER_LINK,
};

enum rfm_h5_padding {
  RFM_H5_NULL_TERMINATED = 0,
  RFM_H5_NULL_PADDED = 1,
  RFM_H5_SPACE_PADDED = 2,
};

/// What a dataset or an attribute holds.
typedef struct {
  int32_t type_class;       // rfm_h5_class
  uint64_t type_size;       // bytes an element; of a variable-length string a pointer's
  int32_t is_signed;        // integers, and enumerations of them
  int32_t is_variable;      // strings
  int32_t is_utf8;          // strings
  int32_t padding;          // strings: rfm_h5_padding
  int32_t rank;             // 0 for a scalar, -1 for an empty (null) dataspace
  uint64_t shape[RFM_H5_MAX_RANK];
  uint64_t maximum[RFM_H5_MAX_RANK];  // UINT64_MAX where unlimited
} rfm_h5_description;

/// A name of an enumeration, and the number that it stands for.
typedef struct {
  char name[RFM_H5_MEMBER_NAME];  // cut to this, ends in NUL
  int64_t value;                  // clipped, as all values are
} rfm_h5_member;

/// How a dataset is stored.
typedef struct {
  int32_t layout;  // 0 compact, 1 contiguous, 2 chunked, 3 virtual
  uint64_t chunk[RFM_H5_MAX_RANK];
  int32_t filter_count;
  int32_t filters[RFM_H5_MAX_FILTERS];  // HDF5's numbers: 1 deflate, 2 shuffle, 3 fletcher32, …
  int32_t deflate_level;                // -1 without deflate
  uint64_t stored_bytes;                // 0 where they were not to be measured
} rfm_h5_storage;

/// What a dataset is created with.
typedef struct {
  int32_t is_string;
  int32_t element;          // rfm_h5_element, of numbers
  uint64_t string_size;     // bytes of a fixed-length string; 0 for variable length
  int32_t is_ascii;
  int32_t padding;          // rfm_h5_padding
  int32_t rank;
  uint64_t shape[RFM_H5_MAX_RANK];
  int32_t extendible;       // the first axis may grow without limit; needs chunks
  int32_t chunked;
  uint64_t chunk[RFM_H5_MAX_RANK];
  int32_t deflate_level;    // -1 for none
  int32_t shuffle;
  int32_t fletcher32;
} rfm_h5_creation;

/// Names the file that this thread's next calls are about. Should the library crash on it, the
/// process says so and ends with status 65.
void rfm_h5_set_context(const char *path);

int64_t rfm_h5_create_file(const char *path, char *error, size_t size);
int64_t rfm_h5_open_file(const char *path, char *error, size_t size);
int rfm_h5_flush_file(int64_t file, char *error, size_t size);
int rfm_h5_close_file(int64_t file, char *error, size_t size);

/// Names of the root's links, sorted; `index` beyond the last gives length 0. Returns the length of
/// the name (it is cut to the capacity), -1 on failure.
int64_t rfm_h5_link_name(
    int64_t file, uint64_t index, char *name, size_t capacity, char *error, size_t size);
/// What kind of link the root has by this name, a rfm_h5_link; -1 on failure. A soft link's target is
/// cut to the capacity.
int rfm_h5_link_kind(
    int64_t file, const char *name, char *target, size_t capacity, char *error, size_t size);
/// 1 if the root has a dataset of this name, 0 if not, -1 on failure.
int rfm_h5_has_dataset(int64_t file, const char *name, char *error, size_t size);

int64_t rfm_h5_create_dataset(
    int64_t file, const char *name, const rfm_h5_creation *creation, char *error, size_t size);
/// `chunk_cache`: bytes of decoded chunks that the library keeps of this dataset; UINT64_MAX for its
/// own default. Without any, part of a chunk that no filter has changed is read by itself.
int64_t rfm_h5_open_dataset(
    int64_t file, const char *name, uint64_t chunk_cache, char *error, size_t size);
int rfm_h5_close_dataset(int64_t dataset, char *error, size_t size);
int rfm_h5_describe_dataset(
    int64_t dataset, rfm_h5_description *description, char *error, size_t size);
/// The names of a dataset's enumeration, at most `capacity`; `count` is how many there are.
int rfm_h5_enumeration(
    int64_t dataset, rfm_h5_member *members, uint64_t capacity, uint64_t *count, char *error,
    size_t size);
/// With `measure`, bytes in the file are summed up too: over all chunks.
int rfm_h5_dataset_storage(
    int64_t dataset, int measure, rfm_h5_storage *storage, char *error, size_t size);
int rfm_h5_count_chunks(int64_t dataset, uint64_t *count, char *error, size_t size);
/// Inflates what the deflate filter has written, without the library or its lock. Returns 1 if `input` was
/// one stream of exactly `output_length` bytes, 0 if it was anything else or memory ran out. Never writes
/// more than `output_length` bytes.
int rfm_h5_inflate(
    const void *input, size_t input_length, void *output, size_t output_length);
/// Keeps the lock around the library for this thread until it is released, since many short calls of several
/// threads would pass it to and fro.
void rfm_h5_hold(void);
void rfm_h5_release(void);
/// 1 if the library can decode this filter, 0 if not.
int rfm_h5_has_filter(int32_t filter);
int rfm_h5_extend_dataset(int64_t dataset, uint64_t rows, char *error, size_t size);

/// Reads or writes the box [start, start + count) of a dataset from or to a dense buffer of
/// `element`s that holds `capacity` of them. `start` NULL means everything.
int rfm_h5_read(
    int64_t dataset, int32_t element, const uint64_t *start, const uint64_t *count, void *buffer,
    uint64_t capacity, char *error, size_t size);
int rfm_h5_write(
    int64_t dataset, int32_t element, const uint64_t *start, const uint64_t *count,
    const void *buffer, uint64_t capacity, char *error, size_t size);
/// The same for rows [first, first + count) of the first axis, whole along all others.
int rfm_h5_read_rows(
    int64_t dataset, int32_t element, uint64_t first, uint64_t count, void *buffer,
    uint64_t capacity, char *error, size_t size);
int rfm_h5_write_rows(
    int64_t dataset, int32_t element, uint64_t first, uint64_t count, const void *buffer,
    uint64_t capacity, char *error, size_t size);

/// Reads `count` strings from row `first` of a one-dimensional (or the one of a scalar) dataset.
/// Fixed length: the bytes go to `bytes`, type_size each, padding included. Variable length:
/// `strings` receives pointers (NULL for an empty one) to be freed by rfm_h5_free_strings; at most
/// `limit` bytes are allocated for them.
int rfm_h5_read_fixed_strings(
    int64_t dataset, uint64_t first, uint64_t count, char *bytes, uint64_t capacity, char *error,
    size_t size);
int rfm_h5_read_variable_strings(
    int64_t dataset, uint64_t first, uint64_t count, char **strings, uint64_t limit, char *error,
    size_t size);
/// Where the references to a dataset's variable-length strings lie in the file: `is_plain` is 1 if
/// they lie in one piece in a file that is open for reading only; then `offset` is where, UINT64_MAX
/// if nothing was ever written.
int rfm_h5_string_references(
    int64_t dataset, int32_t *is_plain, uint64_t *offset, char *error, size_t size);
/// Reads bytes of the dataset's file, past the library. Returns how many there were.
int64_t rfm_h5_read_bytes(
    int64_t dataset, uint64_t offset, void *buffer, uint64_t count, char *error, size_t size);
void rfm_h5_free_strings(char **strings, uint64_t count);
int rfm_h5_write_variable_strings(
    int64_t dataset, uint64_t first, uint64_t count, const char *const *strings, char *error,
    size_t size);
int rfm_h5_write_fixed_strings(
    int64_t dataset, uint64_t first, uint64_t count, const char *bytes, uint64_t capacity,
    char *error, size_t size);

/// The version of the library that runs.
void rfm_h5_library_version(uint32_t *major, uint32_t *minor, uint32_t *release);

// Attributes of a file's root or of a dataset.

/// 1 if the object has the attribute, 0 if not, -1 on failure.
int rfm_h5_has_attribute(int64_t object, const char *name, char *error, size_t size);
int64_t rfm_h5_attribute_name(
    int64_t object, uint64_t index, char *name, size_t capacity, char *error, size_t size);
int rfm_h5_describe_attribute(
    int64_t object, const char *name, rfm_h5_description *description, char *error, size_t size);
int rfm_h5_read_attribute(
    int64_t object, const char *name, int32_t element, void *buffer, uint64_t capacity,
    char *error, size_t size);
int rfm_h5_read_fixed_string_attribute(
    int64_t object, const char *name, char *bytes, uint64_t capacity, char *error, size_t size);
int rfm_h5_read_variable_string_attribute(
    int64_t object, const char *name, char **strings, uint64_t count, char *error, size_t size);
/// Replaces the attribute if it exists. Of `creation` only the type, the rank (0: scalar) and the
/// shape count. `data` holds numbers, fixed-length bytes, or char pointers.
int rfm_h5_write_attribute(
    int64_t object, const char *name, const rfm_h5_creation *creation, const void *data,
    char *error, size_t size);

#ifdef __cplusplus
}
#endif
