#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// Datasets without chunks that must be counted (see check_chunks): asked at every read, so remembered for
// a few.
static struct { hid_t dataset; int is_plain; } known_datasets[64];

void h5_forget_dataset(hid_t dataset) {
  known_datasets[(uint64_t)dataset % 64].dataset = -1;
}

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
int h5_check_chunks(
    hid_t dataset, int rank, const hsize_t *from, const hsize_t *length, char *error, size_t size) {
  compressed_chunks c;
  int found = find_compressed_chunks(dataset, &c);
  if (found < 0) return h5_fail(error, size);
  if (found == 0) return 0;
  if (c.rank != rank) return h5_fail_with(error, size, "its chunks have another number of axes");
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
        result = h5_fail_with(error, size, "there is no memory for a chunk");
      } else if (H5Dread_chunk(dataset, H5P_DEFAULT, offset, &left_out, stored) < 0) {
        result = h5_fail(error, size);
      } else if (!fills_chunk(&c, left_out, stored, bytes)) {
        result = h5_fail_with(error, size, "a compressed chunk is damaged");
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

int rfm_h5_inflate(
    const void *input, size_t input_length, void *output, size_t output_length) {
  z_stream stream = {.next_in = (unsigned char *)input, .avail_in = (uInt)input_length};
  if (input_length > UINT32_MAX || output_length > UINT32_MAX || inflateInit(&stream) != Z_OK) return 0;
  stream.next_out = output;
  stream.avail_out = (uInt)output_length;
  int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  return status == Z_STREAM_END && stream.avail_out == 0;
}
